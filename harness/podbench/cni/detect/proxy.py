"""How Services are served: kube-proxy's mode as it says itself, as it is set, or as its rules show.

What kube-proxy answers on its node is worth most, for an empty `mode` is a default that depends on
release and system. Source: kubernetes/kubernetes, cmd/kube-proxy and pkg/proxy.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

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
from podbench.cni.detect.workloads import for_windows, idle

CONFIG_KEYS = (("kube-proxy", "config.conf"), ("kube-proxy-config", "config"))
"""ConfigMap and key: kubeadm's, and EKS's."""
IMAGES = r"(.*-)?kube-proxy"
"""The last part of the image's name, mirrors' too."""
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
    return Proxy(mode=_mode(facts, nodes, replaced_by), nodes=nodes)


def _mode(facts: ClusterFacts, nodes: dict[str, str], replaced_by: str | None) -> Fact[str]:
    seen = sorted(set(nodes.values()))
    if len(seen) > 1:
        return unknown(f"nodes differ: {', '.join(seen)}")
    if seen:
        return told(seen[0], f"{len(nodes)} nodes, as kube-proxy or its rules say")
    there = [each for each in _workloads(facts) if not for_windows(each)]
    nowhere = {place_of(each): why for each in there if (why := idle(each, facts)) is not None}
    running = [each for each in there if place_of(each) not in nowhere]
    if running:
        return _of_those(facts, running)
    absent = "; ".join(f"DaemonSet {name}: {why}" for name, why in nowhere.items())
    if replaced_by is not None:
        said = absent or "no kube-proxy is seen"
        return told(replaced_by, f"it is set to replace kube-proxy, and {said}")
    if absent:
        return unknown(f"no kube-proxy runs ({absent}), and what serves Services is not seen")
    return unknown(
        facts.why_unread("daemonsets.apps")
        or "no DaemonSet of kube-proxy: it may be part of another program"
    )


def _of_those(facts: ClusterFacts, running: Sequence[Object]) -> Fact[str]:
    """The mode of all kube-proxies; there may be one for each architecture."""
    found = [_asked(facts, each) for each in running]
    modes = sorted({each.value for each in found if each.value is not None})
    if len(modes) > 1:
        return unknown(f"DaemonSets differ: {', '.join(modes)}")
    return next((each for each in found if each.value is not None), found[0])


def _asked(facts: ClusterFacts, workload: Object) -> Fact[str]:
    """As it is started: a configuration file overrides its flags (kube-proxy --help)."""
    flags = _flags(workload)
    where = f"DaemonSet {place_of(workload)}"
    configured = _configured(facts)
    mode = flags.get("proxy-mode")
    if "config" in flags and configured is not None:
        return configured
    if mode:
        return told(mode, f"{where}: --proxy-mode {mode}")
    if configured is not None:
        return configured
    return unknown(f"{where} fixes no mode: its release decides")


def _workloads(facts: ClusterFacts) -> Iterator[Object]:
    for workload in facts.of("daemonsets.apps"):
        for container in containers(workload):
            last = image(str(container.get("image") or "")).name.split("/")[-1]
            if container.get("name") == "kube-proxy" or re.fullmatch(IMAGES, last):
                yield workload
                break


def _flags(workload: Object) -> dict[str, str]:
    """By name: `--name=value`, `--name value`, and both within one word for a shell."""
    found: dict[str, str] = {}
    for container in containers(workload):
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        parts = [part for word in words for part in str(word).split()]
        for part, following in pairwise([*parts, ""]):
            if not part.startswith("--"):
                continue
            name, equals, value = part[2:].partition("=")
            value = value if equals else "" if following.startswith("-") else following
            found[name.replace("_", "-")] = value.strip("'\"")
    return found


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
