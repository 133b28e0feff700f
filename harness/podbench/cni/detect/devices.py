"""Which CNI carries a node's packets, by the devices it has. Pure: facts in, a name out."""

from collections.abc import Iterable

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


class Detected(msgspec.Struct, frozen=True, kw_only=True):
    """A CNI and what gave it away. `version` is null where facts of nodes do not tell it."""

    name: str
    version: str | None
    detected_from: tuple[str, ...]


def detect(nodes: Iterable[NodeFacts]) -> Detected | None:
    """The CNI whose devices the nodes show; null when none is recognised.

    Where several are present the first of `SIGNS` wins, for it is the one that carries the packets.
    """
    found: dict[str, list[str]] = {}
    for facts in nodes:
        for link in facts.links:
            name = _cni(link)
            if name is not None:
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
