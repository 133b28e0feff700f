"""One run at a time: who holds the lease, who is refused, and what losing it does."""

import asyncio
from pathlib import Path

import pytest
from support.apiserver.server import ApiServer
from support.apiserver.store import Place
from support.cluster import Object, at, play, put

from podbench.model.errors import ClusterError, InterferenceError
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.deploy.lease import REF, Lease, living_holder, seize

LABELS = {"podbench.io/run": "r"}
PLACE = ("Lease", REF.name, "podbench")


def space(server: ApiServer) -> None:
    """The lease's namespace."""
    body: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "podbench"}}
    put(server, {**body, "status": {"phase": "Active"}})


def test_a_kept_lease_is_renewed_and_keeps_others_out(tmp_path: Path) -> None:
    """For longer than its duration the holder stays, and a second run is told who it is."""

    async def scene(server: ApiServer, api: Api) -> None:
        space(server)
        first, second = Lease(api, "first", 3), Lease(api, "second", 3)
        await first.take(LABELS)
        async with first.kept():
            with pytest.raises(
                ClusterError, match="another run is measuring in this cluster: first"
            ):
                await second.take(LABELS)
            assert await living_holder(api) == "first"
        assert not first.lost.done()

    play(tmp_path, scene)


def test_a_dead_holder_s_lease_is_taken_over(tmp_path: Path) -> None:
    """Nobody renewed it for its duration, by our own clock, whatever its times say."""

    async def scene(server: ApiServer, api: Api) -> None:
        space(server)
        await Lease(api, "dead", 1).take(LABELS)
        body = at(server, *PLACE)
        assert body is not None
        body["spec"]["renewTime"] = "2999-01-01T00:00:00.000000Z"
        put(server, body)
        assert await living_holder(api) is None
        await Lease(api, "next", 1).take(LABELS)
        held = at(server, *PLACE)
        assert held is not None
        assert held["spec"]["holderIdentity"] == "next"

    play(tmp_path, scene)


def test_a_lease_taken_by_another_is_noticed(tmp_path: Path) -> None:
    """A run that slept while somebody restored the cluster ends, and touches it no more."""

    async def scene(server: ApiServer, api: Api) -> None:
        space(server)
        lease = Lease(api, "sleeper", 1)
        await lease.take(LABELS)
        await seize(api, "restorer")
        async with lease.kept():
            with pytest.raises(InterferenceError, match="held by restorer"):
                await asyncio.wait_for(asyncio.shield(lease.lost), 5)
        assert lease.taken

    play(tmp_path, scene)


def test_a_lease_that_cannot_be_renewed_is_lost(tmp_path: Path) -> None:
    """Once its duration has passed, somebody else may begin: so the run ends."""

    async def scene(server: ApiServer, api: Api) -> None:
        space(server)
        lease = Lease(api, "alone", 1)
        await lease.take(LABELS)
        async with lease.kept():
            server.faults.away = True
            with pytest.raises(ClusterError, match="could not be renewed"):
                await asyncio.wait_for(asyncio.shield(lease.lost), 10)
        assert not lease.taken

    play(tmp_path, scene)


def test_a_short_absence_of_the_server_loses_nothing(tmp_path: Path) -> None:
    """Renewals are tried three times within the duration."""

    async def scene(server: ApiServer, api: Api) -> None:
        space(server)
        lease = Lease(api, "patient", 4)
        await lease.take(LABELS)
        async with lease.kept():
            server.faults.away = True
            await asyncio.sleep(1.5)
            server.faults.away = False
            await asyncio.sleep(3.0)
            assert not lease.lost.done()
            assert await living_holder(api) == "patient"

    play(tmp_path, scene)


def test_a_lease_that_goes_while_it_is_seized_is_nobody_s(tmp_path: Path) -> None:
    """Two restorations at once: the first takes its namespace away under the second's hands."""

    async def scene(server: ApiServer, api: Api) -> None:
        space(server)
        await Lease(api, "dead", 1).take(LABELS)
        read = await api.get(REF.path)
        server.store.drop(Place("coordination.k8s.io/v1", "leases", "podbench", REF.name))

        class Late:
            """Reads what was there, and writes to what is."""

            looks = 0

            async def find(self, path: str) -> Object | None:
                self.looks += 1
                return read if self.looks == 1 else await api.find(path)

            async def replace(self, path: str, body: Object) -> Object:
                return await api.replace(path, body)

        late = Late()
        await seize(late, "second")  # type: ignore[arg-type] # the part of Api that is used
        assert late.looks == 2

    play(tmp_path, scene)
