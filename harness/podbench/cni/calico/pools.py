"""Temporary Calico pools beside the cluster's own: which, and when they would harm or lie. Pure.

One pool per mode, named so that its owner shows; `assignmentMode: Manual` gives its addresses to
pods that name it and to no others. Source: Calico's IPPool reference, 3.30.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from podbench.cni.detect.calico import CalicoDetected
from podbench.cni.detect.facts import release
from podbench.cni.detect.pools import FELIX_HAS_IPIP
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError

MANUAL_SINCE = (3, 30)
DEFAULT_CIDR = "198.18.0.0/16"
"""From RFC 2544's block for benchmarks: no cluster's own pools lie there, but it is looked at."""
MODES = (Mode.VXLAN, Mode.IPIP, Mode.BGP)
BLOCK_SIZE = 26
SHARES = 4
"""A quarter of the CIDR each, and the first left free."""


class Planned(msgspec.Struct, frozen=True):
    """One temporary pool. The modes are IPPool's words, `Always` or `Never`."""

    mode: Mode
    name: str
    cidr: str
    ipip_mode: str
    vxlan_mode: str
    uses: tuple[str, ...] = ("Workload", "Tunnel")


def plan(
    cidr: str, modes: Sequence[Mode], calico: CalicoDetected | None = None
) -> tuple[Planned, ...]:
    """The pools for these modes, each in its own quarter of the CIDR.

    Args:
        cidr: The whole.
        modes: Which.
        calico: The cluster's own pools. Where one of these gives every node its tunnel's address
            ours does not; else it has to: without an address Felix makes no VXLAN device.

    Raises:
        ConfigError: The CIDR is none, or too small for blocks on two nodes.
    """
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise ConfigError(f"--pool-cidr: {cidr!r}: {error}", advice="write 198.18.0.0/16") from None
    if network.prefixlen > BLOCK_SIZE - SHARES:
        raise ConfigError(
            f"--pool-cidr: {cidr} is too small: a quarter of it has to hold a /26 for every node",
            advice=f"use a /{BLOCK_SIZE - SHARES} or larger",
        )
    quarters = list(network.subnets(2))[1:]
    places = dict(zip(MODES, quarters, strict=True))
    return tuple(_planned(mode, str(places[mode]), calico) for mode in MODES if mode in modes)


def _planned(mode: Mode, cidr: str, calico: CalicoDetected | None) -> Planned:
    theirs = (calico.pools.value or ()) if calico is not None else ()
    tunnels = any(each.tunnels and each.mode == mode and not each.ours for each in theirs)
    alone = mode in (Mode.VXLAN, Mode.IPIP) and not tunnels
    return Planned(
        mode,
        f"podbench-{mode}",
        cidr,
        "Always" if mode == Mode.IPIP else "Never",
        "Always" if mode == Mode.VXLAN else "Never",
        ("Workload", "Tunnel") if alone else ("Workload",),
    )


def overlaps(cidr: str, taken: Mapping[str, Iterable[str]]) -> list[str]:
    """What of the cluster's own lies within a CIDR: `IPPool default 198.18.0.0/15`.

    Args:
        cidr: Ours.
        taken: Networks or addresses by whose they are; IPv6 and what is no network is passed over.
    """
    ours = ipaddress.IPv4Network(cidr)
    found = []
    for whose, networks in taken.items():
        for text in networks:
            try:
                network = ipaddress.ip_network(text, strict=False)
            except ValueError:
                continue
            # A default route covers everything and takes nothing.
            if network.version == 4 and network.prefixlen > 0 and ours.overlaps(network):
                found.append(f"{whose} {text}")
    return found


def overlapping(cidr: str, taken: Mapping[str, Iterable[str]]) -> str | None:
    """Why temporary pools cannot be within a CIDR; null where nothing of the cluster's is there."""
    found = overlaps(cidr, taken)
    if not found:
        return None
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return f"--pool-cidr {cidr} overlaps {', '.join(found[:3])}{more}; name another"


def routed(cidr: str, routes: Mapping[str, Iterable[str]]) -> list[str]:
    """Routes that lead to a CIDR as a whole: whoever has one may use its addresses.

    Args:
        cidr: Ours.
        routes: Destinations by node. Narrower ones than ours are the pools' own blocks by now.
    """
    own = ipaddress.IPv4Network(cidr).prefixlen
    wide = {
        f"a route of {node} to": [dst for dst in dsts if 0 < _length(dst) <= own]
        for node, dsts in routes.items()
    }
    return overlaps(cidr, wide)


def _length(destination: str) -> int:
    """Of a destination's prefix; 0 for a default route and for what is no network."""
    try:
        return ipaddress.ip_network(destination, strict=False).prefixlen
    except ValueError:
        return 0


def refusals(calico: CalicoDetected, *, allow_bgp_export: bool) -> dict[Mode, str]:
    """Why temporary pools of each mode would harm or lie here; modes that can be had are not in it.

    The one judgement that doctor, plan and run draw from.
    """
    found = {mode: refusal(mode, calico, allow_bgp_export=allow_bgp_export) for mode in MODES}
    return {mode: reason for mode, reason in found.items() if reason is not None}


def refusal(mode: Mode, calico: CalicoDetected, *, allow_bgp_export: bool) -> str | None:
    """Why a temporary pool of a mode would harm or lie here; null where it would not."""
    return (
        _meaningless(calico)
        or _harm(calico, allow_bgp_export=allow_bgp_export)
        or unroutable(mode, calico)
    )


def _meaningless(calico: CalicoDetected) -> str | None:
    """Why packets would not go by a pool, whatever it says."""
    if not calico.carries:
        return "Calico enforces policy only here, another CNI carries the packets"
    if calico.wireguard.value:
        return (
            f"WireGuard is on ({calico.wireguard.source}): packets between nodes take it, whatever"
            " a pool says, so that all modes would be one"
        )
    if calico.ipam.value not in (None, "calico-ipam"):
        return (
            f"pods get their addresses from {calico.ipam.value} ({calico.ipam.source}), which"
            " knows no pools"
        )
    if calico.pools.value and all(":" in each.cidr for each in calico.pools.value):
        return "all pools are IPv6's: IPv6-only clusters cannot be measured"
    return None


def _harm(calico: CalicoDetected, *, allow_bgp_export: bool) -> str | None:
    number = release(calico.version.value) if calico.version.value else None
    if number is None:
        return (
            f"Calico's release is not known ({calico.version.reason}), and before 3.30 others' "
            "pods could get addresses of a temporary pool"
        )
    if number < MANUAL_SINCE:
        return (
            f"Calico {calico.version.value} has no assignmentMode (3.30 has): other pods could "
            "get addresses of a temporary pool"
        )
    return _unserved(calico) or _export(calico, allowed=allow_bgp_export)


def _unserved(calico: CalicoDetected) -> str | None:
    """Why pools cannot be made through Calico's API: only that releases their addresses again.

    Source: projectcalico/calico, libcalico-go/lib/clientv3/ippool.go (Delete: disable the pool,
    release its blocks' affinities, delete); a bare object of crd.projectcalico.org/v1 has none of
    it, and its validation is not in the CustomResourceDefinition either.
    """
    if calico.api.value in ("aggregated", "crd"):
        return None
    if calico.api.value is None:
        return f"whether projectcalico.org/v3 is served is not known: {calico.api.reason}"
    return (
        "projectcalico.org/v3 is not served: pools are made and removed through it only. Install"
        f" Calico's API server (manifests/apiserver.yaml of v{calico.version.value}, and its"
        " certificate: 'Install the Calico API server' in Calico's documentation)"
    )


def _export(calico: CalicoDetected, *, allowed: bool) -> str | None:
    if calico.bgp_peers.value is None:
        return f"whether there are BGPPeers is not known: {calico.bgp_peers.reason}"
    if calico.bgp_peers.value > 0 and not allowed:
        return (
            f"{calico.bgp_peers.value} BGPPeers would learn the temporary pools' routes; "
            "--allow-bgp-export accepts that"
        )
    return None


def unroutable(mode: Mode, calico: CalicoDetected) -> str | None:
    """Why nobody would program a mode's routes here; null where somebody would."""
    if calico.bgp.value is None:
        return f"whether BGP is on is not known: {calico.bgp.reason}"
    number = release(calico.version.value or "") or (0, 0)
    by_bird = mode == Mode.BGP or (mode == Mode.IPIP and number < FELIX_HAS_IPIP)
    if by_bird and not calico.bgp.value:
        return "BGP is off here"
    if by_bird and calico.node_mesh.value is False:
        return "the node mesh is off here, so nodes may not learn each other's routes"
    return None
