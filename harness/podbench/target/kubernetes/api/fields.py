"""Single fields of objects: read, set, taken away. Pure.

A path is a tuple of keys; an element of a list is named by one of its own fields, for its place may
change: `("spec", "ipPools", "cidr=10.244.0.0/16", "encapsulation")`.
"""

import copy
from collections.abc import Mapping
from typing import Any

from podbench.target.kubernetes.api.refs import Object

Path = tuple[str, ...]
NOTHING = (None, "", "Never")
"""What an absent field may be read as: Calico's API fills an absent mode in."""


def read(body: Any, path: Path) -> Any:
    """A field's value; null where it or something on the way to it is absent."""
    for step in path:
        body = _step(body, step)
    return body


def _step(body: Any, step: str) -> Any:
    if isinstance(body, Mapping):
        return body.get(step)
    if isinstance(body, list):
        key, _, value = step.partition("=")
        named = (each for each in body if isinstance(each, Mapping) and each.get(key) == value)
        return next(named, None)
    return None


def written(body: Object, values: Mapping[Path, Any]) -> Object:
    """A copy with these fields set; null takes one away. Maps on the way are made.

    Raises:
        KeyError: A list has no such element.
    """
    new = copy.deepcopy(body)
    for path, value in values.items():
        if value is None and read(new, path) is None:
            continue
        at: Any = new
        for step in path[:-1]:
            if isinstance(at, list):
                at = _step(at, step)
                if at is None:
                    raise KeyError(dotted(path))
            else:
                at = at.setdefault(step, {})
        if value is None:
            at.pop(path[-1], None)
        else:
            at[path[-1]] = copy.deepcopy(value)
    return new


def alike(one: Any, other: Any) -> bool:
    """Whether two values of a field mean the same."""
    return bool(one == other) or (_nothing(one) and _nothing(other))


def _nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in NOTHING)


def holds(body: Object, values: Mapping[Path, Any]) -> bool:
    """Whether an object has all of these values."""
    return all(alike(read(body, path), value) for path, value in values.items())


def dotted(path: Path) -> str:
    """A path for people: `.spec.ipPools[cidr=10.244.0.0/16].encapsulation`."""
    return "".join(f"[{step}]" if "=" in step else f".{step}" for step in path)
