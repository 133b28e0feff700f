"""The search for the common capacity is bounded, respects the cap, and ends where arms hold."""

import asyncio

import pytest

from podbench.campaign.ladder import capacity
from podbench.campaign.ladder.capacity import Found, Trial
from podbench.campaign.ladder.rows import Offered
from podbench.model.arms import Mode

MODES = (Mode.VXLAN, Mode.BGP)


def search(full: dict[Mode, float], cap: float | None = None, *, idle: float = 0.1) -> Found:
    """A search on machines whose busiest CPU is full at these rates."""

    async def attempt(mode: Mode, asked: Offered) -> Trial:
        busiest = min(1.0, idle + (1 - idle) * asked.rate / full[mode])
        sent = min(asked.rate, full[mode])
        held = sent == asked.rate
        return Trial(mode=mode, rate=asked.rate, held=held, busiest=busiest, achieved=sent)

    return asyncio.run(capacity.search("bulk", MODES, cap, attempt))


@pytest.mark.parametrize("slowest", [3e8, 1e9, 2.2e9, 5e9, 1.2e10])
def test_it_ends_close_below_what_the_slowest_arm_holds(slowest: float) -> None:
    """The dearest arm decides; at the end no CPU is above 80 %, and little is given away."""
    found = search({Mode.VXLAN: slowest, Mode.BGP: 1.3 * slowest})
    assert found.rate is not None
    limit = slowest * (capacity.BUSIEST - 0.1) / 0.9
    assert 0.5 * limit <= found.rate <= 1.001 * limit
    assert "CPU" in found.bound


def test_it_is_bounded() -> None:
    """However noisy a machine is, no more than four rounds of all arms are spent."""

    async def attempt(mode: Mode, asked: Offered) -> Trial:
        return Trial(mode=mode, rate=asked.rate, held=False, busiest=1.0)

    found = asyncio.run(capacity.search("small", MODES, None, attempt))
    assert len(found.trials) <= capacity.ROUNDS * len(MODES)
    assert found.rate is None or found.rate < min(t.rate for t in found.trials)


def test_a_cap_is_the_capacity_where_it_is_held() -> None:
    """On a cluster nothing above the cap is ever tried."""
    found = search({Mode.VXLAN: 9e9, Mode.BGP: 9e9}, cap=1e9)
    assert found.rate == 1e9
    assert max(t.rate for t in found.trials) == 1e9
    assert "cap" in found.bound


def test_a_step_without_counters_does_not_hold() -> None:
    """A trial whose CPU could not be read is no evidence that the arm holds the rate."""
    assert not Trial(mode=Mode.BGP, rate=1e9, held=True, busiest=None).good
