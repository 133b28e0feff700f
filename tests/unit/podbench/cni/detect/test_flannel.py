"""Flannel: its backend as asked for and as nodes have it."""

import json

from support.clusters import cluster

from podbench.cni.detect.cluster import detect_cluster
from podbench.cni.detect.facts import ClusterFacts
from podbench.cni.detect.flannel import FlannelDetected
from podbench.model.arms import Mode


def _flannel(facts: ClusterFacts) -> FlannelDetected:
    found = detect_cluster(facts).flannel
    assert found is not None
    return found


def _nodes(**backends: str) -> ClusterFacts:
    """Nodes with flanneld's note, as inside k3s: no DaemonSet."""
    nodes = tuple(
        {
            "metadata": {
                "name": name,
                "annotations": {"flannel.alpha.coreos.com/backend-type": backend},
            }
        }
        for name, backend in backends.items()
    )
    return ClusterFacts(objects={"nodes": nodes, "daemonsets.apps": (), "configmaps": ()})


def _asking(backend: dict[str, object]) -> ClusterFacts:
    text = json.dumps({"Network": "10.244.0.0/16", "Backend": backend})
    conf = {"metadata": {"name": "kube-flannel-cfg"}, "data": {"net-conf.json": text}}
    image = {"image": "ghcr.io/flannel-io/flannel:v0.27.3"}
    agent = {
        "metadata": {"name": "kube-flannel-ds"},
        "spec": {"template": {"spec": {"containers": [image]}}},
    }
    return ClusterFacts(
        objects={"nodes": (), "daemonsets.apps": (agent,), "configmaps": (conf,)},
    )


def test_the_recorded_cluster() -> None:
    """VXLAN by its ConfigMap and by every node; number and port are Flannel's own."""
    found = _flannel(cluster("flannel-vxlan"))
    assert found.backend.value == "vxlan"
    assert found.mode == Mode.VXLAN
    assert found.vni.value == 1
    assert found.udp_port.value == 8472
    assert found.udp_port.source == "Flannel's default on Linux, Port is not set"
    assert found.direct_routing.value is False
    assert found.network.value == "10.244.0.0/16"
    assert found.nftables.value is False
    assert found.node_backends == {"n1": "vxlan", "n2": "vxlan", "n3": "vxlan"}


def test_settings_of_a_backend() -> None:
    """Canal's: what nodes have noted comes before what is asked for."""
    found = _flannel(cluster("canal-rke2"))
    assert found.vni.value == 1, "the node's own note, not the 7 that was never rolled out"
    assert found.udp_port.value == 4789
    assert found.direct_routing.value is True


def test_host_gateways_have_no_tunnel() -> None:
    """Neither number nor port: said, not defaulted."""
    found = _flannel(_asking({"Type": "host-gw"}))
    assert (found.backend.value, found.mode) == ("host-gw", Mode.HOST_GW)
    assert found.vni.reason == "the backend is host-gw"
    assert found.udp_port.value is None
    assert found.version.value == "0.27.3"


def test_inside_another_program() -> None:
    """k3s runs flanneld itself: nodes tell the backend, nothing the version."""
    facts = _nodes(s1="vxlan", s2="vxlan")
    found = _flannel(facts)
    assert found.backend.value == "vxlan"
    assert found.version.value is None
    assert found.udp_port.reason == "no ConfigMap holds a net-conf.json"
    assert detect_cluster(facts).cni.value == "flannel"


def test_nodes_that_differ_are_said_to() -> None:
    """A backend is not changed under running workloads: half a change is no mode."""
    found = _flannel(_nodes(s1="vxlan", s2="host-gw"))
    assert found.backend.reason == "nodes differ: host-gw, vxlan"
    assert found.mode is None


def test_a_setting_that_was_not_rolled_out() -> None:
    """ConfigMap and nodes contradict each other."""
    asked = _asking({"Type": "host-gw"})
    both = {**asked.objects, "nodes": _nodes(n1="vxlan").of("nodes")}
    found = _flannel(ClusterFacts(objects=both))
    assert found.backend.value is None
    assert found.backend.reason is not None
    assert "asks for host-gw, the nodes use vxlan" in found.backend.reason


def test_settings_that_cannot_be_read_are_the_reason() -> None:
    """Broken JSON is named with its place."""
    facts = _asking({"Type": "vxlan"})
    broken = {"metadata": {"name": "kube-flannel-cfg"}, "data": {"net-conf.json": "{"}}
    found = _flannel(ClusterFacts(objects={**facts.objects, "configmaps": (broken,)}))
    assert found.backend.value is None
    assert found.backend.reason is not None
    assert found.backend.reason.startswith("ConfigMap kube-flannel-cfg, net-conf.json: ")
