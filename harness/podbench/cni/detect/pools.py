"""Calico's IP pools: the encapsulation each asks for, and who programs the routes to its blocks.

Encapsulation comes from the pool's fields alone; the programmer from two settings and the release
(projectcalico/calico, design/cluster-route-programming): VXLAN always Felix; IPIP and plain pools
BIRD up to 3.32, and from 3.33 on Felix for IPIP, BIRD for plain ones.
"""

import msgspec

from podbench.cni.base import Origin
from podbench.cni.detect.facts import Fact, Object, dig, name_of, release, told, unknown
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


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """What decides who programs routes; null where a setting is not set."""

    version: str | None
    felix: str | None
    bird: str | None
    bgp: bool | None
    unread: str | None = None


def pool(each: Object, routing: Routing) -> Pool:
    """Reads an IPPool of either of Calico's groups."""
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
        ours=dig(each, "metadata", "labels", "app.kubernetes.io/managed-by") == "podbench",
    )


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
