"""Server-side apply under one field manager, and whether what was applied still stands.

Nothing is forced: a field that another manager owns is a conflict, and a conflict ends the run.
Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from podbench.model.errors import InterferenceError
from podbench.target.kubernetes.api.client import Api, ApiError
from podbench.target.kubernetes.api.refs import Object, ref

FIELD_MANAGER = "podbench"


async def apply(api: Api, body: Object) -> Object:
    """Makes an object be as given; returns it as the server has it then.

    Raises:
        InterferenceError: Another manager owns one of the fields.
        ApiError: Refused otherwise.
    """
    query = {"fieldManager": FIELD_MANAGER, "force": "false"}
    name = ref(body)
    try:
        return await api.apply(name.path, body, query)
    except ApiError as error:
        if error.status == 409:
            raise InterferenceError(
                f"{name} is being changed by somebody else: {error}",
                advice="find out which controller manages it; podbench writes over nobody's change",
            ) from error
        raise


def differences(applied: Any, live: Any, path: str = "") -> list[str]:
    """Fields that were applied and no longer stand as they were; what others added is theirs.

    Lists of named things (`containers`) are matched by name, others by place. A Secret's or a
    ConfigMap's fields count like any other.
    """
    return list(_differing(applied, live, path))


def _differing(applied: Any, live: Any, path: str) -> Iterator[str]:
    if isinstance(applied, Mapping):
        if not isinstance(live, Mapping):
            if applied:
                yield path
            return
        for key, value in applied.items():
            yield from _differing(value, live.get(key), f"{path}.{key}")
    elif isinstance(applied, Sequence) and not isinstance(applied, str):
        yield from _differing_lists(applied, live, path)
    elif applied != live and not (live is None and applied in ("", 0, False, None)):
        # The server leaves out what is at its zero value.
        yield path


def _differing_lists(applied: Sequence[Any], live: Any, path: str) -> Iterator[str]:
    if not isinstance(live, Sequence) or isinstance(live, str):
        if applied:
            yield path
        return
    for place, value in enumerate(applied):
        if isinstance(value, Mapping) and "name" in value:
            names = [each for each in live if each.get("name") == value["name"]]
            yield from _differing(value, names[0] if names else None, f"{path}[{value['name']}]")
        else:
            there = live[place] if place < len(live) else None
            yield from _differing(value, there, f"{path}[{place}]")
