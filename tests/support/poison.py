"""Every text of a record made hostile, so that a test need not name each field."""

import typing

import msgspec

T = typing.TypeVar("T")
EVIL = '<script>alert(1)</script><img src=x onerror="x">'


def poisoned(record: T, spared: frozenset[str] = frozenset()) -> T:
    """The record with `EVIL` in front of every text inside it.

    The same text becomes the same, so names still refer to each other. Left alone: texts of a
    closed set (`Literal`), and the fields named in `spared`.
    """
    return typing.cast("T", _poison(record, spared))


def _poison(value: object, spared: frozenset[str]) -> object:
    if isinstance(value, str):
        return EVIL + value
    if isinstance(value, dict):
        return {_poison(key, spared): _poison(inner, spared) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_poison(inner, spared) for inner in value)
    if not isinstance(value, msgspec.Struct):
        return value
    hints = typing.get_type_hints(type(value))
    changed = {
        name: _poison(getattr(value, name), spared)
        for name in value.__struct_fields__
        if name not in spared and typing.get_origin(hints[name]) is not typing.Literal
    }
    return msgspec.structs.replace(value, **changed)
