"""Which part of the agent answers which command."""

import asyncio
from collections.abc import Collection, Mapping

import numpy as np
import pytest

from podbench.model.errors import ProbeError
from podbench.transport.base import Reply
from podbench.wire import messages
from podbench.wire.columns import Table
from podbench_agent import host
from podbench_agent.agent import Agent


class FakeProber:
    """Gives one row per session."""

    facts: Mapping[str, int | float | str] = {"cpu_us_per_probe": 40.5}

    async def measure(self, sessions: tuple[messages.LatencySession, ...]) -> dict[int, Table]:
        """The session's own number, once."""
        return {s.session_id: {"seq": np.array([s.session_id])} for s in sessions}


class FakeReflector:
    """Remembers what it admitted and hands it back."""

    def __init__(self) -> None:
        self.admitted: list[int] = []

    async def admit(self, session_ids: Collection[int]) -> None:
        """Keeps them."""
        self.admitted += session_ids

    async def collect(
        self, session_ids: Collection[int]
    ) -> tuple[Table, Mapping[str, int | float | str]]:
        """Those that were admitted."""
        return {"session_id": np.array([i for i in session_ids if i in self.admitted])}, {
            "answered": len(self.admitted)
        }


def ask(agent: Agent, *commands: messages.Command) -> list[Reply]:
    """Gives the commands one after the other."""

    async def scene() -> list[Reply]:
        replies = [await agent.handle(command) for command in commands]
        await agent.close()
        return replies

    return asyncio.run(scene())


def whole_agent() -> Agent:
    """An agent with both parts."""
    return Agent(FakeProber(), FakeReflector(), stop=asyncio.Event())


def test_measuring_names_its_tables_by_session() -> None:
    """Each session's rows come back under its number, with what the probe cost."""
    sessions = tuple(
        messages.LatencySession(session_id=n, peer_address="192.0.2.1", peer_port=8620)
        for n in (1, 9)
    )

    (reply,) = ask(whole_agent(), messages.Measure(sessions=sessions))

    assert list(reply.tables) == ["latency/1", "latency/9"]
    assert reply.answer == messages.Done(facts={"cpu_us_per_probe": 40.5})


def test_reflections_come_back_with_counters() -> None:
    """Admitted sessions can be collected, with the reflector's counters as facts."""
    _, reply = ask(
        whole_agent(),
        messages.Reflect(session_ids=(3, 4)),
        messages.CollectReflections(session_ids=(4, 5)),
    )

    assert reply.tables["reflections"]["session_id"].tolist() == [4]
    assert reply.answer == messages.Done(facts={"answered": 2})


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (messages.Measure(sessions=()), "no latency probe here: fork failed"),
        (messages.Reflect(session_ids=()), "no reflector here: port 8620 is taken"),
        (messages.CollectReflections(session_ids=()), "no reflector here: port 8620 is taken"),
    ],
)
def test_absent_part_says_why(command: messages.Command, complaint: str) -> None:
    """A part that could not be started answers with the reason."""
    agent = Agent(
        None,
        None,
        absent={"prober": "fork failed", "reflector": "port 8620 is taken"},
        stop=asyncio.Event(),
    )

    with pytest.raises(ProbeError, match=complaint):
        ask(agent, command)


def test_stop_is_answered_and_told() -> None:
    """`Stop` sets the event that ends the agent, after an answer."""
    stop = asyncio.Event()

    (reply,) = ask(Agent(None, None, stop=stop), messages.Stop())

    assert reply.answer == messages.Done()
    assert stop.is_set()


def test_counters_are_started_and_collected() -> None:
    """Counters give the columns of `host`; asking before the start is an error."""
    _, reply = ask(
        whole_agent(),
        messages.StartCounters(node="n1", period_s=host.PERIOD_MIN_S),
        messages.CollectCounters(stop=True),
    )

    assert set(reply.tables["host"]) == set(host.table([]))
    with pytest.raises(ProbeError, match="not started"):
        ask(whole_agent(), messages.CollectCounters())


def test_unknown_transfer_is_refused() -> None:
    """Transfers are asked of the iperf3 probe, whose refusal passes through."""
    with pytest.raises(ProbeError, match="port 7"):
        ask(whole_agent(), messages.CollectTransfer(port=7))
