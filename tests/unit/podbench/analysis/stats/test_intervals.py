"""Intervals and the robust twin against scipy."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from podbench.analysis.stats import intervals

VALUES = hnp.arrays(np.float64, st.integers(2, 25), elements=st.floats(-5, 5, width=32))


def test_t_interval_is_scipys() -> None:
    """Mean plus and minus t standard errors, p from the same t."""
    d = np.random.default_rng(1).normal(0.03, 0.05, 8)
    theirs = stats.ttest_1samp(d, 0.0)
    assert intervals.t_interval(d) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert intervals.t_p_value(d) == pytest.approx(theirs.pvalue)


def test_bca_is_close_to_scipys() -> None:
    """Own BCa and scipy's agree to resampling error on skewed data."""
    d = np.random.default_rng(2).exponential(1.0, 25)
    theirs = stats.bootstrap((d,), np.mean, method="BCa", n_resamples=9999).confidence_interval
    ours = intervals.bca_interval(d, expand=False)
    assert ours == pytest.approx((theirs.low, theirs.high), rel=0.05)


def test_expanded_bca_joins_t() -> None:
    """On fifteen even values the expanded interval is as wide as t's, the plain one is not."""
    d = stats.norm.ppf((np.arange(15) + 0.5) / 15)
    t, plain, wide = (
        np.ptp(found or (0.0, 0.0))
        for found in (
            intervals.t_interval(d),
            intervals.bca_interval(d, expand=False),
            intervals.bca_interval(d),
        )
    )
    assert wide == pytest.approx(t, rel=0.03)
    assert plain < 0.92 * t


def test_bootstrap_takes_over_at_fifteen() -> None:
    """T below fifteen blocks, BCa from there, and the same data give the same interval."""
    d = np.random.default_rng(3).exponential(1.0, 15)
    assert intervals.mean_interval(d) == intervals.bca_interval(d)
    assert intervals.mean_interval(d[:14]) == intervals.t_interval(d[:14])
    assert intervals.bca_interval(d) == intervals.bca_interval(d.copy())


@pytest.mark.parametrize("n", [0, 1])
def test_no_interval_without_two(n: int) -> None:
    """One value says nothing about its spread."""
    d = np.full(n, 0.5)
    assert intervals.t_interval(d) is None
    assert intervals.bca_interval(d) is None
    assert intervals.t_p_value(d) is None


def test_constant_differences() -> None:
    """No spread gives a point, and a sure p."""
    d = np.full(16, 0.2)
    assert intervals.bca_interval(d) == pytest.approx((0.2, 0.2))
    assert intervals.t_p_value(np.zeros(5)) == 1.0


@given(VALUES)
def test_hodges_lehmann_is_the_median_of_walsh_averages(d: np.ndarray) -> None:
    """By its definition, all pairs and every value with itself."""
    walsh = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(d, 2)]
    assert intervals.hodges_lehmann(d) == pytest.approx(float(np.median(walsh)))


def test_hodges_lehmann_shrugs_at_an_outlier() -> None:
    """One wild block moves the mean, hardly the twin."""
    d = np.array([0.1, 0.11, 0.09, 0.1, 0.12, 5.0])
    assert intervals.hodges_lehmann(d) == pytest.approx(0.11, abs=0.02)
    with pytest.raises(ValueError, match="no values"):
        intervals.hodges_lehmann(np.empty(0))


@pytest.mark.parametrize("n", [5, 8, 12, 20])
def test_wilcoxon_is_scipys_exact(n: int) -> None:
    """Without ties the convolution gives scipy's exact p."""
    d = np.random.default_rng(n).normal(0.4, 1.0, n)
    theirs = stats.wilcoxon(d, method="exact").pvalue
    assert intervals.wilcoxon_p(d) == pytest.approx(theirs)


def test_wilcoxon_with_ties_counts_every_sign() -> None:
    """With midranks, p is the share of sign assignments at least as extreme."""
    d = np.array([1.0, 1.0, -1.0, 2.0, 2.0, 3.0])
    ranks = stats.rankdata(np.abs(d))
    sums = [float(ranks @ (np.array(signs) > 0)) for signs in itertools.product((-1, 1), repeat=6)]
    seen = float(ranks[d > 0].sum())
    tail = min(np.mean([s >= seen for s in sums]), np.mean([s <= seen for s in sums]))
    assert intervals.wilcoxon_p(d) == pytest.approx(min(1.0, 2 * tail))
    assert intervals.wilcoxon_p(np.zeros(4)) == 1.0


@given(VALUES)
def test_intervals_hold_the_mean(d: np.ndarray) -> None:
    """A higher level is never narrower, and both contain the mean."""
    narrow, wide = intervals.t_interval(d, 0.90), intervals.t_interval(d, 0.99)
    assert narrow is not None
    assert wide is not None
    assert wide[0] <= narrow[0] <= float(d.mean()) <= narrow[1] <= wide[1]


def test_scaled_stays_finite() -> None:
    """An interval from two wildly different blocks is cut to what JSON can hold."""
    low, high = intervals.scaled(1.0, (-2000.0, 2000.0))
    assert low == 0.0
    assert np.isfinite(high)
