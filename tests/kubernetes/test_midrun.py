"""What happens around a run in its midst: the server goes, credentials run out, the lease is taken.

Times are scaled: a run's patience and lease last a minute, here two seconds; the server is
away for half of that, as for half a minute. The waiting itself is the real one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from support import calico
from support.apiserver.server import ApiServer
from support.apiserver.store import Place
from support.cluster import at, cluster, kubeconfig, put

from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.model.errors import ClusterError, InterferenceError, PodbenchError
from podbench.target.kubernetes.api import client
from podbench.target.kubernetes.api.client import PATIENCE_S, Api
from podbench.target.kubernetes.deploy import lease, undo
from podbench.target.kubernetes.deploy.objects import objects
from podbench.target.kubernetes.deployed import LaidCluster
from podbench.target.kubernetes.guard import watchdog
from podbench.target.kubernetes.request import LEASE_S, Cluster
from podbench.target.kubernetes.target import KubernetesTarget
from podbench.target.kubernetes.world import Method

AWAY_S = 30.0
"""What has to be survived."""
SCALE = 30.0
"""How much shorter everything is here."""
SURVIVED_SCALE = 10.0
"""Where nothing may be lost: three seconds beyond the absence for a machine that is busy."""

Event = Callable[[ApiServer], Awaitable[None]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo, "LOOK_S", 0.02)
    monkeypatch.setattr(watchdog, "LOOK_S", 0.1)
    monkeypatch.setattr(client, "PAUSE_MIN_S", client.PAUSE_MIN_S / SCALE)
    monkeypatch.setattr(client, "PAUSE_MAX_S", client.PAUSE_MAX_S / SCALE)


class End(msgspec.Struct):
    """How a run ended. `error` null: it came to its end, everything measured."""

    error: PodbenchError | None = None
    left: list[str] = []
    said: list[str] = []


async def through(folder: Path, server: ApiServer, event: Event, scale: float = SCALE) -> End:
    """Deploys in a server's cluster, lets something happen, measures on; how it ended."""
    before = set(server.store.places())
    end = End()
    asked = Cluster(
        run_id="r",
        image="i",
        method=Method(name="pools"),
        folder=folder,
        lease_s=int(LEASE_S / scale),
        patience_s=PATIENCE_S / scale,
    )
    try:
        async with KubernetesTarget(asked, end.said.append).up() as laid:
            await deployed(laid)
            async with laid.deployment.lease.kept():
                await event(server)
                # What is measured meanwhile: it ends the run only if nobody else does before.
                await asyncio.sleep(2 * watchdog.LOOK_S)
    except PodbenchError as error:
        end.error = error
    end.left = [str(each) for each in set(server.store.places()) - before]
    return end


async def deployed(laid: LaidCluster) -> None:
    """Everything but the agents themselves."""
    await registry.driver("calico").lay(laid.world, (Mode.VXLAN, Mode.BGP))
    await laid.deployment.make(objects(await laid._settings()))


def run(folder: Path, event: Event, scale: float = SCALE) -> End:
    """The same on a cluster of its own."""

    async def scene() -> End:
        async with cluster(folder) as (server, _):
            calico.install(server)
            return await through(folder, server, event, scale)

    return asyncio.run(asyncio.wait_for(scene(), 40))


async def away(server: ApiServer, seconds: float) -> None:
    """Resets every connection for a while, watches too."""
    server.faults.away = True
    server.store.wake()
    await asyncio.sleep(seconds)
    server.faults.away = False


def test_half_a_minute_without_the_server_is_survived(tmp_path: Path) -> None:
    """Watches, renewals and looks at our objects wait; the run goes on and leaves nothing."""
    assert min(PATIENCE_S, LEASE_S) > AWAY_S
    scale = SURVIVED_SCALE
    end = run(tmp_path, lambda server: away(server, AWAY_S / scale), scale)
    assert end.error is None
    assert end.left == []


def test_a_server_that_stays_away_ends_the_run_and_is_restored_from_elsewhere(
    tmp_path: Path,
) -> None:
    """The reason is the server's absence; once it is back, another directory suffices."""

    async def scene() -> tuple[End, list[str]]:
        async with cluster(tmp_path, patience_s=1.0) as (server, api):
            calico.install(server)
            before = set(server.store.places())

            async def gone(_: ApiServer) -> None:
                server.faults.away = True
                server.store.wake()
                await asyncio.sleep(20)

            end = await through(tmp_path, server, gone)
            server.faults.away = False
            await undo.Undo(api, lambda _: None, own="elsewhere").run()
            return end, [str(each) for each in set(server.store.places()) - before]

    end, left = asyncio.run(asyncio.wait_for(scene(), 60))
    assert isinstance(end.error, ClusterError)
    assert "cannot be reached" in str(end.error)
    assert any("Namespace" in each or "namespaces" in each for each in end.left)
    assert left == []


def test_credentials_that_run_out_in_mid_run_are_renewed(tmp_path: Path) -> None:
    """The token file has a new one: nobody notices, and everything is taken away with it."""
    token = tmp_path / "token"
    token.write_text("first")

    async def rotate(server: ApiServer) -> None:
        server.faults.expired_tokens = {"first"}
        token.write_text("second")
        server.faults.watch_s = 0.05
        server.store.wake()
        await asyncio.sleep(0.5)

    async def scene() -> End:
        async with cluster(
            tmp_path, ApiServer(tokens={"first": "a", "second": "a", "admin": "a"})
        ) as (server, _):
            calico.install(server)
            config = server.kubeconfig()
            config["users"][0]["user"] = {"tokenFile": str(token)}
            with kubeconfig(tmp_path / "kubeconfig", config):
                return await through(tmp_path, server, rotate)

    end = asyncio.run(asyncio.wait_for(scene(), 40))
    assert end.error is None
    assert end.left == []


def test_credentials_that_ran_out_for_good_end_the_run_with_the_server_s_word(
    tmp_path: Path,
) -> None:
    """What it made stays, since it may not touch it any more; logged in again, it is restored."""

    async def scene() -> tuple[End, list[str]]:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            before = set(server.store.places())

            async def expire(_: ApiServer) -> None:
                server.faults.expired_tokens = {"admin"}
                await asyncio.sleep(10)

            end = await through(tmp_path, server, expire)
            server.faults.expired_tokens = set()
            async with Api(patience_s=1.0) as again:
                await undo.Undo(again, lambda _: None, own="elsewhere").run()
            return end, [str(each) for each in set(server.store.places()) - before]

    end, left = asyncio.run(asyncio.wait_for(scene(), 40))
    assert end.error is not None
    assert "Unauthorized" in str(end.error)
    assert left == []


def test_a_run_whose_lease_is_taken_ends_and_touches_nothing(tmp_path: Path) -> None:
    """It slept, somebody restored: what is there now is theirs."""

    async def take(server: ApiServer) -> None:
        body = at(server, "Lease", "podbench", "podbench")
        assert body is not None
        body["spec"] = lease.spec("somebody-else/1", 60)
        put(server, body)
        await asyncio.sleep(10)

    end = run(tmp_path, take)
    assert isinstance(end.error, InterferenceError)
    assert "somebody-else/1" in str(end.error)
    assert any("podbench-agent-vxlan" in each for each in end.left)
    assert any("another run has the cluster now" in each for each in end.said)


def test_a_run_whose_lease_was_deleted_tidies_up(tmp_path: Path) -> None:
    """Nobody has the cluster then, so what the run made is its own to take away."""

    async def delete(server: ApiServer) -> None:
        server.store.drop(Place("coordination.k8s.io/v1", "leases", "podbench", "podbench"))
        await asyncio.sleep(10)

    end = run(tmp_path, delete)
    assert isinstance(end.error, InterferenceError)
    assert "it was deleted" in str(end.error)
    assert end.left == []


def test_a_lease_that_cannot_be_renewed_ends_the_run(tmp_path: Path) -> None:
    """The server refuses renewals for longer than the lease lasts: another may begin."""

    async def refuse(server: ApiServer) -> None:
        server.denied = {("admin", "update", "leases")}
        await asyncio.sleep(20)
        raise AssertionError("measured on without a lease")

    end = run(tmp_path, refuse)
    assert isinstance(end.error, ClusterError)
    assert "the lease could not be renewed" in str(end.error)
    assert end.left == []
