"""What the orchestrator waits for: commands on their way, and which agents it can talk to."""

import asyncio
from collections.abc import Callable

from podbench.model.errors import AnswerError, PodbenchError, RemoteProtocolError, TransportError
from podbench.model.nodes import AgentId
from podbench.transport.base import Reply
from podbench.wire import answers, batches, columns, messages

Tables = dict[str, columns.Table]
Check = Callable[[messages.Command, messages.Answer, Tables], tuple[messages.Answer, Tables]]
"""Holds an answer to its command (`wire.answers.checked`)."""


class Ask:
    """One command on its way and what has come back so far."""

    def __init__(
        self, agent: AgentId, request: messages.Request, check: Check = answers.checked
    ) -> None:
        self._check = check
        self.agent = agent
        self.command = type(request.command).__name__
        self.request = request
        """As sent first."""
        self.assembly = batches.Assembly()
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def add(self, part: messages.Response) -> None:
        """Takes one part of the answer; the last one makes the reply, held to what was asked."""
        if self.reply.done():
            return
        try:
            if self.assembly.add(part):
                whole = self.assembly.whole()
                self.reply.set_result(Reply(*self._check(self.request.command, *whole)))
        except RemoteProtocolError as error:
            self.fail(AnswerError(f"{self.agent}, answering {self.command}: {error}"))

    def fail(self, error: PodbenchError) -> None:
        """Ends the wait with an error; too late is harmless."""
        if not self.reply.done():
            self.reply.set_exception(error)


def same_process(one: messages.AgentStatus, other: messages.AgentStatus) -> bool:
    """Whether an agent is the one that it was, and not one started anew in its place."""
    # In a container every agent has the process id 1.
    started = one.capabilities.get("started"), other.capabilities.get("started")
    return one.pid == other.pid and started[0] == started[1]


def check_format(status: messages.AgentStatus) -> None:
    """Refuses an agent whose messages mean something else.

    Raises:
        TransportError: Its message format is not ours.
    """
    if status.format != messages.MESSAGE_FORMAT:
        raise TransportError(
            f"agent {status.agent} (podbench {status.version or 'of unknown version'}) speaks "
            f"message format {status.format}, this podbench {messages.MESSAGE_FORMAT}",
            advice="run agents and bench of the same version",
        )
