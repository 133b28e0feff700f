"""Evidence: facts read on a node, and the proof drawn from them."""

from enum import StrEnum

import msgspec

from podbench.model.arms import Mode


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """What a device's driver says of it (ethtool); null where it does not say."""

    driver: str | None
    speed_bps: int | None
    rx_queues: int | None
    offloads: tuple[str, ...] | None
    """The active ones that change what a packet costs, by the kernel's names, sorted."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One network device (rtnetlink RTM_GETLINK).

    `kind` is IFLA_INFO_KIND, null for physical devices.
    """

    name: str
    kind: str | None
    mtu: int
    up: bool
    addresses: tuple[str, ...] = ()
    tx_packets: int = 0
    rx_packets: int = 0
    tx_bytes: int = 0
    rx_bytes: int = 0
    vxlan_id: int | None = None
    vxlan_port: int | None = None
    nic: Nic | None = None
    """Null where nobody asked its driver."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One route or the kernel's answer to a lookup (RTM_GETROUTE).

    `protocol` is rtm_protocol: 12 = BIRD, 80 = Felix.
    """

    dst: str
    device: str | None
    gateway: str | None = None
    protocol: int | None = None
    type: str = "unicast"
    onlink: bool = False
    mtu: int | None = None


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What policy rules can select a packet by, besides its addresses; null: not said."""

    protocol: str
    """`udp` or `tcp`."""
    sport: int | None = None
    dport: int | None = None
    mark: int = 0
    uid: int | None = None
    """Of the process that sends; of packets that are forwarded the kernel knows none."""

    def back(self) -> "Flow":
        """The same of the replies."""
        return msgspec.structs.replace(self, sport=self.dport, dport=self.sport)


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """One neighbour (RTM_GETNEIGH): ARP entry or, with family bridge, a VXLAN forwarding entry."""

    device: str
    address: str | None
    lladdr: str | None
    permanent: bool = False


class BgpSession(msgspec.Struct, frozen=True, kw_only=True):
    """State of one BGP session as the routing daemon tells it.

    `state` `Established` is RFC 4271's.
    """

    peer: str
    state: str
    since: str | None = None
    learned: tuple[str, ...] | None = None
    """Networks that the peer announced; null where nobody tells."""
    source: str | None = None
    """`CalicoNodeStatus`; `connection`: a connection on BGP's port is all that is known; null: the
    daemon itself."""


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was read on one node at one moment. Null where the source is absent, never zero."""

    node: str
    wall_ns: int
    mono_ns: int | None = None
    """CLOCK_MONOTONIC at the same moment."""
    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    fdb: tuple[Neighbour, ...] = ()
    bgp: tuple[BgpSession, ...] | None = None
    kernel: str | None = None
    cpu_model: str | None = None
    machine: str | None = None
    """Maker and product, as the firmware tells them (DMI): `Amazon EC2 c6in.4xlarge`."""
    hypervisor: bool | None = None
    """Whether the CPU says that it is a virtual machine's; null on other architectures than x86."""
    proxy_mode: str | None = None
    """What kube-proxy answers on this node's loopback; null where nobody does."""


class TunnelCount(msgspec.Struct, frozen=True, kw_only=True):
    """Packets through a tunnel on one node.

    `peer` null: the whole device; else that peer only (eBPF).
    """

    node: str
    device: str
    peer: str | None
    tx_packets: int
    rx_packets: int
    tx_bytes: int = 0
    rx_bytes: int = 0


class Verdict(StrEnum):
    """The mode asked for against the mode seen."""

    MATCH = "match"
    FELL_BACK = "fell back"
    MIXED = "mixed"
    UNREACHABLE = "unreachable"
    UNPROVEN = "unproven"


class Method(StrEnum):
    """How a proof was had, strongest first."""

    CAPTURED = "captured"
    COUNTED = "counted"
    ROUTED = "routed"
    CONFIGURED = "configured"


class PairProof(msgspec.Struct, frozen=True, kw_only=True):
    """Proof for one directed pair in one mode.

    `observed` is the encapsulation seen in words of `Mode` (`ipip`), or `ipip out, bgp back` when
    the directions differ. `route_origin` says who programmed the route (`BIRD`, `Felix`, `kernel`).
    `evidence` holds what the verdict rests on, readable as it stands.
    """

    src: str
    dst: str
    mode: Mode
    verdict: Verdict
    method: Method
    observed: str | None
    route_origin: str | None = None
    warnings: tuple[str, ...] = ()
    evidence: dict[str, str | int | float | None] = {}


class ArmProof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of a whole arm: the pairs' verdicts drawn together."""

    mode: Mode
    verdict: Verdict
    method: Method
    observed: str | None
    route_origin: str | None
    pairs_matched: int
    pairs_total: int
    pairs: tuple[PairProof, ...] = ()
    warnings: tuple[str, ...] = ()
