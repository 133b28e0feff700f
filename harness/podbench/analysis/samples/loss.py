"""Loss: counts by direction, episodes, and an interval that admits when losses come in bursts.

- A packet is lost when it did not arrive within Tmax (RFC 7680 section 2; round trip RFC 6673):
  late and corrupted replies count, with the direction unknown.
- An episode is a run of consecutively lost packets in sending order (RFC 3357 section 4, RFC 6534).
- Interval of a ratio: where losses are isolated (no more often next to each other, and no more
  different between blocks, than independent losses would be) the binomial holds: Wilson (1927), or
  Clopper-Pearson (1934) where fewer than 10 were lost. Otherwise the blocks are the sample: the
  linearised ratio estimator (Cochran, Sampling Techniques, 1977, section 6.8) on the logit scale
  with t quantiles, never narrower than the binomial one; a single block then has no interval.
"""

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import special

from podbench.analysis.samples.streams import BoolArray, IntArray, Streams
from podbench.analysis.stats.intervals import t_quantile
from podbench.model.summary import Interval

FORWARD, BACKWARD = 1, 2
NEGLIGIBLE_RATIO = 1e-3
"""Two arms both surely below 0.1 % lose equally for any purpose a benchmark serves."""
FEW_LOSSES = 10
"""Below this many Wilson's coverage dips under its level; Clopper-Pearson's never does."""
CLUSTER_P = 0.01
"""Evidence needed against independent losses; small, since the test is made for every pair."""

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


def pairs_of_losses(lost: BoolArray, starts: IntArray) -> tuple[int, int]:
    """How often a loss had a packet before it in its stream, and how often that was lost too.

    Returns:
        (packets after a lost one, of these lost): what P(lost | previous lost) is estimated from.
    """
    if len(lost) == 0:
        return 0, 0
    previous = np.concatenate(([False], lost[:-1]))
    previous[starts[:-1]] = False
    return int(previous.sum()), int((previous & lost).sum())


def isolated(lost_by_block: IntArray, sent_by_block: IntArray, after: int, again: int) -> bool:
    """Whether losses look independent: not clustered in time, not uneven between blocks.

    Args:
        lost_by_block: (blocks,) lost.
        sent_by_block: (blocks,) sent, all above zero.
        after: packets sent right after a lost one.
        again: of these, lost.
    """
    lost, sent = int(lost_by_block.sum()), int(sent_by_block.sum())
    if lost in {0, sent}:
        return True
    ratio = lost / sent
    clustered = again > 0 and special.bdtrc(again - 1, after, ratio) < CLUSTER_P
    expected = ratio * sent_by_block
    spread = float((((lost_by_block - expected) ** 2) / (expected * (1 - ratio))).sum())
    blocks = len(sent_by_block)
    uneven = blocks > 1 and special.chdtrc(blocks - 1, spread) < CLUSTER_P
    return not clustered and not uneven


def binomial_interval(lost: int, sent: int, level: float = 0.95) -> Interval:
    """Wilson, or Clopper-Pearson for fewer than 10 of either kind.

    Raises:
        ValueError: Nothing sent.
    """
    if sent <= 0:
        raise ValueError("an interval needs at least one packet sent")
    tail = (1.0 - level) / 2.0
    if min(lost, sent - lost) < FEW_LOSSES:
        low = 0.0 if lost == 0 else float(special.betaincinv(lost, sent - lost + 1, tail))
        high = 1.0 if lost == sent else float(special.betaincinv(lost + 1, sent - lost, 1 - tail))
        return low, high
    z = float(special.ndtri(1.0 - tail))
    ratio = lost / sent
    centre = (ratio + z * z / (2 * sent)) / (1 + z * z / sent)
    half = z / (1 + z * z / sent) * np.sqrt(ratio * (1 - ratio) / sent + z * z / (4 * sent**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def block_interval(
    lost_by_block: IntArray, sent_by_block: IntArray, level: float = 0.95
) -> Interval | None:
    """Interval from the differences between blocks; None for one block or no contrast."""
    blocks, lost, sent = len(sent_by_block), int(lost_by_block.sum()), int(sent_by_block.sum())
    if blocks < 2 or lost in {0, sent}:
        return None
    ratio = lost / sent
    residual = lost_by_block - ratio * sent_by_block
    error = np.sqrt(blocks / (blocks - 1) * float((residual**2).sum())) / sent
    half = t_quantile(blocks - 1, level) * error / (ratio * (1 - ratio))
    logit = np.log(ratio / (1 - ratio))
    return float(special.expit(logit - half)), float(special.expit(logit + half))


def ratio_interval(
    lost_by_block: IntArray, sent_by_block: IntArray, *, independent: bool
) -> Interval | None:
    """95 % interval of lost/sent: binomial where losses are isolated, block-level otherwise."""
    lost, sent = int(lost_by_block.sum()), int(sent_by_block.sum())
    if sent == 0:
        return None
    exact = binomial_interval(lost, sent)
    if independent:
        return exact
    blocks = block_interval(lost_by_block, sent_by_block)
    return None if blocks is None else (min(exact[0], blocks[0]), max(exact[1], blocks[1]))


def log_ratios(lost: npt.NDArray[np.int64], sent: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """log((lost + 0.5)/(sent + 1)) by block: defined at zero, compared by paired t."""
    return np.log((lost + 0.5) / (sent + 1.0))


def exact_p(lost: tuple[int, int], sent: tuple[int, int]) -> float:
    """Two-sided p of equal loss ratios, given the total lost (conditional binomial, doubled tail).

    Exact for independent losses; with few losses the t test on logs is far too sure, this is not.
    Source: Przyborowski, Wilenski, Biometrika 31 (1940) 313-323.
    """
    total, share = sum(lost), sent[1] / max(1, sum(sent))
    if total == 0 or share in {0.0, 1.0}:
        return 1.0
    upper = float(special.bdtrc(lost[1] - 1, total, share)) if lost[1] > 0 else 1.0
    lower = float(special.bdtr(lost[1], total, share))
    return min(1.0, 2.0 * min(lower, upper))
