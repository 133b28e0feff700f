"""Which CNI carries a node's packets, by the devices it has. Pure: facts in, a name out."""

from collections.abc import Container, Iterable

import msgspec

from podbench.model.facts import Link, NodeFacts

SIGNS: tuple[tuple[str, str], ...] = (
    # Beginning of a device's name -> CNI; specific ones first. `cali` are Calico's pod devices,
    # which Canal has beside Flannel's tunnel: there Flannel carries the packets.
    ("flannel", "flannel"),
    ("vxlan.calico", "calico"),
    ("cali", "calico"),
    ("cilium_", "cilium"),
)


POD_ENDS = {
    # CNI -> beginnings of the host's ends of its pods' interfaces: these a left-over has not.
    "calico": ("cali",),
    "cilium": ("lxc",),
    "flannel": ("cni0",),
    "aws-vpc-cni": ("eni",),
    "azure-cni": ("azv",),
    "antrea": ("antrea-gw",),
    "kube-ovn": ("ovn0",),
    "ovn-kubernetes": ("ovn-k8s-mp",),
    "kube-router": ("kube-bridge",),
    "weave": ("weave",),
}


class Detected(msgspec.Struct, frozen=True, kw_only=True):
    """A CNI and what gave it away. `version` is null where facts of nodes do not tell it."""

    name: str
    version: str | None
    detected_from: tuple[str, ...]


def shows(nodes: Iterable[NodeFacts], cni: str) -> bool:
    """Whether pods of a CNI are plugged in on any node."""
    ends = POD_ENDS.get(cni, ())
    return any(
        link.name.startswith(ends) and link.up for facts in nodes for link in facts.links if ends
    )


def detect(nodes: Iterable[NodeFacts], without: Container[str] = ()) -> Detected | None:
    """The CNI whose devices the nodes show; null when none is recognised.

    Where several are present the first of `SIGNS` wins, for it is the one that carries the packets.
    `without` are CNIs that are known to carry none.
    """
    found: dict[str, list[str]] = {}
    for facts in nodes:
        for link in facts.links:
            name = _cni(link)
            if name is not None and name not in without:
                found.setdefault(name, []).append(f"{facts.node}: {_describe(link)}")
    for _, name in SIGNS:
        if name in found:
            return Detected(name=name, version=None, detected_from=tuple(found[name]))
    return None


def _cni(link: Link) -> str | None:
    return next((cni for prefix, cni in SIGNS if link.name.startswith(prefix)), None)


def _describe(link: Link) -> str:
    if link.vxlan_id is None:
        return f"device {link.name}"
    return f"device {link.name} (VXLAN {link.vxlan_id}, UDP port {link.vxlan_port})"
