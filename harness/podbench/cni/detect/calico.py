"""Calico as a cluster's objects show it: installed how, forwarding how, who programs its routes.

Source: projectcalico/calico at 3.32 and its successor (api/pkg/apis/projectcalico/v3, felix/config,
design/cluster-route-programming), tigera/operator (api/v1).
"""

import re

import msgspec

from podbench.cni.detect import calico_routing
from podbench.cni.detect import pools as detect_pools
from podbench.cni.detect.calico_settings import (
    Settings,
    calico_object,
    calico_objects,
    environment,
    felix,
    why_unread,
)
from podbench.cni.detect.facts import (
    CALICO,
    TIGERA,
    UNAVAILABLE,
    ClusterFacts,
    Fact,
    Object,
    dig,
    name_of,
    told,
    unknown,
    version_in,
)
from podbench.cni.detect.workloads import Found

VXLAN_PORT, VXLAN_VNI = 4789, 4096


class CalicoDetected(msgspec.Struct, frozen=True, kw_only=True):
    """What could be told of Calico. Every `Fact` without a value says why."""

    version: Fact[str]
    install: Fact[str]
    """`operator` or `manifest`."""
    api: Fact[str]
    """Who serves projectcalico.org/v3: `aggregated` (calico-apiserver, on the pod network), `crd`
    (the API server itself), or `none`: only crd.projectcalico.org is there."""
    carries: bool
    """False where it enforces policy only and another CNI carries the packets (Canal, AWS VPC)."""
    ipam: Fact[str]
    """Who hands out pods' addresses: `calico-ipam`, which knows pools, `host-local`, ..."""
    dataplane: Fact[str]
    """`iptables`, `nftables`, `bpf`, `vpp`."""
    bgp: Fact[bool]
    node_mesh: Fact[bool]
    bgp_peers: Fact[int]
    wireguard: Fact[bool]
    pod_mtu: Fact[int]
    vxlan_port: Fact[int]
    vxlan_vni: Fact[int]
    route_protocol: Fact[int]
    """The protocol number of the routes that Felix programs between nodes."""
    pools: Fact[tuple[detect_pools.Pool, ...]]
    node_settings: tuple[str, ...] = ()
    """FelixConfigurations of single nodes: what is said here may not hold on those."""


def detect_calico(facts: ClusterFacts, agent: Found, *, canal: bool = False) -> CalicoDetected:
    """Everything about the Calico whose calico-node this is.

    Args:
        facts: The cluster.
        agent: Its calico-node.
        canal: Flannel's agent runs in the same pods, and carries the packets.
    """
    installations = facts.of(f"installations.{TIGERA}")
    at = Settings(
        facts,
        agent,
        next((each for each in installations if name_of(each) == "default"), None),
        calico_object(facts, "felixconfigurations", "default"),
        calico_object(facts, "bgpconfigurations", "default"),
    )
    version, bgp = _version(at), calico_routing.bgp(at)
    routing = detect_pools.Routing(
        version=version.value,
        felix=_known_setting(at.felix, "programClusterRoutes"),
        bird=_known_setting(at.bgp, "programClusterRoutes"),
        bgp=bgp.value,
        unread=why_unread(facts, "felixconfigurations") or why_unread(facts, "bgpconfigurations"),
    )
    felixes = calico_objects(facts, "felixconfigurations")
    return CalicoDetected(
        version=version,
        install=_install(at),
        api=_api(facts),
        carries=not canal and _carries(at),
        ipam=_ipam(at),
        dataplane=_dataplane(at),
        bgp=bgp,
        node_mesh=calico_routing.node_mesh(at),
        bgp_peers=calico_routing.bgp_peers(facts),
        wireguard=calico_routing.wireguard(at, felixes),
        pod_mtu=_mtu(at),
        vxlan_port=felix(at, "vxlanPort", default=VXLAN_PORT),
        vxlan_vni=felix(at, "vxlanVNI", default=VXLAN_VNI),
        route_protocol=calico_routing.route_protocol(at),
        pools=_pools(facts, routing),
        node_settings=tuple(name_of(each) for each in felixes if name_of(each).startswith("node.")),
    )


def _version(at: Settings) -> Fact[str]:
    cluster = calico_object(at.facts, "clusterinformations", "default")
    stated = (
        (dig(at.installation, "status", "calicoVersion"), "Installation default, status"),
        (dig(cluster, "spec", "calicoVersion"), "ClusterInformation default"),
    )
    by_image = at.agent.version
    if by_image.value is not None:
        return by_image
    for value, where in stated:
        version = version_in(str(value)) if value else None
        if version is not None:
            return told(version, where)
    return by_image


def _install(at: Settings) -> Fact[str]:
    if at.installation is not None:
        return told("operator", "Installation default")
    owners = dig(at.agent.workload, "metadata", "ownerReferences") or ()
    if any(each.get("kind") == "Installation" for each in owners):
        return told("operator", f"{at.agent.where} belongs to an Installation")
    return told("manifest", f"{at.agent.where} belongs to no Installation")


def _api(facts: ClusterFacts) -> Fact[str]:
    crds = "customresourcedefinitions.apiextensions.k8s.io"
    if not facts.groups:
        return unknown("the API groups were not read")
    if CALICO not in facts.groups:
        return told("none", f"{CALICO} is not served")
    if facts.unread.get(f"ippools.{CALICO}") == UNAVAILABLE:
        return unknown(
            f"{CALICO}/v3 is registered, and nobody answers for it: `kubectl get apiservice"
            f" v3.{CALICO}` says why"
        )
    if (why := facts.why_unread(crds)) is not None:
        return unknown(why)
    if facts.named(crds, f"ippools.{CALICO}") is not None:
        return told("crd", f"CustomResourceDefinition ippools.{CALICO}")
    return told("aggregated", f"{CALICO} is served, but by no CustomResourceDefinition")


def _carries(at: Settings) -> bool:
    plugin = dig(at.installation, "status", "computed", "cni", "type") or dig(
        at.installation, "spec", "cni", "type"
    )
    if plugin is not None:
        return bool(plugin == "Calico")
    return environment(at, "CALICO_NETWORKING_BACKEND") != "none"


def _dataplane(at: Settings) -> Fact[str]:
    asked = at.calico_network("linuxDataplane")
    if asked == "VPP":
        return told("vpp", "Installation default, linuxDataplane")
    bpf = felix(at, "bpfEnabled", default=False)
    if bpf.value is None:
        return unknown(bpf.reason or "bpfEnabled is not known")
    if bpf.value:
        return told("bpf", bpf.source or "")
    return _tables(at, asked)


def _tables(at: Settings, asked: object) -> Fact[str]:
    """Felix without eBPF: which of the kernel's two rule sets it writes."""
    mode = felix(at, "nftablesMode", default="unset")
    match mode.value:
        case "Enabled":
            return told("nftables", mode.source or "")
        case "Disabled":
            return told("iptables", mode.source or "")
        case None:
            return unknown(mode.reason or "nftablesMode is not known")
    if asked in {"Iptables", "Nftables"}:
        return told(str(asked).lower(), "Installation default, linuxDataplane")
    proxies = set(at.facts.proxy_modes.values())
    if proxies and "nftables" not in proxies:
        return told("iptables", "nftablesMode is not fixed and kube-proxy does not use nftables")
    return unknown("nftablesMode is not fixed: Felix follows kube-proxy, or its release's default")


def _ipam(at: Settings) -> Fact[str]:
    """By the Installation, or by the CNI configuration that calico-node installs."""
    asked = dig(at.installation, "status", "computed", "cni", "ipam", "type") or dig(
        at.installation, "spec", "cni", "ipam", "type"
    )
    if asked:
        names = {"Calico": "calico-ipam", "HostLocal": "host-local"}
        return told(names.get(str(asked), str(asked)), "Installation default, ipam")
    for name in ("calico-config", "canal-config", "rke2-canal-config"):
        text = dig(at.facts.named("configmaps", name), "data", "cni_network_config")
        if text is None:
            continue
        found = re.search(r'"ipam"\s*:\s*\{[^}]*?"type"\s*:\s*"([^"]+)"', str(text))
        if found is not None:
            return told(found[1], f"ConfigMap {name}, cni_network_config")
    return unknown("neither an Installation nor a ConfigMap calico-config shows it")


def _mtu(at: Settings) -> Fact[int]:
    seen = dig(at.installation, "status", "mtu")
    if seen:
        return told(int(seen), "Installation default, status")
    asked = at.calico_network("mtu")
    if asked:
        return told(int(asked), "Installation default, mtu")
    for name in ("calico-config", "canal-config", "rke2-canal-config"):
        text = dig(at.facts.named("configmaps", name), "data", "veth_mtu")
        if text is not None and str(text).isdigit() and int(text):
            return told(int(text), f"ConfigMap {name}, veth_mtu")
    return unknown("Calico detects the MTU on each node; the agents' own interfaces show it")


def _known_setting(configuration: Object | None, field: str) -> str | None:
    value = dig(configuration, "spec", field)
    return None if value is None else str(value)


def _pools(
    facts: ClusterFacts, routing: detect_pools.Routing
) -> Fact[tuple[detect_pools.Pool, ...]]:
    if (why := why_unread(facts, "ippools")) is not None:
        return unknown(why)
    nodes = [each for each in facts.of("nodes") if _linux(each)]
    found = calico_objects(facts, "ippools")
    pools = tuple(detect_pools.pool(each, routing, nodes) for each in found)
    return told(pools, "IPPools")


def _linux(node: Object) -> bool:
    return bool(dig(node, "metadata", "labels", "kubernetes.io/os") in (None, "linux"))
