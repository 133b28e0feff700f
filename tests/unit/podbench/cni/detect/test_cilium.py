"""Cilium: tunnel or routes, Services, encryption, across the names its settings have had."""

import pytest
from support.clusters import cluster

from podbench.cni.detect.cilium import CiliumDetected, detect_cilium
from podbench.cni.detect.cluster import detect_cluster
from podbench.cni.detect.facts import ClusterFacts, unknown
from podbench.model.arms import Mode


def _cilium(name: str) -> CiliumDetected:
    found = detect_cluster(cluster(name)).cilium
    assert found is not None
    return found


def _set(**settings: str) -> CiliumDetected:
    data = {key.replace("_", "-"): value for key, value in settings.items()}
    conf = {"metadata": {"name": "cilium-config"}, "data": data}
    return detect_cilium(ClusterFacts(objects={"configmaps": (conf,)}), unknown("not asked"))


def test_a_tunnel_with_services_and_encryption() -> None:
    """The present names of settings."""
    found = _cilium("cilium-tunnel")
    assert found.version.value == "1.18.2"
    assert (found.routing.value, found.encapsulation.value) == ("tunnel", "vxlan")
    assert (found.mode, found.udp_port.value) == (Mode.VXLAN, 8472)
    assert found.proxy_replacement.value is True
    assert found.encryption.value == "wireguard"
    assert found.load_balancing.value == "hybrid"
    assert found.host_routing.value == "legacy"
    assert found.bandwidth_manager.value is True
    assert found.chained.value == "none"
    assert found.pod_mtu.value is None
    assert found.native_cidr.reason == (
        "ipv4-native-routing-cidr is not set: Cilium decides on each node"
    )


def test_services_are_cilium_s_where_no_kube_proxy_is_seen() -> None:
    """It says so of itself, and nothing contradicts."""
    found = detect_cluster(cluster("cilium-tunnel"))
    assert (found.cni.value, found.version.value) == ("cilium", "1.18.2")
    assert found.proxy.mode.value == "cilium"


def test_an_old_release() -> None:
    """`tunnel: disabled`, a replacement that depends on the node, kube-proxy beside it."""
    found = _cilium("cilium-native-1.13")
    assert (found.routing.value, found.encapsulation.value) == ("native", "native")
    assert found.mode == Mode.NATIVE
    assert found.udp_port.reason == "packets are routed"
    assert found.direct_routes.value is True
    assert found.native_cidr.value == "10.0.0.0/8"
    assert found.proxy_replacement.value is None
    assert found.encryption.value == "ipsec"
    assert found.pod_mtu.value == 8900
    assert detect_cluster(cluster("cilium-native-1.13")).proxy.mode.value == "ipvs"


@pytest.mark.parametrize(
    ("settings", "encapsulation", "mode", "port"),
    [
        ({}, "vxlan", Mode.VXLAN, 8472),
        ({"tunnel": "geneve"}, "geneve", Mode.GENEVE, 6081),
        ({"tunnel_protocol": "geneve", "tunnel_port": "7000"}, "geneve", Mode.GENEVE, 7000),
        ({"routing_mode": "native", "tunnel_protocol": "vxlan"}, "native", Mode.NATIVE, None),
        ({"tunnel_port": "0"}, "vxlan", Mode.VXLAN, 8472),
    ],
)
def test_names_and_defaults_of_the_tunnel(
    settings: dict[str, str], encapsulation: str, mode: Mode | None, port: int | None
) -> None:
    """Old names and new ones; a port that is zero is none."""
    found = _set(**settings)
    assert found.encapsulation.value == encapsulation
    assert found.mode == mode
    assert found.udp_port.value == port


def test_without_its_settings_nothing_is_assumed() -> None:
    """A ConfigMap that may not be read gives reasons, no defaults."""
    facts = ClusterFacts(unread={"configmaps": "forbidden"})
    found = detect_cilium(facts, unknown("not asked"))
    for fact in (found.routing, found.encapsulation, found.proxy_replacement, found.encryption):
        assert fact.value is None
        assert fact.reason == "configmaps: forbidden"
    assert found.mode is None


def test_a_switch_that_is_neither_on_nor_off() -> None:
    """Shown as it stands."""
    assert _set(enable_endpoint_routes="maybe").endpoint_routes.reason == (
        "enable-endpoint-routes is 'maybe'"
    )
