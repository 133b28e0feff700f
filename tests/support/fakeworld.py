"""A world of three nodes in memory: routes decide where packets go and which counters move.

What `ip route` would show (`routes`) and where packets really go (`carried`) are apart, so that a
test can let them differ. Sending is instant; nothing else is on the wire unless `noise` says so.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from podbench.cni.base import PROOF_PROBES, Laid, Pool, Probed, Seen
from podbench.model.arms import Mode
from podbench.model.facts import (
    ArmProof,
    BgpSession,
    Flow,
    Link,
    Neighbour,
    NodeFacts,
    Route,
    TunnelCount,
    Verdict,
)
from podbench.model.nodes import AgentId, Node, Pod

VXLAN_DEVICE, PROGRAM = "vxlan.calico", "ebpf:eth0"
NAMES = ("n1", "n2", "n3")


class FakeWorld:
    """Implements `cni.base.World`, a proof window (`probe`) and a capture (`capture`)."""

    def __init__(self, *, equal_mtu: bool = False) -> None:
        self.equal_mtu = equal_mtu
        self.turns = False
        """Whether modes take turns, and whose turns were taken."""
        self.turned: list[Mode] = []
        self.proof_probes = PROOF_PROBES
        self.pools: dict[Mode, Pool] = {}
        self.refusals: dict[Mode, str] = {}
        self.routes: dict[tuple[str, Mode, str], Route] = {}
        self.carried: dict[tuple[str, Mode, str], str] = {}
        self.drops: set[tuple[str, str]] = set()
        """Directed pairs of nodes between which no packet arrives."""
        self.sessions: dict[str, tuple[BgpSession, ...] | None] = dict.fromkeys(NAMES)
        self.noise: Counter[tuple[str, str]] = Counter()
        """Packets that stray out of (node, device) during the next window."""
        self.sent: Counter[tuple[str, str, str | None, str]] = Counter()
        self.seen: Counter[tuple[str, str, str, str]] = Counter()
        self.windows = 0

    @property
    def nodes(self) -> Sequence[Node]:
        """n1 to n3 with a pod of every pool."""
        return tuple(
            Node(name, address(name), AgentId(f"{name}-host"), 1500, pods=self._pods(name))
            for name in NAMES
        )

    async def turn(self, mode: Mode, prove: Callable[[], Awaitable[ArmProof]]) -> str | None:
        """Takes note, and says what the routes show."""
        self.turned.append(mode)
        proof = await prove()
        return None if proof.verdict is Verdict.MATCH else str(proof.observed)

    def _pods(self, node: str) -> tuple[Pod, ...]:
        return tuple(
            Pod(f"{node}-{mode}", node, mode, pod_address(pool, node), AgentId(node), pool.pod_mtu)
            for mode, pool in self.pools.items()
        )

    async def apply(self, pool: Pool) -> Laid:
        """Routes every peer's block as the CNI would."""
        if pool.mode in self.refusals:
            return Laid(pool=pool, implementation=None, reason=self.refusals[pool.mode])
        self.pools[pool.mode] = pool
        for src in NAMES:
            for dst in NAMES:
                if src != dst:
                    self.route(src, pool.mode, dst, pool.mode)
        return Laid(pool=pool, implementation="fake")

    def route(self, src: str, mode: Mode, dst: str, by: Mode | None) -> None:
        """Routes a peer's block by a mode, and sends its packets that way; null: no route."""
        pool, key = self.pools[mode], (src, mode, dst)
        block = pod_address(pool, dst).rsplit(".", 1)[0] + ".0/26"
        protocol = pool.route_protocol
        if by is None:
            self.routes[key] = Route(dst=pod_address(pool, dst), device=None, type="unreachable")
            self.carried.pop(key, None)
            return
        if by == Mode.VXLAN:
            self.routes[key] = Route(
                dst=block, device=VXLAN_DEVICE, gateway=vtep(dst), protocol=protocol, onlink=True
            )
        else:
            self.routes[key] = Route(
                dst=block, device="eth0", gateway=address(dst), protocol=protocol
            )
        self.carried[key] = by if by in (Mode.VXLAN, Mode.IPIP) else "plain"

    async def remove(self, pool: Pool) -> None:
        """Forgets a pool."""
        self.pools.pop(pool.mode, None)

    async def facts(self, node: str) -> NodeFacts:
        """Devices with counters, and the VXLAN entries of every peer."""
        peers = [name for name in NAMES if name != node]
        return NodeFacts(
            node=node,
            wall_ns=time.time_ns(),
            links=(
                self._link(node, "eth0", "veth"),
                self._link(node, VXLAN_DEVICE, "vxlan"),
            ),
            neighbours=tuple(
                Neighbour(device=VXLAN_DEVICE, address=vtep(peer), lladdr=mac(peer))
                for peer in peers
            ),
            fdb=tuple(
                Neighbour(device=VXLAN_DEVICE, address=address(peer), lladdr=mac(peer))
                for peer in peers
            ),
            bgp=self.sessions[node],
        )

    def _link(self, node: str, device: str, kind: str) -> Link:
        return Link(
            name=device,
            kind=kind,
            mtu=1500,
            up=True,
            addresses=(f"{address(node)}/24",) if device == "eth0" else (),
            tx_packets=self.sent[node, device, None, "tx"],
            rx_packets=self.sent[node, device, None, "rx"],
        )

    async def lookup(self, node: str, address: str, flow: Flow | None = None) -> Route:
        """The route laid for the pod of that address."""
        del flow
        for (src, mode, dst), route in self.routes.items():
            if src == node and pod_address(self.pools[mode], dst) == address:
                return route
        raise AssertionError(f"no pod has {address}")

    async def tunnel_counts(self, node: str, pool: Pool) -> tuple[TunnelCount, ...]:
        """IPIP per peer, as by a program; VXLAN by device."""
        if pool.mode not in self.pools:
            return ()
        if pool.mode == Mode.IPIP:
            peers = [name for name in NAMES if name != node]
            return tuple(self._count(node, PROGRAM, address(peer)) for peer in peers)
        return (self._count(node, VXLAN_DEVICE, None),)

    def _count(self, node: str, device: str, peer: str | None) -> TunnelCount:
        tx, rx = (self.sent[node, device, peer, way] for way in ("tx", "rx"))
        return TunnelCount(node=node, device=device, peer=peer, tx_packets=tx, rx_packets=rx)

    async def probe(self, src: Pod, dst: Pod, probes: int) -> Probed:
        """A proof window: every probe is answered if both ways carry."""
        self.windows += 1
        for (node, device), packets in self.noise.items():
            # What a tunnel sends leaves by the underlay.
            for moving in {device, "eth0"}:
                self.sent[node, moving, None, "tx"] += packets
        self.noise.clear()
        arrived = self._send(src, dst, probes)
        return Probed(answered=self._send(dst, src, arrived))

    def _send(self, src: Pod, dst: Pod, packets: int) -> int:
        by = self.carried.get((src.node, src.mode, dst.node))
        if by is None:
            return 0
        arrived = 0 if (src.node, dst.node) in self.drops else packets
        self.seen[src.node, src.address, dst.address, by] += packets
        for node, peer, way, count in (
            (src.node, dst.node, "tx", packets),
            (dst.node, src.node, "rx", arrived),
        ):
            self.sent[node, "eth0", None, way] += count
            if by == Mode.VXLAN:
                self.sent[node, VXLAN_DEVICE, None, way] += count
            if by == Mode.IPIP:
                self.sent[node, PROGRAM, address(peer), way] += count
        return arrived

    def quiet(self, nodes: Sequence[str]) -> contextlib.AbstractAsyncContextManager[None]:
        """Nothing but probes is on the wire."""
        return contextlib.nullcontext()

    async def capture(self, nodes: Sequence[str]) -> "FakeCapture":
        """Starts counting on these nodes."""
        self.seen.clear()
        return FakeCapture(self, nodes)


class FakeCapture:
    """What left the nodes since it began."""

    def __init__(self, world: FakeWorld, nodes: Sequence[str]) -> None:
        self._world, self._nodes = world, nodes

    async def seen(self) -> tuple[Seen, ...]:
        """Stops and counts."""
        return tuple(
            Seen(node=node, src=src, dst=dst, encapsulation=by, packets=packets)
            for (node, src, dst, by), packets in self._world.seen.items()
            if node in self._nodes
        )


def address(node: str) -> str:
    """A node's underlay address."""
    return f"172.18.0.{node[1:]}"


def vtep(node: str) -> str:
    """A node's tunnel address."""
    return f"198.18.64.{node[1:]}"


def mac(node: str) -> str:
    """A node's tunnel MAC address."""
    return f"66:00:00:00:00:0{node[1:]}"


def pod_address(pool: Pool, node: str) -> str:
    """A pod's address."""
    start = pool.cidr.split(".")
    return f"{start[0]}.{start[1]}.{int(start[2]) + int(node[1:])}.2"


def established(*peers: str) -> tuple[BgpSession, ...]:
    """Sessions that are up, to these nodes."""
    return tuple(BgpSession(peer=address(peer), state="Established") for peer in peers)


def with_protocol(route: Route, protocol: int) -> Route:
    """The same route, programmed by somebody else."""
    return msgspec.structs.replace(route, protocol=protocol)
