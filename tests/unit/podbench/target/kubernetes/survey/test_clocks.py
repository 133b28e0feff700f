"""A node's clock is told by the quickest answer, and within its error it is ours."""

import asyncio
import time

import pytest

from podbench.model.facts import NodeFacts
from podbench.target.kubernetes.survey.clocks import Offset, read


def found(ahead_ns: int | None, monkeypatch: pytest.MonkeyPatch) -> Offset | None:
    """What is told of a node whose clock is that far ahead; answers take 40, 2 and 80 ms."""
    now = 1_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    takes_ms = iter((40, 2, 80))

    async def ask() -> NodeFacts:
        nonlocal now
        each_ns = next(takes_ms) * 1_000_000
        now += each_ns // 4
        mono_ns = None if ahead_ns is None else now + ahead_ns
        now += each_ns - each_ns // 4
        return NodeFacts(node="n1", wall_ns=0, mono_ns=mono_ns)

    return asyncio.run(read(ask))[1]


@pytest.mark.parametrize("ahead_ns", [3_600_000_000_000, -5_000_000_000])
def test_the_quickest_answer_tells_the_offset(
    ahead_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bound holds the truth, whichever way the clock is off."""
    clock = found(ahead_ns, monkeypatch)
    assert clock is not None
    assert clock.error_ns == 1_000_000
    assert abs(clock.offset_ns + ahead_ns) <= clock.error_ns


def test_a_clock_within_the_error_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is moved by what the way there may have taken."""
    assert found(300_000, monkeypatch) == Offset(error_ns=1_000_000, offset_ns=0)


def test_a_node_may_not_tell_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is not guessed."""
    assert found(None, monkeypatch) is None
