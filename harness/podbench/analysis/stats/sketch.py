"""Log-histograms of latencies that merge exactly: for meshes too large to keep in memory.

The mapping is DDSketch's (Masson, Rim, Lee, PVLDB 12 (2019) 2195-2205): gamma = (1 + a)/(1 - a),
index = ceil(log_gamma x), value = 2 gamma^index/(gamma + 1), relative error at most a = 0.5 %.
Values are whole nanoseconds; zero and below have a bucket of their own. Merging adds counts, so the
sketch of a union equals the merged sketches bit for bit, in any order: indices are settled against
a table of whole bounds, not by the last bit of a logarithm, and the sum is a whole number.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podbench.analysis.stats import quantiles

IntArray = npt.NDArray[np.int64]

ERROR = 0.005
GAMMA = (1.0 + ERROR) / (1.0 - ERROR)
_LOG_GAMMA = float(np.log(GAMMA))
_LAST = int(np.ceil(np.log(2.0**62) / _LOG_GAMMA))
"""Index of 2^62 ns, 146 years: no latency is longer."""
# The largest whole number of each bucket; x is in the first whose bound it does not pass.
_BOUNDS = np.floor(GAMMA ** np.arange(_LAST + 1, dtype=np.float64)).astype(np.int64)


def _indices(values: IntArray) -> IntArray:
    """Bucket of each positive value: smallest i with value <= gamma^i."""
    guess = np.ceil(np.log(values.astype(np.float64)) / _LOG_GAMMA).astype(np.int64)
    guess = np.clip(guess, 0, _LAST)
    guess -= (guess > 0) & (values <= _BOUNDS[np.maximum(guess - 1, 0)])
    guess += (guess < _LAST) & (values > _BOUNDS[guess])
    return guess


@dataclass(frozen=True)
class LogHistogram:
    """Counts by bucket from `first` on, trimmed at both ends: equal data, equal record."""

    first: int = 0
    counts: tuple[int, ...] = ()
    not_positive: int = 0
    n: int = 0
    sum_ns: int = 0
    min_ns: int | None = None
    max_ns: int | None = None

    def merge(self, other: "LogHistogram") -> "LogHistogram":
        """The sketch of both data sets together."""
        low, counts = _added((self.first, self.counts), (other.first, other.counts))
        mins = [m for m in (self.min_ns, other.min_ns) if m is not None]
        maxs = [m for m in (self.max_ns, other.max_ns) if m is not None]
        return LogHistogram(
            first=low,
            counts=counts,
            not_positive=self.not_positive + other.not_positive,
            n=self.n + other.n,
            sum_ns=self.sum_ns + other.sum_ns,
            min_ns=min(mins) if mins else None,
            max_ns=max(maxs) if maxs else None,
        )

    def quantile_ns(self, q: float) -> float | None:
        """Harrell-Davis quantile from the bins; None unless n*(1-q) >= 10."""
        if not quantiles.supported(self.n, q):
            return None
        index = self.first + np.arange(len(self.counts))
        mids = 2.0 * GAMMA ** index.astype(np.float64) / (GAMMA + 1.0)
        # Values not above zero have no logarithm; together they stand at zero.
        mids = np.concatenate(([0.0], mids))
        counts = np.array([self.not_positive, *self.counts], dtype=np.int64)
        return quantiles.harrell_davis_of_bins(mids, counts, q)


def _added(
    a: tuple[int, tuple[int, ...]], b: tuple[int, tuple[int, ...]]
) -> tuple[int, tuple[int, ...]]:
    if not a[1] or not b[1]:
        return a if a[1] else b
    low = min(a[0], b[0])
    high = max(a[0] + len(a[1]), b[0] + len(b[1]))
    total = np.zeros(high - low, dtype=np.int64)
    for first, counts in (a, b):
        total[first - low : first - low + len(counts)] += np.array(counts, dtype=np.int64)
    return low, tuple(int(count) for count in total)


def sketch(values_ns: IntArray) -> LogHistogram:
    """The sketch of whole nanoseconds.

    Args:
        values_ns: (n,) int64, any order; below 2^62.
    """
    if len(values_ns) == 0:
        return LogHistogram()
    positive = values_ns[values_ns > 0]
    index = _indices(positive)
    low = int(index.min()) if len(index) else 0
    counts = np.bincount(index - low) if len(index) else np.empty(0, dtype=np.int64)
    # Summed in two halves: whole numbers stay exact where a 64-bit total would wrap.
    high_half, low_half = values_ns >> 31, values_ns & 0x7FFFFFFF
    return LogHistogram(
        first=low,
        counts=tuple(int(count) for count in counts),
        not_positive=len(values_ns) - len(positive),
        n=len(values_ns),
        sum_ns=(int(high_half.sum()) << 31) + int(low_half.sum()),
        min_ns=int(values_ns.min()),
        max_ns=int(values_ns.max()),
    )
