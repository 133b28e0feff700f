"""Which files of a run's samples count, and what is wrong with the others.

The journal names every file that a round wrote, with its rows and digest. A file that is missing,
emptied or altered is named; so is one that no round wrote (a copy beside the original would be
counted twice), and it is left out. Where the journal itself is gone or cut, files at the places of
the plan are read, after their rows were held against their place. Above: gather.py, saved.py.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from podbench.campaign import plan
from podbench.campaign.journal import Entry, Kept
from podbench.model.arms import Path as ArmPath
from podbench.model.errors import StoreError
from podbench.store import samples, schemas
from podbench.store.rundir import RunDir

Place = tuple[int, str, int]
"""Block, arm's name as in the plan (pod path), round."""
HOST, CEILING = "host", "ceiling"
PROBES = tuple(name for name in schemas.BY_PROBE if name not in (HOST, CEILING))
"""Those that write a file in each round."""


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome; paths are relative to the run directory."""

    files: frozenset[str]
    """Those to be read."""
    trouble: tuple[tuple[str, str], ...] = ()
    """(file, what is wrong with it)."""
    lost: frozenset[Place] = frozenset()
    """Rounds of the journal of which a file is gone or damaged."""
    unlisted: frozenset[Place] = frozenset()
    """Rounds whose samples are there and which the journal does not know."""


class _Spot(msgspec.Struct, frozen=True):
    """What a file's place in the tree says that its rows are."""

    probe: str
    place: Place
    arm: str


def take(rundir: RunDir, drawn: plan.Plan, entries: Sequence[Entry]) -> Inventory:
    """Holds the files of a run against its journal and its plan.

    Args:
        rundir: The run.
        drawn: Its plan.
        entries: Its journal, each round's last line only.
    """
    spots = dict(_spots(rundir, drawn))
    kept = {one.file: (one, _place(e)) for e in entries for one in e.kept}
    listed = {_place(e) for e in entries if e.event == "round"}
    present = {str(path.relative_to(rundir.path)) for path in _parquet(rundir)}
    files: set[str] = set()
    trouble: list[tuple[str, str]] = []
    lost: set[Place] = set()
    unlisted: set[Place] = set()
    for name in sorted(present | set(kept)):
        known, place = kept.get(name, (None, None))
        if known is not None:
            wrong = _altered(rundir, known) if name in present else _gone(known)
            if wrong is not None and place is not None and place[2]:
                lost.add(place)
        elif name in spots:
            spot = spots[name]
            wrong = _misplaced(rundir, name, spot)
            # A journal of an earlier version does not name files.
            if spot.place not in listed and wrong is None:
                unlisted.add(spot.place)
        elif _is_ceiling(name):
            wrong = None
        else:
            wrong = "is no file of this run: left out"
        if wrong is None:
            files.add(name)
        else:
            trouble.append((name, wrong))
    return Inventory(
        files=frozenset(files),
        trouble=(*_of_journal(rundir, entries, unlisted), *trouble),
        lost=frozenset(lost),
        unlisted=frozenset(unlisted),
    )


def _of_journal(
    rundir: RunDir, entries: Sequence[Entry], unlisted: set[Place]
) -> Iterator[tuple[str, str]]:
    """What is wrong with the journal itself."""
    name = rundir.journal.name
    rounds = f"{len(unlisted)} rounds" if len(unlisted) != 1 else "1 round"
    if not rundir.journal.exists():
        yield name, f"is missing: which rounds are whole is not known; {rounds} on disk are shown"
    elif unlisted:
        block, arm, number = min(unlisted)
        yield (
            name,
            f"does not list {rounds} whose samples are on disk (block {block}, {arm}, round "
            f"{number}, ...): it was cut, or the run was killed while it wrote; they are shown",
        )
    elif not entries:
        yield name, "holds no whole line"


def _place(entry: Entry) -> Place:
    return entry.block or 0, entry.arm or "", entry.round or 0


def _parquet(rundir: RunDir) -> Iterator[Path]:
    for folder in ("samples", HOST):
        yield from (rundir.path / folder).rglob("*.parquet")


def _spots(rundir: RunDir, drawn: plan.Plan) -> Iterator[tuple[str, _Spot]]:
    """Every place that the plan has for a file."""
    for visit in drawn.visits:
        for each in visit.rounds:
            place = (visit.block, visit.arm.name, each.number)
            where = rundir.host(visit.block, visit.arm, each.number)
            yield _relative(rundir, where), _Spot(HOST, place, visit.arm.name)
            for probe in ("latency", "throughput", "ladder"):
                for path in ArmPath:
                    arm = visit.arm.on(path)
                    where = rundir.samples(probe, visit.block, arm, each.number)
                    yield _relative(rundir, where), _Spot(probe, place, arm.name)


def _is_ceiling(name: str) -> bool:
    return name.startswith(f"samples/{CEILING}/")


def _relative(rundir: RunDir, path: Path) -> str:
    return str(path.relative_to(rundir.path))


def _gone(known: Kept) -> str:
    return f"is missing: {known.rows} rows were written"


def _altered(rundir: RunDir, known: Kept) -> str | None:
    """What is wrong with a file that a round wrote; null where it is as it was."""
    path = rundir.path / known.file
    try:
        if samples.digest(path) == known.digest:
            return None
    except StoreError as error:
        return str(error)
    rows = samples.rows_of(path)
    if rows == 0 and known.rows:
        return f"is empty or damaged: {known.rows} rows were written"
    if rows != known.rows:
        return f"has {rows} rows, and {known.rows} were written: left out"
    return "was altered after it was written: left out"


def _misplaced(rundir: RunDir, name: str, spot: _Spot) -> str | None:
    """What is wrong with the rows of a file that no journal vouches for."""
    block, _, number = spot.place
    place: dict[str, str | int] = {"block": block, "round": number, "arm": spot.arm}
    if spot.probe == HOST:
        place = {}
    try:
        return samples.misplaced(rundir.path / name, spot.probe, place)
    except StoreError as error:
        return str(error)
