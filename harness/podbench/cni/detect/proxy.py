"""How Services are served: kube-proxy's mode as it says itself, as it is set, or as its rules show.

What kube-proxy answers on its node is worth most, for an empty `mode` is a default that depends on
release and system. Source: kubernetes/kubernetes, cmd/kube-proxy and pkg/proxy.
"""

from collections.abc import Iterator

import msgspec
import yaml

from podbench.cni.detect.facts import (
    ClusterFacts,
    Fact,
    Object,
    containers,
    dig,
    image,
    place_of,
    told,
    unknown,
)

CONFIG_KEYS = (("kube-proxy", "config.conf"), ("kube-proxy-config", "config"))
"""ConfigMap and key: kubeadm's, and EKS's."""
MARKS = (
    # What stands in a node's rules -> mode, the more telling first: IPVS writes some of the chains
    # of iptables too.
    ("table ip kube-proxy", "nftables"),
    ("KUBE-SVC-", "iptables"),
    ("KUBE-LOAD-BALANCER", "ipvs"),
)


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """kube-proxy, or what stands in for it."""

    mode: Fact[str]
    """`iptables`, `ipvs`, `nftables`; `cilium` or `calico-bpf` where these replace it."""
    nodes: dict[str, str]
    """What each node's kube-proxy answered or its rules show; empty before there are agents."""


def detect_proxy(facts: ClusterFacts, replaced_by: str | None) -> Proxy:
    """How Services are served here.

    Args:
        facts: The cluster.
        replaced_by: What is set to serve Services in kube-proxy's place; null: nothing.
    """
    nodes = {**_by_rules(facts), **facts.proxy_modes}
    workload = next(_workloads(facts), None)
    return Proxy(mode=_mode(facts, nodes, workload, replaced_by), nodes=nodes)


def _mode(
    facts: ClusterFacts, nodes: dict[str, str], workload: Object | None, replaced_by: str | None
) -> Fact[str]:
    seen = sorted(set(nodes.values()))
    if len(seen) > 1:
        return unknown(f"nodes differ: {', '.join(seen)}")
    if replaced_by is not None and not seen and workload is None:
        return told(replaced_by, "it is set to replace kube-proxy, and no kube-proxy is seen")
    if seen:
        return told(seen[0], f"{len(nodes)} nodes, as kube-proxy or its rules say")
    asked = _flag(workload) or _configured(facts)
    if asked is not None:
        return asked
    if workload is not None:
        return unknown(f"DaemonSet {place_of(workload)} fixes no mode: its release decides")
    return unknown(
        facts.why_unread("daemonsets.apps")
        or "no DaemonSet of kube-proxy: it may be part of another program"
    )


def _workloads(facts: ClusterFacts) -> Iterator[Object]:
    for workload in facts.of("daemonsets.apps"):
        for container in containers(workload):
            if image(str(container.get("image") or "")).name.split("/")[-1] == "kube-proxy":
                yield workload


def _flag(workload: Object | None) -> Fact[str] | None:
    if workload is None:
        return None
    for container in containers(workload):
        for word in (*(container.get("command") or ()), *(container.get("args") or ())):
            name, _, value = str(word).partition("=")
            if name == "--proxy-mode" and value:
                return told(value, f"DaemonSet {place_of(workload)}: {word}")
    return None


def _configured(facts: ClusterFacts) -> Fact[str] | None:
    for name, key in CONFIG_KEYS:
        text = dig(facts.named("configmaps", name), "data", key)
        if text is None:
            continue
        try:
            mode = dig(yaml.safe_load(text), "mode")
        except yaml.YAMLError as error:
            return unknown(f"ConfigMap {name}, {key}: {error}")
        if mode:
            return told(str(mode), f"ConfigMap {name}, {key}")
        # An empty mode has meant iptables on Linux in every release so far.
        return told("iptables", f"ConfigMap {name}, {key}: mode is empty, kube-proxy's default")
    return None


def _by_rules(facts: ClusterFacts) -> dict[str, str]:
    found = {}
    for node, text in facts.rules.items():
        mode = next((mode for mark, mode in MARKS if mark in text), None)
        if mode is not None:
            found[node] = mode
    return found
