"""The control channel inside one process, for tests and dry runs.

Commands and answers pass through the same encoding as on a broker: what cannot travel fails here
too.
"""

import asyncio
import itertools
from collections.abc import Collection, Iterable, Mapping

from podbench.model.errors import (
    AnswerError,
    PodbenchError,
    RemoteProtocolError,
    TransportError,
)
from podbench.model.nodes import AgentId
from podbench.transport.asks import Check
from podbench.transport.base import Handler, Refused, Reply
from podbench.wire import answers, batches, messages


class MemoryFleet:
    """Agents that are plain functions (`transport.base.Fleet`)."""

    def __init__(
        self, handlers: Mapping[AgentId, Handler], *, check: Check = answers.checked
    ) -> None:
        self._check = check
        self._handlers = dict(handlers)
        self.refused: dict[AgentId, Refused] = {}
        """Nobody else can speak here."""
        self._agents = {
            agent: messages.AgentStatus(agent=agent, online=True, version="memory")
            for agent in handlers
        }
        self._lost = {agent: asyncio.Event() for agent in handlers}
        self._ids = itertools.count(1)

    @property
    def agents(self) -> dict[AgentId, messages.AgentStatus]:
        """The agents, by id; one that was lost stays, with `online` false."""
        return dict(self._agents)

    def lose(self, agent: AgentId) -> None:
        """Lets an agent die: what is asked of it now or later fails, as after its last will."""
        self._agents[agent] = messages.AgentStatus(agent=agent, online=False, version="memory")
        self._lost[agent].set()

    async def wait_ready(self, agents: Collection[AgentId], timeout_s: float) -> None:
        """Returns at once.

        Raises:
            TransportError: Some are unknown or lost; names them.
        """
        missing = list(self._missing(agents))
        if missing:
            raise TransportError(f"agents not online after {timeout_s:g} s: {', '.join(missing)}")

    def _missing(self, agents: Iterable[AgentId]) -> Iterable[AgentId]:
        return (a for a in agents if a not in self._agents or not self._agents[a].online)

    async def ask(self, agent: AgentId, command: messages.Command, timeout_s: float) -> Reply:
        """Hands the command to the agent's function and returns its answer.

        Raises:
            TransportError: The agent is unknown or lost or did not answer in time.
        """
        name = type(command).__name__
        if list(self._missing([agent])):
            raise TransportError(f"{name} to {agent}: the agent is offline")
        work = asyncio.create_task(self._work(agent, command))
        lost = asyncio.create_task(self._lost[agent].wait())
        try:
            await asyncio.wait({work, lost}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if lost.done():
                raise TransportError(f"{name} to {agent}: the agent went away")
            raise TransportError(f"{agent} did not answer {name} within {timeout_s:g} s")
        finally:
            work.cancel()
            lost.cancel()
            await asyncio.gather(work, lost, return_exceptions=True)

    async def _work(self, agent: AgentId, command: messages.Command) -> Reply:
        sent = messages.Request(id=next(self._ids), command=command)
        request = messages.decode_request(messages.encode(sent))
        try:
            reply = await self._handlers[agent](request.command)
        except PodbenchError as error:
            reply = Reply(messages.Failed(reason=str(error)), {})
        assembly = batches.Assembly()
        for part in batches.cut(request.id, reply.answer, reply.tables):
            assembly.add(messages.decode_response(messages.encode(part)))
        try:
            return Reply(*self._check(command, *assembly.whole()))
        except RemoteProtocolError as error:
            name = type(command).__name__
            raise AnswerError(f"{agent}, answering {name}: {error}") from error
