"""Host counters through a whole run, kept a visit at a time on the samples' clock."""

import contextlib
from collections.abc import AsyncIterator

from podbench.model.errors import PodbenchError
from podbench.model.nodes import AgentId, Node
from podbench.run import plan
from podbench.run.crew import Crew
from podbench.store import samples
from podbench.store.rundir import RunDir
from podbench.wire import messages

PERIOD_S = 0.1
MACHINE = "machine"
"""The node's name where all nodes share one machine: one series for all."""


class Ticks:
    """The running series of one agent."""

    def __init__(self, crew: Crew, agent: AgentId) -> None:
        self._crew = crew
        self._agent = agent

    async def keep(self, rundir: RunDir, run_id: str, visit: plan.Visit) -> None:
        """Fetches the ticks since the last call and writes them as this visit's.

        Raises:
            PodbenchError: The agent is gone, or the file cannot be written.
        """
        reply = await self._crew.ask(self._agent, messages.CollectCounters())
        place: dict[str, samples.Scalar] = {"run_id": run_id, "block": visit.block, "node": MACHINE}
        part = (reply.tables.get("host", {}), place)
        samples.write(rundir.host(visit.block, visit.arm), "host", [part])


@contextlib.asynccontextmanager
async def running(crew: Crew, node: Node) -> AsyncIterator[Ticks]:
    """Samples the counters of a node's host agent while the block runs."""
    nodes = crew.nodes.values()
    ends = [*(each.pid for each in nodes), *(pod.pid for each in nodes for pod in each.pods)]
    pids = tuple(pid for pid in ends if pid is not None)
    await crew.ask(node.agent, messages.StartCounters(node=MACHINE, period_s=PERIOD_S, pids=pids))
    try:
        yield Ticks(crew, node.agent)
    finally:
        with contextlib.suppress(PodbenchError):
            await crew.ask(node.agent, messages.CollectCounters(stop=True))
