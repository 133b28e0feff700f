"""Puts somebody else's object back as it was before a run changed it: our fields, and only those.

A field is ours while it has a value that the ledger says we gave it. One that has any other value
was changed by somebody else since, and so was one that the server says another client wrote last:
then nothing of that object is written, and the field is named. What may be written at all is
`allowed`'s matter.
An object of the same name that is another one (made anew, or of another cluster) is left, too.
Calico's own API server runs in pods, on the network that is to be repaired: where it is out of
reach the pool is written where it is stored, which takes the Kubernetes API only.
"""

import asyncio
from collections.abc import Callable

import msgspec

from podbench.cni.edits import CRD_POOL, owns
from podbench.model.errors import ClusterError
from podbench.target.kubernetes.api import fields
from podbench.target.kubernetes.api.apply import FIELD_MANAGER
from podbench.target.kubernetes.api.client import AGAIN, Api, ApiError
from podbench.target.kubernetes.api.refs import Object, Ref
from podbench.target.kubernetes.deploy import allowed
from podbench.target.kubernetes.deploy.ledger import Entry

FOLLOW_S = 30.0
"""What a controller may take to bring an object back; then we write what it was going to."""
LOOK_S = 0.5
ATTEMPTS = 5
"""Writes of one object that meet another writer's; a controller's status comes and goes."""

Say = Callable[[str], None]


async def put_back(api: Api, entry: Entry, say: Say) -> str | None:
    """Puts one object back; null once it is as it was, else why it was left.

    Raises:
        ClusterError: It cannot be written; the ledger has to stay.
        ApiError: The server refuses, or stays away.
    """
    if entry.follows and await _followed(api, entry):
        return None
    name = entry.ref
    for _ in range(ATTEMPTS):
        name, live = await _read(api, name)
        if live is None:
            return "somebody deleted it; it was not made anew"
        values, others = _judged(entry, live)
        if others:
            # The ledger may go with the namespaces: this may be the last place that says it.
            where = "; ".join(_before(entry, path) for path in others)
            return f"somebody else changed it since ({where}); it was not written over"
        if not values:
            return None
        if (why := _refused(entry, live, values)) is not None:
            return why
        if name == entry.ref and _another(entry, live):
            return "it is another object of that name than the run changed; it was not written over"
        say(f"putting back {name}")
        try:
            await api.replace(name.path, fields.written(live, values))
        except ApiError as error:
            if error.status not in {0, 409, *AGAIN}:
                raise
            # Somebody wrote it in this instant, or the answer was lost: look again.
            await asyncio.sleep(LOOK_S)
    raise ClusterError(
        f"{name} could not be put back in {ATTEMPTS} attempts: somebody else keeps writing it",
        advice="find out who does, then call this again: nothing was taken away yet",
    )


def _before(entry: Entry, path: fields.Path) -> str:
    """`.spec.vxlanMode was "Always"`."""
    was = msgspec.json.encode(fields.read(entry.earlier, path)).decode()
    return f"{fields.dotted(path)} was {was}"


def _refused(entry: Entry, live: Object, values: dict[fields.Path, object]) -> str | None:
    """Why these values are not written into the object as it is now; null where they may be."""
    why = allowed.refused_write(entry.ref, live, values)
    if why is not None or entry.follows:
        # A follower's fields are its controller's to write, here as in the run.
        return why
    for path in values:
        owners = _owners(live, path)
        if owners and FIELD_MANAGER not in owners:
            return f"{fields.dotted(path)} was last written by {owners[0]!r}, not by podbench"
    return None


def _owners(live: Object, path: fields.Path) -> list[str]:
    """Who wrote a field, as the server keeps it; empty where it keeps nothing."""
    entries = (live.get("metadata") or {}).get("managedFields") or []
    return [str(each.get("manager")) for each in entries if owns(each.get("fieldsV1"), path)]


def _another(entry: Entry, live: Object) -> bool:
    """Whether this is not the object that was written down; stored pools have uids of their own."""
    was = ((entry.earlier or {}).get("metadata") or {}).get("uid")
    return was is not None and was != live["metadata"].get("uid")


def _judged(entry: Entry, live: Object) -> tuple[dict[fields.Path, object], list[fields.Path]]:
    """What is to be written, and which fields are somebody else's by now."""
    values: dict[fields.Path, object] = {}
    others = []
    for field in entry.fields:
        now, was = fields.read(live, field.path), fields.read(entry.earlier, field.path)
        if fields.alike(now, was):
            continue
        if any(fields.alike(now, value) for value in field.values):
            values[field.path] = was
        else:
            others.append(field.path)
    return values, others


async def _followed(api: Api, entry: Entry) -> bool:
    deadline = asyncio.get_running_loop().time() + FOLLOW_S
    while True:
        _, live = await _read(api, entry.ref)
        if live is None or _judged(entry, live) == ({}, []):
            return live is not None
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(LOOK_S)


async def _read(api: Api, name: Ref) -> tuple[Ref, Object | None]:
    """An object, by the way that works: the stored pool where Calico's API is out of reach."""
    try:
        return name, await api.find(name.path)
    except ApiError as error:
        if name.kind != "IPPool" or error.status not in AGAIN:
            raise
    stored = msgspec.structs.replace(name, kind=CRD_POOL)
    return stored, await api.find(stored.path)
