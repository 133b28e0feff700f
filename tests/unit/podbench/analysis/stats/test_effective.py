"""Effective sample sizes against the theory of AR(1)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import signal

from podbench.analysis.stats import effective


def _ar1(n: int, rho: float, seed: int) -> np.ndarray:
    shocks = np.random.default_rng(seed).normal(size=n + 500)
    return np.asarray(signal.lfilter([1.0], [1.0, -rho], shocks)[500:])


def test_ar1_of_five_thousand() -> None:
    """AR(1) 0.9 of 5,000 is worth about n(1-rho)/(1+rho) = 263."""
    found = [effective.n_effective([_ar1(5000, 0.9, seed)]) or 0.0 for seed in range(20)]
    assert np.mean(found) == pytest.approx(263, rel=0.15)


def test_independent_samples_count_in_full() -> None:
    """White noise keeps most of its n."""
    value = effective.n_effective([np.random.default_rng(1).normal(size=4000)])
    assert value is not None
    assert value > 3000


def test_alternating_series_is_clipped_to_n() -> None:
    """Negative correlation does not make more samples than there are."""
    assert effective.n_effective([np.tile([1.0, -1.0], 200)]) == 400


@pytest.mark.parametrize("parts", [[], [np.empty(0)], [np.full(50, 3.0)]])
def test_undefined_without_variation(parts: list[np.ndarray]) -> None:
    """Nothing, or a constant, has no correlation to speak of."""
    assert effective.n_effective(parts) is None


def test_lags_do_not_cross_sessions() -> None:
    """Sessions at different levels, each white inside, stay independent samples."""
    rng = np.random.default_rng(2)
    parts = [level + rng.normal(size=500) for level in (0.0, 100.0, 300.0)]
    assert (effective.n_effective(parts) or 0.0) > 1000


def test_one_burst_makes_a_tail_coarse() -> None:
    """All exceedances in one stretch of one session are worth a few samples, not thousands."""
    quiet, burst = np.zeros(1000), np.zeros(1000)
    burst[400:430] = 1.0
    found = effective.n_effective_beyond([quiet, quiet, burst], 0.5)
    assert found is not None
    assert found * 0.01 < 10


def test_scattered_exceedances_count() -> None:
    """Exceedances that fall independently keep their number."""
    values = (np.random.default_rng(5).random(4000) < 0.01).astype(float)
    assert (effective.n_effective_beyond([values], 0.5) or 0.0) > 2500


@given(hnp.arrays(np.float64, st.integers(2, 60), elements=st.floats(-1e6, 1e6)))
def test_between_one_and_n(values: np.ndarray) -> None:
    """Whatever the series, its effective size is between 1 and n, or undefined."""
    found = effective.n_effective([values])
    assert found is None or 1.0 <= found <= len(values)
