"""Harrell-Davis quantiles against scipy, known answers and their own properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from podbench.analysis.stats import quantiles

SAMPLES = hnp.arrays(np.float64, st.integers(1, 80), elements=st.floats(-1e9, 1e9))


@pytest.mark.parametrize("q", [0.01, 0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("n", [2, 30, 1000, 20_000])
def test_agrees_with_scipy(n: int, q: float) -> None:
    """The windowed sum gives what scipy's full sum gives, to rounding."""
    values = np.sort(np.random.default_rng(n).lognormal(size=n))
    theirs = float(stats.mstats.hdquantiles(values, prob=[q])[0])
    assert quantiles.harrell_davis(values, q) == pytest.approx(theirs, rel=1e-9)


def test_median_of_three() -> None:
    """Beta(2, 2) weights of three values are 7/27, 13/27, 7/27."""
    value = quantiles.harrell_davis(np.array([0.0, 27.0, 108.0]), 0.5)
    assert value == pytest.approx(13.0 + 4 * 7.0)


@given(SAMPLES, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_bounded_and_monotone(values: np.ndarray, a: float, b: float) -> None:
    """Every quantile lies between minimum and maximum and rises with q."""
    ordered = np.sort(values)
    low, high = (quantiles.harrell_davis(ordered, q) for q in sorted((a, b)))
    slack = 1e-9 * max(1.0, float(np.abs(ordered).max()))
    assert ordered[0] <= low <= high + slack
    assert high <= ordered[-1]


def test_a_million_values_need_few_weights() -> None:
    """The cost beyond sorting is thousands of weights, not a million."""
    first, weights = quantiles._weights(1_000_000, 0.99)
    assert len(weights) < 20_000
    assert first > 980_000


@pytest.mark.parametrize(
    ("n", "q", "expected"),
    [
        (1000, 0.99, True),
        (999, 0.99, False),
        (10_000, 0.999, True),
        (20, 0.5, True),
        (19, 0.5, False),
    ],
)
def test_support_rule(n: int, q: float, *, expected: bool) -> None:
    """A quantile needs ten samples beyond it; exactly ten are enough."""
    assert quantiles.supported(n, q) is expected


def test_unsupported_quantile_is_missing() -> None:
    """Too few samples give None, not a guess; so do none at all."""
    assert quantiles.quantile(np.arange(999.0), 0.99) is None
    assert quantiles.quantile(np.empty(0), 0.5, tail_rule=False) is None
    assert quantiles.quantile(np.array([7.0]), 0.5, tail_rule=False) == 7.0


def test_nothing_has_no_quantile() -> None:
    """No values and impossible q are refused."""
    with pytest.raises(ValueError, match="no values"):
        quantiles.harrell_davis(np.empty(0), 0.5)
    with pytest.raises(ValueError, match="q must"):
        quantiles.harrell_davis(np.array([1.0, 2.0]), 1.5)
    with pytest.raises(ValueError, match="empty"):
        quantiles.harrell_davis_of_bins(np.empty(0), np.empty(0, dtype=np.int64), 0.5)


def test_bins_of_single_values_are_the_values() -> None:
    """A histogram with one value per bin gives the plain estimate."""
    values = np.sort(np.random.default_rng(3).lognormal(size=400))
    binned = quantiles.harrell_davis_of_bins(values, np.ones(400, dtype=np.int64), 0.9)
    assert binned == pytest.approx(quantiles.harrell_davis(values, 0.9))
