"""The control channel inside one process."""

import asyncio

import numpy as np
import pytest

from podbench.model.errors import ProbeError, TransportError
from podbench.model.nodes import AgentId
from podbench.transport.base import Fleet, Reply
from podbench.transport.memory import MemoryFleet
from podbench.wire import messages

N1, N2 = AgentId("n1"), AgentId("n2")


async def echo(command: messages.Command) -> Reply:
    """Answers with the command's name and a table."""
    name = type(command).__name__
    return Reply(messages.Done(facts={"command": name}), {"t": {"x": np.arange(3)}})


async def refuse(command: messages.Command) -> Reply:
    """Refuses everything."""
    raise ProbeError(f"no {type(command).__name__} here")


async def hang(command: messages.Command) -> Reply:
    """Never answers."""
    await asyncio.Event().wait()
    return await echo(command)


def test_answers_come_back() -> None:
    """A command's answer and tables come back, and a refusal as an answer."""

    async def scene() -> tuple[Reply, Reply]:
        fleet: Fleet = MemoryFleet({N1: echo, N2: refuse}, check=lambda _command, *answer: answer)
        await fleet.wait_ready([N1, N2], 1)
        return await fleet.ask(N1, messages.Stop(), 1), await fleet.ask(N2, messages.Stop(), 1)

    answered, refused = asyncio.run(scene())

    assert answered.answer == messages.Done(facts={"command": "Stop"})
    assert answered.tables["t"]["x"].tolist() == [0, 1, 2]
    assert refused.answer == messages.Failed(reason="no Stop here")


def test_silence_and_loss_are_errors() -> None:
    """An agent that does not answer, is lost while it works, or was never there, fails the ask."""

    async def scene() -> None:
        fleet = MemoryFleet({N1: hang})
        with pytest.raises(TransportError, match="n1 did not answer Stop within"):
            await fleet.ask(N1, messages.Stop(), 0.01)
        asked = asyncio.create_task(fleet.ask(N1, messages.Stop(), 60))
        await asyncio.sleep(0)
        fleet.lose(N1)
        with pytest.raises(TransportError, match="Stop to n1: the agent went away"):
            await asked
        with pytest.raises(TransportError, match="offline"):
            await fleet.ask(N1, messages.Stop(), 60)
        with pytest.raises(TransportError, match="not online after 1 s: n1, n2"):
            await fleet.wait_ready([N1, N2], 1)
        assert not fleet.agents[N1].online

    asyncio.run(asyncio.wait_for(scene(), 10))


def test_what_cannot_travel_fails_here_too() -> None:
    """A table that has no form on the wire is a bug the fake shows as the real one would."""

    async def handler(command: messages.Command) -> Reply:
        del command
        return Reply(messages.Done(), {"t": {"x": np.zeros(2, dtype=complex)}})

    with pytest.raises(TypeError, match="cannot travel"):
        asyncio.run(MemoryFleet({N1: handler}).ask(N1, messages.Stop(), 1))
