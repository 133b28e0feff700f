"""Calico's IP pools: the encapsulation each asks for, and who programs the routes to its blocks.

Encapsulation comes from the pool's fields alone; the programmer from two settings and the release
(projectcalico/calico, design/cluster-route-programming): VXLAN always Felix; IPIP and plain pools
BIRD up to 3.32, and from 3.33 on Felix for IPIP, BIRD for plain ones.
"""

from collections.abc import Sequence

import msgspec

from podbench.cni.base import Origin
from podbench.cni.detect.facts import Fact, Object, dig, name_of, release, told, unknown
from podbench.cni.detect.selectors import selects
from podbench.model.arms import Mode

FELIX_HAS_IPIP = (3, 33)
"""From this release on Felix programs IPIP's routes unless told otherwise."""
CLASSES: dict[str, frozenset[Mode]] = {
    # Both settings' values: the pools whose routes the component programs.
    "Disabled": frozenset(),
    "EnabledIPIPOnly": frozenset({Mode.IPIP}),
    "EnabledNoEncapOnly": frozenset({Mode.BGP}),
    "Enabled": frozenset({Mode.IPIP, Mode.BGP}),
}


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """One of the cluster's pools. `cross_subnet`: encapsulated between subnets only."""

    name: str
    cidr: str
    mode: Mode
    cross_subnet: bool
    origin: Fact[Origin]
    """Who programs routes to its blocks; for `cross_subnet` within a subnet as well."""
    block_size: int | None
    nat_outgoing: bool
    disabled: bool
    assignment: str
    """`Automatic` or `Manual`."""
    node_selector: str
    exported: bool
    """Whether BGP peers learn its routes."""
    ours: bool
    """Made by podbench, by this run or an earlier one."""
    uses: tuple[str, ...] = ("Workload", "Tunnel")
    """What its addresses are for."""
    tunnels: bool = False
    """Whether every node gets the address of its tunnel of this encapsulation from it."""
    unused: str | None = None
    """Why pods that name no pool get no address of it; null where they do."""

    @property
    def usual(self) -> bool:
        """Whether pods that name no pool get addresses of it. podbench probes IPv4."""
        return self.unused is None


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """What decides who programs routes; null where a setting is not set."""

    version: str | None
    felix: str | None
    bird: str | None
    bgp: bool | None
    unread: str | None = None


def pool(each: Object, routing: Routing, nodes: Sequence[Object] = ()) -> Pool:
    """Reads an IPPool of either of Calico's groups.

    Args:
        each: The IPPool.
        routing: What decides who programs its routes.
        nodes: The cluster's nodes, which its selector is held against; empty: not known.
    """
    vxlan = dig(each, "spec", "vxlanMode") or "Never"
    ipip = dig(each, "spec", "ipipMode") or "Never"
    mode = Mode.VXLAN if vxlan != "Never" else Mode.IPIP if ipip != "Never" else Mode.BGP
    size = dig(each, "spec", "blockSize")
    return Pool(
        name=name_of(each),
        cidr=str(dig(each, "spec", "cidr") or ""),
        mode=mode,
        cross_subnet="CrossSubnet" in {vxlan, ipip},
        origin=origin(mode, routing),
        block_size=None if size is None else int(size),
        nat_outgoing=bool(dig(each, "spec", "natOutgoing")),
        disabled=bool(dig(each, "spec", "disabled")),
        assignment=str(dig(each, "spec", "assignmentMode") or "Automatic"),
        node_selector=str(dig(each, "spec", "nodeSelector") or "all()"),
        exported=not dig(each, "spec", "disableBGPExport"),
        ours=_ours(each),
        uses=tuple(map(str, dig(each, "spec", "allowedUses") or ("Workload", "Tunnel"))),
        tunnels=_tunnels(each, mode, nodes),
        unused=_unused(each, nodes),
    )


def _tunnels(each: Object, mode: Mode, nodes: Sequence[Object]) -> bool:
    """Source: projectcalico/calico, node/pkg/allocateip/allocateip.go (determineEnabledPoolCIDRs).

    Without such a pool a node's vxlan.calico gets no address, and Felix configures no such device.
    """
    selector = str(dig(each, "spec", "nodeSelector") or "all()")
    going = dig(each, "spec", "disabled") or dig(each, "metadata", "deletionTimestamp")
    return (
        mode in (Mode.VXLAN, Mode.IPIP)
        and not going
        and ":" not in str(dig(each, "spec", "cidr") or "")
        and "Tunnel" in (dig(each, "spec", "allowedUses") or ("Workload", "Tunnel"))
        and bool(nodes)
        and all(selects(selector, dig(node, "metadata", "labels") or {}) for node in nodes)
    )


def _ours(each: Object) -> bool:
    return bool(dig(each, "metadata", "labels", "app.kubernetes.io/managed-by") == "podbench")


def _unused(each: Object, nodes: Sequence[Object]) -> str | None:
    """Why pods that name no pool get no IPv4 address of this one.

    Source: projectcalico/calico, libcalico-go/lib/ipam/ipam.go (determinePools, filterPoolsByUse)
    and lib/clientv3/ippool.go, whose defaults stand for what is not set.
    """
    uses = dig(each, "spec", "allowedUses") or ("Workload", "Tunnel")
    selector = str(dig(each, "spec", "nodeSelector") or "all()")
    answers = [selects(selector, dig(node, "metadata", "labels") or {}) for node in nodes]
    reasons = (
        (_ours(each), "podbench made it"),
        (dig(each, "metadata", "deletionTimestamp"), "it is being deleted"),
        (dig(each, "spec", "disabled"), "it is disabled"),
        (":" in str(dig(each, "spec", "cidr") or ""), "it is an IPv6 pool"),
        (
            dig(each, "spec", "assignmentMode") == "Manual",
            "assignmentMode Manual: for pods that name it",
        ),
        ("Workload" not in uses, f"allowedUses {', '.join(map(str, uses))}: not for pods"),
        (
            bool(answers) and all(answer is False for answer in answers),
            f"no node matches its nodeSelector {selector}",
        ),
        (
            dig(each, "spec", "namespaceSelector") not in (None, "", "all()"),
            "namespaceSelector: for some namespaces only",
        ),
    )
    return next((why for holds, why in reasons if holds), None)


def origin(mode: Mode, routing: Routing) -> Fact[Origin]:
    """Who programs the routes to a pool of this mode."""
    if mode == Mode.VXLAN:
        return told(Origin.FELIX, "Felix programs every VXLAN pool's routes")
    if routing.unread is not None:
        return unknown(routing.unread)
    felix = _has(mode, routing.felix, routing.version, by_felix=True)
    bird = _has(mode, routing.bird, routing.version, by_felix=False)
    match felix, bird:
        case (None, _) | (_, None):
            why = "programClusterRoutes is not set, and its default depends on the release"
        case (True, True):
            why = "programClusterRoutes gives these routes to both Felix and BIRD"
        case (False, False):
            why = "programClusterRoutes gives these routes to nobody"
        case (False, True) if routing.bgp is False:
            why = "BGP is off here, and BIRD with it: nobody programs these routes"
        case _:
            stated = routing.felix is not None or routing.bird is not None
            where = "programClusterRoutes" if stated else "the release's default"
            return told(Origin.FELIX if felix else Origin.BIRD, where)
    return unknown(why)


def _has(mode: Mode, setting: str | None, version: str | None, *, by_felix: bool) -> bool | None:
    """Whether a component programs a class of pools; null if the release would have to be known."""
    if setting in CLASSES:
        return mode in CLASSES[setting]
    number = release(version) if version is not None else None
    if mode == Mode.BGP:
        # The same in every release.
        return not by_felix
    if number is None:
        return None
    return (number >= FELIX_HAS_IPIP) == by_felix
