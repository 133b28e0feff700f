"""What a CNI driver is, and the world it works on.

A driver knows its CNI: which modes exist, what a pool of each looks like on the wire, who programs
the route, and how to tell from facts which mode packets really take. A `World` (each target
implements it) knows how to make a pool exist and how to read facts. Drivers import no target and
no transport.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from podbench.model.arms import Mode
from podbench.model.facts import ArmProof, Flow, NodeFacts, PairProof, Route, TunnelCount
from podbench.model.nodes import Node, Pod


class Origin(StrEnum):
    """Who programs a pool's routes."""

    BIRD = "BIRD"
    FELIX = "Felix"
    FLANNEL = "Flannel"
    KERNEL = "kernel"


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """One mode's address pool: what a driver asks a world to lay."""

    mode: Mode
    cidr: str
    """Empty where podbench lays none and only observes."""
    pod_mtu: int
    origin: Origin | None
    """Null where nothing tells who programs its routes but the routes themselves."""
    route_protocol: int | None
    """rtm_protocol of its routes: 12 BIRD, 80 Felix (configurable there), 4 static; null too."""
    device: str | None = None
    """The tunnel device's name on the node (`vxlan.calico`, `tunl0`, `flannel.1`); null where
    packets are routed."""
    vni: int | None = None
    udp_port: int | None = None


class Laid(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a pool.

    `implementation` names how (`kernel device`, `eBPF at tc`, `routed`).
    """

    pool: Pool
    implementation: str | None
    reason: str | None = None
    """Why it could not be laid; null when it was."""


PROOF_PROBES = 200
"""Probes a pair in a proof window where nothing else is on the wire, as in the lab: 1 % background
is then two packets."""
CLUSTER_PROOF_PROBES = 5000
"""The same on a cluster: agents' own connections cross the tunnel too, some dozens of packets."""


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """A proof window's probes: UDP from pod to pod; `flow` is what rules may select them by."""

    answered: int
    flow: Flow | None = None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What one probe with traffic of its own moved between two pods, as its ends counted it."""

    kind: str
    """The probe's name: its key in `by_probe`."""
    src: str
    dst: str
    protocol: str
    """`tcp` or `udp`."""
    sent_bytes: int
    received_bytes: int
    """Payload, warm-up included."""
    sent_packets: int | None = None
    received_packets: int | None = None
    """Datagrams of UDP."""
    beside_packets: int = 0
    """Latency probes sent beside it."""


class LoadMeter(Protocol):
    """Proves loads by counters read before and after them (cni/proof/loads.py)."""

    async def read(self, names: Sequence[str]) -> Any:
        """These nodes' counters now; null where one of them cannot be read."""

    async def judge(
        self, loads: Sequence[Load], before: Any, after: Any
    ) -> list[tuple[str, PairProof]]:
        """(kind, proof) of each load whose two nodes were read."""


ProbeWindow = Callable[[Pod, Pod, int], Awaitable[Probed]]
"""Sends n probes from one pod to another with nothing else on the wire."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Packets a capture saw leave a node by its underlay, by outer header and inner addresses.

    `encapsulation` is `vxlan`, `ipip` or `plain`; `vni` the VXLAN header's.
    """

    node: str
    src: str
    dst: str
    encapsulation: str
    packets: int
    vni: int | None = None


class Capture(Protocol):
    """A running capture; `seen` stops it and says what it saw."""

    async def seen(self) -> tuple[Seen, ...]:
        """Stops and counts; packets of other addresses or protocols are not in it.

        Raises:
            PodbenchError: Packets were lost by the capture itself, so that it proves nothing.
        """


Groups = Sequence[Sequence[tuple[str, str]]]
"""Pairs of nodes by name; those of one group share no node, so they may be probed together."""

Capturing = Callable[[Sequence[str]], Awaitable[Capture]]
"""Starts a capture on these nodes' underlay devices; running once it returns."""


class World(Protocol):
    """A target as drivers see it."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes, with the pods laid so far."""

    @property
    def equal_mtu(self) -> bool:
        """True where all modes' pods have one MTU, the smallest.

        So it is with temporary pools beside each other on a cluster, and in the lab when asked.
        """

    @property
    def proof_probes(self) -> int:
        """Probes a pair in a proof window: the more else is on the wire, the more it takes."""

    def quiet(self, nodes: Sequence[str]) -> AbstractAsyncContextManager[None]:
        """Keeps what the target itself sends all the time off these nodes' tunnels, for a proof."""

    async def apply(self, pool: Pool) -> Laid:
        """Makes the pool and one pod of it on every node exist.

        Refusal is an answer, not an exception.
        """

    async def remove(self, pool: Pool) -> None:
        """Takes the pool away again; idempotent."""

    @property
    def turns(self) -> bool:
        """True where pods of all modes exist at once, but one mode at a time: see `turn`."""

    async def turn(self, mode: Mode, prove: Callable[[], Awaitable[ArmProof]]) -> str | None:
        """Makes a mode that was applied the one that packets take.

        Args:
            mode: The mode.
            prove: Looks up which way every pair's packets go.

        Returns:
            Null once all nodes follow; else why they do not, and then all is as before. Where modes
            do not take turns there is nothing to do.
        """

    async def facts(self, node: str) -> NodeFacts:
        """Reads one node."""

    async def lookup(self, node: str, address: str, flow: Flow | None = None) -> Route:
        """Asks the node's kernel which way a packet to this address goes.

        With `flow` for a packet of that protocol, ports and mark: rules may select by them. `type`
        `unreachable` is an answer.
        """

    async def tunnel_counts(self, node: str, pool: Pool) -> tuple[TunnelCount, ...]:
        """Counters of the pool's tunnel on a node.

        Its device's, or per peer; empty where it has no tunnel.
        """

    async def capture(self, nodes: Sequence[str]) -> Capture:
        """Starts capturing on these nodes' underlay devices.

        Raises:
            PodbenchError: This target cannot capture; says why.
        """


class Driver(Protocol):
    """One CNI."""

    @property
    def name(self) -> str:
        """`calico`, `flannel`."""

    @property
    def side_by_side(self) -> bool:
        """True where all modes can exist at once (method `pools`).

        Else one after the other (`switch`).
        """

    def modes(self) -> tuple[Mode, ...]:
        """The modes it has, in the order reports show them: most encapsulation first."""

    def pool(self, mode: Mode, *, underlay_mtu: int, equal_mtu: bool) -> Pool:
        """What a mode looks like in this CNI."""

    async def lay(self, world: World, modes: Sequence[Mode]) -> dict[Mode, Laid]:
        """Makes these modes' arms exist."""

    async def verify(
        self,
        world: World,
        mode: Mode,
        probe: ProbeWindow | None,
        *,
        probes: int | None = None,
        capture: Capturing | None = None,
        groups: Groups | None = None,
    ) -> ArmProof:
        """Proves which mode packets take, per directed pair.

        Without `probe` by route lookup only; with `capture` also by the outer headers of `probes`
        own probes a pair, the world's number where none is given. `groups` are the pairs to prove;
        null: all, one after the other.
        """

    def meter(self, world: World, mode: Mode) -> LoadMeter:
        """What proves this mode's loads by their own packets."""

    async def turn(self, world: World, mode: Mode, groups: Groups | None = None) -> str | None:
        """Makes a mode the one that packets take, where modes take turns; else why not.

        Seen on the pairs of `groups`, else on all.
        """

    async def remove(self, world: World, mode: Mode) -> None:
        """Takes a mode's arm away."""
