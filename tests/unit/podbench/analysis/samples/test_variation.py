"""Delay variation by hand-worked examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from podbench.analysis.samples import variation

NAN = float("nan")
TWO = np.array([0, 4, 7])
DELAY = np.array([10.0, NAN, 13.0, 11.0, 20.0, 25.0, 22.0])


def test_pdv_is_above_the_least_of_its_stream() -> None:
    """Each stream has its own minimum; lost stays undefined."""
    found = variation.pdv_ns(DELAY, TWO)
    np.testing.assert_allclose(found, [0, NAN, 3, 1, 0, 5, 2])


def test_ipdv_is_undefined_beside_a_loss() -> None:
    """Neither across a lost packet nor across streams is there a difference; signs are kept."""
    found = variation.ipdv_ns(DELAY, TWO)
    np.testing.assert_allclose(found, [NAN, NAN, NAN, -2, NAN, 5, -3])


def test_empty_is_empty() -> None:
    """No packets, no variation."""
    nothing, starts = np.empty(0), np.array([0])
    assert len(variation.pdv_ns(nothing, starts)) == 0
    assert len(variation.ipdv_ns(nothing, starts)) == 0
    assert len(variation.rfc3550_jitter_ns(nothing, nothing, starts)) == 0


def _by_the_book(delay: np.ndarray, arrival: np.ndarray) -> float:
    """RFC 3550 A.8, packet by packet."""
    jitter, last = 0.0, None
    for i in np.argsort(arrival, kind="stable"):
        if np.isnan(delay[i]):
            continue
        if last is not None:
            jitter += (abs(delay[i] - last) - jitter) / 16.0
        last = delay[i]
    return jitter


def test_rfc3550_follows_the_recursion_in_arrival_order() -> None:
    """Unrolled and vectorised, it is still the RFC's filter, reordering and loss included."""
    rng = np.random.default_rng(4)
    delay = rng.lognormal(10, 0.5, 600)
    delay[rng.random(600) < 0.05] = NAN
    arrival = np.arange(600) * 1000.0 + np.nan_to_num(delay) * 0.2
    starts = np.array([0, 250, 600])
    found = variation.rfc3550_jitter_ns(delay, arrival, starts)
    expected = [_by_the_book(delay[a:b], arrival[a:b]) for a, b in ((0, 250), (250, 600))]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_rfc3550_needs_two_packets() -> None:
    """One packet has no variation."""
    assert np.isnan(variation.rfc3550_jitter_ns(np.array([5.0]), np.array([1.0]), np.array([0, 1])))


@given(hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(1, 1e9)), st.floats(0, 1e9))
def test_a_constant_offset_changes_nothing(delay: np.ndarray, offset: float) -> None:
    """Variation does not know where zero is: clocks need not agree."""
    starts = np.array([0, len(delay)])
    for figure in (variation.pdv_ns, variation.ipdv_ns):
        np.testing.assert_allclose(
            figure(delay + offset, starts), figure(delay, starts), atol=1e-6, rtol=1e-9
        )


def test_pdv_p99_is_never_negative() -> None:
    """The least of a stream is zero, everything else above."""
    delay = np.random.default_rng(0).normal(1000, 10, 500)
    assert variation.pdv_ns(delay, np.array([0, 500])).min() == pytest.approx(0.0)
