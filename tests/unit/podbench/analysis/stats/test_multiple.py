"""Adjusted p values: by hand, beside scipy and statsmodels, and what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from podbench.analysis.stats import multiple

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)
_ADJUST = (multiple.holm, multiple.benjamini_hochberg, multiple.benjamini_yekutieli)


def test_holm_by_hand() -> None:
    """The textbook example, order kept."""
    assert multiple.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_benjamini_hochberg_by_hand() -> None:
    """The example of the paper: at 5 % the four smallest of fifteen are discoveries."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    adjusted = multiple.benjamini_hochberg(p)
    assert int((adjusted <= 0.05).sum()) == 4
    assert adjusted[3] == pytest.approx(0.0095 * 15 / 4)
    assert int((multiple.benjamini_yekutieli(p) <= 0.05).sum()) == 3


@given(P_VALUES)
def test_as_scipy_and_statsmodels(p: list[float]) -> None:
    """Two libraries say the same to the last digits."""
    assert multiple.benjamini_hochberg(p) == pytest.approx(
        stats.false_discovery_control(p, method="bh")
    )
    assert multiple.benjamini_yekutieli(p) == pytest.approx(
        stats.false_discovery_control(p, method="by")
    )
    for name, ours in zip(("holm", "fdr_bh", "fdr_by"), _ADJUST, strict=True):
        assert ours(p) == pytest.approx(multipletests(p, method=name)[1], abs=1e-12)


@given(P_VALUES)
def test_never_below_the_raw_p(p: list[float]) -> None:
    """Adjusting only raises, keeps the order of the tests, and ends at 1."""
    order = np.argsort(p, kind="stable")
    for adjust in _ADJUST:
        adjusted = adjust(p)
        assert np.all(adjusted >= np.array(p) - 1e-12)
        assert np.all(np.diff(adjusted[order]) >= -1e-12)
        assert adjusted.max() <= 1.0


@given(P_VALUES)
def test_from_lenient_to_strict(p: list[float]) -> None:
    """Benjamini-Hochberg finds whatever Holm or Benjamini-Yekutieli find."""
    lenient = multiple.benjamini_hochberg(p)
    assert np.all(lenient <= multiple.holm(p) + 1e-12)
    assert np.all(lenient <= multiple.benjamini_yekutieli(p) + 1e-12)


def test_no_tests_at_all() -> None:
    """Nothing in, nothing out."""
    assert [len(adjust([])) for adjust in _ADJUST] == [0, 0, 0]
