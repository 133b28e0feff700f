"""An interval for the quantile of all samples of a pair, by its sessions.

A session is one pair in one block; samples inside one say nothing of the next. The quantile of all
samples together is where the share of samples above x is 1 - q, so its interval holds every x at
which the sessions do not refute that share (Woodruff, Journal of the American Statistical
Association 47 (1952) 635-646):

- up to q = 0.8 by Student's t of the sessions' shares, and never narrower than the order statistics
  of the sessions' own quantiles, which know nothing of the distribution;
- beyond by the clustered interval of `bursts`, because one session in five may have made the tail.

A path that is slow in one session of five shows none of it in six sessions in a quarter of all
cases: a tail takes `TAIL_SESSIONS`, a median `SESSIONS`; with fewer there is no interval. Limits
are at 97.5% for 95%: shares near 0 and 1 are skewed. Simulated coverage: docs/statistics.md.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from podbench.analysis.stats.intervals import Interval, t_quantile

FloatArray = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float64] | npt.NDArray[np.float32] | npt.NDArray[np.uint32]
"""Sorted, of any kind that is kept."""

SESSIONS = 8
TAIL_SESSIONS = 14
TAIL_FROM = 0.8
_POINTS = 301


def sessions_needed(q: float) -> int:
    """Sessions below which a quantile has no interval."""
    return TAIL_SESSIONS if q > TAIL_FROM else SESSIONS


def interval(parts: Sequence[Samples], q: float, level: float = 0.95) -> Interval | None:
    """Interval of the q-quantile of all samples together; None for too few sessions.

    Args:
        parts: each session's samples, sorted; empty ones count for nothing.
        q: 0 to 1.
        level: confidence.
    """
    held = [part for part in parts if len(part)]
    if len(held) < sessions_needed(q):
        return None
    grid = _grid(held, q)
    beyond = np.array([len(part) - np.searchsorted(part, grid, "right") for part in held])
    sizes = np.array([len(part) for part in held], dtype=np.float64)
    strict = 1.0 - (1.0 - level) / 2.0
    if q > TAIL_FROM:
        low, high = _tail_shares(beyond, sizes, strict)
    else:
        low, high = _middle_shares(beyond / sizes[:, None], strict)
    above, below = np.flatnonzero(low > 1.0 - q), np.flatnonzero(high < 1.0 - q)
    found = (
        float(grid[above[-1]] if len(above) else grid[0]),
        float(grid[below[0]] if len(below) else grid[-1]),
    )
    if q > TAIL_FROM:
        return found
    ordered = _order_statistics(held, q, level)
    return min(found[0], ordered[0]), max(found[1], ordered[1])


def _grid(parts: Sequence[Samples], q: float) -> FloatArray:
    """Values to try: quantiles of all samples, dense near q and to the ends."""
    every = np.sort(np.concatenate([np.asarray(p, dtype=np.float64) for p in parts]))
    near = 1.0 - (1.0 - q) * np.geomspace(1e-3, 1.0 / (1.0 - q), _POINTS)
    shares = np.unique(np.concatenate([np.linspace(0.0, 1.0, _POINTS), near]))
    places = np.clip(np.round(shares * (len(every) - 1)).astype(np.int64), 0, len(every) - 1)
    return np.asarray(every[np.unique(places)], dtype=np.float64)


def _middle_shares(shares: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    sessions = len(shares)
    half = t_quantile(sessions - 1, level) * shares.std(axis=0, ddof=1) / np.sqrt(sessions)
    mean = shares.mean(axis=0)
    return mean - half, mean + half


def _tail_shares(
    beyond: npt.NDArray[np.int64], sizes: FloatArray, level: float
) -> tuple[FloatArray, FloatArray]:
    """Clustered limits (`bursts`) of the share beyond each value, all values at once."""
    total, sent = beyond.sum(axis=0).astype(np.float64), sizes.sum()
    residual = beyond - sizes[:, None] * (total / sent)
    count = len(sizes)
    between = (residual**2).sum(axis=0) * count / (count - 1)
    wide = (t_quantile(count - 1, level) / t_quantile(10**6, level)) ** 2
    variance = np.maximum(total, between * wide)
    weight = np.maximum(1.0, 2.0 * variance / np.maximum(total, 1.0))
    tail = (1.0 - level) / 2.0
    low = _gamma(tail, total, variance)
    high = _gamma(1.0 - tail, total + weight, variance + weight**2)
    return low / sent, high / sent


def _gamma(share: float, mean: FloatArray, variance: FloatArray) -> FloatArray:
    safe = np.maximum(mean, 1e-12)
    found = special.gammaincinv(safe**2 / np.maximum(variance, 1e-12), share) * variance / safe
    return np.where(mean > 0.0, found, 0.0)


def _order_statistics(parts: Sequence[Samples], q: float, level: float) -> Interval:
    """The narrowest of the sessions' own quantiles that holds their median at this level."""
    own = np.sort([float(np.quantile(part, q)) for part in parts])
    drop = 0
    while 2.0 * float(special.bdtr(drop, len(own), 0.5)) <= 1.0 - level:
        drop += 1
    drop = max(0, drop - 1)
    return float(own[drop]), float(own[-1 - drop])
