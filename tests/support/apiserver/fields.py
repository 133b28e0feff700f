"""Who owns which field, and server-side apply. Pure.

Paths are tuples of FieldsV1 steps: `f:spec`, `k:{"name":"agent"}`; other lists are one value.
Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

import copy
import json
from typing import Any

Object = dict[str, Any]
Path = tuple[str, ...]

KEYS = ("name", "key", "containerPort", "type", "ip")
"""What identifies an element, where a list is a map of such (`x-kubernetes-list-map-keys`)."""
MAP_LISTS = {"containers", "initContainers", "env", "volumes", "volumeMounts", "ports"}
MAP_KEYS = {"volumeMounts": ("mountPath",), "ports": ("containerPort", "protocol")}
ATOMIC = {"selector", "command", "args", "nodeSelector", "podSelector"}
IDENTITY = {("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace")}


class Conflict(Exception):
    """Other managers' fields; `found` has manager and dotted path of each."""

    def __init__(self, found: list[tuple[str, str]]) -> None:
        super().__init__(found)
        self.found = found


def leaves(body: Object) -> dict[Path, Any]:
    """Every field set in a body, with its value; empty maps count as values."""
    found: dict[Path, Any] = {}
    _walk(body, (), "", found)
    return {path: value for path, value in found.items() if path not in IDENTITY}


def _walk(value: Any, path: Path, name: str, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value and name not in ATOMIC:
        for key, each in value.items():
            _walk(each, (*path, f"f:{key}"), key, found)
    elif isinstance(value, list) and name in MAP_LISTS:
        for each in value:
            keys = MAP_KEYS.get(name, ("name",))
            mark = json.dumps({k: each[k] for k in keys if k in each}, separators=(",", ":"))
            found[(*path, f"k:{mark}", ".")] = None
            _walk(each, (*path, f"k:{mark}"), "", found)
    else:
        found[path] = value


def nested(paths: set[Path]) -> Object:
    """FieldsV1 of some paths."""
    tree: Object = {}
    for path in sorted(paths):
        at = tree
        for step in path:
            at = at.setdefault(step, {})
    return tree


def flat(tree: Object, path: Path = ()) -> set[Path]:
    """The paths of FieldsV1."""
    found: set[Path] = set()
    for step, below in tree.items():
        found |= flat(below, (*path, step)) if below else {(*path, step)}
    return found


def dotted(path: Path) -> str:
    """As messages name a field: `.spec.template.spec.containers[name="agent"].command`."""
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("k:"):
            pairs = json.loads(step[2:]).items()
            text += "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in pairs) + "]"
    return text


def apply(live: Object | None, applied: Object, manager: str, *, force: bool, time: str) -> Object:
    """Server-side apply: the object as it is then.

    Raises:
        Conflict: Fields of other managers differ, and it is not forced.
    """
    wanted = leaves(applied)
    base = copy.deepcopy(live) if live is not None else {}
    entries: list[Object] = base.get("metadata", {}).get("managedFields") or []
    current = leaves(base) if live is not None else {}
    mine = [e for e in entries if e["manager"] == manager and e["operation"] == "Apply"]
    others = [e for e in entries if e not in mine]
    conflicts = []
    for entry in others:
        owned = flat(entry["fieldsV1"])
        clash = [p for p in wanted if p in owned and p[-1] != "." and current.get(p) != wanted[p]]
        if clash and not force:
            conflicts += [(entry["manager"], dotted(p)) for p in sorted(clash)]
        entry["fieldsV1"] = nested(owned - set(clash))
    if conflicts:
        raise Conflict(conflicts)
    kept = set[Path]().union(*(flat(e["fieldsV1"]) for e in others)) if others else set()
    before = set[Path]().union(*(flat(e["fieldsV1"]) for e in mine)) if mine else set()
    for path in before - set(wanted) - kept:
        _remove(base, path)
    merged: Object = _merge(base, applied, "")
    entry = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": applied["apiVersion"],
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": nested(set(wanted)),
    }
    merged["metadata"]["managedFields"] = [entry, *(e for e in others if e["fieldsV1"])]
    return merged


def updated(
    live: Object | None, body: Object, manager: str, *, time: str, subresource: str = ""
) -> Object:
    """A create or a replacement: what differs from before is the manager's from now on."""
    body = copy.deepcopy(body)
    body["metadata"].pop("managedFields", None)
    entries = copy.deepcopy((live or {}).get("metadata", {}).get("managedFields") or [])
    before = leaves(live) if live is not None else {}
    skip = {"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"}
    changed = {
        path
        for path, value in leaves(body).items()
        if before.get(path, entries) != value
        and path != ("f:metadata",)
        and not (path[0] == "f:metadata" and path[1][2:] in skip)
    }
    for entry in entries:
        entry["fieldsV1"] = nested(flat(entry["fieldsV1"]) - changed)
    key = (manager, "Update", subresource)
    mine = [e for e in entries if (e["manager"], e["operation"], e.get("subresource", "")) == key]
    owned = set[Path]().union(changed, *(flat(e["fieldsV1"]) for e in mine))
    entry = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": body["apiVersion"],
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": nested(owned),
    }
    if subresource:
        entry["subresource"] = subresource
    rest = [e for e in entries if e not in mine and e["fieldsV1"]]
    body["metadata"]["managedFields"] = [entry, *rest] if owned else rest
    return body


def _merge(base: Any, over: Any, name: str) -> Any:
    if isinstance(base, dict) and isinstance(over, dict) and name not in ATOMIC:
        merged = dict(base)
        for key, value in over.items():
            merged[key] = _merge(base.get(key), value, key)
        return merged
    if isinstance(base, list) and isinstance(over, list) and name in MAP_LISTS:
        keys = MAP_KEYS.get(name, ("name",))

        def mark(each: Object) -> tuple[Any, ...]:
            return tuple(each.get(k) for k in keys)

        known = {mark(each): each for each in base}
        new = [_merge(known.get(mark(each)), each, "") for each in over]
        return new + [each for m, each in known.items() if m not in {mark(e) for e in over}]
    return copy.deepcopy(over)


def _remove(body: Object, path: Path) -> None:
    at: Any = body
    for step in path[:-1]:
        if not isinstance(at, dict) or not step.startswith("f:"):
            return
        at = at.get(step[2:])
    if isinstance(at, dict) and path[-1].startswith("f:"):
        at.pop(path[-1][2:], None)
