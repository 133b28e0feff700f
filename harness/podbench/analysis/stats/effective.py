"""How many independent samples a correlated series is worth.

Definition: n_eff = n / (1 + 2 sum_k rho_k), the sum cut by Geyer's initial positive sequence:
Gamma_m = rho_2m + rho_2m+1 is added while it stays positive (and is made non-increasing).
Reference: Geyer, "Practical Markov chain Monte Carlo", Statistical Science 7 (1992) 473-483,
section 3.3. Autocovariances by FFT (Wiener-Khinchin), O(n log n).

A series may come in parts (one per session): covariances are pooled over the parts, lags never
cross a border. For the exceedance indicator 1{x > q} all parts share one centre, so that a tail
made by a single burst in one session counts as what it is.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import fft

FloatArray = npt.NDArray[np.float64]
Centred = FloatArray | npt.NDArray[np.float32]


def _pooled_autocovariance(parts: Sequence[Centred]) -> FloatArray:
    """Sums of lagged products over centred parts, by lag; not divided by n."""
    longest = max(len(part) for part in parts)
    size = fft.next_fast_len(2 * longest - 1, real=True)
    power = np.zeros(size // 2 + 1, dtype=parts[0].dtype)
    for part in parts:
        spectrum = fft.rfft(part, size)
        power += spectrum.real**2 + spectrum.imag**2
    return np.asarray(fft.irfft(power, size)[:longest], dtype=np.float64)


def _geyer_tau(autocovariance: FloatArray) -> float:
    """1 + 2 sum rho_k by initial positive, monotone pairs."""
    rho = autocovariance / autocovariance[0]
    if len(rho) % 2:
        rho = np.append(rho, 0.0)
    pairs = rho[0::2] + rho[1::2]
    negative = np.flatnonzero(pairs <= 0.0)
    kept = pairs[: negative[0]] if len(negative) else pairs
    return float(2.0 * np.minimum.accumulate(kept).sum() - 1.0) if len(kept) else 1.0


def _n_effective(centred: Sequence[Centred]) -> float | None:
    n = sum(len(part) for part in centred)
    if n == 0:
        return None
    covariance = _pooled_autocovariance([part for part in centred if len(part)])
    if not covariance[0] > 1e-12 * n:
        return None  # a constant series: correlation is not defined
    return min(max(n / max(_geyer_tau(covariance), 1e-12), 1.0), float(n))


def n_effective(parts: Sequence[FloatArray]) -> float | None:
    """Effective sample size of a series in send order, each part around its own mean.

    Args:
        parts: arrays without NaN, one per session.

    Returns:
        Between 1 and n; None for no values or a constant series.
    """
    return _n_effective([part - part.mean() for part in parts if len(part)])


def n_effective_beyond(parts: Sequence[FloatArray], value: float) -> float | None:
    """Effective sample size of the exceedance indicator 1{x > value}, all parts around one mean."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return None
    beyond = [part > value for part in filled]
    share = sum(int(i.sum()) for i in beyond) / sum(len(i) for i in beyond)
    # Ones and zeros in single precision: transforms take half the time, and their rounding, a
    # ten-millionth, is far below the noise of any correlation.
    return _n_effective([i.astype(np.float32) - np.float32(share) for i in beyond])
