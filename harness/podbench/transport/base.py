"""What the session needs of a transport, and what an agent needs of it.

`transport.mqtt` implements both over a real broker; `transport.memory` in one process, for tests
and dry runs. Nothing but commands, answers and agent status passes here.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import msgspec

from podbench.model.nodes import AgentId
from podbench.wire import columns, messages


class Reply(msgspec.Struct, frozen=True):
    """One agent's whole answer, its tables put together again."""

    answer: messages.Answer
    tables: dict[str, columns.Table]


Handler = Callable[[messages.Command], Awaitable[Reply]]
"""An agent's side: one command in, one reply out. Commands to one agent may overlap."""


class Refused(msgspec.Struct, frozen=True):
    """How many of an agent's messages were dropped, and why the first was."""

    count: int
    why: str


class Fleet(Protocol):
    """The orchestrator's side."""

    @property
    def agents(self) -> dict[AgentId, messages.AgentStatus]:
        """The agents known so far, by id; one that died stays, with `online` false."""

    async def wait_ready(self, agents: Collection[AgentId], timeout_s: float) -> None:
        """Returns once all are online.

        Raises:
            TransportError: Some are not, in time; names them.
        """

    async def ask(self, agent: AgentId, command: messages.Command, timeout_s: float) -> Reply:
        """Sends one command and returns the whole answer.

        Raises:
            TransportError: The agent is gone or did not answer in time; names it and the command.
        """


def refused(fleet: Fleet) -> dict[AgentId, Refused]:
    """Messages that a fleet dropped, by agent; one without a broker in between drops none."""
    return dict(getattr(fleet, "refused", {}))
