"""What kind of network a cluster has: who carries packets, Services, nodes, and what is unknown."""

from typing import Any

import msgspec
import pytest
from support.clusters import cluster
from support.recorded import node_facts

from podbench.cni.detect.cluster import detect_cluster, mode_found
from podbench.cni.detect.facts import WANTED, ClusterFacts
from podbench.cni.detect.nodes import NodeDetected, Tunnel
from podbench.model.arms import Mode
from podbench.model.facts import Link, Nic, NodeFacts

# The fixture of n1 leaves its one pod's interface out; this is it, as recorded.
POD_END = Link(name="vethf83897a1", kind="veth", mtu=1450, up=True)
RECORDED = {node: node_facts("flannel-vxlan", node) for node in ("n1", "n2")}
RECORDED["n1"] = msgspec.structs.replace(RECORDED["n1"], links=(*RECORDED["n1"].links, POD_END))


def _daemonset(image: str, name: str = "agent") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
    }


def _running(*images: str) -> ClusterFacts:
    return ClusterFacts(objects={"daemonsets.apps": tuple(_daemonset(each) for each in images)})


def test_the_recorded_cluster_is_flannel() -> None:
    """A running cluster's objects and nodes: what is known, and why the version is not."""
    found = detect_cluster(cluster("flannel-vxlan", RECORDED))
    assert found.cni.value == "flannel"
    assert found.version.value is None
    assert found.version.reason is not None
    assert "tag local is no version" in found.version.reason
    assert found.kubernetes.value == "1.36.2"
    assert found.policy.value == "none"
    assert found.proxy.mode.value == "iptables"
    assert found.proxy.nodes == {"n1": "iptables"}
    assert found.calico is None
    assert found.cilium is None
    assert "n1: device flannel.1 (VXLAN 1, UDP port 8472)" in found.detected_from


def test_recorded_nodes_are_as_their_agents_read_them() -> None:
    """Interfaces come from the node itself; n2, without pods, and n3, not read, say so."""
    first, second, third = detect_cluster(cluster("flannel-vxlan", RECORDED)).nodes
    assert (first.name, first.kernel.value) == ("n1", "6.18.44-fc-v669")
    assert (first.underlay_device.value, first.underlay_mtu.value) == ("eth0", 1500)
    assert first.pod_mtu.value == 1450
    assert first.tunnels == (
        Tunnel(name="flannel.1", kind="vxlan", mtu=1450, vni=1, udp_port=8472),
    )
    assert first.zone.reason == "the node has no label topology.kubernetes.io/zone"
    assert first.provider.reason == "the node has no providerID"
    assert second.pod_mtu.reason == "no pod's interface is seen on the node"
    assert third.pod_mtu.reason == "no agent has read this node"
    assert third.underlay_mtu.value is None


def _with_nic(kind: str | None, nic: Nic | None) -> NodeDetected:
    link = Link(name="eth0", kind=kind, mtu=9001, up=True, addresses=("10.0.1.5/24",), nic=nic)
    name = "ip-10-0-1-5.eu-west-1.compute.internal"
    read = NodeFacts(
        node=name, wall_ns=0, links=(link,), machine="Amazon EC2 c6in.4xlarge", hypervisor=True
    )
    (node,) = detect_cluster(cluster("calico-operator", {name: read})).nodes
    return node


def test_what_a_driver_says_of_the_underlay() -> None:
    """Speed, queues and offloads; machine and virtualisation from the node itself."""
    nic = Nic(driver="mlx5_core", speed_bps=25_000_000_000, rx_queues=8, offloads=("rx-gro",))
    node = _with_nic(None, nic)
    assert (node.driver.value, node.link_speed_bps.value) == ("mlx5_core", 25_000_000_000)
    assert (node.rx_queues.value, node.offloads.value) == (8, ("rx-gro",))
    assert (node.machine.value, node.virtual.value) == ("Amazon EC2 c6in.4xlarge", True)


def test_a_speed_that_means_nothing_is_none() -> None:
    """A veth device calls itself 10 Gbit/s; a cloud's driver does not know."""
    made_up = Nic(driver="veth", speed_bps=10_000_000_000, rx_queues=1, offloads=())
    assert _with_nic("veth", made_up).link_speed_bps.reason == "eth0 is a veth device, no link"
    silent = Nic(driver="ena", speed_bps=None, rx_queues=8, offloads=())
    assert _with_nic(None, silent).link_speed_bps.reason == "eth0: its driver does not say"
    assert _with_nic(None, None).driver.reason == "eth0: its driver was not asked"


def test_places_and_machines_come_from_labels_and_provider() -> None:
    """As the cloud's controller writes them."""
    (node,) = detect_cluster(cluster("calico-operator")).nodes
    assert node.provider.value == "AWS"
    assert node.region.value == "eu-west-1"
    assert node.zone.value == "eu-west-1a"
    assert node.instance_type.value == "c6in.4xlarge"
    assert node.system.value == "Debian GNU/Linux 12 (bookworm)"
    assert node.runtime.value == "containerd://2.1.4"


def test_old_labels_do_where_new_ones_are_missing() -> None:
    """Names of labels up to Kubernetes 1.16."""
    (node,) = detect_cluster(cluster("eks")).nodes
    assert node.zone.value == "eu-west-1c"
    assert node.instance_type.value == "m5.large"
    assert node.region.value is None


@pytest.mark.parametrize(
    ("image", "name", "version"),
    [
        ("quay.io/calico/node:v3.31.2", "calico", "3.31.2"),
        ("localhost/calico/node:v3.31.2", "calico", "3.31.2"),
        ("registry.example:5000/mirror/calico/node:v3.31.2-1", "calico", "3.31.2"),
        ("rancher/mirrored-calico-node:v3.30.1", "calico", "3.30.1"),
        ("ghcr.io/flannel-io/flannel:v0.27.3", "flannel", "0.27.3"),
        ("registry.example/mirror/flannel:v0.27.3", "flannel", "0.27.3"),
        ("kindest/kindnetd:v20250512-df8de77b", "kindnet", None),
        ("antrea/antrea-agent-ubuntu:v2.4.0", "antrea", "2.4.0"),
        ("docker.io/cloudnativelabs/kube-router:v2.5.0", "kube-router", "2.5.0"),
        ("kubeovn/kube-ovn:v1.14.5", "kube-ovn", "1.14.5"),
    ],
)
def test_every_cni_is_named(image: str, name: str, version: str | None) -> None:
    """By its image, whatever the registry; the version by its tag, if that is one."""
    found = detect_cluster(_running(image))
    assert found.cni.value == name
    assert found.version.value == version


def test_images_without_names_are_known_by_their_daemonset() -> None:
    """OpenShift's bear a digest only: its network is named, its version is not known."""
    each = _daemonset("quay.io/openshift-release-dev/ocp@sha256:0c4d", name="ovnkube-node")
    each["metadata"]["namespace"] = "openshift-ovn-kubernetes"
    found = detect_cluster(ClusterFacts(objects={"daemonsets.apps": (each,)}))
    assert found.cni.value == "ovn-kubernetes"
    assert found.cni.source == "DaemonSet openshift-ovn-kubernetes/ovnkube-node"
    assert "has no tag" in str(found.version.reason)
    assert mode_found(found).value == Mode.AS_FOUND


def test_an_image_that_only_sounds_alike_is_none() -> None:
    """`calico/node-driver-registrar` is no calico-node."""
    found = detect_cluster(_running("quay.io/calico/node-driver-registrar:v3.31.2"))
    assert found.cni.value is None
    assert found.cni.reason is not None
    assert "no DaemonSet runs an image of a CNI" in found.cni.reason


def test_what_could_not_be_read_is_the_reason() -> None:
    """Forbidden is not the same as absent."""
    facts = ClusterFacts(unread={"daemonsets.apps": "forbidden"})
    found = detect_cluster(facts)
    assert found.cni.reason == "daemonsets.apps: forbidden"
    assert found.kubernetes.reason == "/version was not read"


def test_two_that_could_carry_the_packets_are_not_guessed_between() -> None:
    """Both are named."""
    found = detect_cluster(_running("antrea/antrea-agent-ubuntu:v2.4.0", "kindest/kindnetd:v1.0"))
    assert found.cni.value is None
    assert str(found.cni.reason).startswith("several could: antrea, kindnet; ")


def test_devices_tell_where_no_daemonset_does() -> None:
    """A CNI installed by hand is seen on the nodes."""
    link = Link(
        name="vxlan.calico", kind="vxlan", mtu=1450, up=True, vxlan_id=4096, vxlan_port=4789
    )
    node = NodeFacts(node="n1", wall_ns=0, links=(link,))
    facts = ClusterFacts(objects={"daemonsets.apps": ()}, nodes={"n1": node})
    found = detect_cluster(facts)
    assert found.cni.value == "calico"
    assert found.version.reason == "no DaemonSet shows calico's version"


def test_canal_is_flannel_under_calicos_policies() -> None:
    """The one carries, the other enforces; neither's version is taken for the other's."""
    found = detect_cluster(cluster("canal-rke2"))
    assert found.cni.value == "flannel"
    assert found.version.value == "0.27.1-build20250711"
    assert found.policy.value == "calico"
    assert found.calico is not None
    assert not found.calico.carries


def test_a_chained_cilium_does_not_carry() -> None:
    """On EKS the VPC CNI does, behind multus; kube-proxy is what EKS's ConfigMap says."""
    found = detect_cluster(cluster("eks"))
    assert found.cni.value == "aws-vpc-cni"
    assert found.version.value == "1.20.4-eksbuild.2"
    assert found.policy.value == "cilium"
    assert found.meta == ("multus",)
    assert found.proxy.mode.value == "nftables"


def test_kube_proxy_answers_before_its_configuration() -> None:
    """An empty mode in the ConfigMap is a default; what runs says what it is."""
    facts = cluster("calico-operator")
    asked = detect_cluster(facts).proxy.mode
    assert asked.value == "iptables"
    assert asked.source is not None
    assert asked.source.startswith("1 nodes")
    silent = detect_cluster(msgspec.structs.replace(facts, nodes={})).proxy.mode
    assert silent.value == "iptables"
    assert silent.source == (
        "ConfigMap kube-proxy, config.conf: mode is empty, kube-proxy's default"
    )


def test_nodes_that_differ_are_said_to() -> None:
    """In the middle of a change of mode there is no one answer."""
    facts = ClusterFacts(nodes={"n1": _proxied("iptables"), "n2": _proxied("nftables")})
    proxy = detect_cluster(facts).proxy
    assert proxy.mode.value is None
    assert proxy.mode.reason == "nodes differ: iptables, nftables"


def test_no_trace_of_kube_proxy_is_no_answer() -> None:
    """It may be inside k3s, or replaced by something unknown."""
    mode = detect_cluster(ClusterFacts(objects={"daemonsets.apps": ()})).proxy.mode
    assert mode.value is None
    assert mode.reason is not None
    assert "may be part of another program" in mode.reason


def _proxied(mode: str) -> NodeFacts:
    return NodeFacts(node="n", wall_ns=0, proxy_mode=mode)


def test_every_read_names_its_group() -> None:
    """A resource's key is its plural with its group, as collectors and the chart use it."""
    for read in WANTED:
        plural, _, group = read.resource.partition(".")
        assert (plural != "", group) == (True, read.group)


@pytest.mark.parametrize(
    ("name", "mode", "why"),
    [
        ("flannel-vxlan", Mode.VXLAN, "backend-type"),
        ("canal-rke2", Mode.AS_FOUND, "DirectRouting is on"),
        ("cilium-tunnel", Mode.VXLAN, "cilium-config"),
        ("cilium-native-1.13", Mode.NATIVE, "cilium-config"),
        ("calico-operator", Mode.AS_FOUND, "CrossSubnet"),
        ("calico-manifest", Mode.AS_FOUND, "take WireGuard"),
        ("eks", Mode.AS_FOUND, "does not know the modes of aws-vpc-cni"),
    ],
)
def test_the_mode_to_observe_is_what_the_cluster_says(name: str, mode: Mode, why: str) -> None:
    """One for all pairs where something tells it; else as found, and why."""
    found = mode_found(detect_cluster(cluster(name)))
    assert found.value == mode, found
    assert why in str(found.source), found


def test_a_network_that_nobody_knows_is_observed_as_found() -> None:
    """Neither its name nor its mode is guessed."""
    found = mode_found(detect_cluster(ClusterFacts()))
    assert (found.value, found.source) == (
        Mode.AS_FOUND,
        "podbench does not know the modes of it",
    )


@pytest.mark.parametrize(
    ("backend", "mode", "why"),
    [
        ({"Type": "vxlan"}, Mode.VXLAN, "net-conf.json"),
        ({"Type": "vxlan", "DirectRouting": True}, Mode.AS_FOUND, "DirectRouting is on"),
        ({"Type": "host-gw"}, Mode.HOST_GW, "net-conf.json"),
        ({"Type": "wireguard"}, Mode.AS_FOUND, "the backend is wireguard"),
        ({"Type": "ipip"}, Mode.AS_FOUND, "the backend is ipip"),
    ],
)
def test_flannel_s_backends_that_podbench_cannot_name_are_as_found(
    backend: dict[str, Any], mode: Mode, why: str
) -> None:
    """Also VXLAN that is not for every pair."""
    text = msgspec.json.encode({"Network": "10.244.0.0/16", "Backend": backend}).decode()
    settings = {"metadata": {"name": "kube-flannel-cfg"}, "data": {"net-conf.json": text}}
    agents = (_daemonset("docker.io/flannel/flannel-io/flannel:v0.27.0"),)
    facts = ClusterFacts(objects={"configmaps": (settings,), "daemonsets.apps": agents})
    found = mode_found(detect_cluster(facts))
    assert found.value == mode
    assert why in str(found.source)
