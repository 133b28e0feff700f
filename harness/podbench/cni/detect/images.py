"""Which CNIs a cluster's DaemonSets run, by the images of their containers.

Names of DaemonSets differ between distributions, images hardly do; where images have no names, the
DaemonSets' count. All are named; those without a driver are only observed.
"""

from collections.abc import Iterator

import msgspec

from podbench.cni.detect.facts import ClusterFacts, Fact, Object, containers, image, image_version
from podbench.cni.detect.facts import place_of as place

IMAGES: tuple[tuple[str, str], ...] = (
    # Ending of the image's name -> CNI.
    ("calico/node", "calico"),
    ("hardened-calico", "calico"),  # RKE2
    ("mirrored-calico-node", "calico"),  # Rancher's mirror
    ("flannel", "flannel"),  # flannel-io's, flannelcni's, coreos's, and mirrors that flatten names
    ("hardened-flannel", "flannel"),
    ("mirrored-flannel-flannel", "flannel"),
    ("cilium/cilium", "cilium"),
    ("cilium/cilium-ci", "cilium"),
    ("mirrored-cilium-cilium", "cilium"),
    ("amazon-k8s-cni", "aws-vpc-cni"),
    ("azure-cns", "azure-cni"),
    ("antrea/antrea-agent-ubuntu", "antrea"),
    ("antrea/antrea-agent-ubi", "antrea"),
    ("antrea/antrea-ubuntu", "antrea"),
    ("kindest/kindnetd", "kindnet"),
    ("kubeovn/kube-ovn", "kube-ovn"),
    ("ovn-kubernetes", "ovn-kubernetes"),
    ("ovn-kube-ubuntu", "ovn-kubernetes"),
    ("ovn-kube-fedora", "ovn-kubernetes"),
    ("cloudnativelabs/kube-router", "kube-router"),
    ("weaveworks/weave-kube", "weave"),
    ("terway/terway", "terway"),
    ("hybridnetdev/hybridnet", "hybridnet"),
    ("spidernet/spiderpool-agent", "spiderpool"),
)
NAMES = {
    # DaemonSets whose images bear a digest and no name of their own: OpenShift's.
    "openshift-ovn-kubernetes/ovnkube-node": "ovn-kubernetes",
    "openshift-sdn/sdn": "openshift-sdn",
}
META = (
    # These hand each pod on to another CNI, which carries its packets.
    ("k8snetworkplumbingwg/multus-cni", "multus"),
    ("hardened-multus-cni", "multus"),
)


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


def found(facts: ClusterFacts) -> tuple[Found, ...]:
    """Every CNI agent that a DaemonSet runs, in the order of `IMAGES`."""
    order = {name: place for place, (_, name) in reversed(list(enumerate(IMAGES)))}
    seen = [*_matches(facts, IMAGES), *_named(facts)]
    unique = {each.name: each for each in reversed(seen)}
    last = len(order)
    return tuple(sorted(unique.values(), key=lambda each: order.get(each.name, last)))


def _named(facts: ClusterFacts) -> Iterator[Found]:
    for workload in facts.of("daemonsets.apps"):
        cni = NAMES.get(place(workload))
        first = next(iter(containers(workload)), None)
        if cni is not None and first is not None:
            yield Found(name=cni, workload=workload, container=first)


def meta(facts: ClusterFacts) -> tuple[str, ...]:
    """Meta-plugins, such as multus."""
    return tuple(sorted({each.name for each in _matches(facts, META)}))


def _matches(facts: ClusterFacts, table: tuple[tuple[str, str], ...]) -> Iterator[Found]:
    for workload in facts.of("daemonsets.apps"):
        for container in containers(workload):
            name = image(str(container.get("image") or "")).name
            cni = next((cni for end, cni in table if _ends(name, end)), None)
            if cni is not None:
                yield Found(name=cni, workload=workload, container=container)


def _ends(name: str, end: str) -> bool:
    return name == end or name.endswith(f"/{end}")
