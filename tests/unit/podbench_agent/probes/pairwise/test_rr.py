"""TCP request and response between two agents' processes, over loopback."""

import asyncio

import numpy as np
import pytest

from podbench.model.errors import ProbeError
from podbench.transport.base import Reply
from podbench.wire import messages
from podbench_agent.agent import Agent

SERVE = messages.RunProbe(
    name="rr", part="serve", settings={"bind_address": "127.0.0.1", "lifetime_s": 10}
)


def _run(port: int, count: int) -> messages.RunProbe:
    settings: dict[str, str | int | float] = {
        "peer_address": "127.0.0.1",
        "peer_port": port,
        "bind_address": "127.0.0.1",
        "count": count,
        "duration_s": 5.0,
    }
    return messages.RunProbe(name="rr", part="run", settings=settings, lasts_s=5.0)


def _agent() -> Agent:
    return Agent(None, None, stop=asyncio.Event())


def test_each_request_is_a_row() -> None:
    """As many as were asked for, in order, none before the one before was answered."""

    async def scene() -> Reply:
        agent = _agent()
        served = await agent.handle(SERVE)
        assert isinstance(served.answer, messages.Done)
        port = served.answer.facts["port"]
        assert isinstance(port, int)
        ran = await agent.handle(_run(port, 50))
        await agent.close()
        return ran

    table = asyncio.run(scene()).tables["rr"]
    took, began = (np.asarray(table[name], dtype=np.int64) for name in ("rtt_ns", "start_mono_ns"))
    assert len(took) == 50
    assert (took > 0).all()
    assert ((began + took)[:-1] <= began[1:]).all()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (_run(1, 5), "rr: Connection refused"),
        (messages.RunProbe(name="os", part="serve"), "this agent has no probe os: rr"),
        (messages.RunProbe(name="__main__", part="run"), "has no probe __main__"),
    ],
)
def test_what_cannot_be_measured_says_why(command: messages.RunProbe, said: str) -> None:
    """A closed port is one sentence; nothing but the folder's files is ever imported."""
    with pytest.raises(ProbeError, match=said):
        asyncio.run(_agent().handle(command))


def test_a_far_end_that_nobody_asks_ends_with_its_agent() -> None:
    """Its process is gone once the agent has closed."""

    async def scene() -> int | None:
        agent = _agent()
        await agent.handle(SERVE)
        (process,) = agent.pairwise._servers
        await agent.close()
        return process.returncode

    assert asyncio.run(scene()) is not None
