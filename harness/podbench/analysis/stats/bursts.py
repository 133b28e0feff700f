"""An interval for a loss ratio where losses come in bursts and sessions differ.

Losses are a sum of weights, one for each episode (a run of packets lost one after the other). Fay
and Feuer, Statistics in Medicine 16 (1997) 791-801: with y lost, variance v and the largest weight
w, the limits are quantiles of gamma distributions of mean y and variance v (lower), mean y + w and
variance v + w^2 (upper). For single losses that is Garwood's exact interval (1936).

- v is the sum of squared episode lengths, or what the sessions show where they differ by more (one
  session: one pair in one block), widened as Student's t is for so few; the blocks, where sessions
  of one block lose together.
- w is the longest episode seen and half of it again, since the longest is hardly ever seen; at
  least twice v/y where losses are clustered in some way.
- With none lost v = 0, and the upper limit is 3.7 w / sent: it says nothing without a length of
  burst, so there are two readings, for single losses and for bursts of up to `ASSUMED` packets.

Simulated coverage: docs/statistics.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from podbench.analysis.stats.intervals import Interval, t_quantile

FloatArray = npt.NDArray[np.float64]

ASSUMED = 50
"""Packets in a burst that a run without a loss may have missed: 50 ms at 1,000 packets a second."""
_LONGER = 1.5
_CLUSTERED = 1.5
"""From this variance for each lost packet on losses count as clustered."""
_TOGETHER = 2.0
"""Blocks are the sample where they differ by this much more than their sessions explain."""
MIN_SESSIONS = 6
"""Fewer do not show how sessions differ."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """What one pair lost in one block. `squares`: of the lengths of its episodes, summed."""

    block: int
    sent: int
    lost: int
    squares: int
    longest: int


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Upper limits with none lost: if losses are single, and if they come in bursts."""

    single: float
    burst: float
    packets: int


def _gamma(share: float, mean: float, variance: float) -> float:
    if mean <= 0.0 or variance <= 0.0:
        return 0.0
    return float(special.gammaincinv(mean**2 / variance, share)) * variance / mean


def _between(lost: FloatArray, sent: FloatArray) -> float:
    """Variance of the sum of `lost`, from how the units differ; 0 for one unit."""
    units = len(lost)
    if units < 2:
        return 0.0
    residual = lost - sent * lost.sum() / sent.sum()
    return float((residual**2).sum()) * units / (units - 1)


def _by(numbers: npt.NDArray[np.intp], *values: FloatArray) -> list[FloatArray]:
    return [np.bincount(numbers, one).astype(np.float64) for one in values]


def _widened(variance: float, units: int) -> float:
    """As Student's t does for an interval from so few units."""
    if units < 2:
        return variance
    return variance * (t_quantile(units - 1, 0.95) / 1.959964) ** 2


def _variance(sessions: Sequence[Session]) -> float:
    lost = np.array([one.lost for one in sessions], dtype=np.float64)
    sent = np.array([one.sent for one in sessions], dtype=np.float64)
    by_session = _between(lost, sent)
    found = max(float(sum(one.squares for one in sessions)), _widened(by_session, len(sessions)))
    numbers = np.unique([one.block for one in sessions], return_inverse=True)[1]
    blocks = int(numbers.max()) + 1
    if 1 < blocks < len(sessions):
        by_block = _between(*_by(numbers, lost, sent))
        if by_block > _TOGETHER * by_session:
            found = max(found, _widened(by_block, blocks))
    return found


def interval(
    sessions: Sequence[Session], level: float = 0.95, assumed: int = ASSUMED
) -> Interval | None:
    """Interval of lost/sent; None where nothing was sent.

    Args:
        sessions: every pair in every block, those without a loss too.
        level: confidence.
        assumed: packets in a burst, where none was lost.
    """
    sessions = [one for one in sessions if one.sent > 0]
    sent, lost = sum(one.sent for one in sessions), sum(one.lost for one in sessions)
    if sent == 0:
        return None
    tail = (1.0 - level) / 2.0
    if lost == 0:
        return 0.0, min(1.0, _gamma(1.0 - tail, assumed, assumed**2) / sent)
    variance = _variance(sessions)
    weight = _largest(sessions, variance / lost)
    low = _gamma(tail, lost, variance) / sent
    high = _gamma(1.0 - tail, lost + weight, variance + weight**2) / sent
    ratio = lost / sent
    return min(low, ratio), min(1.0, max(high, ratio))


def _largest(sessions: Sequence[Session], each: float) -> float:
    """The weight that one more episode may have. `each`: variance for each lost packet."""
    longest = max(one.longest for one in sessions)
    seen = _LONGER * longest if longest > 2 else float(max(1, longest))
    return max(seen, 2.0 * each) if each > _CLUSTERED else seen


def readings(sent: int, level: float = 0.95, packets: int = ASSUMED) -> Readings:
    """What none lost of so many bounds, both ways."""
    tail = (1.0 - level) / 2.0
    single = -math.log(tail) / max(1, sent)
    return Readings(single=min(1.0, single), burst=min(1.0, packets * single), packets=packets)


def difference(
    ratios: tuple[float, float], held: tuple[Interval, Interval]
) -> tuple[float, Interval]:
    """Second ratio less the first, with an interval made from theirs.

    Source: Zou, Donner, Statistics in Medicine 27 (2008) 1693-1702 (MOVER).
    """
    (a, b), ((a_low, a_high), (b_low, b_high)) = ratios, held
    centre = b - a
    return centre, (
        centre - math.hypot(b - b_low, a_high - a),
        centre + math.hypot(b_high - b, a - a_low),
    )
