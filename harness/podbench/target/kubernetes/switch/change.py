"""Changes the cluster's own mode, by a recipe (`cni.edits`), guarded against everybody else.

Every object is read first; its whole state goes into the ledger before anything is written. A write
replaces the object as it was last seen: whoever changed its specification meanwhile, by whatever
way, is told of and not written over. Waiting for the nodes to follow is `turning`'s matter, putting
back after the run `putback`'s, from the ledger alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from podbench.cni.edits import Edit, Recipe
from podbench.model.arms import Mode
from podbench.model.errors import ClusterError, InterferenceError
from podbench.target.kubernetes.api import fields
from podbench.target.kubernetes.api.apply import FIELD_MANAGER, differences
from podbench.target.kubernetes.api.client import AGAIN, Api, ApiError
from podbench.target.kubernetes.api.refs import Object, Ref
from podbench.target.kubernetes.api.rollout import done, rolling
from podbench.target.kubernetes.deploy.ledger import Entry, Field

WRITES = 3
"""Attempts at one write whose answer was lost."""

Values = dict[Ref, dict[fields.Path, Any]]
Note = Callable[[str, Ref], None]
"""Writes a line into the ledger: the event, and the object."""
Permit = Callable[[], Awaitable[Any]]
"""Raises where this run may not change anything any more."""


class Switch:
    """One cluster's mode. `read` comes first; `write` changes it; `followed`: who still lags."""

    def __init__(self, api: Api, recipe: Recipe) -> None:
        self._api = api
        self.recipe = recipe
        self._earlier: dict[Ref, Object] = {}
        self._seen: dict[Ref, Object] = {}
        """Every object as we last wrote or found it."""
        self._awaited: Values = {}
        """What controllers are to make of our last change."""
        self._followed = False
        self.rolled_out = 0
        """Nodes that a roll-out has reached, as `followed` saw it last."""
        self._lock = asyncio.Lock()
        self.note: Note = lambda _event, _name: None
        self.permit: Permit | None = None

    async def read(self) -> tuple[Entry, ...]:
        """Reads what is going to be changed; returns it for the ledger.

        Undoing goes backwards through the entries, so the last is put back first: it is the first
        one that is written, as when changing.

        Raises:
            ClusterError: One of the objects is gone, or cannot be read.
        """
        written = _given(self.recipe.edits.values())
        followers = _given(self.recipe.followers.values())
        for name in (*written, *followers):
            self._earlier[name] = await self._api.get(name.path)
        self._seen = dict(self._earlier)
        entries = [
            Entry(ref=name, earlier=self._earlier[name], fields=_fields(values), follows=follows)
            for follows, given in ((False, written), (True, followers))
            for name, values in given.items()
        ]
        return tuple(reversed(entries))

    def values(self, mode: Mode) -> Values:
        """What a mode takes in each object."""
        return _values(self.recipe.edits[mode])

    def now(self) -> Values:
        """What our fields have at present: where to go back to."""
        return _read(self._seen, _given(self.recipe.edits.values()))

    def first(self) -> Values:
        """What our fields had in the cluster as found."""
        return _read(self._earlier, _given(self.recipe.edits.values()))

    def stands(self, mode: Mode) -> bool:
        """Whether the objects say this mode already; a mark that restarts pods says nothing."""
        edits = (each for each in self.recipe.edits[mode] if not each.restarts)
        return all(
            fields.alike(fields.read(self._seen[_ref(each)], each.path), each.value)
            for each in edits
        )

    async def write(self, values: Values) -> None:
        """Sets these fields, object by object.

        Raises:
            InterferenceError: Somebody else changed one of the objects meanwhile, or has the
                cluster by now.
            ApiError: The server refuses, or stays away.
        """
        async with self._lock:
            if self.permit is not None:
                await self.permit()
            self._awaited, self._followed = self._followers(values), False
            for name, wanted in values.items():
                live = await self._undisturbed(name)
                if not fields.holds(live, wanted):
                    self.note("changing", name)
                    self._seen[name] = await self._replaced(name, live, wanted)
                    self.note("changed", name)

    async def _undisturbed(self, name: Ref) -> Object:
        """The object, if its specification is as we last saw it."""
        live = await self._api.find(name.path)
        if found := _disturbance(name, self._seen[name], live):
            raise interference(found)
        assert live is not None
        return live

    async def _replaced(self, name: Ref, live: Object, wanted: dict[fields.Path, Any]) -> Object:
        new = fields.written(live, wanted)
        for _ in range(WRITES):
            try:
                return await self._api.replace(name.path, new)
            except ApiError as error:
                if error.status not in {0, 409, *AGAIN}:
                    raise
                found = await self._api.get(name.path)
                if _disturbance(name, new, found) is None:
                    # Written, and the answer was lost.
                    return found
                if (others := _disturbance(name, live, found)) is not None:
                    raise interference(others) from error
                # Its status only: the newer state with our fields.
                new = fields.written(found, wanted)
        raise ClusterError(f"{name} could not be written in {WRITES} attempts")

    def _followers(self, values: Values) -> Values:
        """What controllers make of these values: a mode's, or what was found."""
        for mode, edits in self.recipe.followers.items():
            if self.values(mode) == values:
                return _values(edits)
        return _read(self._earlier, _given(self.recipe.followers.values()))

    async def followed(self) -> str | None:
        """What a controller has not made of the last change yet; null once all is so.

        A roll-out has to reach every node, also those that take no part: until then it disturbs.
        """
        for name in self._seen:
            live = await self._api.find(name.path) if name.kind == "DaemonSet" else None
            if live is not None:
                self.rolled_out = done(live)
            if live is not None and (behind := rolling(live)) is not None:
                return f"{name} is being rolled out: {behind}"
        for name, values in self._awaited.items():
            live = await self._api.find(name.path)
            if live is None or not fields.holds(live, values):
                return f"{name} does not follow {self.recipe.by}"
        self._followed = True
        return None

    async def disturbances(self) -> list[str]:
        """What somebody else changed: `IPPool default: .spec.vxlanMode, last by "kubectl"`."""
        async with self._lock:
            written = _given(self.recipe.edits.values())
            found = [
                _disturbance(name, self._seen[name], await self._api.find(name.path))
                for name in written
            ]
            for name, values in self._awaited.items() if self._followed else ():
                live = await self._api.find(name.path)
                lost = [p for p, v in values.items() if not fields.alike(fields.read(live, p), v)]
                if lost:
                    where = ", ".join(map(fields.dotted, lost))
                    found.append(f"{name}: {where}{_last_writer(live)}")
        return [each for each in found if each is not None]


def interference(what: str) -> InterferenceError:
    """Somebody else changes what this run changes."""
    return InterferenceError(
        f"somebody else changed what decides the cluster's mode: {what}",
        advice="find out which controller or person it was; nothing of theirs was written over",
    )


def _ref(edit: Edit) -> Ref:
    return Ref(edit.kind, edit.name, edit.namespace)


def _values(edits: Iterable[Edit]) -> Values:
    found: Values = {}
    for each in edits:
        found.setdefault(_ref(each), {})[each.path] = each.value
    return found


def _given(modes: Iterable[tuple[Edit, ...]]) -> dict[Ref, dict[fields.Path, list[Any]]]:
    """Every field that any mode sets, with all the values it may get."""
    found: dict[Ref, dict[fields.Path, list[Any]]] = {}
    for each in (edit for edits in modes for edit in edits):
        values = found.setdefault(_ref(each), {}).setdefault(each.path, [])
        if each.value not in values:
            values.append(each.value)
    return found


def _read(bodies: Mapping[Ref, Object], names: Mapping[Ref, Iterable[fields.Path]]) -> Values:
    return {
        name: {path: fields.read(bodies[name], path) for path in paths}
        for name, paths in names.items()
    }


def _fields(given: Mapping[fields.Path, list[Any]]) -> tuple[Field, ...]:
    return tuple(Field(path, tuple(values)) for path, values in given.items())


def _disturbance(name: Ref, seen: Object, live: Object | None) -> str | None:
    """What of an object's specification is not as we saw it, and who wrote last."""
    if live is None or "deletionTimestamp" in live["metadata"]:
        return f"{name}: removed"
    one, other = _specification(seen), _specification(live)
    where = dict.fromkeys([*differences(one, other), *differences(other, one)])
    if not where:
        return None
    return f"{name}: {', '.join(where)}{_last_writer(live)}"


def _specification(body: Object) -> Object:
    """What of an object is asked for: neither status nor what the server and labels tell of it."""
    return {key: value for key, value in body.items() if key not in ("metadata", "status")}


def _last_writer(live: Object | None) -> str:
    """Who wrote last, by the managed fields' times: `, last written by "kubectl"`."""
    entries = ((live or {}).get("metadata") or {}).get("managedFields") or []
    others = [
        each
        for each in entries
        if each.get("manager") != FIELD_MANAGER and each.get("subresource") != "status"
    ]
    last = max(others, key=lambda each: str(each.get("time") or ""), default=None)
    return "" if last is None else f', last written by "{last.get("manager")}"'
