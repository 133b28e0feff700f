"""What detection on a cluster works from: API objects as the server gave them, and nodes' facts.

`target.kubernetes` collects (`WANTED` says what), `detect_cluster` and its neighbours conclude.
Everything here is pure.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from podbench.model.facts import NodeFacts

T = TypeVar("T")

Object = Mapping[str, Any]
"""One API object, decoded."""


class Fact(msgspec.Struct, Generic[T], frozen=True):
    """One thing about a cluster: told, with the place that tells it, or unknown, with the reason.

    `value` null means unknown; then `reason` says why, else `source` where it stands.
    """

    value: T | None
    source: str | None = None
    reason: str | None = None


def told(value: T, source: str) -> Fact[T]:
    """A fact that stands somewhere."""
    return Fact(value, source, None)


def unknown(reason: str) -> Fact[Any]:
    """A fact that nothing tells."""
    return Fact(None, None, reason)


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """One read to make: a whole list, or objects by name where the right to list is not needed.

    `resource` is the plural with its group, as in `daemonsets.apps`; that is also the key in
    `ClusterFacts.objects`.
    """

    resource: str
    group: str
    versions: tuple[str, ...]
    names: tuple[tuple[str, str], ...] = ()
    """(namespace, name) of each object to get, the namespace empty for cluster-wide ones; empty:
    list all."""


def _in(namespaces: tuple[str, ...], name: str) -> tuple[tuple[str, str], ...]:
    return tuple((namespace, name) for namespace in namespaces)


CALICO, CALICO_CRD, TIGERA = "projectcalico.org", "crd.projectcalico.org", "operator.tigera.io"
UNAVAILABLE = "nobody answers for this API group"
"""Why a kind was not read: its group is registered, and the server behind it is down."""
SYSTEM = ("kube-system",)
CONFIG_MAPS = (
    *_in(SYSTEM, "kube-proxy"),
    *_in(SYSTEM, "kube-proxy-config"),
    *_in(SYSTEM, "calico-config"),
    *_in(SYSTEM, "canal-config"),
    *_in(SYSTEM, "rke2-canal-config"),
    *_in((*SYSTEM, "cilium"), "cilium-config"),
    *_in((*SYSTEM, "kube-flannel"), "kube-flannel-cfg"),
)
"""Where the CNIs' own installations and the usual distributions put their settings."""
CALICO_KINDS = (
    "bgpconfigurations",
    "bgppeers",
    "clusterinformations",
    "felixconfigurations",
    "ippools",
)
WANTED: tuple[Read, ...] = (
    Read(resource="nodes", group="", versions=("v1",)),
    Read(resource="daemonsets.apps", group="apps", versions=("v1",)),
    Read(resource="configmaps", group="", versions=("v1",), names=CONFIG_MAPS),
    Read(
        resource="customresourcedefinitions.apiextensions.k8s.io",
        group="apiextensions.k8s.io",
        versions=("v1",),
        names=(("", f"ippools.{CALICO}"),),
    ),
    Read(resource=f"installations.{TIGERA}", group=TIGERA, versions=("v1",)),
    *(Read(resource=f"{kind}.{CALICO}", group=CALICO, versions=("v3",)) for kind in CALICO_KINDS),
    *(
        Read(resource=f"{kind}.{CALICO_CRD}", group=CALICO_CRD, versions=("v1",))
        for kind in CALICO_KINDS
    ),
)
"""All that detection looks at; a group that is not served is left out. Every read stands in the
chart's ClusterRole `podbench-orchestrator`."""


class ClusterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was collected of one cluster."""

    version: str | None = None
    """`gitVersion` of /version."""
    groups: frozenset[str] = frozenset()
    """API groups that are served, by name, from /apis."""
    objects: Mapping[str, tuple[Object, ...]] = {}
    """By `Read.resource`. A key that is absent was not read: see `unread`."""
    unread: Mapping[str, str] = {}
    """By `Read.resource`: why it was not read (`forbidden`, `not served`)."""
    nodes: Mapping[str, NodeFacts] = {}
    """What host-network agents read, by node; empty before there are agents."""
    rules: Mapping[str, str] = {}
    """By node: the text of `iptables-save -t nat` or `nft list tables`, where it could be had."""

    @property
    def proxy_modes(self) -> dict[str, str]:
        """By node: what kube-proxy answered there."""
        modes = {name: node.proxy_mode for name, node in self.nodes.items()}
        return {name: mode for name, mode in modes.items() if mode is not None}

    def of(self, resource: str) -> tuple[Object, ...]:
        """The objects of a kind; empty where there are none or they were not read."""
        return self.objects.get(resource, ())

    def named(self, resource: str, name: str) -> Object | None:
        """The first object of a kind and name, in whatever namespace."""
        return next((each for each in self.of(resource) if name_of(each) == name), None)

    def why_unread(self, resource: str) -> str | None:
        """Why a kind was not read; null if it was."""
        if resource in self.objects:
            return None
        return f"{resource}: {self.unread.get(resource, 'not read')}"


def dig(tree: object, *path: str) -> Any:
    """A value deep in an object; null where a step is missing."""
    for key in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def name_of(each: Object) -> str:
    """An object's name."""
    return str(dig(each, "metadata", "name") or "")


def place_of(each: Object) -> str:
    """Namespace and name, as in `kube-system/calico-node`; the name alone where it has none."""
    namespace = dig(each, "metadata", "namespace")
    return f"{namespace}/{name_of(each)}" if namespace else name_of(each)


def containers(workload: Object) -> Iterator[Object]:
    """The containers of a DaemonSet's or Deployment's pods, without the initial ones."""
    yield from dig(workload, "spec", "template", "spec", "containers") or ()


class Image(msgspec.Struct, frozen=True):
    """A container image's reference, taken apart.

    `name` is without registry, tag and digest: `calico/node`.
    """

    name: str
    tag: str | None


def image(reference: str) -> Image:
    """Reads a reference such as `quay.io/calico/node:v3.31.0@sha256:...`."""
    bare = reference.partition("@")[0]
    head, slash, rest = bare.partition("/")
    if slash and (head == "localhost" or any(mark in head for mark in ".:")):
        bare = rest
    name, colon, tag = bare.rpartition(":")
    return Image(name, tag) if colon and "/" not in tag else Image(bare, None)


_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?([-+._].*)?$")


_REBUILT = re.compile(r"(-iptables[\d.]+)?-\d{1,3}$")
"""A vendor's count of its builds, with what it built in: no part of the CNI's own version."""


def version_in(tag: str) -> str | None:
    """`3.31.0` from `v3.31.0` and from `v3.31.0-1`; null where a tag is none (`master`)."""
    match = _VERSION.fullmatch(tag)
    return _REBUILT.sub("", tag.removeprefix("v")) if match else None


def release(version: str) -> tuple[int, int] | None:
    """Major and minor number of a version, for comparisons; null where it is none."""
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2])) if match else None


def image_version(reference: str, where: str) -> Fact[str]:
    """A version by the image's tag, or why there is none."""
    tag = image(reference).tag
    if tag is None:
        return unknown(f"{where}: image {reference} has no tag")
    version = version_in(tag)
    if version is None:
        return unknown(f"{where}: the image's tag {tag} is no version")
    return told(version, f"{where}: image {reference}")
