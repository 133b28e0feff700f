"""Host counters through a whole run, kept a visit at a time on the samples' clock."""

import contextlib
import logging
from collections.abc import AsyncIterator

from podbench.model.errors import PodbenchError, ProbeError, TransportError
from podbench.model.nodes import AgentId, Node
from podbench.run import plan
from podbench.run.crew import Crew
from podbench.store import samples
from podbench.store.rundir import RunDir
from podbench.wire import messages

logger = logging.getLogger(__name__)

PERIOD_S = 0.1
MACHINE = "machine"
"""The node's name where all nodes share one machine: one series for all."""


class Ticks:
    """The running series of one agent."""

    def __init__(self, crew: Crew, agent: AgentId) -> None:
        self._crew = crew
        self._agent = agent

    async def keep(
        self, rundir: RunDir, run_id: str, visit: plan.Visit, planned: plan.Round
    ) -> None:
        """Fetches the ticks since the last call and writes them as this round's.

        An agent that is gone costs its ticks, not the run.

        Raises:
            StoreError: The file cannot be written.
        """
        try:
            reply = await self._crew.ask(self._agent, messages.CollectCounters())
        except (ProbeError, TransportError) as error:
            logger.warning("host counters lost", extra={"why": str(error)})
            return
        place: dict[str, samples.Scalar] = {"run_id": run_id, "block": visit.block, "node": MACHINE}
        part = (reply.tables.get("host", {}), place)
        samples.write(rundir.host(visit.block, visit.arm, planned.number), "host", [part])


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
