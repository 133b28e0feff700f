"""Puts one deployment's values where a rendering shows another's: trees of maps, lists and scalars.

Knows neither the chart nor Kubernetes; `objects` says what stands for what.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

Pair = tuple[Any, Any]
"""A subtree as shown and what stands in its place: `OMIT` for nothing, `Several` for more than one
element of a list."""

OMIT = object()


class Several(msgspec.Struct, frozen=True):
    """Elements that take one element's place in a list."""

    elements: tuple[Any, ...]


def fill(tree: Any, pairs: Sequence[Pair], texts: Mapping[str, str]) -> Any:
    """A tree with other values; what was put in is not looked at again.

    Args:
        tree: Maps, lists and scalars, as YAML gives them; left as it is.
        pairs: Whole subtrees; the first that equals wins. An int is no bool.
        texts: Parts of strings, the longest first.
    """
    for shown, actual in pairs:
        if type(shown) is type(tree) and shown == tree:
            return actual
    match tree:
        case dict():
            filled = {key: fill(value, pairs, texts) for key, value in tree.items()}
            return {key: value for key, value in filled.items() if value is not OMIT}
        case list():
            return [each for element in tree for each in _elements(element, pairs, texts)]
        case str() if texts:
            return _replace(tree, texts)
        case _:
            return tree


def _elements(element: Any, pairs: Sequence[Pair], texts: Mapping[str, str]) -> Iterator[Any]:
    made = fill(element, pairs, texts)
    if isinstance(made, Several):
        yield from made.elements
    elif made is not OMIT:
        yield made


def _replace(text: str, texts: Mapping[str, str]) -> str:
    # In one pass: a value that happens to contain what another stands for stays as it is.
    longest_first = sorted(texts, key=len, reverse=True)
    pattern = "|".join(re.escape(shown) for shown in longest_first)
    return re.sub(pattern, lambda match: texts[match[0]], text)
