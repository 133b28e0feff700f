"""Harrell-Davis quantiles, and when a quantile may be reported at all.

Definition: the estimate of the q-quantile of n sorted values x_1..x_n is sum_i w_i x_i with w_i =
I(i/n) - I((i-1)/n), I the regularised incomplete beta function with a = (n+1)q, b = (n+1)(1-q).
Reference: Harrell, Davis, "A new distribution-free quantile estimator", Biometrika 69 (1982)
635-640; the same as `scipy.stats.quantile(method="harrell-davis")` and
`scipy.stats.mstats.hdquantiles`.

A quantile is reported only where n*(1-q) >= 10 (and n*q >= 10 below the median): fewer samples
beyond it, and the figure is an anecdote. Weights outside the beta distribution's central
1 - 2e-15 are zero to double precision, so only about 16*sqrt(n*q*(1-q)) of them are computed:
a million values take as long as their sorting.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]
Ordered = npt.NDArray[np.float64] | npt.NDArray[np.uint32]
"""Ascending, no NaN; whole nanoseconds may come as such."""

MIN_BEYOND = 10.0
"""Samples a quantile needs beyond it: at 10 their number is known to about 30 %."""

_EDGE = 1e-15
_SMOOTH = 1e5
"""n q (1-q) from which a step of the distribution function is the density at its middle, to four
parts in ten million (the midpoint rule's error is 1/(24 n q (1-q))): thirty times as fast."""
_ROUNDING = 1e-9


def supported(n: int, q: float) -> bool:
    """Whether n samples support quantile q: at least 10 of them on its thinner side."""
    return n * min(q, 1.0 - q) >= MIN_BEYOND - _ROUNDING


def _window(n: int, a: float, b: float) -> tuple[int, int]:
    low = special.betaincinv(a, b, _EDGE)
    high = special.betainccinv(a, b, _EDGE)
    return max(0, int(np.floor(low * n)) - 1), min(n, int(np.ceil(high * n)) + 1)


@lru_cache(maxsize=4096)
def _weights(n: int, q: float) -> tuple[int, FloatArray]:
    a, b = (n + 1) * q, (n + 1) * (1.0 - q)
    first, last = _window(n, a, b)
    if n * q * (1.0 - q) >= _SMOOTH:
        middle = (np.arange(first, last) + 0.5) / n
        logs = (a - 1.0) * np.log(middle) + (b - 1.0) * np.log1p(-middle)
        weights = np.exp(logs - logs.max())
    else:
        weights = np.diff(special.betainc(a, b, np.arange(first, last + 1) / n))
    weights /= weights.sum()
    weights.flags.writeable = False
    return first, weights


def _inside(weights: FloatArray, part: Ordered) -> float:
    """Their mean; rounding of the weights must not push it past the values it is made of."""
    return min(max(float(weights @ part), float(part[0])), float(part[-1]))


def harrell_davis(ordered: Ordered, q: float) -> float:
    """The q-quantile of values sorted ascending, without asking whether they support it.

    Args:
        ordered: (n,) float64, ascending, no NaN.
        q: 0 to 1; 0 and 1 are the minimum and the maximum.

    Raises:
        ValueError: No values, or q outside 0 to 1.
    """
    n = len(ordered)
    if n == 0:
        raise ValueError("a quantile of no values")
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"q must lie in 0..1, not {q}")
    if q in {0.0, 1.0} or n == 1:
        return float(ordered[0 if q == 0.0 else -1])
    first, weights = _weights(n, q)
    return _inside(weights, ordered[first : first + len(weights)])


def beyond(n: int, q: float) -> int:
    """How many of the largest of n values the q-quantile looks at."""
    return n - _weights(n, q)[0] if n > 1 else n


def harrell_davis_of_tail(largest: FloatArray, n: int, q: float) -> float:
    """The q-quantile of n values of which only the largest are at hand.

    Args:
        largest: ascending, no NaN; at least `beyond(n, q)` of them for the exact figure. Where
            there are fewer, the smallest at hand stands for those that are missing.
        n: how many values there are.
        q: strictly between 0 and 1.

    Raises:
        ValueError: No values.
    """
    if len(largest) == 0:
        raise ValueError("a quantile of no values")
    if n == 1:
        return float(largest[-1])
    first, weights = _weights(n, q)
    absent = n - len(largest) - first
    if absent > 0:
        largest = np.concatenate((np.full(absent, largest[0]), largest))
    return _inside(weights, largest[max(0, -absent) :][: len(weights)])


def quantile(ordered: Ordered, q: float, *, tail_rule: bool = True) -> float | None:
    """The q-quantile of sorted values, or None where they do not support it."""
    if len(ordered) == 0 or (tail_rule and not supported(len(ordered), q)):
        return None
    return harrell_davis(ordered, q)


def harrell_davis_of_bins(mids: FloatArray, counts: npt.NDArray[np.int64], q: float) -> float:
    """The q-quantile from a histogram: sum over bins of mid * (I(cum_j/n) - I(cum_(j-1)/n)).

    Args:
        mids: (k,) bin values, ascending.
        counts: (k,) samples per bin.
        q: strictly between 0 and 1.

    Raises:
        ValueError: The histogram is empty.
    """
    cumulated = np.cumsum(counts)
    n = int(cumulated[-1]) if len(cumulated) else 0
    if n == 0:
        raise ValueError("a quantile of an empty histogram")
    a, b = (n + 1) * q, (n + 1) * (1.0 - q)
    cdf = special.betainc(a, b, np.concatenate(([0.0], cumulated / n)))
    return float(np.clip(np.diff(cdf) @ mids, mids[0], mids[-1]))
