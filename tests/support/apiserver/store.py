"""What the stand-in keeps: objects with versions, and the history that watches are served from."""

import asyncio
import copy
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec

Object = dict[str, Any]


class Place(msgspec.Struct, frozen=True, order=True):
    """Where an object is: `group` is `v1` or `apps/v1`, `namespace` empty for cluster-wide ones."""

    group: str
    plural: str
    namespace: str
    name: str = ""


class Change(msgspec.Struct, frozen=True):
    """One step of history."""

    version: int
    type: str
    place: Place
    body: Object


class Expired(Exception):
    """The version asked for was compacted: 410 Gone."""


def now() -> str:
    """The server's time."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """Objects by place; every write has a version of its own, as in etcd."""

    def __init__(self) -> None:
        self.version = 1000
        self.compacted = 0
        self._objects: dict[Place, Object] = {}
        self._history: list[Change] = []
        self._news = asyncio.Event()
        self.listeners: list[Callable[[Change], None]] = []

    def get(self, place: Place) -> Object | None:
        """A copy of an object."""
        found = self._objects.get(place)
        return None if found is None else copy.deepcopy(found)

    def all(self, group: str, plural: str, namespace: str = "") -> Iterator[tuple[Place, Object]]:
        """Copies of a kind's objects, by name."""
        for place in sorted(self._objects):
            if (place.group, place.plural) != (group, plural):
                continue
            if namespace in ("", place.namespace):
                yield place, copy.deepcopy(self._objects[place])

    def places(self) -> list[Place]:
        """Every object's place."""
        return list(self._objects)

    def put(self, place: Place, body: Object) -> Object:
        """Writes an object, new or changed; nothing happens where nothing changes."""
        body = copy.deepcopy(body)
        before = self._objects.get(place)
        meta = body["metadata"]
        if before is None:
            meta.setdefault("uid", str(uuid.uuid4()))
            meta["creationTimestamp"] = now()
        else:
            for key in ("uid", "creationTimestamp"):
                meta.setdefault(key, before["metadata"].get(key))
        if before is not None and _without_version(before) == _without_version(body):
            return copy.deepcopy(before)
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        self._objects[place] = body
        self._tell("ADDED" if before is None else "MODIFIED", place, body)
        return copy.deepcopy(body)

    def drop(self, place: Place) -> None:
        """Takes an object away."""
        body = self._objects.pop(place, None)
        if body is not None:
            self.version += 1
            body["metadata"]["resourceVersion"] = str(self.version)
            self._tell("DELETED", place, body)

    def compact(self) -> None:
        """Forgets the history: older versions are gone."""
        self.compacted = self.version
        self._history.clear()

    def wake(self) -> None:
        """Lets every watch look at the faults that are set."""
        self._news.set()
        self._news = asyncio.Event()

    def _tell(self, kind: str, place: Place, body: Object) -> None:
        change = Change(self.version, kind, place, copy.deepcopy(body))
        self._history.append(change)
        for listener in self.listeners:
            listener(change)
        self.wake()

    async def since(
        self, version: int, wanted: Callable[[Place], bool]
    ) -> AsyncIterator[Change | None]:
        """History from a version on, then what happens; null when woken for nothing.

        Raises:
            Expired: The version is too old.
        """
        while True:
            if version < self.compacted:
                raise Expired
            news = self._news
            for change in [each for each in self._history if each.version > version]:
                version = change.version
                if wanted(change.place):
                    yield change
            yield None
            if news is self._news:
                await news.wait()


def _without_version(body: Object) -> Object:
    meta = {k: v for k, v in body["metadata"].items() if k not in ("resourceVersion", "generation")}
    for entry in meta.get("managedFields") or []:
        entry.pop("time", None)
    return {**body, "metadata": meta}
