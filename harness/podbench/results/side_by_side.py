"""Two to twelve run directories to one `SideBySide`: read, told apart, named, matched, compared.

A run that cannot be compared (another format, damaged beyond use) is left out and named, as long as
two remain. One whose summary.json is missing or damaged is analysed again from its samples. Nothing
is written here.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import msgspec

from podbench.analysis import summarise
from podbench.analysis.compare import groups, match, tails
from podbench.analysis.compare import side_by_side as compare
from podbench.analysis.compare.bundle import Card, LeftOut, SideBySide
from podbench.analysis.compare.standings import Campaign
from podbench.analysis.figures.group_points import Groups
from podbench.analysis.findings import flagged
from podbench.campaign import record
from podbench.model.errors import ConfigError, PodbenchError, StoreError
from podbench.model.summary import FORMAT, Summary
from podbench.results import gather, saved
from podbench.store.rundir import RunDir

FEWEST, MOST = 2, 12
"""One page holds twelve runs; more are not read, they are looked up."""


class _Read(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A run that can be compared, before it is named."""

    run: RunDir
    summary: Summary
    note: str | None


def side_by_side(
    paths: Sequence[Path], name: str | None = None, columns: Sequence[tuple[str, int]] = ()
) -> SideBySide:
    """Compares runs.

    Args:
        paths: run directories.
        name: the page's title.
        columns: (name, number of runs) of each column, where several campaigns stand together;
            the runs are `paths` in order. Empty: a column for each run.

    Raises:
        ConfigError: Too few or too many, no run there, or one run twice.
        StoreError: Fewer than two of them can be read.
    """
    shown = len(columns) or len(paths)
    if not FEWEST <= shown <= MOST:
        raise ConfigError(
            f"bench compare: {shown} run{'' if shown == 1 else 's'} given",
            advice=f"name {FEWEST} to {MOST} run directories",
        )
    opened = [saved.open_run(path) for path in paths]
    _refuse_same_place(opened)
    read, left_out = _read_all(opened)
    _refuse_copies(read)
    labels = _labels(read)
    matching = match.match_pairs([one.summary for one in read])
    runs = [
        _campaign(one, label, match.groups_of(matching, i))
        for i, (one, label) in enumerate(zip(read, labels, strict=True))
    ]
    if columns and not left_out:
        runs = _columns(runs, columns)
    title = name or f"{len(runs)} {'places' if columns else 'runs'} side by side"
    return compare.compare(title, runs, matching, left_out)


def _columns(runs: Sequence[Campaign], columns: Sequence[tuple[str, int]]) -> list[Campaign]:
    """Campaigns of one name drawn together; a single one keeps its blocks, under its new name."""
    found, at = [], 0
    for label, size in columns:
        own = runs[at : at + size]
        at += size
        if size > 1:
            found.append(groups.together(label, own))
        else:
            card = msgspec.structs.replace(own[0].card, label=label)
            found.append(msgspec.structs.replace(own[0], card=card))
    return found


def _refuse_same_place(opened: Sequence[RunDir]) -> None:
    for one, other in combinations(opened, 2):
        if one.path.resolve() == other.path.resolve():
            raise ConfigError(
                f"{one.path} and {other.path} are one directory: a run cannot be compared with "
                "itself",
                advice="its own A/A check says how much it differs from itself: `bench report`",
            )


def _refuse_copies(read: Sequence[_Read]) -> None:
    for one, other in combinations(read, 2):
        if saved.same_results(one.summary, other.summary):
            raise ConfigError(
                f"{one.run.path} and {other.run.path} hold the same run ({one.summary.run_id}, "
                f"started {one.summary.started}): a run cannot be compared with itself",
                advice="name two different runs",
            )


def _read_all(opened: Sequence[RunDir]) -> tuple[list[_Read], list[LeftOut]]:
    read: list[_Read] = []
    left_out: list[LeftOut] = []
    for run in opened:
        try:
            summary, note = _results(run)
        except PodbenchError as error:
            left_out.append(LeftOut(path=str(run.path), reason=str(error)))
        else:
            read.append(_Read(run=run, summary=summary, note=note))
    if len(read) < FEWEST:
        reasons = "; ".join(one.reason for one in left_out)
        raise StoreError(f"fewer than two runs can be compared: {reasons}")
    return read, left_out


def _results(run: RunDir) -> tuple[Summary, str | None]:
    """The results, made anew from the samples where summary.json cannot be read."""
    try:
        return saved.summary(run), None
    except PodbenchError as error:
        stated = saved.format_of(run)
        if not run.run_json.is_file() or stated not in {None, FORMAT}:
            raise
        begun = run.read_json(run.run_json, record.RunRecord)
        bundle = summarise.analyse(gather.inputs(run, begun))
        # Through JSON, so that it is built of the same types as one that was read.
        anew = msgspec.json.decode(msgspec.json.encode(bundle.summary), type=Summary)
        return anew, f"{error}; its figures were made anew from its samples"


def _labels(read: Sequence[_Read]) -> list[str]:
    """A short name for each run: its own, else its id; told apart by directory, then by number."""
    plain = [one.summary.name or one.summary.run_id for one in read]
    found: list[str] = []
    for label, one in zip(plain, read, strict=True):
        unique = label if plain.count(label) == 1 else f"{label} ({one.run.path.resolve().name})"
        number = 2
        while unique in found:
            unique = f"{label} ({number})"
            number += 1
        found.append(unique)
    return found


def _campaign(one: _Read, label: str, pairs: Groups) -> Campaign:
    held = saved.points(one.run, pairs, tails=tails.SERIES)
    note = one.note
    if not held.any_samples:
        gone = "no samples beside its summary.json: figures as it states them, no block statistics"
        note = f"{note}; {gone}" if note else gone
    blocks = max((len(stats) for stats in held.points.stats.values()), default=0)
    stated = max((estimate.blocks for estimate in one.summary.estimates), default=0)
    card = Card(
        label=label,
        path=str(one.run.path),
        summary=one.summary,
        blocks=blocks or stated,
        damages=held.damages,
        note=note,
        flags=tuple(w.message for w in one.summary.warnings if w.code in flagged.CODES),
    )
    return Campaign(card=card, points=held.points)
