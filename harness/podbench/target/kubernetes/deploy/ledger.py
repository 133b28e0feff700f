"""What this run changes in the cluster, written down before it is changed: twice.

On disk, line by line (`changes.jsonl` in the run directory), and in a ConfigMap in the cluster, so
that any machine can undo it. The ConfigMap is signed with a key in a Secret that no pod mounts:
whoever may write ConfigMaps but not read Secrets cannot write a ledger. An entry holds the object's
whole earlier state, null where there was none. The one object that cannot be in the ConfigMap
before it exists is the namespace that the ConfigMap is in; that one says by its labels whose it is.
"""

import base64
import contextlib
import hmac
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from podbench.model.errors import ClusterError, StoreError
from podbench.store import guarded
from podbench.target.kubernetes.api.apply import apply
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.api.refs import Object, Ref
from podbench.target.kubernetes.deploy.settings import NAMESPACE, RUN_LABEL

REF = Ref("ConfigMap", "podbench-ledger", NAMESPACE)
KEY_REF = Ref("Secret", "podbench-ledger", NAMESPACE)
FILE = "changes.jsonl"
KEY, SIGNATURE = "entries.json", "entries.hmac-sha256"
SECRET_BYTES = 32
MOST_FILE_BYTES = 64 << 20
LARGEST_BYTES = 900_000
"""A ConfigMap holds 1 MiB."""

OURS = {"app.kubernetes.io/name": "podbench", "app.kubernetes.io/managed-by": "podbench"}


class Field(msgspec.Struct, frozen=True):
    """A field of somebody else's object that the run sets, and every value it may give it."""

    path: tuple[str, ...]
    """As `fields` reads it."""
    values: tuple[Any, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One object that the run is going to make or change."""

    ref: Ref
    earlier: dict[str, Any] | None
    """All of it, as the server had it; null: it did not exist."""
    fields: tuple[Field, ...] = ()
    """What we set in it; empty for objects that are ours as a whole."""
    follows: bool = False
    """A controller makes these changes of another object's, and takes them back with it."""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line on disk.

    `event`: `planned` (before), `made`; `changing` (before), `changed`; `restored`, once an object
    is as it was: whatever values its fields get from then on are somebody else's.
    """

    event: str
    wall_ns: int
    run_id: str
    entry: Entry | None = None
    ref: Ref | None = None
    uid: str | None = None


def labels(run_id: str) -> dict[str, str]:
    """The labels of every object of a run."""
    return {**OURS, RUN_LABEL: run_id}


def run_of(body: Object) -> str | None:
    """Whose run made an object; null where podbench did not."""
    found = body["metadata"].get("labels") or {}
    if any(found.get(name) != value for name, value in OURS.items()):
        return None
    run = found.get(RUN_LABEL)
    return str(run) if run else None


class Ledger:
    """One run's entries. `folder` null: on disk nothing is kept (restoring from elsewhere)."""

    def __init__(self, api: Api, run_id: str, folder: Path | None) -> None:
        self._api = api
        self._run_id = run_id
        self._path = None if folder is None else folder / FILE
        self._entries: dict[Ref, Entry] = {}
        self._key = secrets.token_bytes(SECRET_BYTES)

    def plan(self, entries: Sequence[Entry]) -> None:
        """Writes down on disk what is going to be made or changed.

        Raises:
            StoreError: The disk refuses; then nothing may be changed.
        """
        for entry in entries:
            if entry.ref not in self._entries:
                self._entries[entry.ref] = entry
                self.note("planned", entry=entry)

    async def publish(self) -> None:
        """Puts every entry into the cluster's ConfigMap, and returns once it is there.

        Raises:
            ClusterError: It does not fit, or the server refuses.
        """
        text = msgspec.json.encode(list(self._entries.values())).decode()
        if len(text) > LARGEST_BYTES:
            raise ClusterError(
                f"what is to be changed takes {len(text)} octets, more than a ConfigMap holds",
                advice="measure fewer modes at once",
            )
        meta = {"name": REF.name, "namespace": REF.namespace, "labels": labels(self._run_id)}
        secret = {"key": base64.b64encode(self._key).decode()}
        signed = {KEY: text, SIGNATURE: _signature(self._key, self._run_id, text)}
        for kind, data in ((KEY_REF.kind, secret), (REF.kind, signed)):
            await apply(
                self._api, {"apiVersion": "v1", "kind": kind, "metadata": meta, "data": data}
            )

    def note(
        self,
        event: str,
        *,
        entry: Entry | None = None,
        ref: Ref | None = None,
        uid: str | None = None,
    ) -> None:
        """Appends one line and waits until it is on disk.

        Raises:
            StoreError: It cannot be written.
        """
        if self._path is None:
            return
        line = Line(
            event=event, wall_ns=time.time_ns(), run_id=self._run_id, entry=entry, ref=ref, uid=uid
        )
        try:
            with guarded.open_append(self._path) as file:
                # A line that a crash cut short must not spoil this one.
                whole = file.seek(0, os.SEEK_END) == 0 or _ends_whole(file)
                file.write((b"" if whole else b"\n") + msgspec.json.encode(line) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be written: {error.strerror}") from error


async def published(api: Api) -> tuple[Entry, ...]:
    """The entries in the cluster's ConfigMap; empty where there is none.

    Raises:
        ClusterError: It cannot be read back, so what it says must be undone by hand.
    """
    found = await api.find(REF.path)
    text = None if found is None else (found.get("data") or {}).get(KEY)
    if text is None:
        return ()
    try:
        return tuple(msgspec.json.decode(text, type=list[Entry]))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ClusterError(
            f"{REF} is damaged: {error}",
            advice="the run directory's changes.jsonl has the same; put the objects back by hand",
        ) from error


async def is_signed(api: Api, run_id: str) -> bool:
    """Whether the cluster's ledger is as that run wrote it.

    Raises:
        ApiError: The server refuses, or stays away.
    """
    found, secret = await api.find(REF.path), await api.find(KEY_REF.path)
    if found is None or secret is None or run_of(found) != run_id or run_of(secret) != run_id:
        return False
    data = found.get("data") or {}
    try:
        key = base64.b64decode((secret.get("data") or {}).get("key") or "", validate=True)
    except ValueError:
        return False
    wanted = _signature(key, run_id, str(data.get(KEY)))
    return len(key) == SECRET_BYTES and hmac.compare_digest(wanted, str(data.get(SIGNATURE)))


def _signature(key: bytes, run_id: str, text: str) -> str:
    return hmac.new(key, f"{run_id}\n{text}".encode(), "sha256").hexdigest()


def on_disk(folder: Path) -> tuple[Entry, ...]:
    """The entries of a run directory that were not put back yet.

    After a line cut short by a crash nothing was changed yet.
    """
    found: dict[Ref, Entry] = {}
    for line in _lines(folder):
        if line.event == "planned" and line.entry is not None:
            found.setdefault(line.entry.ref, line.entry)
        if line.event == "restored" and line.ref is not None:
            found.pop(line.ref, None)
    return tuple(found.values())


def restored_on_disk(folder: Path) -> dict[Ref, int]:
    """What was put back and not planned again since, each with the time, in ns since 1970."""
    found: dict[Ref, int] = {}
    for line in _lines(folder):
        if line.event == "planned" and line.entry is not None:
            # A run that was gone on with.
            found.pop(line.entry.ref, None)
        if line.event == "restored" and line.ref is not None:
            found[line.ref] = line.wall_ns
    return found


def _lines(folder: Path) -> Iterator[Line]:
    path = folder / FILE
    whole = guarded.read(path, MOST_FILE_BYTES) if path.exists() else b""
    for text in whole.splitlines():
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield msgspec.json.decode(text, type=Line)


def _ends_whole(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
