"""`bench restore` and `bench clean`: what a run left in a cluster, taken away and put back."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from podbench.campaign.cluster import consent
from podbench.model.errors import ConfigError
from podbench.store import lock
from podbench.store import rundir as store
from podbench.target.base import Aftermath
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.deploy import ledger
from podbench.target.kubernetes.deploy.undo import Listing, Say, Undo
from podbench.target.kubernetes.request import holder


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces, in which cluster."""

    run: Path | None = None
    """A run directory: only that run's. Null: whichever run's are there."""
    context: str | None = None
    kubeconfig: str | None = None
    """A file to read instead of KUBECONFIG's, or of the one that the run was begun with."""


class _Where(msgspec.Struct):
    """The context that the run took, named by its user or not, and where that led."""

    context: str
    server: str | None = None
    kubeconfig: str | None = None


class _Begun(msgspec.Struct):
    """What of run.json is needed: it may be of another version of podbench."""

    run_id: str
    target: str
    cluster: _Where | None = None
    options: dict[str, object] = {}


def restore(wanted: Wanted, say: Say, ask: consent.Ask | None) -> Listing:
    """Undoes it; returns once the namespaces are gone. Idempotent.

    Raises:
        ConfigError: No such run, no such context, one that leads elsewhere now, or nobody
            consented.
        ClusterError: A run is measuring there, or something does not go away.
    """
    run_id, context, server = None, wanted.context, None
    kubeconfig = wanted.kubeconfig
    known: tuple[ledger.Entry, ...] = ()
    if wanted.run is not None:
        where = store.open_existing(wanted.run)
        begun = where.read_json(where.run_json, _Begun)
        if begun.target != "kubernetes":
            raise ConfigError(
                f"{wanted.run} was measured on the {begun.target}, which leaves nothing behind",
                advice="only runs on a cluster have something to restore",
            )
        run_id, known = begun.run_id, ledger.on_disk(wanted.run)
        told = begun.options.get("context") if begun.cluster is None else begun.cluster.context
        # Whichever context is named: a directory is of the cluster where its run began.
        server = None if begun.cluster is None else begun.cluster.server
        if context is None:
            context = told if isinstance(told, str) else None
        if begun.cluster is not None and kubeconfig is None:
            kubeconfig = begun.cluster.kubeconfig
    asked = msgspec.structs.replace(wanted, context=context, kubeconfig=kubeconfig)
    if wanted.run is None:
        return asyncio.run(_undo(asked, server, run_id, known, say, ask))
    with lock.held(wanted.run):
        listing = asyncio.run(_undo(asked, server, run_id, known, say, ask))
        _note(store.open_existing(wanted.run), listing)
    return listing


def _note(where: store.RunDir, listing: Listing) -> None:
    """Has run.json say what is left now, where it said what was.

    Raises:
        StoreError: It cannot be read or written.
    """
    # As plain data: it may be of another version, whose fields have to stay.
    whole = where.read_json(where.run_json, dict[str, Any])
    if whole.get("aftermath"):
        after = msgspec.convert(whole["aftermath"], Aftermath)
        now = msgspec.structs.replace(
            after,
            gone=tuple(map(str, listing.gone)),
            # What was put back earlier is let be now, and was put back all the same.
            restored=tuple(dict.fromkeys((*after.restored, *map(str, listing.restored)))),
            left=tuple(f"{each.ref}: {each.why}" for each in listing.left),
        )
        where.write_json(where.run_json, {**whole, "aftermath": now})


async def _undo(
    wanted: Wanted,
    server: str | None,
    run_id: str | None,
    known: tuple[ledger.Entry, ...],
    say: Say,
    ask: consent.Ask | None,
) -> Listing:
    context = wanted.context
    async with Api(context, kubeconfig=wanted.kubeconfig) as api:
        place = api.context
        if server not in (None, place.server):
            raise ConfigError(
                f"context {place.name} now points to {place.server}; the run began at {server}",
                advice="name the context that points there: --context; `bench clean` removes what"
                " any run left, by the cluster's own ledger",
            )
        # Naming the context is enough here: nothing but podbench's own is removed.
        if context is None and ask is None:
            raise ConfigError(
                f"context {place.name} ({place.server}) would be changed, and there is nobody to"
                " ask",
                advice=f"name it: --context {place.name}",
            )
        consent.require(place.name, place.server, named=context is not None, yes=True, ask=ask)
        say(f"context {place.name} at {place.server}")
        undo = Undo(api, say, own=holder(), run_id=run_id, folder=wanted.run)
        return await undo.run(known)
