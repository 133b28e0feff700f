"""Host counters through a whole run, kept a visit at a time on the samples' clock.

A series a node, from its host-network agent; where all nodes share one machine one agent's series
stands for all of them (`MACHINE`). A cluster's host agent sees its own processes only, so its
run-queue wait and throttling are its own; everything else is the whole node's.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping

from podbench.campaign import plan
from podbench.campaign.agents import Crew, Part
from podbench.campaign.journal import Kept, kept
from podbench.model.errors import PodbenchError, ProbeError, TransportError
from podbench.model.nodes import AgentId
from podbench.store import samples
from podbench.store.rundir import RunDir
from podbench.wire import messages

logger = logging.getLogger(__name__)

PERIOD_S = 0.1
MACHINE = "machine"
"""The node's name where all nodes share one machine: one series for all."""


class Ticks:
    """The running series, by node."""

    def __init__(self, crew: Crew, agents: Mapping[str, AgentId]) -> None:
        self._crew = crew
        self._agents = dict(agents)
        self._lost: set[str] = set()

    async def start(self, pids: tuple[int, ...]) -> None:
        """Begins every series; a node whose agent is gone has none until it is back."""
        await asyncio.gather(*(self._begin(node, pids) for node in self._agents))

    async def _begin(self, node: str, pids: tuple[int, ...] = ()) -> None:
        order = messages.StartCounters(node=node, period_s=PERIOD_S, pids=pids)
        try:
            await self._crew.ask(self._agents[node], order)
        except (ProbeError, TransportError) as error:
            logger.warning("no host counters", extra={"node": node, "why": str(error)})

    async def keep(
        self, rundir: RunDir, run_id: str, visit: plan.Visit, planned: plan.Round
    ) -> Kept | None:
        """Fetches the ticks since the last call and writes them as this round's.

        An agent that is gone costs its node's ticks, not the run; one that came back counts anew.

        Raises:
            StoreError: The file cannot be written.
        """
        place: dict[str, samples.Scalar] = {"run_id": run_id, "block": visit.block}
        found = await asyncio.gather(*(self._collect(node, place) for node in self._agents))
        parts = [part for part in found if part is not None]
        if not parts:
            return None
        where = rundir.host(visit.block, visit.arm, planned.number)
        return kept(rundir, where, samples.write(where, "host", parts))

    async def _collect(self, node: str, place: dict[str, samples.Scalar]) -> Part | None:
        try:
            reply = await self._crew.ask(self._agents[node], messages.CollectCounters())
        except ProbeError as error:
            # An agent that was started anew does not count yet.
            self._lose(node, error)
            await self._begin(node)
            return None
        except TransportError as error:
            self._lose(node, error)
            return None
        self._lost.discard(node)
        return reply.tables.get("host", {}), {**place, "node": node}

    def _lose(self, node: str, error: PodbenchError) -> None:
        """Says it once, until the node's counters are back."""
        if node not in self._lost:
            self._lost.add(node)
            logger.warning("host counters lost", extra={"node": node, "why": str(error)})

    async def stop(self) -> None:
        """Ends every series."""
        await asyncio.gather(*(self._end(agent) for agent in self._agents.values()))

    async def _end(self, agent: AgentId) -> None:
        with contextlib.suppress(PodbenchError):
            await self._crew.ask(agent, messages.CollectCounters(stop=True))


@contextlib.asynccontextmanager
async def running(crew: Crew, *, exclusive: bool) -> AsyncIterator[Ticks]:
    """Samples the nodes' counters while the block runs.

    Args:
        crew: The nodes and their agents.
        exclusive: All nodes share one machine: one series stands for all.
    """
    nodes = tuple(crew.nodes.values())
    agents = {MACHINE: nodes[0].agent} if exclusive else {n.name: n.agent for n in nodes}
    ends = [*(each.pid for each in nodes), *(pod.pid for each in nodes for pod in each.pods)]
    ticks = Ticks(crew, agents)
    await ticks.start(tuple(pid for pid in ends if pid is not None))
    try:
        yield ticks
    finally:
        await ticks.stop()
