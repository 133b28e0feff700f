"""Loss: counts by direction, episodes, and an interval that admits when losses come in bursts.

- A packet is lost when it did not arrive within Tmax (RFC 7680 section 2; round trip RFC 6673):
  late and corrupted replies count, with the direction unknown.
- An episode is a run of consecutively lost packets in sending order (RFC 3357 section 4, RFC 6534).
- Intervals: `stats.bursts`, over sessions and episodes.
"""

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import special

from podbench.analysis.samples.streams import BoolArray, IntArray, Streams

FORWARD, BACKWARD = 1, 2
NEGLIGIBLE_RATIO = 1e-3
"""Two arms both surely below 0.1 % lose equally for any purpose a benchmark serves."""

DIRECTIONS = {1: "forward", 2: "backward"}


class Episode(msgspec.Struct, frozen=True):
    """`length` rows lost from `start` on; `direction` is forward, backward, unknown or mixed."""

    stream: int
    start: int
    length: int
    direction: str


def lost_rows(streams: Streams) -> BoolArray:
    """(rows,) sent, valid, and not back in time."""
    lost: BoolArray = (streams.status != 0) & streams.on_path
    return lost


def _run_bounds(lost: BoolArray, starts: IntArray) -> tuple[IntArray, IntArray]:
    """First row and length of each run of True; runs end where a stream does."""
    if len(lost) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    before = np.concatenate(([False], lost[:-1]))
    before[starts[:-1]] = False
    after = np.concatenate((lost[1:], [False]))
    after[starts[1:] - 1] = False
    first = np.flatnonzero(lost & ~before)
    last = np.flatnonzero(lost & ~after)
    return first, last - first + 1


def episodes(streams: Streams, most: int | None = None) -> list[Episode]:
    """All episodes in stream order, or the longest; of equally long ones the first."""
    first, length = _run_bounds(lost_rows(streams), streams.starts)
    if most is not None and len(first) > most:
        longest = np.sort(np.argsort(-length, kind="stable")[:most])
        first, length = first[longest], length[longest]
    owner = np.searchsorted(streams.starts, first, side="right") - 1
    found = []
    for stream, start, count in zip(owner, first, length, strict=True):
        codes = np.unique(streams.status[start : start + count])
        names = {DIRECTIONS.get(int(code), "unknown") for code in codes}
        direction = names.pop() if len(names) == 1 else "mixed"
        found.append(Episode(int(stream), int(start), int(count), direction))
    return found


class Runs(msgspec.Struct, frozen=True):
    """Episodes of some rows: how many, their squared lengths summed, the longest."""

    number: int
    squares: int
    longest: int


def runs(lost: BoolArray, starts: IntArray) -> Runs:
    """The episodes of (rows,) lost; they end where a stream does."""
    _, length = _run_bounds(lost, starts)
    if not len(length):
        return Runs(0, 0, 0)
    return Runs(len(length), int((length**2).sum()), int(length.max()))


def log_ratios(lost: npt.NDArray[np.int64], sent: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """log((lost + 0.5)/(sent + 1)) by block: defined at zero, compared by paired t."""
    return np.log((lost + 0.5) / (sent + 1.0))


def exact_p(lost: tuple[int, int], sent: tuple[int, int]) -> float:
    """Two-sided p of equal rates, given the total (conditional binomial, doubled tail).

    Exact for independent events, so it takes episodes, not packets: one burst is one event. With
    few of them the t test on logs is far too sure, this is not.
    Source: Przyborowski, Wilenski, Biometrika 31 (1940) 313-323.
    """
    total, share = sum(lost), sent[1] / max(1, sum(sent))
    if total == 0 or share in {0.0, 1.0}:
        return 1.0
    upper = float(special.bdtrc(lost[1] - 1, total, share)) if lost[1] > 0 else 1.0
    lower = float(special.bdtr(lost[1], total, share))
    return min(1.0, 2.0 * min(lower, upper))
