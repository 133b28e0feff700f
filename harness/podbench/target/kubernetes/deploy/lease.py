"""One run at a time in a cluster: a Lease that its holder renews.

Whether another's lease still lives is judged by our own clock: it does while its version changes
within its duration. The holder's clock may be off by any amount (as client-go's election does it).
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator

from podbench.model.errors import ClusterError, InterferenceError
from podbench.target.kubernetes.api.client import Api, ApiError
from podbench.target.kubernetes.api.refs import Object, Ref
from podbench.target.kubernetes.deploy.settings import LEASE, NAMESPACE

REF = Ref("Lease", LEASE, NAMESPACE)
LOOK_S = 0.2


def now() -> str:
    """UTC with microseconds, as a Lease's times are (MicroTime)."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def spec(holder: str, duration_s: int) -> Object:
    """A lease's spec as its holder renews it."""
    return {"holderIdentity": holder, "leaseDurationSeconds": duration_s, "renewTime": now()}


async def living_holder(api: Api, own: str | None = None) -> str | None:
    """Who holds the lease and renews it; null when nobody does. `own` is taken at its word.

    Takes as long as the lease lasts when its holder is dead.

    Raises:
        ApiError: The server refuses, or stays away.
    """
    before = await api.find(REF.path)
    if before is None or not before.get("spec", {}).get("holderIdentity"):
        return None
    if before["spec"]["holderIdentity"] == own:
        return own
    duration_s = int(before["spec"].get("leaseDurationSeconds") or 0)
    deadline = asyncio.get_running_loop().time() + duration_s
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(LOOK_S)
        after = await api.find(REF.path)
        if after is None:
            return None
        if after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            holder = after["spec"].get("holderIdentity")
            return str(holder) if holder else None
    return None


async def seize(api: Api, holder: str) -> None:
    """Takes a dead run's lease, so that a holder that only slept learns of it.

    Raises:
        ClusterError: Somebody was faster.
    """
    found = await api.find(REF.path)
    if found is None or "deletionTimestamp" in found["metadata"]:
        return
    found["spec"] = {**found["spec"], "holderIdentity": holder, "renewTime": now()}
    try:
        await api.replace(REF.path, found)
    except ApiError as error:
        # Of one that was deleted since, a server says that it conflicts, too.
        if error.status == 409 and await api.find(REF.path) is not None:
            raise in_use("somebody who was faster") from error
        # Gone, or its namespace is going: nobody can take it any more.
        if error.status not in (403, 404, 409):
            raise


async def release(api: Api, holder: str) -> None:
    """Says that a run is over though its lease is still there, so that nobody waits for its end."""
    with contextlib.suppress(ApiError):
        found = await api.find(REF.path)
        if found is not None and found["spec"].get("holderIdentity") == holder:
            found["spec"] = {**found["spec"], "holderIdentity": ""}
            await api.replace(REF.path, found)


class Lease:
    """Held while its context lasts; `lost` is set when it could not be kept."""

    def __init__(self, api: Api, holder: str, duration_s: int) -> None:
        self._api = api
        self._holder = holder
        self._duration_s = duration_s
        self._held: Object = {}
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Its exception says how it was lost."""
        self.taken = False
        """True where somebody else holds it now: then nothing here may touch the cluster."""

    async def take(self, labels: dict[str, str]) -> None:
        """Creates the lease, or takes over one that has run out.

        Raises:
            ClusterError: Somebody else holds it.
        """
        meta = {"name": REF.name, "namespace": REF.namespace, "labels": labels}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": REF.kind, "metadata": meta}
        body["spec"] = spec(self._holder, self._duration_s)
        try:
            self._held = await self._api.create(REF.path.rpartition("/")[0], body)
        except ApiError as error:
            if error.status != 409:
                raise
            await self._take_over()

    async def _take_over(self) -> None:
        holder = await living_holder(self._api, self._holder)
        if holder is not None and holder != self._holder:
            raise in_use(holder)
        found = await self._api.get(REF.path)
        found["spec"] = {**found["spec"], **spec(self._holder, self._duration_s)}
        try:
            self._held = await self._api.replace(REF.path, found)
        except ApiError as error:
            if error.status == 409:
                raise in_use("somebody who was faster") from error
            raise

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renews it, three times within its duration, while the context lasts."""
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            if self.lost.done():
                self.lost.exception()

    async def _renew(self) -> None:
        clock = asyncio.get_running_loop().time
        renewed = clock()
        while True:
            await asyncio.sleep(self._duration_s / 3)
            try:
                await self._renew_once()
                renewed = clock()
            except InterferenceError as error:
                return self._lose(error)
            except ApiError as error:
                if clock() - renewed > self._duration_s:
                    return self._lose(
                        ClusterError(
                            f"the lease could not be renewed for {self._duration_s} s: {error}",
                            advice="another run may begin now, so this one ends",
                        )
                    )

    async def _renew_once(self) -> None:
        body = {**self._held, "spec": spec(self._holder, self._duration_s)}
        try:
            self._held = await self._api.replace(REF.path, body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            # Our own renewal, whose answer was lost, or a label added by somebody: go on from it.
            self._held = await self.confirm()

    async def confirm(self) -> Object:
        """The lease as it is, if it is still ours: whoever slept through its end changes nothing.

        Raises:
            InterferenceError: Somebody else holds it, or it is gone.
        """
        found = await self._api.find(REF.path)
        holder = None if found is None else found["spec"].get("holderIdentity")
        if found is None or holder != self._holder:
            # Deleted, nobody has it: then what this run made is still its own to take away.
            self.taken = holder is not None
            who = holder or "nobody: it was deleted"
            raise InterferenceError(
                f"this run's lease is held by {who}",
                advice="`bench restore` shows what is left",
            )
        return found

    def _lose(self, error: ClusterError) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)


def in_use(holder: str) -> ClusterError:
    """Two runs would measure each other."""
    return ClusterError(
        f"another run is measuring in this cluster: {holder}",
        advice="wait for its end, or end it; `bench clean` takes away what a dead run left",
    )
