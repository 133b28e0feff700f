"""Admission webhooks that a run depends on: those that fail closed and match its objects. Pure.

Such a webhook that is out of reach refuses what it matches, and with it a deployment or, worse, its
removal. Source: Kubernetes reference, "Dynamic Admission Control".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from podbench.target.kubernetes.api.refs import KINDS, Object
from podbench.target.kubernetes.preflight.pods import SeenPod, selects

OPERATIONS = ("CREATE", "UPDATE", "DELETE")
NAME_LABEL = "kubernetes.io/metadata.name"


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """One that matters. `service` is `namespace/name`, null for a URL outside."""

    configuration: str
    name: str
    service: str | None
    matches: tuple[str, ...]
    """Kinds of ours that it is asked about."""
    removal: bool
    """Whether it is asked when they are removed, too."""


def fail_closed(configurations: Iterable[Object], objects: Sequence[Object]) -> tuple[Hook, ...]:
    """The webhooks that refuse objects of ours when they are not heard.

    Args:
        configurations: Validating and mutating ones.
        objects: Everything a run makes, pods of its workloads included.
    """
    spaces = {
        each["metadata"]["name"]: {
            NAME_LABEL: each["metadata"]["name"],
            **(each["metadata"].get("labels") or {}),
        }
        for each in objects
        if each["kind"] == "Namespace"
    }
    return tuple(
        hook
        for configuration in configurations
        for webhook in configuration.get("webhooks") or []
        # Fail is version v1's default.
        if webhook.get("failurePolicy", "Fail") == "Fail"
        for hook in _hook(configuration["metadata"]["name"], webhook, objects, spaces)
    )


def _hook(
    configuration: str,
    webhook: Object,
    objects: Sequence[Object],
    spaces: Mapping[str, Mapping[str, str]],
) -> Iterator[Hook]:
    found: dict[str, set[str]] = {}
    for each in objects:
        if _selected(webhook, each, spaces):
            found.setdefault(each["kind"], set()).update(_operations(webhook, each))
    matched = {kind: operations for kind, operations in found.items() if operations}
    if matched:
        service = (webhook.get("clientConfig") or {}).get("service")
        yield Hook(
            configuration=configuration,
            name=str(webhook.get("name")),
            service=f"{service['namespace']}/{service['name']}" if service else None,
            matches=tuple(sorted(matched)),
            removal=any("DELETE" in each for each in matched.values()),
        )


def _selected(webhook: Object, body: Object, spaces: Mapping[str, Mapping[str, str]]) -> bool:
    meta = body["metadata"]
    if not selects(webhook.get("objectSelector"), meta.get("labels") or {}):
        return False
    # A namespace is judged by its own labels; other objects without one are always admitted.
    space = meta["name"] if body["kind"] == "Namespace" else meta.get("namespace")
    labels = None if space is None else spaces.get(space, {NAME_LABEL: space})
    return labels is None or selects(webhook.get("namespaceSelector"), labels)


def _operations(webhook: Object, body: Object) -> set[str]:
    """What a webhook is asked about an object for."""
    known = KINDS[body["kind"]]
    group, _, version = known.api_version.rpartition("/")
    asked: set[str] = set()
    for rule in webhook.get("rules") or []:
        scope = {"*": None, "Cluster": False, "Namespaced": True}[rule.get("scope", "*")]
        if (
            _names(rule.get("apiGroups"), group)
            and _names(rule.get("apiVersions"), version)
            and _names(rule.get("resources"), known.plural, "*/*")
            and scope in (None, known.namespaced)
        ):
            named = set(rule.get("operations") or [])
            asked |= set(OPERATIONS) if "*" in named else named & set(OPERATIONS)
    return asked


def _names(listed: Sequence[str] | None, wanted: str, *also: str) -> bool:
    return bool({"*", wanted, *also} & set(listed or []))


def where(service: str | None, services: Sequence[Object], pods: Sequence[SeenPod]) -> bool | None:
    """Whether what answers for a Service is on the pod network; null where it cannot be told."""
    if service is None:
        return None
    namespace, _, name = service.partition("/")
    for each in services:
        meta, spec = each["metadata"], each.get("spec") or {}
        if (meta.get("namespace"), meta["name"]) == (namespace, name) and spec.get("selector"):
            behind = [
                pod
                for pod in pods
                if pod.namespace == namespace
                and selects({"matchLabels": spec["selector"]}, pod.labels)
            ]
            return not all(pod.host_network for pod in behind) if behind else None
    return None
