"""What agents send comes back in the orchestrator's time."""

import asyncio
from collections.abc import Collection

import numpy as np

from podbench.campaign.agents import Crew
from podbench.model.nodes import AgentId, Node
from podbench.transport.base import Reply
from podbench.wire import messages


class OneTable:
    """A fleet that answers everything with one table."""

    def __init__(self) -> None:
        self.agents: dict[AgentId, messages.AgentStatus] = {}

    async def wait_ready(self, agents: Collection[AgentId], timeout_s: float) -> None:
        """At once."""

    async def ask(self, agent: AgentId, command: messages.Command, timeout_s: float) -> Reply:
        """The table."""
        sent = np.ma.MaskedArray(np.array([10, 0]), mask=[False, True])
        table = {"sent_mono_ns": sent, "sent_wall_ns": np.array([7, 8])}
        return Reply(messages.Done(), {"latency/1": table})


def test_monotonic_times_are_moved_and_nothing_else() -> None:
    """By what the node's clock is off; missing stays missing, wall clocks are as they are."""
    there = Node("n1", "192.0.2.1", AgentId("n1-host"), 1500, clock_offset_ns=5)
    here = Node("n2", "192.0.2.2", AgentId("n2-host"), 1500)
    crew = Crew([there, here], OneTable())
    for node, first in ((there, 15), (here, 10)):
        reply = asyncio.run(crew.ask(node.agent, messages.CollectCounters()))
        table = reply.tables["latency/1"]
        assert table["sent_mono_ns"].tolist() == [first, None]
        assert table["sent_wall_ns"].tolist() == [7, 8]
