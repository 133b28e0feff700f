"""The journal: one line per thing that is done and on disk; after a crash it says where to go on.

Lines are appended and synced. A line that a crash cut short is passed over: what it would have said
is done again.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from podbench.campaign import plausible
from podbench.model.arms import Arm, parse_arm
from podbench.model.arms import Path as ArmPath
from podbench.model.facts import PairProof
from podbench.store import guarded, rundir
from podbench.store.rundir import RunDir
from podbench.store.samples import Written

LOOK, DECIDED = "look", "decided"
LOOKS = (LOOK, DECIDED)
REFUSED = "refused"
"""Event of a stage's end: an agent's messages that were dropped, since it cannot have sent them."""
"""Events of a look at the growing run (campaign/looks.py): something is still open, or nothing."""


LATENCY_PHASES = ("warm", "idle")
TRANSFERS = "throughput"
"""How the names of transfers begin."""


class EndCount(msgspec.Struct, frozen=True, kw_only=True):
    """What one end threw away or could not do in a stretch; which packets it was is not known."""

    node: str
    end: str
    """`sender` or `reflector`."""
    counts: dict[str, int]
    """Counters above zero, by name."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What one stretch of a round measured, and when (CLOCK_MONOTONIC of the orchestrator, ns)."""

    kind: str
    """`warm`, `idle` or the name of a throughput probe."""
    path: str
    src: str | None
    dst: str | None
    start_mono_ns: int
    end_mono_ns: int
    counted: tuple[EndCount, ...] = ()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement that could not be taken, and why."""

    kind: str
    path: str
    src: str
    dst: str
    reason: str


class KindProof(msgspec.Struct, frozen=True, kw_only=True):
    """What the packets of one load of a round took: the proof of that kind of probe."""

    kind: str
    """The probe's name, as in the plan."""
    proof: PairProof


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet file that a round wrote; what is there later is held against this."""

    file: str
    """Relative to the run directory."""
    rows: int
    digest: str
    """Of its octets (store/samples.py, `digest`)."""


def kept(rundir: RunDir, path: Path, written: Written) -> Kept:
    """What the journal says of a file that was written."""
    name = str(path.relative_to(rundir.path))
    return Kept(file=name, rows=written.rows, digest=written.digest)


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line.

    `event`: `begun`, `laid`, `round`, `visit`, `lost` (a mode), `interrupted`, `resumed`, `ended`.
    """

    event: str
    wall_ns: int
    block: int | None = None
    arm: str | None = None
    round: int | None = None
    start_mono_ns: int | None = None
    end_mono_ns: int | None = None
    spans: tuple[Span, ...] = ()
    failures: tuple[Failure, ...] = ()
    proofs: tuple[KindProof, ...] = ()
    kept: tuple[Kept, ...] = ()
    note: str | None = None


class Journal:
    """Appends to and reads one run's journal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._decoder = msgspec.json.Decoder(Entry)

    def write(self, entry: Entry) -> None:
        """Appends one line and waits until it is on disk.

        Raises:
            StoreError: It cannot be written.
        """
        line = msgspec.json.encode(entry) + b"\n"
        try:
            with guarded.open_append(self._path) as file:
                if file.seek(0, os.SEEK_END) and not _ends_whole(file):
                    file.write(b"\n")
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise rundir.store_error(self._path, error) from error

    def note(self, event: str, note: str | None = None) -> None:
        """Appends an event that needs no more than a word."""
        self.write(Entry(event=event, wall_ns=time.time_ns(), note=note))

    def entries(self) -> list[Entry]:
        """Every whole line, in order; one that was cut short or altered is passed over.

        So is one that names what no run has.
        """
        if not self._path.exists():
            return []
        found = []
        for line in guarded.read(self._path, guarded.MOST_JOURNAL_BYTES).splitlines():
            try:
                entry = self._decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if _is_ours(entry):
                found.append(entry)
        return found

    def rounds_done(self) -> set[tuple[int, Arm, int]]:
        """Block, arm and number of every round that is on disk and brought back what was asked."""
        return {
            (entry.block, parse_arm(entry.arm), entry.round)
            for entry in latest(self.entries())
            if entry.event == "round"
            and entry.block is not None
            and entry.arm is not None
            and entry.round is not None
            and not lost(entry)
        }


def latest(entries: Sequence[Entry]) -> list[Entry]:
    """The entries in order, of each round its last only: one that was lost is measured again."""
    last = {_key(e): n for n, e in enumerate(entries) if e.event == "round"}
    return [e for n, e in enumerate(entries) if e.event != "round" or last[_key(e)] == n]


def _key(entry: Entry) -> tuple[int | None, str | None, int | None]:
    return entry.block, entry.arm, entry.round


def lost(entry: Entry) -> bool:
    """Whether a round brought back less than it must: its samples count as missing.

    A latency stretch on the pods' path that failed for a pair, or all of its transfers.
    """
    for each in entry.failures:
        if each.kind in LATENCY_PHASES and each.path != ArmPath.HOST:
            return True
    ran = [s for s in entry.spans if s.kind.startswith(TRANSFERS)]
    failed = [f for f in entry.failures if f.kind.startswith(TRANSFERS)]
    return bool(ran) and len(failed) >= len(ran)


def _is_ours(entry: Entry) -> bool:
    paths = [*(each.path for each in entry.spans), *(each.path for each in entry.failures)]
    return plausible.are_paths(paths) and plausible.is_entry(entry.block, entry.arm, entry.round)


def _ends_whole(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
