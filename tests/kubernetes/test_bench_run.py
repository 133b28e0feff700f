"""`bench run --target kubernetes` as a user starts it: real packets in a stand-in cluster."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import bench as commands
from support.apiserver.server import ApiServer
from support.cluster import at, put, until
from support.inlab import in_lab, needs_namespaces
from support.lab_cluster import ON_IT, Finished, bench, ended, lab_cluster, started

from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.target.kubernetes.guard import canary
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, needs_namespaces()]


def summary_of(run: Path) -> Any:
    """Its summary.json."""
    return json.loads((run / "summary.json").read_text("utf-8"))


class Both(msgspec.Struct):
    """The interrupted command, and the one that went on."""

    first: Finished
    second: Finished


def test_pools_beside_each_other_interrupted_resumed_and_reported(tmp_path: Path) -> None:
    """VXLAN and BGP at once, proven; Ctrl-C undoes all and is said; the run goes on after it."""
    run = tmp_path / "run"
    asked = ("--modes", "vxlan,bgp", "--blocks", "1", "--probes", "latency", "--seed", "3")

    async def scenario(world: LabWorld) -> Both:
        async with lab_cluster(world, tmp_path) as (server, kubelet):
            before = set(server.store.places())

            def left() -> list[str]:
                return [str(each) for each in set(server.store.places()) - before]

            process = await started("run", *ON_IT, *asked, "--out", str(run))
            await _until_journalled(run, "round")
            process.send_signal(signal.SIGINT)
            first = await ended(process)
            first.left, first.disorder = left(), list(kubelet.disorder)
            second = await bench("resume", str(run), "--context", "stand-in", "--yes")
            second.left, second.disorder = left(), list(kubelet.disorder)
            return Both(first, second)

    both = in_lab(scenario, Both)
    first, second = both.first, both.second
    assert first.code == 130, first.errors
    assert (first.left, first.disorder) == ([], [])
    assert "removed and checked" in first.errors
    assert f"bench resume {run}" in first.errors
    assert second.code in (0, 3), second.errors
    assert (second.left, second.disorder) == ([], [])
    assert "rounds are already on disk" in second.errors
    assert f"report: {run / 'report.html'}" in second.out
    found = summary_of(run)
    assert (found["target"], found["method"], found["status"]) == (
        "kubernetes",
        "pools",
        "complete",
    )
    proofs = {
        each["arm"]: (each["proof"]["verdict"], each["proof"]["method"])
        for each in found["arms"]
        if each["proof"]
    }
    assert proofs["vxlan/pod"] == proofs["bgp/pod"] == ("match", "counted")
    begun = json.loads((run / "run.json").read_text("utf-8"))
    assert "Namespace podbench" in begun["aftermath"]["gone"]
    assert begun["aftermath"]["left"] == []
    assert set(begun["aftermath"]["made"]) <= set(begun["aftermath"]["gone"])
    (run / "report.html").unlink()
    again = commands.bench("report", str(run))
    assert again.returncode == second.code, again.stderr
    assert (run / "report.html").is_file()
    # Nobody asks for consent, and no cluster is there any more: nothing is missing.
    idle = commands.bench("resume", str(run))
    assert "nothing is measured again" in idle.stderr
    assert idle.returncode == second.code


async def _until_journalled(run: Path, event: str) -> None:
    journal = run / "journal.jsonl"

    def there() -> bool:
        return journal.exists() and f'"event":"{event}"' in journal.read_text("utf-8")

    async with asyncio.timeout(60):
        await until(there)


def between_subnets_only(server: ApiServer) -> None:
    """Lets the cluster's own pool be one that names no mode for all pairs."""
    pool = at(server, "IPPool", "default-ipv4-ippool")
    assert pool is not None
    pool["spec"]["vxlanMode"] = "CrossSubnet"
    put(server, pool)


def test_observing_measures_the_mode_as_found(tmp_path: Path) -> None:
    """Pod against host path under the cap; no pool is made; nodes are described by their agents."""
    run = tmp_path / "run"
    usual_probes = ("--probes", "latency,capacity")
    asked = ("--method", "observe", "--blocks", "1", "--budget", "1s", "--out", str(run))

    async def scenario(world: LabWorld) -> Finished:
        pool = registry.driver("calico").pool(Mode.VXLAN, underlay_mtu=1500, equal_mtu=False)
        await world.apply(pool)
        async with lab_cluster(world, tmp_path, found=Mode.VXLAN) as (server, _):
            between_subnets_only(server)
            before = set(server.store.places())
            found = await bench(
                "run", *ON_IT, *asked, *usual_probes, "--max-bandwidth", "100Mbit/s"
            )
            found.left = [str(each) for each in set(server.store.places()) - before]
            return found

    ran = in_lab(scenario, Finished)
    assert ran.code in (0, 3), ran.errors
    assert ran.left == []
    assert "removing IPPool" not in ran.errors
    found = summary_of(run)
    assert found["method"] == "observe"
    arms = {each["arm"]: each for each in found["arms"]}
    assert set(arms) >= {"as-found/pod", "as-found/host"}
    proof = arms["as-found/pod"]["proof"]
    assert (proof["verdict"], proof["method"], proof["observed"]) == ("match", "counted", "vxlan")
    assert found["cni"]["version"] == "3.31.0"
    assert "calico-node" in found["cni"]["detected_from"][0]
    assert found["versions"]["podbench_agent"] == found["versions"]["podbench"]
    assert {each["name"] for each in found["nodes"]} == {"n1", "n2"}
    assert all(each["kernel"] and each["mtu_pod"] == 1450 for each in found["nodes"])
    told = json.loads((run / "evidence" / "cluster.json").read_text("utf-8"))
    assert told["calico"]["pools"]["value"][0]["cross_subnet"] is True
    assert [each["underlay_device"]["value"] for each in told["nodes"]] == ["eth0", "eth0"]
    assert all(each["instance_type"]["reason"] for each in told["nodes"])
    goodputs = [each["goodput_bps"] for each in found["pairs"] if each["goodput_bps"]]
    usual = [each["tcp"]["p50"] for each in goodputs if each.get("tcp")]
    # iperf3 sends in bursts to keep its rate; without a cap this is gigabits.
    assert 0 < max(usual) < 300_000_000
    assert found["spec"]["transfer_most_bps"] == 100_000_000
    # A veth's speed limits nothing, so it is no link's.
    assert found["spec"]["nic_bps"] == {"n1": None, "n2": None}
    assert [each["name"] for each in found["nodes"] if each["steal_ratio"]] == ["n1", "n2"]
    (stretch,) = canary.read(run)
    assert stretch.trouble is None
    assert {each.way.path for each in stretch.accounts} == {"host", "pod"}
    assert (run / "report.html").stat().st_size > 50_000
