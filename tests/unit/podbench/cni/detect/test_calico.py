"""Calico: installed how, forwarding how, its pools, and who programs their routes."""

import pytest
from support.clusters import cluster

from podbench.cni.base import Origin
from podbench.cni.detect.calico import CalicoDetected
from podbench.cni.detect.cluster import detect_cluster
from podbench.cni.detect.pools import Routing, origin
from podbench.model.arms import Mode


def _calico(name: str) -> CalicoDetected:
    found = detect_cluster(cluster(name)).calico
    assert found is not None
    return found


def test_the_operators_defaults() -> None:
    """Installation, aggregated API, CrossSubnet pool, BGP with its mesh."""
    found = _calico("calico-operator")
    assert found.version.value == "3.31.2"
    assert found.install.value == "operator"
    assert found.api.value == "aggregated"
    assert found.carries
    assert found.dataplane.value == "iptables"
    assert (found.bgp.value, found.node_mesh.value, found.bgp_peers.value) == (True, True, 0)
    assert found.wireguard.value is False
    assert found.node_settings == ("node.ip-10-0-1-5.eu-west-1.compute.internal",)
    assert found.pod_mtu.value == 8951
    assert (found.vxlan_port.value, found.vxlan_vni.value) == (4789, 4096)
    assert found.vxlan_port.source == "DaemonSet calico-system/calico-node: FELIX_VXLANPORT"
    assert found.route_protocol.value == 80
    assert found.pools.value is not None
    (pool,) = found.pools.value
    assert (pool.mode, pool.cross_subnet, pool.origin.value) == (Mode.VXLAN, True, Origin.FELIX)
    assert (pool.assignment, pool.block_size, pool.nat_outgoing) == ("Automatic", 26, True)


def test_a_manifest_installation() -> None:
    """No API of its own, settings in a ConfigMap; Felix's environment beats its configuration."""
    found = _calico("calico-manifest")
    assert found.version.value == "3.28.1"
    assert found.install.value == "manifest"
    assert found.api.value == "none"
    assert found.dataplane.value is None, "FELIX_BPFENABLED=false wins; nftablesMode is not fixed"
    assert found.bgp.value is True
    assert found.node_mesh.value is False
    assert found.bgp_peers.value == 2
    assert found.wireguard.value is True
    assert found.pod_mtu.value == 1440
    assert found.route_protocol.value == 80
    assert found.pools.value is not None
    ipip, plain = found.pools.value
    assert (ipip.mode, ipip.cross_subnet, ipip.origin.value) == (Mode.IPIP, False, Origin.BIRD)
    assert (plain.mode, plain.origin.value) == (Mode.BGP, Origin.BIRD)
    assert (plain.disabled, plain.exported, plain.node_selector) == (True, False, "zone == 'a'")
    assert (plain.block_size, plain.ours) == (None, False)


def test_newer_defaults_without_bgp() -> None:
    """3.33: Felix has IPIP's routes; plain ones are nobody's once BIRD does not run."""
    found = _calico("calico-333-bpf")
    assert found.version.value == "3.33.0"
    assert found.version.source == "ClusterInformation default"
    assert found.install.value == "operator"
    assert found.api.value == "crd"
    assert found.dataplane.value == "bpf"
    assert found.bgp.value is False
    assert found.route_protocol.value == 90
    assert found.pools.value is not None
    ipip, plain, temporary = found.pools.value
    assert (ipip.cross_subnet, ipip.origin.value) == (True, Origin.FELIX)
    assert plain.origin.value is None
    assert plain.origin.reason is not None
    assert "BGP is off" in plain.origin.reason
    assert temporary.ours
    assert temporary.assignment == "Manual"


def test_ebpf_replaces_kube_proxy() -> None:
    """Where no kube-proxy is seen and Calico's eBPF serves Services."""
    assert detect_cluster(cluster("calico-333-bpf")).proxy.mode.value == "calico-bpf"


@pytest.mark.parametrize(
    ("mode", "version", "felix", "bird", "expected"),
    [
        (Mode.IPIP, "3.29.1", None, None, Origin.BIRD),
        (Mode.IPIP, "3.32.9", None, None, Origin.BIRD),
        (Mode.IPIP, "3.33.0", None, None, Origin.FELIX),
        (Mode.BGP, "3.33.0", None, None, Origin.BIRD),
        (Mode.BGP, None, None, None, Origin.BIRD),
        (Mode.IPIP, None, None, None, None),
        (Mode.VXLAN, None, None, None, Origin.FELIX),
        (Mode.BGP, "3.32.0", "Enabled", "Disabled", Origin.FELIX),
        (Mode.IPIP, "3.32.0", "Enabled", "Disabled", Origin.FELIX),
        (Mode.IPIP, "3.33.0", "Disabled", "Enabled", Origin.BIRD),
        (Mode.IPIP, "3.33.0", "EnabledNoEncapOnly", "EnabledIPIPOnly", Origin.BIRD),
        (Mode.BGP, "3.33.0", "EnabledNoEncapOnly", "EnabledIPIPOnly", Origin.FELIX),
        (Mode.BGP, "3.33.0", "Enabled", None, None),  # both: the route flaps
        (Mode.IPIP, "3.33.0", "Disabled", None, None),  # neither
        (Mode.IPIP, "3.33.0", "SomethingNewer", None, Origin.FELIX),
    ],
)
def test_who_programs_the_routes(
    mode: Mode, version: str | None, felix: str | None, bird: str | None, expected: Origin | None
) -> None:
    """By release and by both components' settings, which must agree."""
    found = origin(mode, Routing(version=version, felix=felix, bird=bird, bgp=True))
    assert found.value == expected
    assert (found.reason is None) == (expected is not None)


def test_routes_are_not_guessed_when_settings_were_not_read() -> None:
    """Except VXLAN's, which no setting gives away."""
    routing = Routing(version="3.31.0", felix=None, bird=None, bgp=True, unread="forbidden")
    assert origin(Mode.IPIP, routing).reason == "forbidden"
    assert origin(Mode.VXLAN, routing).value == Origin.FELIX
