"""The canary over real packets: it ends a run whose cluster suffers, and keeps an account."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import calico
from support.apiserver.lab_kubelet import DEFAULT_POOL, LabKubelet
from support.apiserver.server import ApiServer
from support.cluster import kubeconfig, node, put
from support.inlab import in_lab, needs_namespaces

from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.model.errors import ClusterError
from podbench.target.kubernetes.guard import canary
from podbench.target.kubernetes.request import Cluster
from podbench.target.kubernetes.target import KubernetesTarget
from podbench.target.kubernetes.world import KubernetesWorld, Method
from podbench.target.lab.inside import with_netlink
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, needs_namespaces()]


class Ended(msgspec.Struct):
    """How a run with a canary ended."""

    error: str
    stretches: list[canary.Stretch]
    held: tuple[int, int]
    left: list[str]


Harm = Callable[[LabWorld, LabKubelet], Awaitable[None]]


def _canary_packets(world: LabWorld) -> int:
    """What left n1 for its canary pod's peer: packets of the pod's own link."""
    name = world.nodes[0].pod(DEFAULT_POOL.mode).name

    def count(netlink: Any) -> int:
        (link,) = (each for each in netlink.get_links() if each.get_attr("IFLA_IFNAME") == "eth0")
        return int(link.get_attr("IFLA_STATS64")["tx_packets"])

    return with_netlink(name, count)


async def _quietly(world: LabWorld, target: KubernetesWorld) -> tuple[int, int]:
    """Packets of n1's canary pod before and after a second in which it is held."""
    async with target.quiet(["n1"]):
        # What was on its way arrives; the pod's control traffic is Nagle's and rare.
        await asyncio.sleep(0.3)
        before = _canary_packets(world)
        await asyncio.sleep(1.0)
        return before, _canary_packets(world)


async def _run(world: LabWorld, folder: Path, harm: Harm) -> Ended:
    kubelet = LabKubelet(world)
    async with ApiServer(kubelet) as server:
        kubelet.store = server.store
        calico.install(server)
        for number in range(1, len(world.nodes) + 1):
            put(server, node(number))
        before = set(server.store.places())
        method = Method(name="pools")
        asked = Cluster(run_id="r", image="i", method=method, folder=folder, patience_s=5.0)
        held = (0, 0)
        with kubeconfig(folder / "kubeconfig", server.kubeconfig()):
            try:
                async with KubernetesTarget(asked, lambda _: None).up() as laid:
                    await registry.driver("calico").lay(laid.world, [Mode.BGP])
                    async with laid.deploy():
                        held = await _quietly(world, laid.world)
                        await harm(world, kubelet)
                        # What is measured meanwhile; the limit makes a run that goes on a failure.
                        await asyncio.sleep(30)
            except ClusterError as error:
                return Ended(
                    error=str(error),
                    stretches=canary.read(folder),
                    held=held,
                    left=[str(each) for each in set(server.store.places()) - before],
                )
        raise AssertionError("the run went on")


async def _cut(world: LabWorld, kubelet: LabKubelet) -> None:
    """The cluster's own pods on n1 reach those on n2 no more, as by a wrong route."""
    # Held until now, it has to have worked before.
    await asyncio.sleep(1.0)
    peer = world.nodes[1].pod(DEFAULT_POOL.mode).address
    with_netlink("n1", lambda netlink: netlink.route("add", dst=f"{peer}/32", type="blackhole"))


async def _silence(world: LabWorld, kubelet: LabKubelet) -> None:
    """Every canary pod dies."""
    kubelet.kill("podbench-agent-canary")


def test_a_run_ends_when_the_cluster_s_network_suffers(tmp_path: Path) -> None:
    """The pod path is named, the host path was well, everything is taken away."""

    async def scenario(world: LabWorld) -> Ended:
        return await _run(world, tmp_path, _cut)

    ended = in_lab(scenario, Ended)
    assert "canary, pod path n" in ended.error
    assert "lost" in ended.error
    assert ended.left == []
    (stretch,) = ended.stretches
    assert stretch.trouble == ended.error
    by_path: dict[str, list[canary.Account]] = {"host": [], "pod": []}
    for account in stretch.accounts:
        by_path[account.way.path].append(account)
    assert all(each.watched and each.watched.lost == 0 for each in by_path["host"])
    assert any(each.watched and each.watched.trouble for each in by_path["pod"])


def test_a_silent_canary_ends_the_run(tmp_path: Path) -> None:
    """Nobody would notice harm any more; and held, it had sent nothing."""

    async def scenario(world: LabWorld) -> Ended:
        return await _run(world, tmp_path, _silence)

    ended = in_lab(scenario, Ended)
    assert "no pod path is watched any more" in ended.error
    assert ended.left == []
    before, after = ended.held
    assert before > 0
    assert after - before < 10
