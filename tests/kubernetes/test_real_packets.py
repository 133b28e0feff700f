"""A cluster's run with real packets: the stand-in's pods are agents in a lab's namespaces."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import calico
from support.apiserver.lab_kubelet import LabKubelet
from support.apiserver.server import ApiServer
from support.cluster import kubeconfig, node, put
from support.inlab import in_lab, needs_namespaces

from podbench.campaign import latency
from podbench.campaign.agents import Crew
from podbench.cni import registry
from podbench.cni.base import Probed
from podbench.cni.proof.verdict import STALE
from podbench.model.arms import Mode
from podbench.model.facts import ArmProof
from podbench.target.kubernetes.deploy.undo import Listing
from podbench.target.kubernetes.request import Cluster
from podbench.target.kubernetes.target import KubernetesTarget
from podbench.target.kubernetes.world import Method
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, needs_namespaces()]


class Seen(msgspec.Struct):
    """What a scenario saw."""

    proofs: list[ArmProof]
    captured: list[ArmProof]
    dead: ArmProof | None
    """By routes, once BIRD on n2 is gone."""
    answered: dict[str, int]
    listing: Listing
    left: list[str]
    disorder: list[str]
    said: list[str]


async def _measure(
    world: LabWorld, folder: Path, method: Method, modes: list[Mode], cni: str = "calico"
) -> Seen:
    observed = Mode.VXLAN if method.name == "observe" else None
    kubelet = LabKubelet(world, observed)
    async with ApiServer(kubelet) as server:
        kubelet.store = server.store
        calico.install(server)
        for number in range(1, len(world.nodes) + 1):
            put(server, node(number))
        before = server.store.places()
        said: list[str] = []
        asked = Cluster(
            run_id="run-1",
            image="i",
            method=method,
            folder=folder,
            patience_s=5.0,
            capture=method.name == "pools",
        )
        target = KubernetesTarget(asked, said.append)
        with kubeconfig(folder / "kubeconfig", server.kubeconfig()):
            proofs, captured, dead, answered = await _run(target, modes, kubelet, cni)
        assert target.listing is not None
        left = [str(each) for each in server.store.places() if each not in before]
        return Seen(proofs, captured, dead, answered, target.listing, left, kubelet.disorder, said)


async def _run(
    target: KubernetesTarget, modes: list[Mode], kubelet: LabKubelet, cni: str
) -> tuple[list[ArmProof], list[ArmProof], ArmProof | None, dict[str, int]]:
    driver = registry.driver(cni)
    proofs: list[ArmProof] = []
    captured: list[ArmProof] = []
    dead = None
    answered: dict[str, int] = {}
    async with target.up() as laid:
        refused = {m: each.reason for m, each in (await driver.lay(laid.world, modes)).items()}
        assert not any(refused.values()), refused
        try:
            async with laid.deploy() as (nodes, fleet):
                crew = Crew(nodes, fleet)

                async def probe(src: Any, dst: Any, probes: int) -> Probed:
                    return await latency.answered(crew, src, dst, probes, 2000.0)

                for mode in modes:
                    proofs.append(await driver.verify(laid.world, mode, probe))
                    see = laid.world.capture
                    more = await driver.verify(laid.world, mode, probe, probes=500, capture=see)
                    captured.append(more)
                    first, second = (each.pod(mode) for each in nodes[:2])
                    answered[mode.value] = (await probe(first, second, 50)).answered
                if Mode.BGP in modes:
                    daemon = kubelet.bird("n2")
                    daemon.kill()
                    daemon.wait()
                    dead = await driver.verify(laid.world, Mode.BGP, None)
        except Exception as error:
            raise AssertionError(kubelet.log("podbench")) from error
    return proofs, captured, dead, answered


def test_pools_side_by_side_are_proven_and_gone_afterwards(tmp_path: Path) -> None:
    """VXLAN and BGP at once on the same nodes, by temporary pools; nothing of them remains."""

    async def scenario(world: LabWorld) -> Seen:
        return await _measure(world, tmp_path, Method(name="pools"), [Mode.VXLAN, Mode.BGP])

    seen = in_lab(scenario, Seen)
    assert {each.mode: (each.verdict, each.method) for each in seen.proofs} == {
        Mode.VXLAN: ("match", "counted"),
        Mode.BGP: ("match", "counted"),
    }
    assert {each.mode: (each.verdict, each.method) for each in seen.captured} == {
        Mode.VXLAN: ("match", "captured"),
        Mode.BGP: ("match", "captured"),
    }
    evidence = [pair.evidence for each in seen.proofs for pair in each.pairs]
    assert {each["bgp_session"] for each in evidence} == {"up"}
    # The connection is gone at once; by graceful restart the routes stay for a while.
    assert seen.dead is not None
    assert {each.evidence["bgp_session"] for each in seen.dead.pairs} == {"down"}
    assert any(STALE in each.warnings for each in seen.dead.pairs)
    assert "CalicoNodeStatus podbench-n1" in {str(each) for each in seen.listing.gone}
    assert {each.mode: each.route_origin for each in seen.proofs} == {
        Mode.VXLAN: "Felix",
        Mode.BGP: "BIRD",
    }
    assert seen.answered == {"vxlan": 50, "bgp": 50}
    assert seen.left == []
    assert seen.disorder == []
    assert seen.listing.left == ()
    assert "IPPool podbench-bgp" in {str(each) for each in seen.listing.gone}


@pytest.mark.parametrize(("cni", "mode"), [("calico", Mode.VXLAN), ("antrea", Mode.AS_FOUND)])
def test_observing_makes_no_pool(tmp_path: Path, cni: str, mode: Mode) -> None:
    """The mode as found, proven all the same, without a change to the network's configuration.

    Also of a network that podbench knows nothing of: what its packets take is named.
    """

    async def scenario(world: LabWorld) -> Seen:
        asked = registry.driver("calico").pool(Mode.VXLAN, underlay_mtu=1500, equal_mtu=False)
        await world.apply(asked)
        return await _measure(world, tmp_path, Method(name="observe"), [mode], cni)

    seen = in_lab(scenario, Seen)
    assert [(each.verdict, each.method, each.observed) for each in seen.proofs] == [
        ("match", "counted", "vxlan")
    ]
    assert seen.answered == {mode.value: 50}
    assert seen.left == []
    assert not [line for line in seen.said if "IPPool" in line]
