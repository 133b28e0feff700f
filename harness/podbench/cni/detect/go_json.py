"""JSON as Go's decoder reads it into a record: keys in any case, and the last of several wins.

Source: encoding/json, Unmarshal ("preferring exact matches but also accepting case-insensitive
matches"). Flannel's settings are read so; Kubernetes' own objects are not.
"""

import json
from collections.abc import Mapping
from typing import Any


def loads(text: str) -> Any:
    """Reads a text; an object's keys stand in the order in which they were last set.

    Raises:
        ValueError: It is no JSON.
    """
    return json.loads(text, object_pairs_hook=_last)


def _last(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.pop(key, None)
        found[key] = value
    return found


def pick(tree: object, *path: str) -> Any:
    """A value deep in an object, by its fields' names in any case; null where a step is missing."""
    for name in path:
        spelled = keys(tree, name)
        if not spelled or not isinstance(tree, Mapping):
            return None
        tree = tree[spelled[-1]]
    return tree


def keys(tree: object, name: str) -> list[str]:
    """How an object spells a field, the one that counts last."""
    if not isinstance(tree, Mapping):
        return []
    return [key for key in tree if str(key).lower() == name.lower()]
