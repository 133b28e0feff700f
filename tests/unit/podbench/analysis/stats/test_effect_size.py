"""Cliff's delta."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from podbench.analysis.stats.effect_size import cliffs_delta

# Few values, so that ties are met.
VALUES = st.lists(st.integers(-5, 5), min_size=1, max_size=12).map(
    lambda held: np.array(held, dtype=np.float64)
)


def test_by_hand() -> None:
    """Of six pairs four are above, one equal, one below: 3/6."""
    assert cliffs_delta(np.array([1.0, 4.0]), np.array([2.0, 4.0, 9.0])) == pytest.approx(0.5)
    assert cliffs_delta(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert cliffs_delta(np.array([3.0]), np.array([1.0])) == -1.0


@given(VALUES, VALUES)
def test_as_mann_whitney(base: np.ndarray, other: np.ndarray) -> None:
    """2U/(n1 n2) - 1, U by scipy; swapped arms swap the sign."""
    u = stats.mannwhitneyu(other, base).statistic
    expected = 2.0 * u / (len(base) * len(other)) - 1.0
    assert cliffs_delta(base, other) == pytest.approx(expected)
    assert cliffs_delta(other, base) == pytest.approx(-expected)


def test_without_values() -> None:
    """An arm without blocks has no delta."""
    assert cliffs_delta(np.empty(0), np.array([1.0])) is None
