"""Which CNIs a cluster's DaemonSets run, and which of these run anywhere.

An image's name alone says little: vendors build and mirror images under names of their own. What an
agent cannot do without stays: the name of its container, its variables, the last part of its
image's name. Any one of these gives it away. A DaemonSet that is scheduled nowhere, or on Windows
nodes only, carries no packets here. All CNIs are named; those without a driver are observed.
"""

import re
from collections.abc import Iterator

import msgspec

from podbench.cni.detect.facts import (
    ClusterFacts,
    Fact,
    Object,
    containers,
    dig,
    image,
    image_version,
)
from podbench.cni.detect.facts import place_of as place

OS_LABELS = ("kubernetes.io/os", "beta.kubernetes.io/os")


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """What gives a CNI's agent away."""

    cni: str
    images: str
    """Regular expression for the last part of the image's name, without registry and tag."""
    containers: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()
    """DaemonSets, where images bear a digest and no name: OpenShift's."""
    within: str = ""
    """A part that the image's name before its last part must have, where that is too common."""


SIGNS = (
    # Mirrors join an image's path into one word: `mirrored-calico-node`, `hardened-calico`.
    Sign(
        cni="calico",
        images=r"(.*[-_])?(calico[-_]node|cnx-node|hardened-calico)(-.*)?",
        containers=frozenset({"calico-node"}),
        variables=frozenset({"CALICO_NETWORKING_BACKEND", "FELIX_DEFAULTENDPOINTTOHOSTACTION"}),
    ),
    Sign(cni="calico", images=r"node(-fips)?", within="calico"),
    Sign(
        cni="flannel",
        images=r"(.*[-_])?flannel",
        containers=frozenset({"kube-flannel", "flanneld"}),
    ),
    Sign(
        cni="cilium",
        images=r"(.*[-_])?cilium(-ci|-dev|-agent|-fips|-ubi)?",
        containers=frozenset({"cilium-agent"}),
    ),
    Sign(cni="aws-vpc-cni", images=r"amazon-k8s-cni", containers=frozenset({"aws-node"})),
    Sign(cni="azure-cni", images=r"azure-cns", containers=frozenset({"azure-cns"})),
    Sign(
        cni="antrea",
        images=r"antrea-(agent|ubuntu|ubi)(-.*)?",
        containers=frozenset({"antrea-agent"}),
    ),
    Sign(cni="kindnet", images=r"kindnetd", containers=frozenset({"kindnet-cni"})),
    Sign(cni="kube-ovn", images=r"(.*-)?kube-ovn"),
    Sign(
        cni="ovn-kubernetes",
        images=r"ovn-kubernetes|ovn-kube-(ubuntu|fedora)",
        containers=frozenset({"ovnkube-node", "ovnkube-controller"}),
        sets=frozenset({"openshift-ovn-kubernetes/ovnkube-node"}),
    ),
    Sign(cni="openshift-sdn", images=r"openshift-sdn", sets=frozenset({"openshift-sdn/sdn"})),
    Sign(cni="kube-router", images=r"(.*-)?kube-router", containers=frozenset({"kube-router"})),
    Sign(cni="weave", images=r"(.*-)?weave-kube"),
    Sign(cni="terway", images=r"terway"),
    Sign(cni="hybridnet", images=r"hybridnet"),
    Sign(cni="spiderpool", images=r"spiderpool-agent"),
    Sign(cni="nsx", images=r"nsx-ncp(-.*)?", containers=frozenset({"nsx-node-agent"})),
)
META = (
    # These hand each pod on to another CNI, which carries its packets.
    Sign(cni="multus", images=r"(.*-)?multus(-cni|-thick|-daemon)?(-.*)?"),
)
NAMES = tuple(dict.fromkeys(each.cni for each in SIGNS))
"""All that are known, in the order in which they are named."""
HELPERS = frozenset({"azure-cni"})
"""On some clusters these hand out addresses, and another CNI carries the packets."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A CNI's agent: the container that gave it away, and its DaemonSet."""

    name: str
    workload: Object
    container: Object

    @property
    def where(self) -> str:
        """The DaemonSet, for people."""
        return f"DaemonSet {place(self.workload)}"

    @property
    def version(self) -> Fact[str]:
        """By the image's tag."""
        return image_version(str(self.container.get("image")), self.where)


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """A CNI's agent that runs on no Linux node, and why."""

    name: str
    where: str
    why: str


def found(facts: ClusterFacts) -> tuple[Found, ...]:
    """Every CNI agent that runs on a Linux node, in the order of `SIGNS`."""
    unique: dict[str, Found] = {}
    for each in _matches(facts, SIGNS):
        if idle(each.workload, facts) is None:
            unique.setdefault(each.name, each)
    return tuple(sorted(unique.values(), key=lambda each: NAMES.index(each.name)))


def left_over(facts: ClusterFacts) -> tuple[Idle, ...]:
    """CNI agents that are installed and run nowhere."""
    return tuple(
        Idle(name=each.name, where=each.where, why=why)
        for each in _matches(facts, SIGNS)
        if not for_windows(each.workload) and (why := idle(each.workload, facts)) is not None
    )


def meta(facts: ClusterFacts) -> tuple[str, ...]:
    """Meta-plugins, such as multus."""
    return tuple(sorted({each.name for each in _matches(facts, META)}))


def for_windows(workload: Object) -> bool:
    """Whether its pods run on Windows nodes only."""
    wanted = dig(workload, "spec", "template", "spec", "nodeSelector") or {}
    return any(str(wanted.get(label)).lower() == "windows" for label in OS_LABELS)


def idle(workload: Object, facts: ClusterFacts) -> str | None:
    """Why a DaemonSet runs on no Linux node; null where it does, or where nothing tells.

    Its nodeSelector is held against the nodes. What its status counts is believed where anything is
    counted at all: a controller that does not run counts nothing anywhere.
    """
    if for_windows(workload):
        return "it is for Windows nodes"
    wanted = dig(workload, "spec", "template", "spec", "nodeSelector") or {}
    nodes = facts.of("nodes")
    if wanted and nodes and not any(_has(node, wanted) for node in nodes):
        labels = ", ".join(f"{name}={value}" for name, value in wanted.items())
        return f"no node has its nodeSelector {labels}"
    counted = any(_scheduled(each) for each in facts.of("daemonsets.apps") if not _ours(each))
    if counted and _scheduled(workload) == 0:
        return "it is scheduled on no node"
    return None


def _ours(workload: Object) -> bool:
    """Whether a run made it: that it runs says nothing of who counted the others, and when."""
    return bool(dig(workload, "metadata", "labels", "app.kubernetes.io/managed-by") == "podbench")


def _scheduled(workload: Object) -> int | None:
    count = dig(workload, "status", "desiredNumberScheduled")
    return count if isinstance(count, int) else None


def _has(node: Object, wanted: Object) -> bool:
    labels = dig(node, "metadata", "labels") or {}
    if not labels.get(OS_LABELS[0]):
        # Every kubelet sets it; what lists nodes without labels says nothing about them.
        labels = {**dict.fromkeys(OS_LABELS, "linux"), **labels}
    elif not labels.get(OS_LABELS[1]):
        labels = {**labels, OS_LABELS[1]: labels[OS_LABELS[0]]}
    return all(str(labels.get(name)) == str(value) for name, value in wanted.items())


def _matches(facts: ClusterFacts, signs: tuple[Sign, ...]) -> Iterator[Found]:
    for workload in facts.of("daemonsets.apps"):
        for container in containers(workload):
            sign = next((each for each in signs if _shows(each, workload, container)), None)
            if sign is not None and not _no_router(sign, container):
                yield Found(name=sign.cni, workload=workload, container=container)


def _shows(sign: Sign, workload: Object, container: Object) -> bool:
    if place(workload) in sign.sets or container.get("name") in sign.containers:
        return True
    variables = {str(each.get("name")) for each in container.get("env") or ()}
    if variables & sign.variables:
        return True
    head, _, last = image(str(container.get("image") or "")).name.rpartition("/")
    return sign.within in head and re.fullmatch(sign.images, last) is not None


def _no_router(sign: Sign, container: Object) -> bool:
    """kube-router also serves as a firewall or a Service proxy beside another CNI."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return sign.cni == "kube-router" and "--run-router=false" in map(str, words)
