"""`bench restore` and `bench clean` as users start them."""

import asyncio
import json
import os
from pathlib import Path

from support.apiserver.server import ApiServer
from support.bench import BENCH
from support.cluster import Object, at, cluster, put

from podbench.target.kubernetes.deploy import ledger

POOL: Object = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "IPPool",
    "metadata": {"name": "podbench-vxlan", "labels": ledger.labels("left-over")},
    "spec": {"cidr": "198.18.64.0/18"},
}


def leave_behind(server: ApiServer) -> None:
    """What a dead run leaves: a namespace and a pool."""
    meta = {"name": "podbench", "labels": ledger.labels("left-over")}
    put(server, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    put(server, POOL)


def bench_beside(folder: Path, *arguments: str) -> tuple[int, str, str, bool]:
    """Runs `bench` beside a cluster with leftovers; status, output, errors, whether they remain."""

    async def run() -> tuple[int, str, str, bool]:
        async with cluster(folder) as (server, _):
            leave_behind(server)
            process = await asyncio.create_subprocess_exec(
                *BENCH,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=os.environ,
            )
            out, errors = await process.communicate()
            assert process.returncode is not None
            remains = at(server, "IPPool", "podbench-vxlan") is not None
            return process.returncode, out.decode(), errors.decode(), remains

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_clean_takes_away_and_shows_it(tmp_path: Path) -> None:
    """The context and its server are told, then each step, then what is gone."""
    code, out, errors, remains = bench_beside(tmp_path, "clean", "--context", "stand-in")
    assert code == 0, errors
    assert not remains
    assert "context stand-in at http://127.0.0.1:" in errors
    assert "runs found: left-over" in out
    assert {"gone: Namespace podbench", "gone: IPPool podbench-vxlan"} <= set(out.splitlines())


def test_a_kubeconfig_alone_changes_nothing(tmp_path: Path) -> None:
    """Without a context named, and with nobody to ask, the way to say so is told."""
    code, out, errors, remains = bench_beside(tmp_path, "restore")
    assert (code, out) == (2, "")
    assert remains
    assert "--context stand-in" in errors
    assert "--yes" not in errors


def test_a_context_that_leads_elsewhere_now_is_not_the_run_s(tmp_path: Path) -> None:
    """Contexts of many clusters share a name: a run's directory is held to the server it names."""
    run = tmp_path / "run"
    run.mkdir()
    there = {"context": "stand-in", "server": "https://192.0.2.1:6443"}
    begun = {"run_id": "left-over", "target": "kubernetes", "cluster": there}
    (run / "run.json").write_text(json.dumps(begun))
    code, out, errors, remains = bench_beside(tmp_path, "restore", str(run))
    assert (code, out) == (2, "")
    assert remains
    assert "the run began at https://192.0.2.1:6443" in errors
    code, _, errors, remains = bench_beside(tmp_path, "restore", str(run), "--context", "stand-in")
    assert (code, remains) == (2, True)
    assert "`bench clean` removes what any run left" in errors


def test_restore_of_a_run_knows_its_context(tmp_path: Path) -> None:
    """The run directory names cluster and run: no more has to be typed; JSON is the listing."""
    run = tmp_path / "run"
    run.mkdir()
    begun = {"run_id": "left-over", "target": "kubernetes", "options": {"context": "stand-in"}}
    (run / "run.json").write_text(json.dumps(begun))
    code, out, errors, remains = bench_beside(tmp_path, "restore", str(run), "--json")
    assert code == 0, errors
    assert not remains
    assert json.loads(out)["runs"] == ["left-over"]
    assert json.loads(out)["left"] == []


def test_another_run_s_traces_stay(tmp_path: Path) -> None:
    """Restoring a run that left nothing does not take away what another left."""
    run = tmp_path / "run"
    run.mkdir()
    begun = {"run_id": "mine", "target": "kubernetes", "options": {"context": "stand-in"}}
    (run / "run.json").write_text(json.dumps(begun))
    code, _, errors, remains = bench_beside(tmp_path, "restore", str(run))
    assert code == 1
    assert remains
    assert "holds run left-over, not mine" in errors


def test_a_lab_run_has_nothing_to_restore(tmp_path: Path) -> None:
    """It leaves nothing behind, and says so."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"run_id": "r", "target": "lab", "options": {}}))
    code, _, errors, _ = bench_beside(tmp_path, "restore", str(run))
    assert code == 2
    assert "leaves nothing behind" in errors
