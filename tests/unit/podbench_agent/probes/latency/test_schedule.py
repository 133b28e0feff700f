"""When probes are due."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench.model.errors import ProbeError
from podbench.wire.messages import LatencySession
from podbench_agent.probes.latency import schedule as latency_schedule


def _session(**changes: float | str) -> LatencySession:
    plain = LatencySession(session_id=1, peer_address="192.0.2.1", peer_port=8620)
    return msgspec.structs.replace(plain, **changes)


def test_periodic_gaps_are_exact() -> None:
    """At 3 pps no gap is off by more than 1 ns and no drift builds up in an hour."""
    session = _session(rate_pps=3.0, duration_s=3600.0)

    due = latency_schedule.due_times(session, 0, np.random.default_rng(1))

    assert len(due) == 10_800
    assert abs(due[-1] - due[0] - 10_799 * 1e9 / 3) <= 1
    assert set(np.diff(due).tolist()) == {333_333_333, 333_333_334}


@given(st.sampled_from(latency_schedule.SCHEDULES), st.integers(0, 2**32))
def test_schedules_begin_in_the_first_period_and_rise(schedule: str, seed: int) -> None:
    """Every schedule has a random phase within one period and never goes back."""
    due = latency_schedule.due_times(
        _session(schedule=schedule), 5_000, np.random.default_rng(seed)
    )

    assert len(due) == 1000
    assert 5_000 <= due[0] < 5_000 + 1_000_000
    assert (np.diff(due) >= 0).all()


def test_uniform_gaps_stay_between_half_and_one_and_a_half() -> None:
    """Uniform gaps keep the mean and avoid both bursts and long pauses."""
    due = latency_schedule.due_times(
        _session(schedule="uniform", duration_s=20.0), 0, np.random.default_rng(2)
    )
    gaps = np.diff(due)

    assert gaps.min() >= 500_000
    assert gaps.max() <= 1_500_000
    assert gaps.mean() == pytest.approx(1_000_000, rel=0.02)


def test_poisson_gaps_are_exponential() -> None:
    """Mean and standard deviation of exponential gaps are equal."""
    gaps = np.diff(
        latency_schedule.due_times(
            _session(schedule="poisson", duration_s=20.0), 0, np.random.default_rng(3)
        )
    )

    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"rate_pps": 0.0}, "rate"),
        ({"rate_pps": 25_001.0}, "25000"),
        ({"duration_s": 0.0}, "duration"),
        ({"duration_s": float("inf")}, "duration"),
        ({"rate_pps": float("nan")}, "rate"),
        ({"duration_s": 1e5}, "5000000"),
        ({"rate_pps": 0.01, "duration_s": 99.0}, "at least 100 s"),
        ({"schedule": "sometimes"}, "periodic, uniform, poisson"),
    ],
)
def test_the_impossible_is_refused_with_its_limit(
    changes: dict[str, float | str], names: str
) -> None:
    """A rate, duration or schedule outside the limits is refused, and the limit named."""
    with pytest.raises(ProbeError, match=names):
        latency_schedule.check(_session(**changes))


def test_sessions_together_have_one_limit() -> None:
    """One process sends them all: their rates add up."""
    latency_schedule.check_together([_session(rate_pps=12_500.0)] * 2)
    with pytest.raises(ProbeError, match="30000 pps in all"):
        latency_schedule.check_together([_session(rate_pps=10_000.0)] * 3)
