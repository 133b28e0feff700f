"""How Calico's routes come about: BGP, its mesh and peers, WireGuard, Felix's own protocol number.

Source: projectcalico/calico, node/filesystem/etc/rc.local, felix/config, api/pkg/apis.
"""

from collections.abc import Sequence

from podbench.cni.detect.calico_settings import (
    Settings,
    calico_objects,
    environment,
    felix,
    unread_reference,
    why_unread,
)
from podbench.cni.detect.facts import ClusterFacts, Fact, Object, dig, name_of, told, unknown

ROUTE_PROTOCOL, BOOT_PROTOCOL = 80, 3
"""Felix marks cluster routes with 80 unless told otherwise; 3, the setting's default, means 80."""


def bgp(at: Settings) -> Fact[bool]:
    """calico-node starts BIRD unless its backend is `none` or `vxlan`.

    Source: projectcalico/calico, node/filesystem/etc/rc.local.
    """
    backend = environment(at, "CALICO_NETWORKING_BACKEND")
    where = f"{at.agent.where}: CALICO_NETWORKING_BACKEND"
    if backend:
        return told(backend not in ("none", "vxlan"), f"{where} is {backend}")
    asked = at.calico_network("bgp")
    if asked is not None:
        return told(asked == "Enabled", f"Installation default, bgp is {asked}")
    if backend is None and (why := unread_reference(at, "CALICO_NETWORKING_BACKEND")) is not None:
        return unknown(f"{where} comes from {why}")
    return told(value=True, source=f"{where} is not set, and BIRD runs by default")


def node_mesh(at: Settings) -> Fact[bool]:
    """Whether every node peers with every other."""
    value = dig(at.bgp, "spec", "nodeToNodeMeshEnabled")
    if value is not None:
        return told(bool(value), "BGPConfiguration default, nodeToNodeMeshEnabled")
    if (why := why_unread(at.facts, "bgpconfigurations")) is not None:
        return unknown(why)
    return told(value=True, source="Calico's default, nodeToNodeMeshEnabled is not set")


def bgp_peers(facts: ClusterFacts) -> Fact[int]:
    """How many BGPPeers there are."""
    if (why := why_unread(facts, "bgppeers")) is not None:
        return unknown(why)
    return told(len(calico_objects(facts, "bgppeers")), "BGPPeers")


def wireguard(at: Settings, felixes: Sequence[Object]) -> Fact[bool]:
    """Cluster-wide, or between the nodes that have it each by itself: it takes two."""
    everywhere = felix(at, "wireguardEnabled", default=False)
    some = [name_of(each) for each in felixes if dig(each, "spec", "wireguardEnabled") is True]
    some = [each for each in some if each.startswith("node.")]
    if everywhere.value is False and len(some) > 1:
        return told(value=True, source=f"FelixConfiguration {', '.join(some)}, wireguardEnabled")
    return everywhere


def route_protocol(at: Settings) -> Fact[int]:
    """The protocol number of the routes that Felix programs to blocks without encapsulation."""
    number = felix(at, "deviceRouteProtocol", default=BOOT_PROTOCOL)
    if number.value == BOOT_PROTOCOL:
        return told(ROUTE_PROTOCOL, number.source or "")
    return number
