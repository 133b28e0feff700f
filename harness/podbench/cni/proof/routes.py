"""Which encapsulation a node's route leads to, and who programmed it. Pure functions of facts.

The words for an encapsulation are those of `Mode` where it has one (`vxlan`, `ipip`), else the
kernel's kind of device (`gre`, `wireguard`); `PLAIN` packets cross the underlay as they are.
"""

from collections.abc import Collection, Sequence

import msgspec

from podbench.model.arms import Mode
from podbench.model.facts import BgpSession, Link, NodeFacts, Route

PLAIN = "plain"

TUNNEL_KINDS: dict[str, str] = {
    # IFLA_INFO_KIND of devices that wrap packets -> what they put on the wire.
    "vxlan": Mode.VXLAN,
    "ipip": Mode.IPIP,
    "gre": "gre",
    "gretap": "gre",
    "erspan": "erspan",
    "geneve": "geneve",
    "wireguard": "wireguard",
    "tun": "tun",  # a program in user space, such as Flannel's backend udp
    "sit": "sit",
    "ip6tnl": "ip6tnl",
    "ip6gre": "ip6gre",
    "xfrm": "ipsec",
    "vti": "ipsec",
}

DEFAULT = "0.0.0.0/0"

SWITCHES = frozenset({"openvswitch"})
"""Kinds of devices behind which a switch decides, not the kernel's routes: Antrea's, OVN's."""
PROGRAMMED = frozenset({"cilium_host", "cilium_net"})
"""Devices at which an eBPF program decides; Cilium routes to other nodes' pods through the first
in tunnel mode. Source: cilium/cilium, pkg/datapath/linux."""

BOOT, BIRD, FELIX = 3, 12, 80
PROTOCOLS: dict[int, str] = {
    # rtm_protocol, linux/rtnetlink.h; 80 is Felix's default (DeviceRouteProtocol).
    2: "kernel",
    BOOT: "boot",
    4: "static",
    BIRD: "BIRD",
    FELIX: "Felix",
    186: "BGP daemon",
}


DEVICE_OWNERS = {
    # Beginning of a tunnel's name -> who lays routes to it. Felix leaves VXLAN's without a protocol
    # of their own, flanneld all of its own: the kernel keeps both as `boot`. Source:
    # projectcalico/calico, felix/dataplane/linux/vxlan_mgr.go (deviceRouteProtocol, by default
    # RTPROT_BOOT: "routes are identified by their target interface").
    "vxlan.calico": "Felix",
    "vxlan-v6.calico": "Felix",
    "wireguard.cali": "Felix",
    "flannel": "Flannel",
}


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """Packets through one device of one node, or through it to one peer (`peer` not null)."""

    node: str
    device: str
    encapsulation: str
    peer: str | None
    tx_packets: int
    rx_packets: int
    tx_bytes: int = 0
    rx_bytes: int = 0


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of a pair as the sending node's kernel would send it."""

    src: str
    dst: str
    src_address: str
    """The pod probed from, and below the pod probed to."""
    dst_address: str
    own: str
    peer: str
    """The sending and the receiving node's address on the underlay."""
    route: Route | None
    """The kernel's answer; null: nobody could ask."""
    device: str | None
    """The underlay's, by which plain packets leave; null: not known."""
    via: str | None
    """What the route, with its neighbour and forwarding entry, leads to; null: unknown."""
    note: str | None = None
    """What is odd about the route, in one sentence."""
    session_up: bool | None = None
    """BGP between the two nodes: false when either end says it is down, null when nobody knows."""

    @property
    def reachable(self) -> bool:
        """Whether the kernel has a route at all; true when nobody could ask."""
        return self.route is None or self.route.type in ("unicast", "local")


def resolve(
    route: Route,
    facts: NodeFacts,
    peer: str,
    per_peer: Sequence[Counter],
    also: Collection[str] = (),
) -> tuple[str | None, str | None]:
    """The encapsulation a route leads to, and what is odd about it.

    A tunnel device counts only when the chain behind it ends at the peer: gateway -> permanent
    neighbour -> forwarding entry -> the peer's underlay address for VXLAN, the gateway itself for
    IPIP. A route over the underlay is plain, but for a pool that a program at the device wraps
    (`per_peer`): there the route says nothing, and only that program's counters for the peer do.

    Args:
        route: The sending node's answer for the remote pod's address.
        facts: The sending node.
        peer: The receiving node's underlay address.
        per_peer: Both nodes' counters of the asked pool's per-peer tunnel; empty for devices.
        also: Other addresses of the receiving node (`others`): a CNI may use another of its NICs.

    Returns:
        The encapsulation, null where the route alone does not say; the oddity, null where none.
    """
    link = next((each for each in facts.links if each.name == route.device), None)
    if (silent := _says_nothing(route, link)) is not None:
        return None, silent
    kind = PLAIN if link is None else _wraps(link)
    if kind == Mode.VXLAN:
        return _through_vxlan(route, facts, (peer, *also))
    if kind == PLAIN and route.dst == DEFAULT:
        return None, "only the default route leads there: whether it arrives, it does not say"
    if kind == PLAIN and per_peer:
        return _through_program(per_peer)
    if route.gateway not in (None, peer, *also):
        return kind, f"the route's gateway is {route.gateway}, not the peer {peer}"
    return kind, None


def leaves_by(route: Route | None, facts: NodeFacts, own: str) -> str | None:
    """The underlay device whose counter rises with plain packets; null where none is known.

    The route's device where that is no tunnel; else (and where nobody asked for a route) the one
    that has the node's address: what a tunnel wraps leaves by it too.
    """
    if route is not None and route.device is not None:
        link = next((each for each in facts.links if each.name == route.device), None)
        wraps = link is not None and _wraps(link) != PLAIN
        if not wraps and not _opaque(route, link):
            return route.device
    for each in facts.links:
        if any(address.partition("/")[0] == own for address in each.addresses):
            return each.name
    return None


def _opaque(route: Route, link: Link | None) -> bool:
    return route.device in PROGRAMMED or (link is not None and link.kind in SWITCHES)


def _says_nothing(route: Route, link: Link | None) -> str | None:
    """Why a route does not lead to an encapsulation; null where it may."""
    if route.type != "unicast" or route.device is None:
        return f"the route is of type {route.type}"
    if _opaque(route, link):
        return f"the route leads into {route.device}: what is behind it, routes do not say"
    return None


def _wraps(link: Link) -> str:
    return TUNNEL_KINDS.get(link.kind or "", PLAIN)


def _through_program(per_peer: Sequence[Counter]) -> tuple[str | None, str | None]:
    if all(each.tx_packets > 0 and each.rx_packets > 0 for each in per_peer):
        return per_peer[0].encapsulation, None
    return None, "the route shows the underlay, and the tunnel has counted nothing for the peer yet"


def _through_vxlan(
    route: Route, facts: NodeFacts, peers: Sequence[str]
) -> tuple[str | None, str | None]:
    hop = route.gateway or route.dst.partition("/")[0]
    lladdr = next(
        (
            each.lladdr
            for each in facts.neighbours
            if each.device == route.device and each.address == hop
        ),
        None,
    )
    if lladdr is None:
        return None, f"{route.device} has no neighbour entry for {hop}"
    ends = [
        each.address
        for each in facts.fdb
        if each.device == route.device and each.lladdr == lladdr and each.address is not None
    ]
    if not ends:
        return None, f"{route.device} has no forwarding entry for {lladdr}"
    if not set(peers) & set(ends):
        return Mode.VXLAN, f"the forwarding entry leads to {ends[0]}, not to the peer {peers[0]}"
    return Mode.VXLAN, None


def others(there: NodeFacts, here: NodeFacts) -> frozenset[str]:
    """A node's own addresses that another node has not, on whatever NIC; tunnels' are none."""
    found: list[set[str]] = []
    for facts in (there, here):
        links = [each for each in facts.links if each.name != "lo" and _wraps(each) == PLAIN]
        found.append({text.partition("/")[0] for each in links for text in each.addresses})
    return frozenset(found[0] - found[1])


def session_up(
    sessions: Sequence[BgpSession] | None, peer: str, also: Collection[str] = ()
) -> bool | None:
    """Whether BGP with a peer is established; null when the daemon could not be asked.

    `also` are the peer's other addresses, which it may peer by.
    """
    if sessions is None:
        return None
    names = {peer, *also}
    return any(each.peer in names and each.state == "Established" for each in sessions)
