"""`bench run --method switch` as a user starts it: the cluster's own pool changed under real pods.

It shows our client, our ledger and our proofs, and packets that take what the routes say. What
Calico does between a pool's change and the routes is the lab's here, and at once.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from support.apiserver.server import ApiServer
from support.cluster import at
from support.inlab import in_lab, needs_namespaces
from support.lab_cluster import ON_IT, Finished, bench, lab_cluster
from support.lab_in_place import InPlace

from podbench.campaign import record
from podbench.campaign.options.table import Options
from podbench.campaign.progress import Silent
from podbench.campaign.session import Session
from podbench.campaign.spec import resolve
from podbench.model.arms import Mode
from podbench.results import gather
from podbench.store import rundir as store
from podbench.target.kubernetes.request import Cluster
from podbench.target.kubernetes.switch import convergence
from podbench.target.kubernetes.target import KubernetesTarget
from podbench.target.kubernetes.world import Method
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, needs_namespaces()]

ASKED = ("--method", "switch", "--modes", "vxlan,bgp", "--probes", "latency")
DISRUPT = ("--disrupt", "stand-in")


def _in_place(world: LabWorld) -> InPlace:
    return InPlace(world, "10.244.0.0/16", [Mode.VXLAN, Mode.BGP])


def switched(
    folder: Path, play: Callable[[ApiServer, InPlace], Awaitable[Finished]]
) -> tuple[Finished, bool]:
    """Plays on a cluster with an operator; also whether its mode is as it was afterwards."""

    async def scenario(world: LabWorld) -> tuple[Finished, bool]:
        in_place = _in_place(world)
        async with lab_cluster(world, folder, in_place=in_place) as (server, _):
            before = set(server.store.places())
            theirs = _theirs(server)
            found = await play(server, in_place)
            found.left = [str(each) for each in set(server.store.places()) - before]
            return found, _theirs(server) == theirs

    return in_lab(scenario, tuple[Finished, bool])


def _theirs(server: ApiServer) -> list[object]:
    objects = (("Installation", "default"), ("IPPool", "default-ipv4-ippool"))
    return [(at(server, *each) or {}).get("spec") for each in objects]


def test_from_mode_to_mode_and_back(tmp_path: Path) -> None:
    """VXLAN, BGP and VXLAN again, all proven by packets; then as found."""
    where = tmp_path / "run"

    async def play(server: ApiServer, in_place: InPlace) -> Finished:
        short = ("--blocks", "1", "--budget", "60s")
        return await bench("run", *ON_IT, *ASKED, *DISRUPT, *short, "--out", str(where))

    found, as_found = switched(tmp_path, play)
    assert found.code in (0, 3), found.errors
    assert (found.left, as_found) == ([], True)
    summary = json.loads((where / "summary.json").read_text("utf-8"))
    proofs = {
        each["arm"]: (each["status"], each["proof"]["verdict"], each["proof"]["method"])
        for each in summary["arms"]
        if each["path"] == "pod"
    }
    measured = ("measured", "match", "counted")
    assert proofs == {"vxlan/pod": measured, "vxlan/pod#2": measured, "bgp/pod": measured}
    assert {each["proof"]["route_origin"] for each in summary["arms"] if each["proof"]} == {
        "Felix",
        "BIRD",
    }
    assert "cluster_state_confounded" in {each["code"] for each in summary["warnings"]}
    changed = (where / "changes.jsonl").read_text("utf-8").count('"event":"changed"')
    # To VXLAN, BGP, VXLAN, and back.
    assert changed == 4


class Lost(msgspec.Struct):
    """A session that lost a mode."""

    reasons: dict[str, str | None]
    rows: list[str]
    disturbed: bool


async def _session(world: LabWorld, folder: Path) -> Lost:
    """A whole session in this process, on nodes that do not follow to BGP."""
    in_place = _in_place(world)
    in_place.stuck.add(Mode.BGP)
    async with lab_cluster(world, folder, in_place=in_place) as (server, _):
        theirs = _theirs(server)
        rundir = store.create(folder / "r")
        options = Options(target="lab", modes=["vxlan", "bgp"], probes=["latency"], blocks=1)
        spec = msgspec.structs.replace(resolve(options), target="kubernetes", method="switch")
        record.begin(rundir, options, spec)
        session = Session(
            rundir, rundir.read_json(rundir.run_json, record.RunRecord), Silent(), gather.inputs
        )
        asked = Cluster(
            run_id="r",
            image="i",
            method=Method(name="switch"),
            folder=rundir.path,
            patience_s=5.0,
        )
        await session.run(KubernetesTarget(asked, lambda _: None))
        return Lost(
            reasons={each.mode: each.reason for each in session.record.arms},
            rows=sorted({each.parent.name for each in rundir.path.glob("samples/latency/*/*/*")}),
            disturbed=_theirs(server) != theirs,
        )


def test_a_mode_that_the_nodes_do_not_follow_to_is_lost_and_the_rest_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rolled back, named with what was seen; the other mode has its rows."""
    monkeypatch.setattr(convergence, "CONVERGE_S", 3.0)

    async def scenario(world: LabWorld) -> Lost:
        return await _session(world, tmp_path)

    lost = in_lab(scenario, Lost)
    assert lost.reasons["vxlan"] is None
    assert lost.reasons["bgp"] == (
        "did not converge in 3 s: 0 of 2 directed pairs take bgp, seen is vxlan; rolled back"
    )
    assert {each.partition("-")[0] for each in lost.rows} == {"vxlan"}
    assert not lost.disturbed
