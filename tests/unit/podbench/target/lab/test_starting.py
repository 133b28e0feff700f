"""A start that moves is waited for, one that is stuck is given up with the true time."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from podbench.model.errors import LabError
from podbench.model.nodes import AgentId
from podbench.target.lab import starting
from podbench.target.lab.starting import MOST_S, STILL_S, WORK_S, Patience
from podbench.transport.memory import MemoryFleet


def test_an_agent_that_comes_online_is_progress() -> None:
    """The wait begins anew with each, however long all of them take."""
    patience = Patience(0.0)
    for online in range(1, 6):
        assert patience.note(online * (STILL_S - 1), online=online, worked_s=0.0)
    assert not patience.note(5 * (STILL_S - 1) + STILL_S, online=5, worked_s=0.0)


def test_cpu_time_is_progress_if_it_is_more_than_a_hung_agent_uses() -> None:
    """An emulated machine spends minutes importing; a loop of connection attempts spends little."""
    slow = Patience(0.0)
    for looked in range(1, 10):
        assert slow.note(looked * (STILL_S - 1), online=0, worked_s=looked * WORK_S)
    stuck = Patience(0.0)
    assert stuck.note(STILL_S / 2, online=0, worked_s=WORK_S / 3)
    assert not stuck.note(STILL_S, online=0, worked_s=WORK_S / 2)


def test_agents_that_came_online_take_their_cpu_time_along() -> None:
    """The sum over those that wait shrinks then; that is neither work nor a stand-still."""
    patience = Patience(0.0)
    assert patience.note(10.0, online=0, worked_s=50.0)
    assert patience.note(20.0, online=7, worked_s=2.0)
    assert patience.note(20.0 + STILL_S - 1, online=7, worked_s=2.0 + WORK_S)
    assert patience.note(20.0 + 2 * STILL_S - 2, online=7, worked_s=2.0 + WORK_S)


def test_there_is_an_end_to_it_and_the_true_time() -> None:
    """Work without an end is given up too; what is said is what was waited."""
    patience = Patience(100.0)
    moved = [
        patience.note(100.0 + at, online=0, worked_s=at) for at in range(0, int(MOST_S) + 30, 30)
    ]
    assert moved == [True] * (len(moved) - 1) + [False]
    assert patience.describe(1013.0) == "after 913 s, without progress for the last 13 s"


def test_a_stuck_start_names_the_agents_and_how_long_it_was_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the half second between two looks, as once."""
    monkeypatch.setattr(starting, "STILL_S", 1.0)
    name = AgentId("n1")
    (tmp_path / "log").write_text("first\nwaiting for the broker\n")

    class Slow(MemoryFleet):
        async def wait_ready(self, agents: object, timeout_s: float) -> None:
            await asyncio.sleep(timeout_s)
            await super().wait_ready([name], timeout_s)

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        with pytest.raises(LabError) as caught:
            asyncio.run(starting.until_ready(Slow({}), {name: process}, {name: tmp_path / "log"}))
        process.kill()
    assert str(caught.value).startswith("agents not online after 1 s, without progress for the ")
    assert str(caught.value).endswith(": n1; last words of n1: waiting for the broker")
