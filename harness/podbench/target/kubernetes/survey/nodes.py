"""Which nodes of a cluster take part, and why the others do not: pure, from what it says."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from podbench.cni.detect import nodes as detected
from podbench.model.taints import Toleration
from podbench.target.kubernetes.api.refs import Object

CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
VIRTUAL = {
    # Labels of nodes that are an interface to something else: no network namespace to measure from.
    "type": "virtual-kubelet",
    "eks.amazonaws.com/compute-type": "fargate",
    "kubernetes.azure.com/role": "virtual-node",
}
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


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which nodes a user wants to take part."""

    most: int | None = None
    """The first so many by name; null: all."""
    only: Sequence[str] = ()
    """None but these; empty: all."""
    labels: Mapping[str, str] = {}
    tolerations: Sequence[Toleration] = ()


def choose(nodes: Sequence[Object], wanted: Wanted | None = None) -> Choice:
    """Chooses the nodes that measure.

    Nodes of the rarer architecture are left out: a pair of two kinds of machine would compare
    those, not the encapsulations.
    """
    wanted = wanted or Wanted()
    able = [each for each in nodes if _hindrance(each, wanted) is None]
    shared = _shared(able)
    common = Counter(_architecture(each) for each in able)
    usual = common.most_common(1)[0][0] if common else None
    places: list[Place] = []
    left_out: list[LeftOut] = []
    for node in sorted(nodes, key=lambda each: str(each["metadata"]["name"])):
        name = node["metadata"]["name"]
        reason = _hindrance(node, wanted) or shared.get(name)
        if reason is None and _architecture(node) != usual:
            reason = f"its architecture is {_architecture(node)}, most others' {usual}"
        if reason is None and wanted.only and name not in wanted.only:
            reason = "the run was planned without it"
        if reason is None and wanted.most is not None and len(places) >= wanted.most:
            reason = f"not needed: --nodes {wanted.most}"
        if reason is None:
            places.append(_place(node))
        else:
            left_out.append(LeftOut(name, reason))
    return Choice(places=tuple(places), left_out=tuple(left_out))


def pod_address(pod: Object) -> str | None:
    """A pod's IPv4 address: in a cluster of both families the first may be IPv6's."""
    status = pod.get("status") or {}
    listed = [each.get("ip") for each in status.get("podIPs") or []]
    found = [str(each) for each in (status.get("podIP"), *listed) if each]
    return next((each for each in found if ":" not in each), None)


def ready(node: Object) -> bool:
    """Whether the kubelet says so, and is heard."""
    conditions = node.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _hindrance(node: Object, wanted: Wanted) -> str | None:
    asked = _unwanted(node, wanted)
    found = (said for says in HINDRANCES if (said := says(node)) is not None)
    return asked or next(found, None) or _tainted(node, wanted) or _nowhere(node)


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


def _unwanted(node: Object, wanted: Wanted) -> str | None:
    missing = [
        f"{key}={value}" for key, value in wanted.labels.items() if _labels(node).get(key) != value
    ]
    return f"it has no label {', '.join(missing)} (--node-selector)" if missing else None


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


def _tainted(node: Object, wanted: Wanted) -> str | None:
    taints = node.get("spec", {}).get("taints") or []
    mine = [
        each["key"]
        for each in taints
        if each["effect"] in KEEPS_OUT
        and not any(
            one.tolerates(each["key"], each.get("value") or "", each["effect"])
            for one in wanted.tolerations
        )
    ]
    if mine and _control_plane(node):
        return f"a control-plane node that keeps pods out ({mine[0]})"
    return f"tainted: {mine[0]}" if mine else None


def _nowhere(node: Object) -> str | None:
    found = detected.address(node)
    if found.value is None:
        return str(found.reason).replace("the node has", "it has")
    networks = node.get("spec", {}).get("podCIDRs") or []
    if networks and all(":" in each for each in networks):
        return (
            f"its pods have IPv6 only ({networks[0]}): IPv6-only clusters cannot be measured,"
            " pools, probes and proofs are IPv4"
        )
    return None


def _shared(nodes: Sequence[Object]) -> dict[str, str]:
    """Why nodes that have another's InternalIP cannot take part, by name.

    Their own address leads to themselves, so that nothing reaches the other.
    """
    by_address: dict[str, list[str]] = {}
    for node in nodes:
        if (found := detected.address(node).value) is not None:
            by_address.setdefault(found, []).append(str(node["metadata"]["name"]))
    return {
        name: f"{' and '.join(names)} have the same InternalIP {where}: give each kubelet its own"
        " address with --node-ip"
        for where, names in by_address.items()
        if len(names) > 1
        for name in names
    }


HINDRANCES: tuple[Callable[[Object], str | None], ...] = (
    # The one that says most comes first.
    _virtual,
    _system,
    _cordoned,
    _not_ready,
)


def _place(node: Object) -> Place:
    address = detected.address(node).value
    assert address is not None
    provider = str(node.get("spec", {}).get("providerID") or "").partition(":")[0]
    return Place(
        name=node["metadata"]["name"],
        address=address,
        zone=detected.zone(node).value,
        region=detected.region(node).value,
        provider=provider or None,
        light=_control_plane(node),
    )
