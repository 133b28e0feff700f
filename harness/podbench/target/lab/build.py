"""Makes nodes, the underlay between them and pods behind them, as kernel objects, by netlink.

                     underlay: br0 172.18.0.1
              n1 ─────────┴───────── n2              veth pairs; `eth0` at the node's end
    n1: eth0 172.18.0.2                   n2: eth0 172.18.0.3
        cali… ── eth0 n1-vxlan 10.…           one namespace per pod, one pod per mode

Calico: the pod has a /32 and the gateway 169.254.1.1, for which the node answers by proxy ARP; the
node has a /32 route to the pod. Flannel: the pods of a node hang on the bridge cni0. What carries
pod packets between nodes (`vxlan`, `bird`, `ipip`) is laid on top and not known here.
"""

import time
from ipaddress import IPv4Address
from typing import Any

from podbench.cni.base import Pool
from podbench.model.errors import LabError
from podbench.model.nodes import LabOptions
from podbench.target.lab import layout, namespaces
from podbench.target.lab.inside import with_netlink
from podbench.target.lab.layout import NodePlan, PodPlan

RT_SCOPE_LINK = 253
UNDERLAY_S = 10.0
NUD_PERMANENT = 0x80
FELIX_PROTOCOL = 80
"""Felix' DeviceRouteProtocol, its default."""


def index(netlink: Any, device: str) -> int:
    """A device's number, in the namespace that `netlink` was opened in.

    Raises:
        LabError: There is no such device.
    """
    found = netlink.link_lookup(ifname=device)
    if not found:
        raise LabError(f"there is no device {device}")
    return int(found[0])


def underlay(options: LabOptions) -> None:
    """Makes the underlay's namespace with its bridge.

    Raises:
        LabError: The kernel refuses.
    """
    namespaces.create(layout.UNDERLAY)
    # It switches frames and answers for its own address; it must never route for the nodes.
    namespaces.configure(layout.UNDERLAY, {"ipv4/ip_forward": "0"})

    def work(netlink: Any) -> None:
        netlink.link("add", ifname=layout.BRIDGE, kind="bridge", mtu=options.underlay_mtu)
        bridge = index(netlink, layout.BRIDGE)
        address, _, prefix = layout.gateway().partition("/")
        netlink.addr("add", index=bridge, address=address, prefixlen=int(prefix))
        netlink.link("set", index=bridge, state="up")

    with_netlink(layout.UNDERLAY, work)


def node(plan: NodePlan, options: LabOptions) -> None:
    """Makes one node and plugs it into the underlay.

    Raises:
        LabError: The kernel refuses.
    """
    namespaces.create(plan.name)
    namespaces.configure(
        plan.name,
        # A node routes. all.rp_filter is the lower bound for every device: 0, so that Calico's
        # strict check applies to the pods' links alone (felix, endpoint manager).
        {
            "ipv4/ip_forward": "1",
            "ipv4/conf/all/rp_filter": "0",
            "ipv4/conf/default/rp_filter": "0",
        },
    )

    def plug(netlink: Any) -> None:
        netlink.link(
            "add",
            ifname=plan.name,
            kind="veth",
            mtu=options.underlay_mtu,
            peer={
                "ifname": layout.UPLINK,
                "net_ns_fd": plan.name,
                "address": plan.mac,
                "mtu": options.underlay_mtu,
            },
        )
        port = index(netlink, plan.name)
        netlink.link("set", index=port, master=index(netlink, layout.BRIDGE), state="up")

    def address(netlink: Any) -> None:
        uplink = index(netlink, layout.UPLINK)
        gateway, _, prefix = layout.gateway().partition("/")
        netlink.addr("add", index=uplink, address=plan.address, prefixlen=int(prefix))
        netlink.link("set", index=uplink, state="up")
        # Proxy ARP answers for 169.254.1.1 only where the node has some route to it.
        netlink.route("add", dst="default", gateway=gateway, oif=uplink)

    with_netlink(layout.UNDERLAY, plug)
    with_netlink(plan.name, address)


def await_underlay(count: int) -> None:
    """Returns once the bridge forwards to all `count` nodes; before, packets just vanish.

    The kernel may take a second from a link's being up to its bridge port's forwarding (it gathers
    carrier changes, net/core/link_watch.c).

    Raises:
        LabError: Some port does not forward after 10 s.
    """

    def work(netlink: Any) -> None:
        deadline = time.monotonic() + UNDERLAY_S
        while sum(_forwards(link) for link in netlink.get_links()) < count:
            if time.monotonic() > deadline:
                raise LabError(f"the underlay does not forward after {UNDERLAY_S:g} s")
            time.sleep(0.02)

    with_netlink(layout.UNDERLAY, work)


def _forwards(link: Any) -> bool:
    """Whether a device is a bridge port in the state `forwarding` (3, linux/if_bridge.h)."""
    info = link.get_attr("IFLA_LINKINFO")
    data = info.get_attr("IFLA_INFO_SLAVE_DATA") if info is not None else None
    return data is not None and data.get_attr("IFLA_BRPORT_STATE") == 3


def pod(plan: PodPlan, pool: Pool, layout_name: str) -> None:
    """Makes one pod behind its node.

    Raises:
        LabError: The kernel refuses.
    """
    namespaces.create(plan.name)
    calico = layout_name == "calico"

    def plug(netlink: Any) -> None:
        netlink.link(
            "add",
            ifname=plan.host_device,
            kind="veth",
            mtu=pool.pod_mtu,
            address=layout.CALI_MAC if calico else layout.mac(plan.address, "02:fe"),
            peer={
                "ifname": layout.UPLINK,
                "net_ns_fd": plan.name,
                "address": layout.mac(plan.address, "0a:58"),
                "mtu": pool.pod_mtu,
            },
        )

    with_netlink(plan.node.name, plug)
    if calico:
        _calico_host_end(plan)
    else:
        _flannel_host_end(plan, pool)
    _pod_end(plan, pool, calico=calico)
    if calico and not namespaces.offers(plan.node.name, f"ipv4/neigh/{plan.host_device}"):
        _know_gateway(plan)


def _calico_host_end(plan: PodPlan) -> None:
    scope = f"ipv4/conf/{plan.host_device}"
    # What Felix sets on every workload's link.
    namespaces.configure(
        plan.node.name,
        {
            f"{scope}/rp_filter": "1",
            f"{scope}/proxy_arp": "1",
            f"{scope}/forwarding": "1",
            f"{scope}/route_localnet": "1",
        },
    )
    at_once = f"ipv4/neigh/{plan.host_device}/proxy_delay"
    if namespaces.offers(plan.node.name, at_once):
        namespaces.configure(plan.node.name, {at_once: "0"})

    def work(netlink: Any) -> None:
        device = index(netlink, plan.host_device)
        netlink.link("set", index=device, state="up")
        # Felix programs the routes to local pods in every mode; the pool's protocol number is that
        # of its routes to peers, which BIRD may own.
        netlink.route(
            "add", dst=f"{plan.address}/32", oif=device, scope=RT_SCOPE_LINK, proto=FELIX_PROTOCOL
        )

    with_netlink(plan.node.name, work)


def _flannel_host_end(plan: PodPlan, pool: Pool) -> None:
    first, _, prefix = plan.block.partition("/")
    address = str(IPv4Address(first) + 1)

    def work(netlink: Any) -> None:
        if not netlink.link_lookup(ifname=layout.FLANNEL_BRIDGE):
            netlink.link("add", ifname=layout.FLANNEL_BRIDGE, kind="bridge", mtu=pool.pod_mtu)
            bridge = index(netlink, layout.FLANNEL_BRIDGE)
            netlink.addr("add", index=bridge, address=address, prefixlen=int(prefix))
            netlink.link("set", index=bridge, state="up")
        bridge = index(netlink, layout.FLANNEL_BRIDGE)
        netlink.link("set", index=index(netlink, plan.host_device), master=bridge, state="up")

    with_netlink(plan.node.name, work)


def _pod_end(plan: PodPlan, pool: Pool, *, calico: bool) -> None:
    def work(netlink: Any) -> None:
        device = index(netlink, layout.UPLINK)
        netlink.link("set", index=device, state="up")
        length = 32 if calico else layout.BLOCK_PREFIX["flannel"]
        netlink.addr("add", index=device, address=plan.address, prefixlen=length)
        gateway = layout.GATEWAY
        if calico:
            netlink.route("add", dst=f"{gateway}/32", oif=device, scope=RT_SCOPE_LINK)
        else:
            gateway = str(IPv4Address(plan.block.partition("/")[0]) + 1)
        netlink.route(
            "add", dst="default", gateway=gateway, oif=device, metrics={"mtu": pool.pod_mtu}
        )

    with_netlink(plan.name, work)


def _know_gateway(plan: PodPlan) -> None:
    """Tells a pod its gateway's Ethernet address.

    Old kernels (5.10) keep the neighbour settings from user namespaces; with the default one the
    node would answer ARP up to 0.8 s late.
    """

    def work(netlink: Any) -> None:
        netlink.neigh(
            "replace",
            ifindex=index(netlink, layout.UPLINK),
            dst=layout.GATEWAY,
            lladdr=layout.CALI_MAC,
            state=NUD_PERMANENT,
        )

    with_netlink(plan.name, work)


def remove_pod(plan: PodPlan) -> None:
    """Takes a pod away, with its link and the route to it; idempotent.

    Raises:
        LabError: The kernel refuses.
    """
    remove_device(plan.node.name, plan.host_device)
    namespaces.destroy(plan.name)


def remove_device(netns: str, device: str) -> None:
    """Deletes a device with everything that hangs on it; idempotent.

    Raises:
        LabError: The kernel refuses.
    """

    def work(netlink: Any) -> None:
        for number in netlink.link_lookup(ifname=device):
            netlink.link("del", index=number)

    with_netlink(netns, work)
