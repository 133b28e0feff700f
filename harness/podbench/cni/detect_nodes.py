"""Nodes as the API and their own facts show them: place, machine, system, interfaces.

Labels are those that cloud controllers set (the well-known labels of the Kubernetes reference); a
node without them has no zone rather than a guessed one.
"""

import msgspec

from podbench.cni.detect_facts import ClusterFacts, Fact, Object, dig, name_of, told, unknown
from podbench.model.facts import Link, NodeFacts

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
OLD_LABELS = {
    ZONE: "failure-domain.beta.kubernetes.io/zone",
    REGION: "failure-domain.beta.kubernetes.io/region",
    INSTANCE_TYPE: "beta.kubernetes.io/instance-type",
}
"""What these labels were called up to 1.16; some distributions set no others."""
PROVIDERS = {
    "aws": "AWS",
    "azure": "Azure",
    "gce": "Google Cloud",
    "digitalocean": "DigitalOcean",
    "hcloud": "Hetzner",
    "linode": "Linode",
    "oci": "Oracle Cloud",
    "openstack": "OpenStack",
    "vsphere": "vSphere",
    "equinixmetal": "Equinix Metal",
    "scaleway": "Scaleway",
    "vultr": "Vultr",
    "alicloud": "Alibaba Cloud",
    "ibm": "IBM Cloud",
    "metal3": "bare metal (Metal3)",
    "kind": "kind",
    "k3s": "k3s",
}
"""By the scheme of `spec.providerID`; another scheme is shown as it is."""
POD_DEVICES = ("cali", "veth", "lxc", "eni", "azv")
"""Beginnings of the names of the host's ends of pods' interfaces; `lxc` is Cilium's."""


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """A tunnel device of a node, whoever made it."""

    name: str
    kind: str
    mtu: int
    vni: int | None = None
    udp_port: int | None = None


class NodeDetected(msgspec.Struct, frozen=True, kw_only=True):
    """One node. A `Fact` without a value says why."""

    name: str
    address: Fact[str]
    """Its InternalIP."""
    provider: Fact[str]
    region: Fact[str]
    zone: Fact[str]
    instance_type: Fact[str]
    kernel: Fact[str]
    architecture: Fact[str]
    system: Fact[str]
    """`osImage`, as in `Debian GNU/Linux 12 (bookworm)`."""
    runtime: Fact[str]
    kubelet: Fact[str]
    cpu_model: Fact[str]
    underlay_device: Fact[str]
    underlay_mtu: Fact[int]
    pod_mtu: Fact[int]
    """Of the pods' interfaces on it, where all agree."""
    tunnels: tuple[Tunnel, ...]


def detect_node(node: Object, facts: ClusterFacts) -> NodeDetected:
    """Everything about one node of the cluster."""
    name = name_of(node)
    read = facts.nodes.get(name)
    address = _address(node)
    underlay = _underlay(read, address)
    return NodeDetected(
        name=name,
        address=address,
        provider=_provider(node),
        region=_label(node, REGION),
        zone=_label(node, ZONE),
        instance_type=_label(node, INSTANCE_TYPE),
        kernel=_info(node, "kernelVersion"),
        architecture=_info(node, "architecture"),
        system=_info(node, "osImage"),
        runtime=_info(node, "containerRuntimeVersion"),
        kubelet=_info(node, "kubeletVersion"),
        cpu_model=_cpu_model(read),
        underlay_device=Fact(
            underlay.value.name if underlay.value else None, underlay.source, underlay.reason
        ),
        underlay_mtu=Fact(
            underlay.value.mtu if underlay.value else None, underlay.source, underlay.reason
        ),
        pod_mtu=_pod_mtu(read),
        tunnels=_tunnels(read),
    )


def _label(node: Object, label: str) -> Fact[str]:
    labels = dig(node, "metadata", "labels") or {}
    for name in (label, OLD_LABELS[label]):
        if labels.get(name):
            return told(str(labels[name]), f"label {name}")
    return unknown(f"the node has no label {label}")


def _info(node: Object, field: str) -> Fact[str]:
    value = dig(node, "status", "nodeInfo", field)
    return told(str(value), "the node's status") if value else unknown(f"its status has no {field}")


def _address(node: Object) -> Fact[str]:
    for each in dig(node, "status", "addresses") or ():
        if each.get("type") == "InternalIP":
            return told(str(each.get("address")), "the node's status")
    return unknown("the node has no InternalIP")


def _provider(node: Object) -> Fact[str]:
    identity = dig(node, "spec", "providerID")
    if not identity:
        return unknown("the node has no providerID")
    scheme, mark, _ = str(identity).partition("://")
    if not mark:
        # Oracle's are bare identifiers.
        scheme = "oci" if scheme.startswith("ocid1.") else scheme
    return told(PROVIDERS.get(scheme, scheme), "spec.providerID")


def _cpu_model(read: NodeFacts | None) -> Fact[str]:
    if read is None:
        return unknown("no agent has read this node")
    if read.cpu_model is None:
        return unknown("the node's /proc/cpuinfo names no model")
    return told(read.cpu_model, "/proc/cpuinfo")


def _underlay(read: NodeFacts | None, address: Fact[str]) -> Fact[Link]:
    if read is None:
        return unknown("no agent has read this node")
    for link in read.links:
        if any(each.partition("/")[0] == address.value for each in link.addresses):
            return told(link, f"{link.name} has {address.value}")
    return unknown(address.reason or f"no interface has {address.value}")


def _pod_mtu(read: NodeFacts | None) -> Fact[int]:
    if read is None:
        return unknown("no agent has read this node")
    # Tunnels and other special devices of these names have a kind of their own.
    ends = [
        link
        for link in read.links
        if link.name.startswith(POD_DEVICES) and link.kind in {"veth", "netkit"}
    ]
    sizes = sorted({link.mtu for link in ends})
    if len(sizes) == 1:
        return told(sizes[0], f"{len(ends)} pods' interfaces on the node")
    if not sizes:
        return unknown("no pod's interface is seen on the node")
    return unknown(f"the pods' interfaces differ: {', '.join(map(str, sizes))}")


def _tunnels(read: NodeFacts | None) -> tuple[Tunnel, ...]:
    kinds = {"vxlan", "ipip", "geneve", "wireguard", "gre", "ip6tnl"}
    return tuple(
        Tunnel(
            name=link.name,
            kind=link.kind,
            mtu=link.mtu,
            vni=link.vxlan_id,
            udp_port=link.vxlan_port,
        )
        for link in (read.links if read is not None else ())
        if link.kind in kinds
    )
