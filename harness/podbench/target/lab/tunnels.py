"""Carries pod packets between nodes by what the kernel has itself: VXLAN devices or plain routes.

The VXLAN of Calico and of Flannel alike learns nothing: every peer has a static forwarding entry, a
permanent neighbour and a route through its tunnel address (felix, vxlan manager; flannel's vxlan
backend). IPIP is `ipip`'s matter, routes learned by BGP `bird`'s.
"""

from collections.abc import Sequence
from typing import Any

from podbench.cni.base import Pool
from podbench.target.lab import layout
from podbench.target.lab.build import index, remove_device
from podbench.target.lab.inside import with_netlink
from podbench.target.lab.layout import PodPlan
from podbench.wire import rtnetlink

VXLAN_OVERHEAD_BYTES = 50
"""IPv4 20 + UDP 8 + VXLAN 8 + inner Ethernet 14 (RFC 7348 section 5)."""
AF_BRIDGE = 7
NUD_PERMANENT = 0x80
NTF_SELF = 0x2
RTPROT_KERNEL = 2


def lay_vxlan(pool: Pool, own: PodPlan, pods: Sequence[PodPlan], underlay_mtu: int) -> None:
    """Makes a node's VXLAN device and everything that leads to its peers through it.

    Raises:
        LabError: The kernel has no VXLAN, or refuses.
    """
    assert pool.device is not None

    def work(netlink: Any) -> None:
        netlink.link(
            "add",
            ifname=pool.device,
            kind="vxlan",
            vxlan_id=pool.vni,
            vxlan_port=pool.udp_port,
            vxlan_local=own.node.address,
            vxlan_link=index(netlink, layout.UPLINK),
            vxlan_learning=False,
            address=vtep_mac(own),
            mtu=underlay_mtu - VXLAN_OVERHEAD_BYTES,
        )
        device = index(netlink, pool.device or "")
        netlink.addr("add", index=device, address=own.tunnel_address, prefixlen=32)
        netlink.link("set", index=device, state="up")
        for peer in pods:
            if peer.node != own.node:
                _vxlan_peer(netlink, pool, device, peer)

    with_netlink(own.node.name, work)


def vtep_mac(pod: PodPlan) -> str:
    """The Ethernet address of a node's VXLAN device."""
    return layout.mac(pod.node.address, "66:00")


def _vxlan_peer(netlink: Any, pool: Pool, device: int, peer: PodPlan) -> None:
    netlink.fdb(
        "append",
        ifindex=device,
        lladdr=vtep_mac(peer),
        dst=peer.node.address,
        state=NUD_PERMANENT,
        flags=NTF_SELF,
    )
    netlink.neigh(
        "replace",
        ifindex=device,
        dst=peer.tunnel_address,
        lladdr=vtep_mac(peer),
        state=NUD_PERMANENT,
    )
    netlink.route(
        "replace",
        dst=peer.block,
        gateway=peer.tunnel_address,
        oif=device,
        proto=pool.route_protocol,
        flags=["onlink"],
    )


def lay_routes(pool: Pool, own: PodPlan, pods: Sequence[PodPlan]) -> None:
    """Routes to the peers' blocks through the peers' own addresses: Flannel's host-gw.

    Raises:
        LabError: The kernel refuses.
    """

    def work(netlink: Any) -> None:
        uplink = index(netlink, layout.UPLINK)
        for peer in pods:
            if peer.node != own.node:
                netlink.route(
                    "replace",
                    dst=peer.block,
                    gateway=peer.node.address,
                    oif=uplink,
                    proto=pool.route_protocol,
                )

    with_netlink(own.node.name, work)


def lay_blackhole(pool: Pool, own: PodPlan) -> None:
    """What belongs to the node's own block but to no pod goes nowhere (felix does so).

    Raises:
        LabError: The kernel refuses.
    """

    def work(netlink: Any) -> None:
        netlink.route("replace", dst=own.block, type="blackhole", proto=pool.route_protocol)

    with_netlink(own.node.name, work)


def remove(pool: Pool, own: PodPlan, pods: Sequence[PodPlan]) -> None:
    """Takes a node's tunnel device and all routes to the pool's blocks away; idempotent.

    Raises:
        LabError: The kernel refuses.
    """
    if pool.device is not None:
        remove_device(own.node.name, pool.device)
    blocks = {pod.block for pod in pods}

    def work(netlink: Any) -> None:
        for route in rtnetlink.programmed(netlink):
            # The kernel's own route to Flannel's bridge goes with the bridge's address.
            ours = route["proto"] != RTPROT_KERNEL
            if ours and f"{route.get_attr('RTA_DST')}/{route['dst_len']}" in blocks:
                netlink.route("del", **_key(route))

    with_netlink(own.node.name, work)


def _key(route: Any) -> dict[str, Any]:
    key = {
        "dst": f"{route.get_attr('RTA_DST')}/{route['dst_len']}",
        "proto": route["proto"],
        "type": route["type"],
        "table": route.get_attr("RTA_TABLE"),
    }
    metric = route.get_attr("RTA_PRIORITY")
    return key if metric is None else {**key, "priority": metric}
