"""What `bench plan` and `bench run` say of a cluster before anything in it is touched."""

import asyncio
import json
import os
import pty
from pathlib import Path
from typing import Any

import msgspec
from support import calico
from support.apiserver.server import ApiServer
from support.cluster import cluster, control_plane, kubeconfig, node, put
from support.lab_cluster import Finished, bench, ended, started

from podbench.target.kubernetes.deploy import ledger


class Asked(msgspec.Struct):
    """A command's end, and which verbs the API server saw."""

    finished: Finished
    verbs: set[str]


def beside(folder: Path, *arguments: str, **installed: Any) -> Asked:
    """Runs `bench` beside a cluster of three workers in two zones and a control plane."""

    async def run() -> Asked:
        async with cluster(folder) as (server, _):
            furnish(server, **installed)
            server.requests.clear()
            finished = await bench(*arguments)
            return Asked(finished, {each.partition(" ")[0] for each in server.requests})

    return asyncio.run(asyncio.wait_for(run(), 60))


def furnish(server: ApiServer, **installed: Any) -> None:
    """Calico, zones, a control plane."""
    calico.install(server, **installed)
    for number in (1, 2, 3):
        zone = "a" if number < 3 else "b"
        put(server, node(number, **{"topology.kubernetes.io/zone": zone}))
    put(server, control_plane(9))


def test_a_plan_says_all_that_would_happen_and_only_reads(tmp_path: Path) -> None:
    """Context, nodes, what is made, what moves, what is refused, how long, how many bytes."""
    seen = beside(tmp_path, "plan", "--target", "kubernetes", bgp=False)
    page = seen.finished.out
    assert seen.finished.code == 0, seen.finished.errors
    assert seen.verbs == {"GET"}
    assert "context stand-in at http://127.0.0.1:" in page
    assert "bgp: BGP is off here" in page
    assert "ipip: BGP is off here" in page
    assert "3: n1 (a), n2 (a), n3 (b)" in page
    assert "n9: a control-plane node that keeps pods out" in page
    assert "IPPool podbench-vxlan" in page
    assert "podbench-vxlan is 198.18.64.0/18" in page
    assert "nothing existing is changed" in page
    assert "of them across zones" in page
    assert "at most 500.0 Mbit/s each" in page or "at most 500 Mbit/s each" in page
    assert "assumed: NIC speeds are unknown until agents read them" in page
    assert "if the slowest NIC is 10 Gbit/s: at most 1 Gbit/s each, about " in page
    assert "if the slowest NIC is 1 Gbit/s: at most 100 Mbit/s each, about " in page
    assert "to be named with --image" in page


def test_felix_restarts_are_announced(tmp_path: Path) -> None:
    """IPIP is nobody's here, VXLAN is the cluster's own: one restart each way is ours."""
    page = beside(tmp_path, "plan").finished.out
    assert (
        "Felix restarts on every node when podbench-ipip is created, and again when it is removed"
        in page
    )
    assert "when podbench-vxlan comes" not in page
    assert "may get an MTU up to 50 lower" in page


def test_a_plan_as_json(tmp_path: Path) -> None:
    """One document, with figures as numbers."""
    asked = (
        *("plan", "--context", "stand-in", "--json", "--max-bandwidth", "80Mbit/s"),
        *("--probes", "latency,throughput"),
    )
    seen = beside(tmp_path, *asked)
    found = json.loads(seen.finished.out)
    assert (found["context"], found["method"]) == ("stand-in", "pools")
    assert found["transfer_cap_bps"] == 80_000_000
    # It holds for every NIC from 800 Mbit/s on: nothing is otherwise then.
    (assumed,) = found["assumed"]
    assert assumed.startswith("assumed: ")
    assert found["plan"]["pace"]["transfer_s"] == 12
    costs = found["expected"]
    # Transfers of 12 s at the cap, and probes on top.
    assert costs["sent_bytes"] > costs["transfers"] * 12 * 10_000_000
    assert 0 < costs["cross_zone_bytes"] < costs["sent_bytes"]
    assert {each["name"]: each["zone"] for each in found["nodes"]} == {
        "n1": "a",
        "n2": "a",
        "n3": "b",
    }


def test_a_kubeconfig_alone_begins_nothing(tmp_path: Path) -> None:
    """`auto` means the cluster then; with nobody to ask, both ways out are named."""
    seen = beside(tmp_path, "run", "--image", "i", "--yes", "--out", str(tmp_path / "run"))
    assert seen.finished.code == 2
    assert seen.verbs == {"GET"}
    assert not (tmp_path / "run").exists()
    assert "context stand-in" in seen.finished.errors
    assert "--context stand-in --yes" in seen.finished.errors
    assert "--target lab" in seen.finished.errors


def test_a_wrong_name_at_the_terminal_begins_nothing(tmp_path: Path) -> None:
    """People are shown the plan and type the context's name; anything else is a no."""

    async def run() -> Finished:
        async with cluster(tmp_path) as (server, _):
            furnish(server)
            ours, theirs = pty.openpty()
            process = await started("run", "--image", "i", stdin=theirs)
            os.write(ours, b"yes\n")
            finished = await ended(process)
            os.close(ours)
            os.close(theirs)
            assert {each.partition(" ")[0] for each in server.requests} == {"GET"}
            return finished

    found = asyncio.run(asyncio.wait_for(run(), 60))
    assert found.code == 2
    assert "type the context's name to continue (or `observe stand-in`" in found.errors
    assert "nothing was changed" in found.errors


def test_another_run_s_leftovers_are_told_before_anything_is_made(tmp_path: Path) -> None:
    """The way out is named, and the run directory says how it ended."""

    async def run() -> Finished:
        async with cluster(tmp_path) as (server, _):
            furnish(server)
            meta = {"name": "podbench", "labels": ledger.labels("left-over")}
            put(server, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
            asked = ("--context", "stand-in", "--yes", "--image", "i", "--quiet")
            return await bench("run", *asked, "--out", str(tmp_path / "run"))

    found = asyncio.run(asyncio.wait_for(run(), 60))
    assert found.code == 1
    assert "left from run left-over" in found.errors
    assert "bench clean" in found.errors
    begun = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert begun["status"] == "failed"
    assert begun["aftermath"] is None


def test_options_of_the_other_target_are_refused(tmp_path: Path) -> None:
    """They would have no effect, so nothing goes on as if they had."""
    lost = beside(tmp_path, "plan", "--lab-loss", "n1>n2=1%").finished
    assert lost.code == 2
    assert "--lab-loss does not apply to target kubernetes" in lost.errors
    pool = beside(tmp_path, "plan", "--target", "lab", "--pool-cidr", "10.9.0.0/16").finished
    assert pool.code == 2
    assert "--pool-cidr does not apply to target lab" in pool.errors


def test_names_with_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    """Context, name and labels: neither a terminal's markup nor HTML, nor a template."""
    context = '[red]p[/]<b>"&{{.}}'

    async def run() -> tuple[Finished, Finished]:
        async with ApiServer() as server:
            furnish(server)
            with kubeconfig(tmp_path / "kubeconfig", server.kubeconfig(name=context)):
                asked = ("--context", context, "--name", "[/]<i>", "--label", "a=[/b]")
                return await bench("plan", *asked), await bench("plan", "--context", f"{context}x")

    good, absent = asyncio.run(asyncio.wait_for(run(), 60))
    assert good.code == 0, good.errors
    assert f"context {context} at http://127.0.0.1:" in good.out
    assert absent.code == 2
    assert repr(f"{context}x") in absent.errors
    assert f"did you mean {context!r}" in absent.errors
