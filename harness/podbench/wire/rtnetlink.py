"""What a kernel says about its network, from rtnetlink messages to facts; nothing is decided here.

The caller opens netlink (pyroute2's IPRoute, which publishes no types) in the namespace it wants to
know about: the lab enters a node's, an agent is in its own. Only IPv4 routes and neighbours are
read: the pools measured are IPv4. Source: linux/rtnetlink.h, net/ipv4/route.c.
"""

import errno
import ipaddress
import os
import socket
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from podbench.model.facts import BgpSession, Flow, Link, Neighbour, NodeFacts, Route, TunnelCount
from podbench.wire import route_question
from podbench.wire.route_question import RTM_F_FIB_MATCH

IFF_UP = 0x1
RTNH_F_ONLINK = 0x4
RTM_F_CLONED = 0x200
"""An exception to a route, such as a path MTU that an ICMP message told. It expires, and nobody
programmed it, but a dump of the table holds it since Linux 5.3 (net/ipv4/fib_trie.c)."""
NUD_PERMANENT = 0x80
AF_BRIDGE = 7
RT_TABLE_MAIN = 254
UNICAST = 1
"""rtm_type of a route that leads to a device."""
ROUTE_TYPES = {
    # rtm_type, linux/rtnetlink.h, in iproute2's words.
    1: "unicast",
    2: "local",
    3: "broadcast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
}
LOOKUP_REFUSALS = {
    # fib_props in net/ipv4/fib_semantics.c: how the kernel answers a lookup that ends in a route of
    # that type; ENETUNREACH means no entry matched at all.
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EINVAL: "blackhole",
    errno.EACCES: "prohibit",
}


def read_facts(netlink: Any, node: str, bgp: tuple[BgpSession, ...] | None = None) -> NodeFacts:
    """Reads one node: all devices, the main table's routes, ARP and VXLAN forwarding entries.

    Raises:
        pyroute2's NetlinkError: The kernel refuses a request; the caller knows where it asked.
    """
    wall_ns, mono_ns = time.time_ns(), time.monotonic_ns()
    links = list(netlink.get_links())
    names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in links}
    addresses = list(netlink.get_addr())
    neighbours = netlink.get_neighbours(family=socket.AF_INET)
    fdb = netlink.get_neighbours(family=AF_BRIDGE)
    return NodeFacts(
        node=node,
        wall_ns=wall_ns,
        mono_ns=mono_ns,
        links=tuple(_link(link, addresses) for link in links),
        routes=tuple(_route(route, names) for route in programmed(netlink)),
        neighbours=tuple(_neighbour(entry, names) for entry in neighbours),
        fdb=tuple(_neighbour(entry, names) for entry in fdb),
        bgp=bgp,
        kernel=os.uname().release,
        cpu_model=cpu_model(),
    )


def lookup(
    netlink: Any, address: str, source: str | None = None, flow: Flow | None = None
) -> Route:
    """Asks the kernel which route a packet to `address` takes, as `ip route get fibmatch` does.

    With `source`, an address of a pod on this node, the question is about a forwarded packet: it
    comes in by the device that leads to that pod, so that policy rules count (`ip route get ADDRESS
    from SOURCE iif DEVICE`). Without such a device it is asked as for the node's own packets. With
    `flow` also by protocol, ports, mark and uid.

    A refusal is an answer: `type` is then `unreachable`, `blackhole` or `prohibit` and, where an
    entry of the table says so, `dst` and `protocol` are that entry's (an unresolved BGP next hop is
    `unreachable`, protocol 12); `dst` is the address itself where nothing matched.

    Raises:
        pyroute2's NetlinkError: The kernel refuses otherwise.
    """
    names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in netlink.get_links()}
    origin = {} if source is None else _forwarded(netlink, source)
    try:
        return _route(route_question.ask(address, flow, **origin), names)
    except NetlinkError as error:
        if error.code not in LOOKUP_REFUSALS:
            raise
        entries = [_route(route, names) for route in programmed(netlink)]
        return _refusal(address, LOOKUP_REFUSALS[error.code], entries)


def programmed(netlink: Any) -> list[Any]:
    """The main table's IPv4 routes, without the kernel's own exceptions to them."""
    table = netlink.get_routes(family=socket.AF_INET, table=RT_TABLE_MAIN)
    return [route for route in table if not route["flags"] & RTM_F_CLONED]


def device_counts(netlink: Any, node: str, device: str) -> tuple[TunnelCount, ...]:
    """A device's packet counters; empty where the device does not exist."""
    return tuple(
        TunnelCount(
            node=node,
            device=device,
            peer=None,
            tx_packets=stats["tx_packets"],
            rx_packets=stats["rx_packets"],
            tx_bytes=stats["tx_bytes"],
            rx_bytes=stats["rx_bytes"],
        )
        for link in netlink.get_links()
        if link.get_attr("IFLA_IFNAME") == device
        for stats in (link.get_attr("IFLA_STATS64"),)
    )


def _forwarded(netlink: Any, source: str) -> dict[str, Any]:
    """What makes a lookup one for a packet from a local pod; empty when no device leads there."""
    own = netlink.route("get", dst=source, flags=RTM_F_FIB_MATCH)[0]
    device = own.get_attr("RTA_OIF")
    local = own["type"] != UNICAST or own.get_attr("RTA_GATEWAY") is not None
    return {} if device is None or local else {"src": source, "iif": device}


def _link(link: Any, addresses: Sequence[Any]) -> Link:
    info = link.get_attr("IFLA_LINKINFO")
    kind = info.get_attr("IFLA_INFO_KIND") if info is not None else None
    data = info.get_attr("IFLA_INFO_DATA") if kind == "vxlan" else None
    stats = link.get_attr("IFLA_STATS64")
    port = data.get_attr("IFLA_VXLAN_PORT") if data is not None else None
    return Link(
        name=link.get_attr("IFLA_IFNAME"),
        kind=kind,
        mtu=link.get_attr("IFLA_MTU"),
        up=bool(link["flags"] & IFF_UP),
        addresses=tuple(
            f"{_own_address(entry)}/{entry['prefixlen']}"
            for entry in addresses
            if entry["index"] == link["index"]
        ),
        tx_packets=stats["tx_packets"],
        rx_packets=stats["rx_packets"],
        tx_bytes=stats["tx_bytes"],
        rx_bytes=stats["rx_bytes"],
        vxlan_id=data.get_attr("IFLA_VXLAN_ID") if data is not None else None,
        vxlan_port=port,
    )


def _own_address(entry: Any) -> str:
    # On a point-to-point device IFA_ADDRESS is the other end's; IPv6 has no IFA_LOCAL.
    return str(entry.get_attr("IFA_LOCAL") or entry.get_attr("IFA_ADDRESS"))


def _route(route: Any, names: dict[int, str]) -> Route:
    hops = route.get_attr("RTA_MULTIPATH") or ()
    # Several next hops: the first stands for the route; no CNI here makes such to a peer's block.
    hop = hops[0] if hops else route
    device = hop["oif"] if hops else route.get_attr("RTA_OIF")
    flags = hop["flags"] if hops else route["flags"]
    metrics = route.get_attr("RTA_METRICS")
    # A default route carries no RTA_DST.
    prefix = route.get_attr("RTA_DST") or ipaddress.IPv4Address(0)
    return Route(
        dst=f"{prefix}/{route['dst_len']}",
        device=names.get(device),
        gateway=hop.get_attr("RTA_GATEWAY"),
        protocol=route["proto"],
        type=ROUTE_TYPES.get(route["type"], str(route["type"])),
        onlink=bool(flags & RTNH_F_ONLINK),
        mtu=metrics.get_attr("RTAX_MTU") if metrics is not None else None,
    )


def _neighbour(entry: Any, names: dict[int, str]) -> Neighbour:
    return Neighbour(
        device=names.get(entry["ifindex"], str(entry["ifindex"])),
        address=entry.get_attr("NDA_DST"),
        lladdr=entry.get_attr("NDA_LLADDR"),
        permanent=bool(entry["state"] & NUD_PERMANENT),
    )


def _refusal(address: str, kind: str, entries: Sequence[Route]) -> Route:
    """The entry behind a refusal: the longest prefix of that type that covers the address."""
    target = ipaddress.ip_address(address)
    covering = [
        (network.prefixlen, entry)
        for entry in entries
        for network in (ipaddress.ip_network(entry.dst),)
        if entry.type == kind and target in network
    ]
    if not covering:
        return Route(dst=address, device=None, type=kind)
    return max(covering, key=lambda pair: pair[0])[1]


@cache
def cpu_model() -> str | None:
    """The first CPU's name from /proc/cpuinfo, null where it has none."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return None
