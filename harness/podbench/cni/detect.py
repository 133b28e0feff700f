"""Which CNIs podbench knows, and which one a node's facts show.

Two have modes that podbench can lay; Cilium has modes that it only observes; every other network
is observed as it is found.

`detect` is a pure function of facts that others read, so that every CNI is tested from recordings.
"""

from collections.abc import Iterable

import msgspec

from podbench.cni.base import Driver
from podbench.cni.calico import Calico
from podbench.cni.cilium import Cilium
from podbench.cni.detect_images import IMAGES, NAMES
from podbench.cni.flannel import Flannel
from podbench.cni.generic import Generic
from podbench.model.errors import ConfigError
from podbench.model.facts import Link, NodeFacts

DRIVERS: dict[str, Driver] = {"calico": Calico(), "flannel": Flannel()}
"""Drivers whose modes can be laid, by the name users type. They keep no state."""
OBSERVED: dict[str, Driver] = {"cilium": Cilium()}
UNKNOWN = "unknown"
"""The name of a network that nothing gave away."""

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


def names() -> tuple[str, ...]:
    """The CNIs whose modes podbench can lay."""
    return tuple(DRIVERS)


def driver(name: str) -> Driver:
    """The driver of a CNI; of one that is only named, the one that observes any.

    Raises:
        ConfigError: No CNI of that name is known.
    """
    known = {**DRIVERS, **OBSERVED}
    named = {*(cni for _, cni in IMAGES), *NAMES.values(), UNKNOWN}
    if name not in known and name in named:
        return Generic(name)
    if name not in known:
        raise ConfigError(f"unknown CNI {name}", advice=f"known are {', '.join((*known, *named))}")
    return known[name]


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
