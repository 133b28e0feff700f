"""Nodes as the API and their own facts show them: place, machine, system, interfaces.

Labels are those that cloud controllers set (the well-known labels of the Kubernetes reference); a
node without them has no zone rather than a guessed one.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from podbench.cni.detect.facts import ClusterFacts, Fact, Object, dig, name_of, told, unknown
from podbench.model.facts import Link, Nic, NodeFacts

T = TypeVar("T")

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
    "ovhcloud": "OVHcloud",
    "exoscale": "Exoscale",
    "civo": "Civo",
    "proxmox": "Proxmox",
    "nutanix": "Nutanix",
    "harvester": "Harvester",
    "huaweicloud": "Huawei Cloud",
    "brightbox": "Brightbox",
    "upcloud": "UpCloud",
    "cloudstack": "CloudStack",
}
"""By the scheme of `spec.providerID`; another scheme is shown as it is."""
DISTRIBUTIONS = frozenset({"k3s", "rke2", "k0s", "microk8s", "talos"})
"""These write their own name where a cloud controller would write the provider's."""
POD_DEVICES = ("cali", "veth", "lxc", "eni", "azv")
"""Beginnings of the names of the host's ends of pods' interfaces; `lxc` is Cilium's."""


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """A tunnel device of a node, whoever made it."""

    name: str
    kind: str
    mtu: int
    vni: int | None = None
    udp_port: int | None = None
    offloads: tuple[str, ...] | None = None
    """What it leaves to hardware, or to one late step; null where its driver was not asked."""


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
    driver: Fact[str]
    """Of the underlay's device, as the next three."""
    link_speed_bps: Fact[int]
    rx_queues: Fact[int]
    offloads: Fact[tuple[str, ...]]
    machine: Fact[str]
    """Maker and product as the firmware tells them."""
    virtual: Fact[bool]
    pod_mtu: Fact[int]
    """Of the pods' interfaces on it, where all agree."""
    tunnels: tuple[Tunnel, ...]


def detect_node(node: Object, facts: ClusterFacts) -> NodeDetected:
    """Everything about one node of the cluster."""
    name = name_of(node)
    read = facts.nodes.get(name)
    own = address(node)
    underlay = _underlay(read, own)
    return NodeDetected(
        name=name,
        address=own,
        provider=_provider(node),
        region=region(node),
        zone=zone(node),
        instance_type=_label(node, INSTANCE_TYPE),
        kernel=_info(node, "kernelVersion"),
        architecture=_info(node, "architecture"),
        system=_info(node, "osImage"),
        runtime=_info(node, "containerRuntimeVersion"),
        kubelet=_info(node, "kubeletVersion"),
        cpu_model=_read(read, "cpu_model", "/proc/cpuinfo"),
        underlay_device=_of(underlay, lambda link: link.name),
        underlay_mtu=_of(underlay, lambda link: link.mtu),
        driver=_of_driver(underlay, lambda nic: nic.driver),
        link_speed_bps=_speed(underlay),
        rx_queues=_of_driver(underlay, lambda nic: nic.rx_queues),
        offloads=_of_driver(underlay, lambda nic: nic.offloads),
        machine=_read(read, "machine", "the node's firmware (DMI)"),
        virtual=_read(read, "hypervisor", "the CPU's flags in /proc/cpuinfo"),
        pod_mtu=_pod_mtu(read),
        tunnels=_tunnels(read),
    )


def _label(node: Object, label: str) -> Fact[str]:
    labels = dig(node, "metadata", "labels") or {}
    for name in (label, OLD_LABELS[label]):
        if labels.get(name):
            return told(str(labels[name]), f"label {name}")
    return unknown(f"the node has no label {label}")


def zone(node: Object) -> Fact[str]:
    """Its availability zone; on Azure a bare number is a fault domain: racks of one data centre.

    Source: kubernetes-sigs/cloud-provider-azure, GetZone (`REGION-N` for zones, `N` else).
    """
    found = _label(node, ZONE)
    if found.value is not None and found.value.isdigit() and _scheme(node) == "azure":
        return unknown(f"{found.source} is {found.value}: an Azure fault domain, not a zone")
    return found


def region(node: Object) -> Fact[str]:
    """Its region."""
    return _label(node, REGION)


def address(node: Object) -> Fact[str]:
    """Its InternalIP of IPv4, which probes and proofs are; kubelet may name IPv6's first."""
    told_of = dig(node, "status", "addresses") or ()
    found = [str(each.get("address")) for each in told_of if each.get("type") == "InternalIP"]
    plain = next((each for each in found if ":" not in each), None)
    if plain is not None:
        return told(plain, "the node's status")
    if found:
        return unknown(
            f"its InternalIP {found[0]} is IPv6: IPv6-only clusters cannot be measured, pools,"
            " probes and proofs are IPv4"
        )
    return unknown("the node has no InternalIP")


def _info(node: Object, field: str) -> Fact[str]:
    value = dig(node, "status", "nodeInfo", field)
    return told(str(value), "the node's status") if value else unknown(f"its status has no {field}")


def _scheme(node: Object) -> str:
    """The beginning of its providerID; Oracle's are bare identifiers."""
    scheme, mark, _ = str(dig(node, "spec", "providerID") or "").partition("://")
    return "oci" if not mark and scheme.startswith("ocid1.") else scheme


def _provider(node: Object) -> Fact[str]:
    scheme = _scheme(node)
    if not scheme:
        return unknown("the node has no providerID")
    if scheme in DISTRIBUTIONS:
        return unknown(f"spec.providerID names {scheme}, a distribution, and no provider")
    return told(PROVIDERS.get(scheme, scheme), "spec.providerID")


def _read(read: NodeFacts | None, field: str, where: str) -> Fact[Any]:
    """Something an agent reads on its node, or why it is not known."""
    if read is None:
        return unknown("no agent has read this node")
    value = getattr(read, field)
    return unknown(f"{where}: nothing about it") if value is None else told(value, where)


def _of(underlay: Fact[Link], look: Callable[[Link], T]) -> Fact[T]:
    """One of the underlay device's own fields."""
    if underlay.value is None:
        return unknown(underlay.reason or "the underlay's device is not known")
    return told(look(underlay.value), underlay.source or "")


def _of_driver(underlay: Fact[Link], look: Callable[[Nic], T | None]) -> Fact[T]:
    """Something its driver says."""
    if underlay.value is None:
        return unknown(underlay.reason or "the underlay's device is not known")
    if underlay.value.nic is None:
        return unknown(f"{underlay.value.name}: its driver was not asked")
    value = look(underlay.value.nic)
    if value is None:
        return unknown(f"{underlay.value.name}: its driver does not say")
    return told(value, f"{underlay.value.name}: its driver (ethtool)")


def link_speed(read: NodeFacts, address: str) -> Fact[int]:
    """Speed of the link that a node's address is on; unknown where no driver tells one."""
    return _speed(_underlay(read, told(address, "the node's status")))


def _speed(underlay: Fact[Link]) -> Fact[int]:
    """A physical link's; what virtual devices call their speed limits nothing."""
    if underlay.value is not None and underlay.value.kind not in {None, "bond", "team"}:
        return unknown(f"{underlay.value.name} is a {underlay.value.kind} device, no link")
    return _of_driver(underlay, lambda nic: nic.speed_bps)


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
            offloads=None if link.nic is None else link.nic.offloads,
        )
        for link in (read.links if read is not None else ())
        if link.kind in kinds
    )
