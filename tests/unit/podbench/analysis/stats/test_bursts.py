"""Intervals of loss that hold for bursts."""

import numpy as np
import pytest
from scipy import stats

from podbench.analysis.stats import bursts
from podbench.analysis.stats.bursts import Session


def _session(block: int, lost: int, *, episodes: int = 1, sent: int = 2_000) -> Session:
    """`lost` packets in so many episodes of equal length."""
    length = lost // episodes if episodes else 0
    return Session(block=block, sent=sent, lost=lost, squares=episodes * length**2, longest=length)


def test_single_losses_in_one_session_get_garwood() -> None:
    """The exact interval of a Poisson count."""
    limits = stats.chi2.ppf(np.array([0.025, 0.975]), np.array([2 * 12, 2 * 13]))
    found = bursts.interval([_session(1, 12, episodes=12)])
    assert found == pytest.approx(np.asarray(limits) / 2 / 2_000)


def test_none_lost_bounds_bursts_too() -> None:
    """Both readings: the interval is the one for bursts, fifty times the other."""
    held = [_session(block, 0, episodes=0) for block in range(5)]
    found = bursts.interval(held)
    readings = bursts.readings(10_000)
    assert found is not None
    assert found == pytest.approx((0.0, readings.burst))
    assert readings.burst == pytest.approx(50 * readings.single)
    assert readings.single == pytest.approx(3.69e-4, rel=0.01)
    assert bursts.interval([]) is None


def test_one_burst_is_one_event() -> None:
    """Fifty packets at once say as little as one packet fifty times as heavy."""
    held = [_session(block, 50 if block == 1 else 0, episodes=block == 1) for block in range(15)]
    found = bursts.interval(held)
    assert found is not None
    assert found[0] < 0.1 * 50 / 30_000
    assert found[1] > 4.0 * 50 / 30_000


@pytest.mark.parametrize(("kind", "blocks"), [("burst", 5), ("single", 5), ("uneven", 15)])
def test_it_covers(kind: str, blocks: int) -> None:
    """0.2% lost by 3 pairs: in bursts of 50, singly, or unevenly; at least 92% of 400 runs."""
    rng = np.random.default_rng(6)
    kept = 0
    for _ in range(400):
        held = []
        for block in range(blocks):
            for _ in range(3):
                if kind == "burst":
                    number = int(rng.poisson(0.08))
                    held.append(_session(block, 50 * number, episodes=number))
                else:
                    uneven = float(np.exp(rng.normal(-0.125, 0.5))) if kind == "uneven" else 1.0
                    number = int(rng.binomial(2_000, 0.002 * uneven))
                    held.append(_session(block, number, episodes=number))
        found = bursts.interval(held)
        assert found is not None
        kept += found[0] <= 0.002 <= found[1]
    assert kept >= 0.92 * 400


def test_a_difference_of_two_rates() -> None:
    """It holds the difference, and both intervals widen it."""
    centre, (low, high) = bursts.difference((0.01, 0.02), ((0.008, 0.013), (0.015, 0.027)))
    assert centre == pytest.approx(0.01)
    assert low == pytest.approx(0.01 - np.hypot(0.005, 0.003))
    assert high == pytest.approx(0.01 + np.hypot(0.007, 0.002))
