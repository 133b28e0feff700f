"""What kind of network a cluster has, from facts that others collected: `detect_cluster`.

Pure, so that every CNI is tested from recordings; `carrier` decides who carries the packets.
"""

import msgspec

from podbench.cni.detect import devices, workloads
from podbench.cni.detect.calico import CalicoDetected, detect_calico
from podbench.cni.detect.carrier import Carrier
from podbench.cni.detect.cilium import CiliumDetected, detect_cilium
from podbench.cni.detect.facts import ClusterFacts, Fact, told, unknown
from podbench.cni.detect.flannel import FlannelDetected, detect_flannel, node_backends
from podbench.cni.detect.nodes import NodeDetected, detect_node
from podbench.cni.detect.proxy import Proxy, detect_proxy
from podbench.cni.detect.workloads import Found
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
    encryption: Fact[str]
    """What wraps packets between nodes whatever the mode says: `wireguard`, `ipsec`, or `none`."""
    left_over: tuple[str, ...] = ()
    """CNIs that are installed and carry nothing here, each with the reason."""
    calico: CalicoDetected | None = None
    flannel: FlannelDetected | None = None
    cilium: CiliumDetected | None = None

    @property
    def title(self) -> str:
        """The CNI's name for people, and what stands beside it."""
        name = self.cni.value or "unknown"
        if name == "flannel" and self.policy.value == "calico":
            return "flannel (Canal: Calico enforces policies)"
        return name


def detect_cluster(facts: ClusterFacts) -> ClusterDetected:
    """Everything that can be told of a cluster's network; pure."""
    agents = {each.name: each for each in reversed(workloads.found(facts))}
    flannel_agent = agents.get("flannel")
    calico = None
    if "calico" in agents:
        canal = flannel_agent is not None and flannel_agent.where == agents["calico"].where
        calico = detect_calico(facts, agents["calico"], canal=canal)
    flannel = _flannel(facts, flannel_agent)
    cilium = detect_cilium(facts, agents["cilium"].version) if "cilium" in agents else None
    cni = Carrier(facts, agents, calico, flannel, cilium).decided()
    return ClusterDetected(
        cni=cni,
        version=_version(cni, agents, calico, flannel),
        policy=_policy(cni, calico, cilium),
        meta=workloads.meta(facts),
        detected_from=_signs(facts, agents, flannel),
        kubernetes=told(facts.version.removeprefix("v"), "/version")
        if facts.version
        else unknown("/version was not read"),
        proxy=detect_proxy(facts, _replaced_by(calico, cilium)),
        nodes=tuple(detect_node(node, facts) for node in facts.of("nodes")),
        encryption=_encryption(cni, calico, flannel, cilium),
        left_over=_left_over(facts, cni, flannel),
        calico=calico,
        flannel=flannel,
        cilium=cilium,
    )


def mode_found(detected: ClusterDetected) -> Fact[Mode]:
    """The mode of pods that ask for nothing, to be observed as it is.

    `as-found` where nothing tells it, or where it differs between pairs of nodes: several pools,
    encapsulation between subnets only. Then the proof names what each pair's packets take.
    """
    found = _mode_set(detected)
    wrapped = detected.encryption.value
    if wrapped not in ENCRYPTED or detected.cni.value == "flannel":
        return found
    said = f"{ENCRYPTED[wrapped]} ({detected.encryption.source})"
    tunnel = found.value in (Mode.VXLAN, Mode.GENEVE)
    if detected.cni.value == "cilium" and (tunnel or wrapped == "ipsec"):
        # Its tunnel, or its route, stays, inside the encryption.
        return told(found.value or Mode.AS_FOUND, f"{found.source}; {said} encrypts between nodes")
    return told(Mode.AS_FOUND, f"packets between nodes take {said}, whatever is set beneath")


ENCRYPTED = {"wireguard": "WireGuard", "ipsec": "IPsec"}


def _mode_set(detected: ClusterDetected) -> Fact[Mode]:
    """The mode that the CNI's own settings say, encryption aside."""
    if detected.cni.value == "calico" and detected.calico is not None:
        return _pools_mode(detected.calico)
    if detected.cni.value == "flannel" and detected.flannel is not None:
        return _flannel_mode(detected.flannel)
    if detected.cni.value == "cilium" and detected.cilium is not None:
        by = detected.cilium.encapsulation
        if detected.cilium.mode is not None:
            return told(detected.cilium.mode, by.source or "Cilium's ConfigMap")
        return told(Mode.AS_FOUND, by.reason or f"Cilium's encapsulation is {by.value}")
    return told(Mode.AS_FOUND, f"podbench does not know the modes of {detected.cni.value or 'it'}")


def _flannel_mode(flannel: FlannelDetected) -> Fact[Mode]:
    backend, direct = flannel.backend, flannel.direct_routing
    if flannel.mode in (Mode.VXLAN, Mode.HOST_GW) and not direct.value:
        return told(flannel.mode, backend.source or "Flannel's backend")
    if flannel.mode == Mode.HOST_GW:
        # It routes within a subnet either way.
        return told(flannel.mode, backend.source or "Flannel's backend")
    why = (
        f"DirectRouting is on ({direct.source}): encapsulated between subnets only"
        if direct.value
        else f"the backend is {backend.value}"
    )
    return told(Mode.AS_FOUND, why if backend.value else backend.reason or "")


def _pools_mode(calico: CalicoDetected) -> Fact[Mode]:
    """What Calico's own pools give pods that name none."""
    if calico.pools.value is None:
        return told(Mode.AS_FOUND, calico.pools.reason or "its pools were not read")
    usual = [each for each in calico.pools.value if each.usual]
    modes = {each.mode for each in usual}
    if any(each.cross_subnet for each in usual):
        return told(Mode.AS_FOUND, "CrossSubnet: encapsulated between subnets only")
    if len(modes) == 1:
        return told(modes.pop(), f"IPPool {', '.join(each.name for each in usual)}")
    names = ", ".join(sorted(f"{each.name} ({each.mode})" for each in usual))
    if names:
        return told(Mode.AS_FOUND, f"pools of several modes: {names}")
    shut = "; ".join(f"{each.name}: {each.unused}" for each in calico.pools.value)
    return told(Mode.AS_FOUND, f"no pool gives pods addresses ({shut or 'there is none'})")


def _flannel(facts: ClusterFacts, agent: Found | None) -> FlannelDetected | None:
    if agent is not None:
        return detect_flannel(facts, agent.version)
    if node_backends(facts):
        return detect_flannel(
            facts, unknown("flanneld runs inside another program, no DaemonSet shows its version")
        )
    return None


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


def _encryption(
    cni: Fact[str],
    calico: CalicoDetected | None,
    flannel: FlannelDetected | None,
    cilium: CiliumDetected | None,
) -> Fact[str]:
    """Of whichever agent runs: each may encrypt what another carries."""
    said: list[Fact[str]] = []
    if calico is not None:
        on = calico.wireguard
        known = told("wireguard" if on.value else "none", on.source or "")
        said.append(unknown(on.reason or "not known") if on.value is None else known)
    if cilium is not None:
        said.append(cilium.encryption)
    if cni.value == "flannel" and flannel is not None:
        backend = flannel.backend
        wraps = backend.value if backend.value in ENCRYPTED else "none"
        said.append(told(wraps, backend.source or "") if backend.value else backend)
    for each in said:
        if each.value != "none":
            return Fact(each.value, each.source, each.reason)
    return said[0] if said else unknown("podbench does not know this CNI's encryption")


def _left_over(
    facts: ClusterFacts, cni: Fact[str], flannel: FlannelDetected | None
) -> tuple[str, ...]:
    """What is installed, or was, and carries nothing."""
    said = [f"{each.name}: {each.where}: {each.why}" for each in workloads.left_over(facts)]
    agents = {each.name for each in workloads.found(facts)}
    if flannel is not None and "flannel" not in agents and cni.value not in ("flannel", None):
        count = len(flannel.node_backends)
        said.append(f"flannel: notes on {count} nodes, left by an earlier flanneld: none runs")
    return tuple(said)


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
