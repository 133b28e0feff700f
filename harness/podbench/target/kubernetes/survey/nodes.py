"""Which nodes of a cluster take part, and why the others do not: pure, from what it says."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from podbench.target.kubernetes.api.refs import Object

CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
VIRTUAL = {
    # Labels of nodes that are an interface to something else: no network namespace to measure from.
    "type": "virtual-kubelet",
    "eks.amazonaws.com/compute-type": "fargate",
    "kubernetes.azure.com/role": "virtual-node",
}
ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
KEEPS_OUT = ("NoSchedule", "NoExecute")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A node that measures; `address` is its InternalIP."""

    name: str
    address: str
    zone: str | None = None
    region: str | None = None
    provider: str | None = None
    light: bool = False
    """A control-plane node: it carries no transfers, for the cluster hangs on it."""


class LeftOut(msgspec.Struct, frozen=True):
    """A node that does not, and why."""

    name: str
    reason: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Both kinds, by name."""

    places: tuple[Place, ...]
    left_out: tuple[LeftOut, ...]


def choose(nodes: Sequence[Object], most: int | None = None, only: Sequence[str] = ()) -> Choice:
    """Chooses the nodes that measure.

    With `most`, the first so many by name; with `only`, none but these.

    Nodes of the rarer architecture are left out: a pair of two kinds of machine would compare
    those, not the encapsulations.
    """
    common = Counter(_architecture(each) for each in nodes if _hindrance(each) is None)
    wanted = common.most_common(1)[0][0] if common else None
    places: list[Place] = []
    left_out: list[LeftOut] = []
    for node in sorted(nodes, key=lambda each: str(each["metadata"]["name"])):
        name = node["metadata"]["name"]
        reason = _hindrance(node)
        if reason is None and _architecture(node) != wanted:
            reason = f"its architecture is {_architecture(node)}, most others' {wanted}"
        if reason is None and only and name not in only:
            reason = "the run was planned without it"
        if reason is None and most is not None and len(places) >= most:
            reason = f"not needed: --nodes {most}"
        if reason is None:
            places.append(_place(node))
        else:
            left_out.append(LeftOut(name, reason))
    return Choice(places=tuple(places), left_out=tuple(left_out))


def ready(node: Object) -> bool:
    """Whether the kubelet says so, and is heard."""
    conditions = node.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _hindrance(node: Object) -> str | None:
    return next((said for says in HINDRANCES if (said := says(node)) is not None), None)


def _labels(node: Object) -> Mapping[str, str]:
    found: Mapping[str, str] = node["metadata"].get("labels") or {}
    return found


def _architecture(node: Object) -> str | None:
    return _info(node, "architecture", "kubernetes.io/arch")


def _info(node: Object, field: str, label: str) -> str | None:
    info = node.get("status", {}).get("nodeInfo") or {}
    told = info.get(field) or _labels(node).get(label)
    return str(told) if told else None


def _control_plane(node: Object) -> bool:
    return any(each in _labels(node) for each in CONTROL_PLANE)


def _virtual(node: Object) -> str | None:
    mine = [key for key, value in VIRTUAL.items() if _labels(node).get(key) == value]
    return f"a virtual node ({mine[0]})" if mine else None


def _system(node: Object) -> str | None:
    told = _info(node, "operatingSystem", "kubernetes.io/os")
    return None if told in (None, "linux") else f"its system is {told}"


def _cordoned(node: Object) -> str | None:
    return "cordoned" if node.get("spec", {}).get("unschedulable") else None


def _not_ready(node: Object) -> str | None:
    return None if ready(node) else "not ready"


def _tainted(node: Object) -> str | None:
    taints = node.get("spec", {}).get("taints") or []
    mine = [each["key"] for each in taints if each["effect"] in KEEPS_OUT]
    if mine and _control_plane(node):
        return f"a control-plane node that keeps pods out ({mine[0]})"
    return f"tainted: {mine[0]}" if mine else None


def _nowhere(node: Object) -> str | None:
    return None if _address(node) else "it has no InternalIP"


HINDRANCES: tuple[Callable[[Object], str | None], ...] = (
    # The one that says most comes first.
    _virtual,
    _system,
    _cordoned,
    _not_ready,
    _tainted,
    _nowhere,
)


def _address(node: Object) -> str | None:
    addresses = node.get("status", {}).get("addresses") or []
    mine = [str(each["address"]) for each in addresses if each["type"] == "InternalIP"]
    return mine[0] if mine else None


def _place(node: Object) -> Place:
    address = _address(node)
    assert address is not None
    provider = str(node.get("spec", {}).get("providerID") or "").partition(":")[0]
    return Place(
        name=node["metadata"]["name"],
        address=address,
        zone=_labels(node).get(ZONE),
        region=_labels(node).get(REGION),
        provider=provider or None,
        light=_control_plane(node),
    )
