"""What kind of network a cluster has, from facts that others collected: `detect_cluster`.

Pure, so that every CNI is tested from recordings. The lab's counterpart is `detect.detect`, which
has nodes' facts only; where the API tells nothing, this falls back to it.
"""

import msgspec

from podbench.cni.detect import devices, images
from podbench.cni.detect.calico import CalicoDetected, detect_calico
from podbench.cni.detect.cilium import CiliumDetected, detect_cilium
from podbench.cni.detect.facts import ClusterFacts, Fact, told, unknown
from podbench.cni.detect.flannel import FlannelDetected, detect_flannel, node_backends
from podbench.cni.detect.images import Found
from podbench.cni.detect.nodes import NodeDetected, detect_node
from podbench.cni.detect.proxy import Proxy, detect_proxy
from podbench.model.arms import Mode


class ClusterDetected(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster's network. Every `Fact` without a value says why."""

    cni: Fact[str]
    """What carries the pods' packets: `calico`, `flannel`, `cilium`, or another by its name."""
    version: Fact[str]
    policy: Fact[str]
    """What enforces NetworkPolicies; in Canal that is Calico over Flannel."""
    meta: tuple[str, ...]
    """Meta-plugins in front of it, such as multus."""
    detected_from: tuple[str, ...]
    kubernetes: Fact[str]
    proxy: Proxy
    nodes: tuple[NodeDetected, ...]
    calico: CalicoDetected | None = None
    flannel: FlannelDetected | None = None
    cilium: CiliumDetected | None = None


def detect_cluster(facts: ClusterFacts) -> ClusterDetected:
    """Everything that can be told of a cluster's network; pure."""
    agents = {each.name: each for each in reversed(images.found(facts))}
    calico = detect_calico(facts, agents["calico"]) if "calico" in agents else None
    flannel = _flannel(facts, agents.get("flannel"))
    cilium = detect_cilium(facts, agents["cilium"].version) if "cilium" in agents else None
    cni = _carrier(facts, agents, calico, flannel, cilium)
    return ClusterDetected(
        cni=cni,
        version=_version(cni, agents, calico, flannel),
        policy=_policy(cni, calico, cilium),
        meta=images.meta(facts),
        detected_from=_signs(facts, agents, flannel),
        kubernetes=told(facts.version.removeprefix("v"), "/version")
        if facts.version
        else unknown("/version was not read"),
        proxy=detect_proxy(facts, _replaced_by(calico, cilium)),
        nodes=tuple(detect_node(node, facts) for node in facts.of("nodes")),
        calico=calico,
        flannel=flannel,
        cilium=cilium,
    )


_FLANNELS = (Mode.VXLAN, Mode.HOST_GW)
"""Flannel's modes that have a driver; its other backends are observed as found."""


def mode_found(detected: ClusterDetected) -> Fact[Mode]:
    """The mode of pods that ask for nothing, to be observed as it is.

    `as-found` where nothing tells it, or where it differs between pairs of nodes: several pools,
    encapsulation between subnets only. Then the proof names what each pair's packets take.
    """
    if detected.cni.value == "calico" and detected.calico is not None:
        return _pools_mode(detected.calico)
    if detected.cni.value == "flannel" and detected.flannel is not None:
        backend, direct = detected.flannel.backend, detected.flannel.direct_routing
        if detected.flannel.mode in _FLANNELS and not direct.value:
            return told(detected.flannel.mode, backend.source or "Flannel's backend")
        why = "DirectRouting is on" if direct.value else f"the backend is {backend.value}"
        return told(Mode.AS_FOUND, why if backend.value else backend.reason or "")
    if detected.cni.value == "cilium" and detected.cilium is not None:
        by = detected.cilium.encapsulation
        if detected.cilium.mode is not None:
            return told(detected.cilium.mode, by.source or "Cilium's ConfigMap")
        return told(Mode.AS_FOUND, by.reason or f"Cilium's encapsulation is {by.value}")
    return told(Mode.AS_FOUND, f"podbench does not know the modes of {detected.cni.value or 'it'}")


def _pools_mode(calico: CalicoDetected) -> Fact[Mode]:
    """What Calico's own pools give pods that name none."""
    if calico.pools.value is None:
        return told(Mode.AS_FOUND, calico.pools.reason or "its pools were not read")
    usual = [each for each in calico.pools.value if not each.disabled and not each.ours]
    usual = [each for each in usual if each.assignment == "Automatic"]
    modes = {each.mode for each in usual}
    if any(each.cross_subnet for each in usual):
        return told(Mode.AS_FOUND, "CrossSubnet: encapsulated between subnets only")
    if len(modes) == 1:
        return told(modes.pop(), f"IPPool {', '.join(each.name for each in usual)}")
    names = ", ".join(sorted(f"{each.name} ({each.mode})" for each in usual))
    return told(Mode.AS_FOUND, f"pools of several modes: {names}" if names else "no pool is open")


def _flannel(facts: ClusterFacts, agent: Found | None) -> FlannelDetected | None:
    if agent is not None:
        return detect_flannel(facts, agent.version)
    if node_backends(facts):
        return detect_flannel(
            facts, unknown("flanneld runs inside another program, no DaemonSet shows its version")
        )
    return None


def _carrier(
    facts: ClusterFacts,
    agents: dict[str, Found],
    calico: CalicoDetected | None,
    flannel: FlannelDetected | None,
    cilium: CiliumDetected | None,
) -> Fact[str]:
    """Who carries the packets: agents that only enforce policy are not asked."""
    carriers = set(agents) - {"calico", "cilium", "flannel"}
    if calico is not None and calico.carries:
        carriers.add("calico")
    if flannel is not None:
        carriers.add("flannel")
    if cilium is not None and cilium.chained.value in {"none", None}:
        carriers.add("cilium")
    if len(carriers) == 1:
        (name,) = carriers
        where = agents[name].where if name in agents else "the nodes' notes by flanneld"
        return told(name, where)
    if carriers:
        return unknown(f"several could: {', '.join(sorted(carriers))}")
    if cilium is not None and cilium.chained.value:
        return told(cilium.chained.value, cilium.chained.source or "")
    return _by_devices(facts)


def _by_devices(facts: ClusterFacts) -> Fact[str]:
    """No DaemonSet that is known: what do the nodes' own devices say?"""
    seen = devices.detect(facts.nodes.values())
    if seen is not None:
        return told(seen.name, "; ".join(seen.detected_from))
    why = facts.why_unread("daemonsets.apps")
    return unknown(why or "no DaemonSet runs an image of a CNI that podbench knows")


def _version(
    cni: Fact[str],
    agents: dict[str, Found],
    calico: CalicoDetected | None,
    flannel: FlannelDetected | None,
) -> Fact[str]:
    if cni.value is None:
        return unknown("the CNI is not known")
    if cni.value == "calico" and calico is not None:
        return calico.version
    if cni.value == "flannel" and flannel is not None:
        return flannel.version
    if cni.value in agents:
        return agents[cni.value].version
    return unknown(f"no DaemonSet shows {cni.value}'s version")


def _policy(
    cni: Fact[str], calico: CalicoDetected | None, cilium: CiliumDetected | None
) -> Fact[str]:
    if calico is not None:
        return told("calico", "calico-node runs")
    if cilium is not None:
        return told("cilium", "cilium-agent runs")
    if cni.value == "flannel":
        return told("none", "Flannel enforces none, and nothing that would is seen")
    return unknown("podbench does not know what enforces policies here")


def _replaced_by(calico: CalicoDetected | None, cilium: CiliumDetected | None) -> str | None:
    if cilium is not None and cilium.proxy_replacement.value:
        return "cilium"
    if calico is not None and calico.dataplane.value == "bpf":
        return "calico-bpf"
    return None


def _signs(
    facts: ClusterFacts, agents: dict[str, Found], flannel: FlannelDetected | None
) -> tuple[str, ...]:
    """What gave the network away, for the record."""
    signs = [f"{each.where}: image {each.container.get('image')}" for each in agents.values()]
    if flannel is not None:
        signs += [
            f"{node}: flanneld's backend {name}" for node, name in flannel.node_backends.items()
        ]
    seen = devices.detect(facts.nodes.values())
    return (*signs, *(seen.detected_from if seen is not None else ()))
