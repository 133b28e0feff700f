"""Latency rows put in order once: streams of probes, sorted by intended send time.

A stream is what one initiator sent to one reflector in one visit, round and phase; probes rotate
over source ports, so the order of sending is the intended send time, not the port's own sequence.
Streams lie one behind the other (phase, arm, src, dst, block, round): a cell (one pair in one
block) and a pair over all its blocks are slices. Nothing is estimated here.
"""

from collections.abc import Iterator
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from podbench.analysis.samples.rows import BoolArray, FloatArray, IntArray, Rows
from podbench.wire import fates

__all__ = ["BoolArray", "FloatArray", "IntArray"]

STATUS_CODES = {
    "ok": 0,
    "lost_forward": 1,
    "lost_backward": 2,
    "lost_unknown": 3,
    "late": 4,
    "corrupted": 5,
}
"""`late` (RFC 2681: beyond Tmax) and `corrupted` (RFC 7680) count as lost, direction unknown."""

STEP_SLACK_NS = 1e6
"""Slewing (500 ppm of a 2 s round trip) stays below it."""

_KEYS = ("phase", "arm", "src", "dst")
COLUMNS = (
    *_KEYS,
    *("block", "round", "family", "intended_mono_ns", "sent_wall_ns", "rtt_kernel_ns"),
    *("rtt_app_ns", "reflector_ns", "host_ns", "late_ns", "status", "valid", "invalid_reason"),
    "stamp_source",
)
"""What `read` looks at; other columns need not be read from disk."""


class StreamKey(msgspec.Struct, frozen=True):
    """What all probes of a stream share."""

    phase: str
    arm: str
    src: str
    dst: str
    block: int
    round: int
    family: str


class Cell(msgspec.Struct, frozen=True):
    """One pair in one block, arm and phase: rows `start:stop`, streams `first:last`."""

    key: StreamKey
    start: int
    stop: int
    first: int
    last: int


class Rtts(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Round trips in stream order; NaN where lost, unstamped, impossible or in doubt."""

    keys: tuple[StreamKey, ...]
    starts: IntArray
    """(streams + 1,) row offsets."""
    kernel_ns: FloatArray
    app_ns: FloatArray

    @property
    def stream_of_row(self) -> IntArray:
        """(rows,) the number of each row's stream."""
        return np.repeat(np.arange(len(self.keys)), np.diff(self.starts))

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms that have rows, in name order."""
        return tuple(sorted({key.arm for key in self.keys}))

    def cells(self, phase: str) -> Iterator[Cell]:
        """Cells of one phase, in order of arm, src, dst, block."""
        first = 0
        while first < len(self.keys):
            key, last = self.keys[first], first + 1
            while last < len(self.keys) and _same_cell(self.keys[last], key):
                last += 1
            if key.phase == phase:
                yield Cell(key, int(self.starts[first]), int(self.starts[last]), first, last)
            first = last


class Streams(Rtts, frozen=True, kw_only=True, eq=False):
    """All columns of rows in stream order; times are NaN like the round trips they explain."""

    mono_ns: IntArray
    wall_ns: FloatArray
    reflector_ns: FloatArray
    host_ns: FloatArray
    late_ns: FloatArray
    status: npt.NDArray[np.int8]
    valid: BoolArray
    """As the rows say: only these tell what programs feel."""
    on_path: BoolArray
    """Rows that tell the path's loss: the valid ones, and those that only their ends' machines
    harmed (`fates.HOST_REASONS`). Their kernel round trips count too, but for late probes, which
    meet a path that another probe has just woken: those count for loss alone."""
    stamps: dict[str, int] = {}
    """Rows by source of their time stamps."""
    reasons: dict[str, int] = {}
    """Rows by why they are not valid."""
    unusable: int = 0
    """Rows left out because their place or send time is missing."""
    impossible: int = 0
    """Round trips at or below zero, or longer by the kernel than by the program around them: only a
    clock that was set makes those. Masked, and reported as a doubt."""


def _same_cell(a: StreamKey, b: StreamKey) -> bool:
    return (a.phase, a.arm, a.src, a.dst, a.block) == (b.phase, b.arm, b.src, b.dst, b.block)


PLACE_COLUMNS = (*_KEYS, "block", "round", "intended_mono_ns")
"""What a row needs to be of any use."""


def _usable(rows: Rows) -> Rows:
    missing = rows.missing(list(PLACE_COLUMNS))
    return rows.kept(~missing) if bool(missing.any()) else rows


def first_mono_ns(latency: "pd.DataFrame | pa.Table") -> int | None:
    """The earliest intended send time of the rows that `read` would take; None for none.

    Args:
        latency: at least `PLACE_COLUMNS`.
    """
    rows = _usable(Rows(latency)) if len(latency) else Rows(latency)
    return int(rows.whole("intended_mono_ns").min()) if len(rows) else None


def read(latency: "pd.DataFrame | pa.Table | None") -> Streams:
    """Puts the rows of `samples/latency` into stream order.

    Args:
        latency: columns of `podbench.store.schemas.LATENCY`, or those of them in `COLUMNS`; None or
            empty where not measured.
    """
    if latency is None or not len(latency):
        return _empty()
    everything = Rows(latency)
    rows = _usable(everything)
    reasons = everything.counts("invalid_reason")
    if not len(rows):
        return msgspec.structs.replace(_empty(), unusable=len(latency), reasons=reasons)
    held = [rows.codes(name) for name in _KEYS]
    mono = rows.whole("intended_mono_ns")
    places = [*(codes for codes, _ in held), rows.whole("block"), rows.whole("round")]
    order = _order(places, mono)
    places = [_taken(place, order) for place in places]
    starts = np.concatenate(([0], np.flatnonzero(_changes(places)) + 1, [len(rows)]))
    families, family_names = rows.codes("family")
    families = _taken(families, order)
    names = [names for _, names in held]
    keys = tuple(
        StreamKey(
            phase=names[0][places[0][s]],
            arm=names[1][places[1][s]],
            src=names[2][places[2][s]],
            dst=names[3][places[3][s]],
            block=int(places[4][s]),
            round=int(places[5][s]),
            family=family_names[families[s]] if families[s] >= 0 else "ipv4",
        )
        for s in starts[:-1]
    )
    found = _columns(rows, keys, starts.astype(np.int64), order)
    return msgspec.structs.replace(found, unusable=len(latency) - len(rows), reasons=reasons)


def _changes(places: list[IntArray]) -> BoolArray:
    """(rows - 1,) whether the next row lies elsewhere."""
    changed = np.zeros(len(places[0]) - 1, dtype=np.bool_)
    for place in places:
        changed |= place[1:] != place[:-1]
    return changed


def _order(places: list[IntArray], mono_ns: IntArray) -> IntArray | None:
    """The order of sending within streams in order; None where the rows have it already.

    Files hold each stream in one piece and in order: then streams are sorted, not rows.
    """
    changed = _changes(places)
    if bool(((mono_ns[1:] >= mono_ns[:-1]) | changed).all()):
        first = np.concatenate(([0], np.flatnonzero(changed) + 1))
        heads = [place[first] for place in places]
        by = np.lexsort(heads[::-1])
        if bool(_changes([head[by] for head in heads]).all()):
            if bool((by[1:] > by[:-1]).all()):
                return None
            lengths = np.diff(np.append(first, len(mono_ns)))[by]
            shift = np.repeat(first[by] - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
            found: IntArray = np.arange(len(mono_ns)) + shift
            return found
    return np.lexsort((mono_ns, *places[::-1]))


_Any = TypeVar("_Any", bound=np.generic)


def _taken(values: npt.NDArray[_Any], order: IntArray | None) -> npt.NDArray[_Any]:
    return values if order is None else values[order]


def _columns(
    rows: Rows, keys: tuple[StreamKey, ...], starts: IntArray, order: IntArray | None
) -> Streams:
    codes, names = rows.codes("status")
    lookup = np.array([STATUS_CODES.get(name, 3) for name in names] + [3], dtype=np.int8)
    status = _taken(lookup[codes], order)
    valid = _taken(rows.flag("valid", missing=True), order)
    on_path = valid | _taken(rows.one_of("invalid_reason", fates.HOST_REASONS), order)
    felt, carried = (status == 0) & valid, (status == 0) & on_path
    kernel, app = (_taken(rows.number(name), order) for name in ("rtt_kernel_ns", "rtt_app_ns"))
    rtts, impossible = _possible(kernel, app, carried, felt)
    late_ns = _taken(rows.number("late_ns"), order)
    late = _late(_taken(rows.whole("intended_mono_ns"), order), late_ns, starts)
    return Streams(
        keys=keys,
        starts=starts,
        mono_ns=_taken(rows.whole("intended_mono_ns"), order),
        wall_ns=_taken(rows.number("sent_wall_ns"), order),
        kernel_ns=np.where(late, np.nan, rtts[0]),
        app_ns=np.where(late, np.nan, rtts[1]),
        reflector_ns=np.where(carried, _taken(rows.number("reflector_ns"), order), np.nan),
        host_ns=np.where(felt, _taken(rows.number("host_ns"), order), np.nan),
        late_ns=late_ns,
        status=status,
        valid=valid,
        on_path=on_path,
        stamps=rows.counts("stamp_source"),
        impossible=impossible,
    )


def _late(mono_ns: IntArray, late_ns: FloatArray, starts: IntArray) -> BoolArray:
    """(rows,) sent more than half a period after they were due, by each stream's own period."""
    late = np.zeros(len(mono_ns), dtype=np.bool_)
    for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if last - first > 1:
            period = float(np.median(np.diff(mono_ns[first:last])))
            late[first:last] = late_ns[first:last] > period / 2.0
    return late


def _possible(
    kernel: FloatArray, app: FloatArray, carried: BoolArray, felt: BoolArray
) -> tuple[tuple[FloatArray, FloatArray], int]:
    """Kernel and program round trips with NaN where they cannot be, and how many could not.

    Kernel stamps are on the wall clock and lie inside the program's round trip, which is on a clock
    nobody can set: a kernel round trip that is longer saw its clock set.
    """
    wrong = carried & ((kernel <= 0.0) | (kernel > app + STEP_SLACK_NS))
    below = felt & (app <= 0.0)
    found = (
        np.where(carried & ~wrong & np.isfinite(kernel), kernel, np.nan),
        np.where(felt & ~below & np.isfinite(app), app, np.nan),
    )
    return found, int(wrong.sum()) + int(below.sum())


def _empty() -> Streams:
    nothing = np.empty(0)
    return Streams(
        keys=(),
        starts=np.zeros(1, dtype=np.int64),
        mono_ns=np.empty(0, dtype=np.int64),
        wall_ns=nothing,
        kernel_ns=nothing,
        app_ns=nothing,
        reflector_ns=nothing,
        host_ns=nothing,
        late_ns=nothing,
        status=np.empty(0, dtype=np.int8),
        valid=np.empty(0, dtype=np.bool_),
        on_path=np.empty(0, dtype=np.bool_),
    )
