"""Faults under a run with real agents: an eviction, a new broker, a lost node."""

import asyncio
from pathlib import Path as Folder
from typing import Any

import msgspec
import pytest
from support import calico
from support.apiserver.lab_kubelet import LabKubelet
from support.apiserver.server import ApiServer
from support.cluster import kubeconfig, node, put, until
from support.inlab import in_lab, needs_namespaces

from podbench.campaign import latency
from podbench.campaign.agents import Crew, Outcome
from podbench.cni import registry
from podbench.model.arms import Mode, Path
from podbench.model.errors import PodbenchError
from podbench.model.nodes import LabOptions
from podbench.target.kubernetes.deployed import LaidCluster
from podbench.target.kubernetes.request import Cluster
from podbench.target.kubernetes.target import KubernetesTarget
from podbench.target.kubernetes.world import Method
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, needs_namespaces()]

PAIRS = (("n1", "n2"), ("n2", "n3"), ("n3", "n1"))


class Seen(msgspec.Struct):
    """Probes answered in each state, and what a lost node cost."""

    answered: dict[str, int] = {}
    failed: dict[str, str] = {}
    measured: list[str] = []
    left: list[str] = []


class Scene:
    """A deployed run and the means to disturb it."""

    def __init__(self, server: ApiServer, kubelet: LabKubelet, crew: Crew) -> None:
        self.server, self.kubelet, self.crew = server, kubelet, crew
        self.seen = Seen()

    async def probe(self, state: str) -> None:
        """Probes n1 to n2 until that works again; a limit bounds it."""
        first, second = (self.crew.nodes[name].pod(Mode.VXLAN) for name in ("n1", "n2"))
        async with asyncio.timeout(30):
            while self.seen.answered.get(state, 0) < 50:
                try:
                    found = await latency.answered(self.crew, first, second, 50, 2000.0)
                    self.seen.answered[state] = found.answered
                except PodbenchError:
                    await asyncio.sleep(0.1)

    async def evict(self, name: str) -> None:
        """Deletes a pod; its controller makes another."""
        places = [each for each in self.server.store.places() if each.plural == "pods"]
        (place,) = (
            each
            for each in places
            if each.name.startswith(name)
            and self._on(each.name) in ("n2", "n1")
            and (name == "podbench-broker" or self._on(each.name) == "n2")
        )
        body = self.server.store.get(place)
        assert body is not None
        self.server.controllers.deleted(place, body, {})
        await until(lambda: self.server.store.get(place) is None)

    def _on(self, pod: str) -> str:
        places = [each for each in self.server.store.places() if each.name == pod]
        body = self.server.store.get(places[0])
        assert body is not None
        return str(body["spec"]["nodeName"])

    async def lose_n2(self) -> None:
        """Everything on n2 dies at once; its pairs are measured with the others."""
        for each in self.server.store.places():
            if each.plural == "pods" and self._on(each.name) == "n2":
                self.kubelet.kill(each.name)
        stretch = latency.Stretch(
            pairs=PAIRS, mode=Mode.VXLAN, path=Path.POD, phase="idle", rate_pps=200, duration_s=0.5
        )
        agent = self.crew.nodes["n2"].pod(Mode.VXLAN).agent
        await until(lambda: not self.crew.fleet.agents[agent].online)
        outcome = Outcome()
        await latency.measure(self.crew, stretch, outcome)
        self.seen.failed = {f"{each.src}>{each.dst}": each.reason for each in outcome.failures}
        parts: list[Any] = outcome.latency.get(Path.POD, [])
        self.seen.measured = [f"{place['src']}>{place['dst']}" for _, place in parts]


async def _disturbed(world: LabWorld, folder: Folder) -> Seen:
    kubelet = LabKubelet(world)
    async with ApiServer(kubelet) as server:
        kubelet.store = server.store
        calico.install(server)
        for number in (1, 2, 3):
            put(server, node(number))
        before = set(server.store.places())
        asked = Cluster(
            run_id="r", image="i", method=Method(name="pools"), folder=folder, patience_s=5.0
        )
        with kubeconfig(folder / "kubeconfig", server.kubeconfig()):
            async with KubernetesTarget(asked, lambda _: None).up() as laid:
                seen = await _scenes(laid, server, kubelet)
        seen.left = [str(each) for each in set(server.store.places()) - before]
        return seen


async def _scenes(laid: LaidCluster, server: ApiServer, kubelet: LabKubelet) -> Seen:
    await registry.driver("calico").lay(laid.world, [Mode.VXLAN])
    async with laid.deploy() as (nodes, fleet):
        scene = Scene(server, kubelet, Crew(nodes, fleet))
        await scene.probe("before")
        await scene.evict("podbench-agent-vxlan")
        await scene.evict("podbench-agent-canary")
        await scene.probe("evicted and back")
        await scene.evict("podbench-broker")
        await scene.probe("broker replaced")
        await scene.lose_n2()
        return scene.seen


def test_faults_cost_what_they_hit_and_no_more(tmp_path: Folder) -> None:
    """Agent and broker come back; a lost node's pairs have reasons, the other pair has rows."""

    async def scenario(world: LabWorld) -> Seen:
        return await _disturbed(world, tmp_path)

    seen = in_lab(scenario, Seen, options=LabOptions(nodes=3))
    assert seen.answered == {"before": 50, "evicted and back": 50, "broker replaced": 50}
    assert set(seen.failed) == {"n1>n2", "n2>n3"}
    assert all(seen.failed.values())
    assert seen.measured == ["n3>n1"]
    assert seen.left == []
