"""Trouble in mid-run ends it within seconds, with the reason, and with everything taken away."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import calico
from support.apiserver.server import ApiServer
from support.cluster import at, cluster, node, put, until

from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.model.errors import (
    ClusterError,
    ConfigError,
    InterferenceError,
    PodbenchError,
)
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.deploy import undo
from podbench.target.kubernetes.deploy.objects import objects
from podbench.target.kubernetes.deployed import LaidCluster
from podbench.target.kubernetes.guard import watchdog
from podbench.target.kubernetes.request import Cluster
from podbench.target.kubernetes.target import KubernetesTarget
from podbench.target.kubernetes.world import Method

Trouble = Callable[[ApiServer, Api], Awaitable[None]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo, "LOOK_S", 0.02)
    monkeypatch.setattr(watchdog, "LOOK_S", 0.1)


def in_trouble(
    folder: Path,
    trouble: Trouble,
    asked: Cluster | None = None,
    deployed: Callable[[LaidCluster], Awaitable[None]] | None = None,
) -> tuple[PodbenchError, list[str], list[str]]:
    """Deploys, makes trouble, and waits for the end; the error, what is left, what was said."""
    said: list[str] = []

    async def run() -> tuple[PodbenchError, list[str], list[str]]:
        async with cluster(folder) as (server, api):
            calico.install(server)
            before = set(server.store.places())
            target = KubernetesTarget(asked or _asked(folder), said.append)
            with pytest.raises(PodbenchError) as caught:
                await _through(target, lambda: trouble(server, api), deployed or _deployed)
            left = [str(each) for each in set(server.store.places()) - before]
            return caught.value, left, said

    return asyncio.run(asyncio.wait_for(run(), 40))


async def _through(
    target: KubernetesTarget,
    trouble: Callable[[], Awaitable[None]],
    deployed: Callable[[LaidCluster], Awaitable[None]],
) -> None:
    async with target.up() as laid:
        await deployed(laid)
        await trouble()
        # What is measured meanwhile; the limit makes a run that goes on a failure.
        await asyncio.sleep(20)


def _asked(folder: Path) -> Cluster:
    method = Method(name="pools")
    return Cluster(run_id="r", image="i", method=method, folder=folder, lease_s=2, patience_s=2.0)


async def _deployed(laid: LaidCluster) -> None:
    await registry.driver("calico").lay(laid.world, (Mode.VXLAN, Mode.BGP))
    await _made(laid)


async def _made(laid: LaidCluster) -> None:
    await laid.deployment.make(objects(await laid._settings()))


def test_a_controller_that_reverts_our_pool_ends_the_run(tmp_path: Path) -> None:
    """Exit 3, the field by name, and no second write of ours."""

    async def revert(server: ApiServer, api: Api) -> None:
        pool = at(server, "IPPool", "podbench-bgp")
        assert pool is not None
        pool["spec"]["nodeSelector"] = "none()"
        put(server, pool)
        server.requests.clear()

    error, left, _ = in_trouble(tmp_path, revert)
    assert isinstance(error, InterferenceError)
    assert error.exit_code == 3
    assert "IPPool podbench-bgp: .spec.nodeSelector" in str(error)
    assert left == []


def test_a_controller_that_reverts_the_switched_mode_ends_the_run(tmp_path: Path) -> None:
    """Whoever writes the cluster's own pool back: exit 3, told by field, and as they left it."""
    left_at: list[Any] = []

    async def revert(server: ApiServer, api: Api) -> None:
        before = at(server, "IPPool", "default-ipv4-ippool")
        assert before is not None
        assert before["spec"]["vxlanMode"] == "Never"
        before["spec"]["vxlanMode"] = "CrossSubnet"
        put(server, before)
        left_at.append(before["spec"])

    async def switched(laid: LaidCluster) -> None:
        await registry.driver("calico").lay(laid.world, (Mode.VXLAN, Mode.BGP))
        made = objects(await laid._settings())
        await laid.deployment.make(made, laid.changes)
        assert laid.switch is not None
        await laid.switch.write(laid.switch.values(Mode.BGP))

    method = Method(name="switch")
    asked = Cluster(run_id="r", image="i", method=method, folder=tmp_path, lease_s=2)
    error, left, _ = in_trouble(tmp_path, revert, asked, switched)
    assert isinstance(error, InterferenceError)
    assert error.exit_code == 3
    assert "IPPool default-ipv4-ippool: .spec.vxlanMode" in str(error)
    assert left == []
    ((spec),) = left_at
    assert spec["vxlanMode"] == "CrossSubnet"


def test_a_context_that_leads_elsewhere_than_consented_to_is_not_touched(tmp_path: Path) -> None:
    """The kubeconfig was changed below the question: nothing but its server is looked at."""
    asked = msgspec.structs.replace(_asked(tmp_path), server="https://192.0.2.1:6443")

    async def run() -> list[str]:
        async with cluster(tmp_path) as (server, _):
            with pytest.raises(ConfigError, match="was consented to"):
                async with KubernetesTarget(asked, lambda _: None).up():
                    pass
            return list(server.requests)

    assert asyncio.run(asyncio.wait_for(run(), 40)) == []


def test_an_interruption_of_the_first_change_is_undone(tmp_path: Path) -> None:
    """The namespace was made and the answer never read: it goes, too."""

    async def interrupted(laid: LaidCluster) -> None:
        create, api = laid._api.create, laid._api

        async def made(path: str, body: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
            await create(path, body, dry_run=dry_run)
            raise asyncio.CancelledError

        await registry.driver("calico").lay(laid.world, (Mode.BGP,))
        api.create = made  # type: ignore[method-assign] # a signal in that instant
        await _made(laid)

    async def run() -> list[str]:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            before = set(server.store.places())
            target = KubernetesTarget(_asked(tmp_path), lambda _: None)
            with pytest.raises(asyncio.CancelledError):
                async with target.up() as laid:
                    await interrupted(laid)
            assert "POST /api/v1/namespaces" in " ".join(server.requests)
            return [str(each) for each in set(server.store.places()) - before]

    assert asyncio.run(asyncio.wait_for(run(), 40)) == []


def test_a_watch_that_fails_in_whatever_way_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of our own in the guard: without it nobody would notice harm."""

    async def broken(deployment: object) -> None:
        raise KeyError("of our own")

    monkeypatch.setattr(watchdog, "_objects", broken)

    async def run() -> None:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            target = KubernetesTarget(_asked(tmp_path), lambda _: None)
            with pytest.raises(KeyError, match="of our own"):
                async with target.up():
                    await asyncio.Event().wait()

    asyncio.run(asyncio.wait_for(run(), 40))


def test_whoever_slept_through_the_end_of_its_lease_switches_nothing(tmp_path: Path) -> None:
    """Another machine has restored meanwhile: a write now would be undone by nobody."""

    async def switched(laid: LaidCluster, server: ApiServer) -> None:
        await registry.driver("calico").lay(laid.world, (Mode.BGP,))
        await laid.deployment.make(objects(await laid._settings()), laid.changes)
        lease = at(server, "Lease", "podbench", "podbench")
        assert lease is not None
        lease["spec"]["holderIdentity"] = "other"
        put(server, lease)
        server.requests.clear()
        assert laid.switch is not None
        await laid.switch.write(laid.switch.values(Mode.BGP))

    async def run() -> tuple[list[str], InterferenceError]:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            method = Method(name="switch")
            asked = Cluster(run_id="r", image="i", method=method, folder=tmp_path, lease_s=600)
            with pytest.raises(InterferenceError, match="lease is held by other") as caught:
                await _inside(asked, lambda laid: switched(laid, server))
            return [each for each in server.requests if not each.startswith("GET")], caught.value

    changes, error = asyncio.run(asyncio.wait_for(run(), 30))
    assert changes == []
    assert error.exit_code == 3


async def _inside(asked: Cluster, scene: Callable[[LaidCluster], Awaitable[None]]) -> None:
    async with KubernetesTarget(asked, lambda _: None).up() as laid:
        await scene(laid)


def test_somebody_who_removes_our_agents_ends_the_run(tmp_path: Path) -> None:
    """A DaemonSet that went is told as removed."""

    async def remove(server: ApiServer, api: Api) -> None:
        await api.delete("/apis/apps/v1/namespaces/podbench/daemonsets/podbench-agent-bgp")

    error, left, _ = in_trouble(tmp_path, remove)
    assert isinstance(error, InterferenceError)
    assert "podbench-agent-bgp: removed" in str(error)
    assert left == []


def test_a_node_that_goes_not_ready_ends_the_run(tmp_path: Path) -> None:
    """It may be our load: so no more of it."""

    async def fail(server: ApiServer, api: Api) -> None:
        body = node(2)
        said = "Kubelet stopped posting node status."
        body["status"]["conditions"] = [{"type": "Ready", "status": "Unknown", "message": said}]
        put(server, body)

    error, left, _ = in_trouble(tmp_path, fail)
    assert isinstance(error, ClusterError)
    assert "n2 went NotReady (Kubelet stopped posting node status)" in str(error)
    assert left == []


def test_a_node_that_takes_no_part_may_go_not_ready(tmp_path: Path) -> None:
    """A node the run does without is nobody's business; it goes on until told otherwise."""

    async def fail(server: ApiServer, api: Api) -> None:
        body = node(3)
        body["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        put(server, body)
        await asyncio.sleep(0.5)
        raise ClusterError("went on")

    asked = Cluster(
        run_id="r",
        image="i",
        method=Method(name="pools"),
        nodes=("n1", "n2"),
        patience_s=2.0,
        lease_s=2,
    )
    error, _, _ = in_trouble(tmp_path, fail, asked)
    assert str(error) == "went on"


def test_leftovers_of_a_dead_run_are_not_taken_over(tmp_path: Path) -> None:
    """A new run says whose they are and how they go; it changes nothing."""

    async def run() -> str:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            from podbench.target.kubernetes.deploy import ledger

            meta = {"name": "podbench", "labels": ledger.labels("old")}
            put(server, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
            before = set(server.store.places())
            with pytest.raises(ClusterError, match="left from run old") as caught:
                async with KubernetesTarget(_asked(tmp_path), lambda _: None).up() as laid:
                    await _deployed(laid)
            assert set(server.store.places()) == before
            return str(caught.value.advice)

    assert "bench clean" in asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize(
    ("version", "peers", "bgp", "refused"),
    [
        ("v3.29.1", 0, True, {"vxlan": "3.30", "ipip": "3.30", "bgp": "3.30"}),
        ("v3.31.0", 1, True, {"vxlan": "BGPPeers", "ipip": "BGPPeers", "bgp": "BGPPeers"}),
        ("v3.31.0", 0, False, {"ipip": "BGP is off here", "bgp": "BGP is off here"}),
    ],
)
def test_pools_that_would_harm_or_lie_are_refused(
    tmp_path: Path, version: str, peers: int, bgp: bool, refused: dict[str, str]
) -> None:
    """Each mode with its reason, before anything is made."""

    async def run() -> tuple[dict[str, str | None], bool]:
        async with cluster(tmp_path) as (server, _):
            calico.install(server, version, bgp=bgp)
            for number in range(peers):
                meta = {"name": f"tor-{number}"}
                v3 = "projectcalico.org/v3"
                put(server, {"apiVersion": v3, "kind": "BGPPeer", "metadata": meta, "spec": {}})
            before = set(server.store.places())
            async with KubernetesTarget(_asked(tmp_path), lambda _: None).up() as laid:
                found = await registry.driver("calico").lay(
                    laid.world, (Mode.VXLAN, Mode.IPIP, Mode.BGP)
                )
            unchanged = set(server.store.places()) == before
            return {mode.value: each.reason for mode, each in found.items()}, unchanged

    found, unchanged = asyncio.run(asyncio.wait_for(run(), 30))
    assert unchanged
    assert {mode for mode, reason in found.items() if reason} == set(refused)
    for mode, words in refused.items():
        assert words in str(found[mode])


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "IPPool", "apiVersion": "projectcalico.org/v3", "spec": {"cidr": "198.18.0.0/15"}},
        {
            "kind": "ServiceCIDR",
            "apiVersion": "networking.k8s.io/v1",
            "spec": {"cidrs": ["fd00::/108", "198.18.3.0/24"]},
        },
        {"kind": "Service", "apiVersion": "v1", "spec": {"clusterIPs": ["198.18.9.9"]}},
    ],
)
def test_pools_keep_off_what_the_cluster_has(tmp_path: Path, body: dict[str, Any]) -> None:
    """A pool, a Service range or a Service in the way: every mode is refused, with its name."""

    async def run() -> set[str | None]:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            put(server, {**body, "metadata": {"name": "in-the-way"}})
            async with KubernetesTarget(_asked(tmp_path), lambda _: None).up() as laid:
                found = await registry.driver("calico").lay(laid.world, (Mode.VXLAN, Mode.BGP))
            return {each.reason for each in found.values()}

    (reason,) = asyncio.run(asyncio.wait_for(run(), 30))
    assert f"{body['kind']} in-the-way 198.18." in str(reason)


def test_an_interrupted_run_takes_everything_away(tmp_path: Path) -> None:
    """A signal becomes a cancellation: what was made goes before the run ends."""

    async def run() -> tuple[bool, list[str], set[str]]:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            before = set(server.store.places())
            target = KubernetesTarget(_asked(tmp_path), lambda _: None)
            running = asyncio.create_task(_through(target, lambda: asyncio.sleep(0), _deployed))
            await until(
                lambda: at(server, "DaemonSet", "podbench-agent-bgp", "podbench") is not None
            )
            running.cancel()
            (ended,) = await asyncio.gather(running, return_exceptions=True)
            left = [str(each) for each in set(server.store.places()) - before]
            assert target.listing is not None
            gone = {str(each) for each in target.listing.gone}
            return isinstance(ended, asyncio.CancelledError), left, gone

    cancelled, left, gone = asyncio.run(asyncio.wait_for(run(), 30))
    assert cancelled
    assert left == []
    assert {"Namespace podbench", "Namespace podbench-host", "IPPool podbench-bgp"} <= gone


def test_a_server_that_is_away_at_the_end_is_waited_for(tmp_path: Path) -> None:
    """The API server goes in mid-run and comes back: the run neither ends nor leaves anything."""

    async def away(server: ApiServer, api: Api) -> None:
        server.faults.away = True
        server.store.wake()
        await asyncio.sleep(1.0)
        server.faults.away = False
        raise ClusterError("measured on")

    asked = Cluster(run_id="r", image="i", method=Method(name="pools"), lease_s=6, patience_s=10.0)
    error, left, _ = in_trouble(tmp_path, away, asked)
    assert str(error) == "measured on"
    assert left == []
