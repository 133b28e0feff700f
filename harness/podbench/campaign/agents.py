"""The agents of one deployment as the session uses them, and what one round brings back.

Above: campaign/rounds.py, campaign/latency.py, campaign/transfer.py. Below: the fleet.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec

from podbench.campaign.journal import Failure, KindProof, Span
from podbench.cni.base import Load
from podbench.model.arms import Mode, Path
from podbench.model.errors import ProbeError
from podbench.model.nodes import AgentId, Node, Pod
from podbench.store.samples import Scalar
from podbench.transport.base import Fleet, Reply
from podbench.wire import messages
from podbench.wire.columns import Column, Table

Part = tuple[Table, dict[str, Scalar]]
"""Rows, and the constants that name their place."""

SOURCE_PORTS = 8
"""One 4-tuple samples one path of an ECMP or LAG; the ports of a pair rotate."""
SSIDS = 65535
MONOTONIC = "mono_ns"
"""The end of the names of columns that hold an agent's monotonic clock."""
ANSWER_S = 10.0
"""What an agent may take on top of the measuring itself before it counts as lost."""


class Outcome(msgspec.Struct, kw_only=True):
    """What one round gave. Rows are by path, because each path is an arm with files of its own."""

    latency: dict[Path, list[Part]] = {}
    throughput: dict[Path, list[Part]] = {}
    ladder: dict[Path, list[Part]] = {}
    pairwise: dict[str, dict[Path, list[Part]]] = {}
    """By probe."""
    raw: dict[str, str] = {}
    """Programs' own output by a file's stem."""
    spans: list[Span] = []
    failures: list[Failure] = []
    loads: list[Load] = []
    """What transfers and steps on the pod path moved, for the proof of their packets."""
    proofs: list[KindProof] = []


class End(msgspec.Struct, frozen=True):
    """One end of a path: who answers there, at which address, with which MTU."""

    agent: AgentId
    address: str
    mtu: int


class Crew:
    """Nodes, their agents, and the session numbers the agents are given."""

    def __init__(
        self, nodes: Sequence[Node], fleet: Fleet, *, spin: bool = False, shared: bool = False
    ) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.fleet = fleet
        self.spin = spin
        self.shared = shared
        """Whether all nodes are one machine."""
        self._offsets_ns = {
            agent: node.clock_offset_ns
            for node in nodes
            for agent in (node.agent, *(pod.agent for pod in node.pods))
        }
        # 16-bit SSIDs; the groups of one round stay far below a whole turn.
        self._numbers = itertools.cycle(range(1, SSIDS - SOURCE_PORTS, SOURCE_PORTS))

    def session_id(self) -> int:
        """The first SSID of a new group of `SOURCE_PORTS`."""
        return next(self._numbers)

    def end(self, node: str, mode: Mode, path: Path) -> End:
        """One end of a path."""
        where: Node | Pod = self.nodes[node].pod(mode) if path is Path.POD else self.nodes[node]
        mtu = where.mtu if isinstance(where, Pod) else where.mtu_underlay
        return End(where.agent, where.address, mtu)

    def port(self, agent: AgentId) -> int:
        """The UDP port an agent's reflector listens on.

        Raises:
            ProbeError: The agent did not announce one.
        """
        status = self.fleet.agents.get(agent)
        port = status.capabilities.get("reflector_port") if status else None
        if port is None:
            raise ProbeError(f"{agent} has no reflector")
        return int(port)

    async def ask(self, agent: AgentId, command: messages.Command, work_s: float = 0.0) -> Reply:
        """Asks one agent for something that takes `work_s` of measuring.

        Monotonic times in its tables come back as ours: each machine's clock has its own beginning.

        Raises:
            ProbeError: The agent says why it could not.
            TransportError: The agent is gone or late.
        """
        reply = await self.fleet.ask(agent, command, work_s + ANSWER_S)
        if isinstance(reply.answer, messages.Failed):
            raise ProbeError(f"{agent}: {reply.answer.reason}")
        offset_ns = self._offsets_ns.get(agent, 0)
        if not offset_ns:
            return reply
        moved = {name: _moved(table, offset_ns) for name, table in reply.tables.items()}
        return Reply(reply.answer, moved)


def _shifted(column: Any, offset_ns: int) -> Column:
    shifted: Column = column + offset_ns
    return shifted


def _moved(table: Table, offset_ns: int) -> Table:
    return {
        name: _shifted(column, offset_ns) if name.endswith(MONOTONIC) else column
        for name, column in table.items()
    }
