"""What of a cluster's pods matters to a run: where they are, what they take, which ports. Pure.

A pod is cut down as soon as it is read: a cluster may have ten thousand of them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from podbench.target.kubernetes.api.refs import Object

FACTORS = {
    "": 1.0,
    **dict(zip(("n", "u", "m"), (1e-9, 1e-6, 1e-3), strict=True)),
    **{suffix: 10.0 ** (3 * place) for place, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": 1024.0**place for place, suffix in enumerate("KMGTPE", 1)},
}
"""Suffixes of quantities (k8s.io/apimachinery, pkg/api/resource)."""
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?\d+)?)([a-zA-Z]*)")


class SeenPod(msgspec.Struct, frozen=True, kw_only=True):
    """One pod. `node` null: none has taken it yet."""

    name: str
    namespace: str
    node: str | None
    labels: Mapping[str, str]
    host_network: bool
    host_ports: frozenset[int]
    """Ports of the node that it takes; a pod on the host network may take others unsaid."""
    cores: float
    memory_bytes: float
    """Both as requested."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What a node still has to give."""

    cores: float
    memory_bytes: float
    pods: float


def seen(pod: Object) -> SeenPod | None:
    """A pod as it counts; null for one that has ended and takes nothing."""
    spec, meta = pod.get("spec") or {}, pod["metadata"]
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return None
    containers = spec.get("containers") or []
    hosted = bool(spec.get("hostNetwork"))
    return SeenPod(
        name=meta["name"],
        namespace=meta.get("namespace", ""),
        node=spec.get("nodeName"),
        labels=meta.get("labels") or {},
        host_network=hosted,
        host_ports=frozenset(_host_ports(containers, hosted=hosted)),
        cores=_requested(containers, "cpu"),
        memory_bytes=_requested(containers, "memory"),
    )


def _host_ports(containers: Iterable[Object], *, hosted: bool) -> Iterable[int]:
    for each in containers:
        for port in each.get("ports") or []:
            number = port.get("hostPort") or (port.get("containerPort") if hosted else None)
            if number:
                yield int(number)


def _requested(containers: Iterable[Object], what: str) -> float:
    texts = [((each.get("resources") or {}).get("requests") or {}).get(what) for each in containers]
    return sum(quantity(text) or 0.0 for text in texts)


def quantity(text: Any) -> float | None:
    """`250m`, `1Gi`, `2e3` as a number; null where it is none."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None or match[2] not in FACTORS:
        return None
    return float(match[1]) * FACTORS[match[2]]


def room(node: Object, pods: Iterable[SeenPod]) -> Room | None:
    """What a node has left beside these pods of it; null where it does not say what it has."""
    has = (node.get("status") or {}).get("allocatable") or {}
    cores, memory, most = (quantity(has.get(key)) for key in ("cpu", "memory", "pods"))
    if cores is None or memory is None or most is None:
        return None
    mine = [pod for pod in pods if pod.node == node["metadata"]["name"]]
    return Room(
        cores=cores - sum(pod.cores for pod in mine),
        memory_bytes=memory - sum(pod.memory_bytes for pod in mine),
        pods=most - len(mine),
    )


def selects(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector admits these labels; an empty or absent one admits all."""
    asked = selector or {}
    alike = all(labels.get(key) == value for key, value in (asked.get("matchLabels") or {}).items())
    return alike and all(_admits(each, labels) for each in asked.get("matchExpressions") or [])


def _admits(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
