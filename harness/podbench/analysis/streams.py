"""Latency rows put in order once: streams of probes, sorted by intended send time.

A stream is what one initiator sent to one reflector in one visit, round and phase; probes rotate
over source ports, so the order of sending is the intended send time, not the port's own sequence.
Streams lie one behind the other (phase, arm, src, dst, block, round): a cell (one pair in one
block) and a pair over all its blocks are slices. Nothing is estimated here.
"""

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

STATUS_CODES = {
    "ok": 0,
    "lost_forward": 1,
    "lost_backward": 2,
    "lost_unknown": 3,
    "late": 4,
    "corrupted": 5,
}
"""`late` (RFC 2681: beyond Tmax) and `corrupted` (RFC 7680) count as lost, direction unknown."""

_KEYS = ("phase", "arm", "src", "dst")


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


class Streams(msgspec.Struct, frozen=True, eq=False):
    """All rows in stream order. RTTs are NaN where lost, unstamped, impossible or not `valid`."""

    keys: tuple[StreamKey, ...]
    starts: IntArray
    """(streams + 1,) row offsets."""
    mono_ns: IntArray
    wall_ns: FloatArray
    kernel_ns: FloatArray
    app_ns: FloatArray
    reflector_ns: FloatArray
    host_ns: FloatArray
    late_ns: FloatArray
    status: npt.NDArray[np.int8]
    valid: BoolArray
    stamp_source: npt.NDArray[np.object_]
    unusable: int = 0
    """Rows left out because their place or send time is missing."""
    impossible: int = 0
    """RTTs below zero: masked, and reported as a doubt."""

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


def _same_cell(a: StreamKey, b: StreamKey) -> bool:
    return (a.phase, a.arm, a.src, a.dst, a.block) == (b.phase, b.arm, b.src, b.dst, b.block)


def _number(table: pd.DataFrame, column: str) -> FloatArray:
    if column not in table:
        return np.full(len(table), np.nan)
    numbers = pd.to_numeric(table[column], errors="coerce")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _flag(table: pd.DataFrame, column: str, *, missing: bool) -> BoolArray:
    if column not in table:
        return np.full(len(table), missing)
    return table[column].astype("boolean").fillna(missing).to_numpy(dtype=np.bool_)


def _codes(table: pd.DataFrame, column: str) -> tuple[IntArray, list[str]]:
    codes, names = pd.factorize(table[column], sort=True)
    return codes.astype(np.int64), [str(name) for name in names]


def _status(table: pd.DataFrame) -> npt.NDArray[np.int8]:
    codes, names = _codes(table, "status")
    lookup = np.array([STATUS_CODES.get(name, 3) for name in names] + [3], dtype=np.int8)
    return lookup[codes]


def _usable(latency: pd.DataFrame) -> pd.DataFrame:
    needed = [*_KEYS, "block", "round", "intended_mono_ns"]
    missing = latency[needed].isna().any(axis=1)
    return latency[~missing] if bool(missing.any()) else latency


def read(latency: pd.DataFrame | None) -> Streams:
    """Puts the rows of `samples/latency` into stream order.

    Args:
        latency: columns of `podbench.store.schemas.LATENCY`; None or empty where not measured.
    """
    if latency is None or latency.empty:
        return _empty()
    table = _usable(latency)
    if table.empty:
        return msgspec.structs.replace(_empty(), unusable=len(latency))
    codes = {name: _codes(table, name) for name in _KEYS}
    block = table["block"].to_numpy(dtype=np.int64)
    number = table["round"].to_numpy(dtype=np.int64)
    mono = table["intended_mono_ns"].to_numpy(dtype=np.int64)
    order = np.lexsort((mono, number, block, *[codes[name][0] for name in reversed(_KEYS)]))
    table = table.iloc[order]
    places = np.stack([*[codes[name][0][order] for name in _KEYS], block[order], number[order]])
    starts = np.flatnonzero(np.any(np.diff(places, axis=1) != 0, axis=0)) + 1
    starts = np.concatenate(([0], starts, [len(table)])).astype(np.int64)
    family = table["family"].iloc[starts[:-1]].fillna("ipv4") if "family" in table else None
    names = [codes[name][1] for name in _KEYS]
    keys = tuple(
        StreamKey(
            phase=names[0][places[0, s]],
            arm=names[1][places[1, s]],
            src=names[2][places[2, s]],
            dst=names[3][places[3, s]],
            block=int(places[4, s]),
            round=int(places[5, s]),
            family="ipv4" if family is None else str(family.iloc[k]),
        )
        for k, s in enumerate(starts[:-1])
    )
    return _columns(table, keys, starts, mono[order], len(latency) - len(table))


def _columns(
    table: pd.DataFrame,
    keys: tuple[StreamKey, ...],
    starts: IntArray,
    mono_ns: IntArray,
    unusable: int,
) -> Streams:
    status, valid = _status(table), _flag(table, "valid", missing=True)
    good = (status == 0) & valid
    rtts = {}
    impossible = 0
    for name in ("rtt_kernel_ns", "rtt_app_ns"):
        values = _number(table, name)
        below = good & (values <= 0.0)
        impossible += int(below.sum())
        rtts[name] = np.where(good & ~below & np.isfinite(values), values, np.nan)
    source = table["stamp_source"] if "stamp_source" in table else pd.Series([None] * len(table))
    return Streams(
        keys=keys,
        starts=starts,
        mono_ns=mono_ns,
        wall_ns=_number(table, "sent_wall_ns"),
        kernel_ns=rtts["rtt_kernel_ns"],
        app_ns=rtts["rtt_app_ns"],
        reflector_ns=np.where(good, _number(table, "reflector_ns"), np.nan),
        host_ns=np.where(good, _number(table, "host_ns"), np.nan),
        late_ns=_number(table, "late_ns"),
        status=status,
        valid=valid,
        stamp_source=source.to_numpy(dtype=object),
        unusable=unusable,
        impossible=impossible,
    )


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
        stamp_source=np.empty(0, dtype=object),
    )
