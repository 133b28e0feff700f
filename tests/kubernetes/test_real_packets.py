"""A cluster's run with real packets: the stand-in's pods are agents in a lab's namespaces."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import calico
from support.apiserver.lab_kubelet import LabKubelet
from support.apiserver.server import ApiServer
from support.cluster import kubeconfig, node, put
from support.inlab import in_lab, needs_namespaces

from podbench.cni import detect
from podbench.model.arms import Mode
from podbench.model.facts import ArmProof
from podbench.run import latency, record, results
from podbench.run.crew import Crew
from podbench.run.options import Options
from podbench.run.progress import Silent
from podbench.run.session import Session
from podbench.run.spec import resolve
from podbench.store import rundir as store
from podbench.store import samples
from podbench.target.kubernetes.canary import Stretch, read
from podbench.target.kubernetes.target import Cluster, KubernetesTarget
from podbench.target.kubernetes.undo import Listing
from podbench.target.kubernetes.world import Method
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, needs_namespaces()]


class Seen(msgspec.Struct):
    """What a scenario saw."""

    proofs: list[ArmProof]
    answered: dict[str, int]
    listing: Listing
    left: list[str]
    disorder: list[str]
    said: list[str]


async def _measure(world: LabWorld, folder: Path, method: Method, modes: list[Mode]) -> Seen:
    observed = modes[0] if method.name == "observe" else None
    kubelet = LabKubelet(world, observed)
    async with ApiServer(kubelet) as server:
        kubelet.store = server.store
        calico.install(server)
        for number in range(1, len(world.nodes) + 1):
            put(server, node(number))
        before = server.store.places()
        said: list[str] = []
        asked = Cluster(run_id="run-1", image="i", method=method, folder=folder, patience_s=5.0)
        target = KubernetesTarget(asked, said.append)
        with kubeconfig(folder / "kubeconfig", server.kubeconfig()):
            proofs, answered = await _run(target, modes, kubelet)
        assert target.listing is not None
        left = [str(each) for each in server.store.places() if each not in before]
        return Seen(proofs, answered, target.listing, left, kubelet.disorder, said)


async def _run(
    target: KubernetesTarget, modes: list[Mode], kubelet: LabKubelet
) -> tuple[list[ArmProof], dict[str, int]]:
    driver = detect.driver("calico")
    proofs: list[ArmProof] = []
    answered: dict[str, int] = {}
    async with target.up() as laid:
        refused = {m: each.reason for m, each in (await driver.lay(laid.world, modes)).items()}
        assert not any(refused.values()), refused
        try:
            async with laid.deploy() as (nodes, fleet):
                crew = Crew(nodes, fleet)

                async def probe(src: Any, dst: Any, probes: int) -> int:
                    return await latency.answered(crew, src, dst, probes, 2000.0)

                for mode in modes:
                    proofs.append(await driver.verify(laid.world, mode, probe))
                    first, second = (each.pod(mode) for each in nodes[:2])
                    answered[mode.value] = await probe(first, second, 50)
        except Exception as error:
            raise AssertionError(kubelet.log("podbench")) from error
    return proofs, answered


def test_pools_side_by_side_are_proven_and_gone_afterwards(tmp_path: Path) -> None:
    """VXLAN and BGP at once on the same nodes, by temporary pools; nothing of them remains."""

    async def scenario(world: LabWorld) -> Seen:
        return await _measure(world, tmp_path, Method(name="pools"), [Mode.VXLAN, Mode.BGP])

    seen = in_lab(scenario, Seen)
    assert {each.mode: (each.verdict, each.method) for each in seen.proofs} == {
        Mode.VXLAN: ("match", "counted"),
        Mode.BGP: ("match", "counted"),
    }
    assert {each.mode: each.route_origin for each in seen.proofs} == {
        Mode.VXLAN: "Felix",
        Mode.BGP: "BIRD",
    }
    assert seen.answered == {"vxlan": 50, "bgp": 50}
    assert seen.left == []
    assert seen.disorder == []
    assert seen.listing.left == ()
    assert "IPPool podbench-bgp" in {str(each) for each in seen.listing.gone}


def test_observing_makes_no_pool(tmp_path: Path) -> None:
    """The mode as found, proven all the same, without a change to the network's configuration."""

    async def scenario(world: LabWorld) -> Seen:
        asked = detect.driver("calico").pool(Mode.VXLAN, underlay_mtu=1500, equal_mtu=False)
        await world.apply(asked)
        return await _measure(world, tmp_path, Method(name="observe"), [Mode.VXLAN])

    seen = in_lab(scenario, Seen)
    assert [(each.verdict, each.method) for each in seen.proofs] == [("match", "counted")]
    assert seen.answered == {"vxlan": 50}
    assert seen.left == []
    assert not [line for line in seen.said if "IPPool" in line]


class Ended(msgspec.Struct):
    """What a whole session left in its run directory."""

    files: list[str]
    arms: dict[str, str]
    proofs: dict[str, str]
    goodput_most_bps: float | None
    rows: int
    left: list[str]
    counted: list[str]
    """Nodes with a series of host counters, and with a steal figure."""
    stolen: list[str]
    priced: list[str]
    nic_bps: dict[str, int | None]
    cap_bps: int | None
    canary: list[Stretch]


async def _session(world: LabWorld, folder: Path) -> Ended:
    kubelet = LabKubelet(world)
    async with ApiServer(kubelet) as server:
        kubelet.store = server.store
        calico.install(server)
        for number in range(1, len(world.nodes) + 1):
            put(server, node(number))
        before = set(server.store.places())
        rundir = store.create(folder / "r")
        asked = Cluster(
            run_id="r",
            image="i",
            method=Method(name="pools"),
            folder=rundir.path,
            patience_s=5.0,
            most_bps=100_000_000,
        )
        spec = msgspec.structs.replace(
            resolve(Options(target="lab", cni="calico", blocks=1, seed=1, modes=["vxlan", "bgp"])),
            target="kubernetes",
        )
        begun = record.RunRecord(
            run_id="r",
            name=None,
            labels={},
            status="running",
            started=record.now(),
            ended=None,
            target="kubernetes",
            spec=spec,
            options={},
            seed=1,
            versions=record.versions(),
        )
        rundir.write_json(rundir.run_json, begun)
        with kubeconfig(folder / "kubeconfig", server.kubeconfig()):
            session = Session(rundir, begun, Silent())
            await session.run(KubernetesTarget(asked, lambda _: None))
        bundle = results.conclude(rundir)
        summary = json.loads(rundir.summary_json.read_text("utf-8"))
        goodputs = [each["goodput_bps"] for each in summary["pairs"] if each["goodput_bps"]]
        most = [each["tcp"]["max"] for each in goodputs if each.get("tcp")]
        assert bundle is not None
        return Ended(
            files=sorted(each.name for each in rundir.path.iterdir()),
            arms={each["arm"]: each["status"] for each in summary["arms"]},
            proofs={
                each["arm"]: f"{each['proof']['verdict']}, {each['proof']['method']}"
                for each in summary["arms"]
                if each["proof"]
            },
            goodput_most_bps=max(most, default=None),
            rows=sum(each["loss"]["sent"] for each in summary["pairs"] if each["loss"]),
            left=[str(each) for each in set(server.store.places()) - before],
            counted=sorted(samples.read(rundir.path / "host", "host")[0]["node"].unique()),
            stolen=[each["name"] for each in summary["nodes"] if each["steal_ratio"]],
            priced=[each["mode"] for each in summary["cpu_price"] if each["cores_per_gbps"]],
            nic_bps=summary["spec"]["nic_bps"],
            cap_bps=summary["spec"]["transfer_most_bps"],
            canary=read(rundir.path),
        )


def test_a_whole_session_measures_a_cluster(tmp_path: Path) -> None:
    """Blocks, rounds, latency and throughput under the cap; analysed like any run; nothing left."""

    async def scenario(world: LabWorld) -> Ended:
        return await _session(world, tmp_path)

    ended = in_lab(scenario, Ended)
    assert {"vxlan/pod", "vxlan/host", "bgp/pod", "bgp/host"} <= set(ended.arms)
    assert set(ended.arms.values()) == {"measured"}
    assert {ended.proofs["vxlan/pod"], ended.proofs["bgp/pod"]} == {"match, counted"}
    assert ended.rows > 1000
    assert ended.goodput_most_bps is not None
    # Intervals of 0.1 s: iperf3 sends in bursts to keep its rate.
    assert ended.goodput_most_bps < 300_000_000
    assert ended.cap_bps == 100_000_000
    # A veth's speed limits nothing, so it is no link's.
    assert ended.nic_bps == {"n1": None, "n2": None}
    assert ended.counted == ended.stolen == ["n1", "n2"]
    assert ended.priced == ["vxlan", "bgp"]
    assert [each.trouble for each in ended.canary] == [None]
    watched = [each.watched for each in ended.canary[0].accounts]
    assert len(watched) == 4
    assert all(each is not None and each.trouble is None for each in watched)
    assert {"changes.jsonl", "journal.jsonl", "samples", "evidence"} <= set(ended.files)
    assert ended.left == []
