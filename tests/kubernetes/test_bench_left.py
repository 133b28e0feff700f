"""What `bench run` says and does when what it made cannot be taken away."""

import asyncio
import json
import signal
from pathlib import Path

from support import calico
from support.apiserver.kubelet import Kubelet
from support.apiserver.server import ApiServer
from support.cluster import at, cluster, until
from support.lab_cluster import ON_IT, Finished, bench, ended, started


def test_an_undoing_that_fails_is_told_with_the_way_out(tmp_path: Path) -> None:
    """Interrupted and not allowed to remove: 130, told all the same; `bench restore` ends it."""
    run = tmp_path / "run"
    kubelet = Kubelet()
    kubelet.refused = {"n1": "never ready"}

    async def scene() -> tuple[Finished, Finished, list[str]]:
        async with cluster(tmp_path, ApiServer(kubelet)) as (server, _):
            calico.install(server)
            server.denied.add(("admin", "delete", "namespaces"))
            process = await started("run", *ON_IT, "--quiet", "--out", str(run))
            where = ("DaemonSet", "podbench-agent-vxlan", "podbench")
            await until(lambda: at(server, *where) is not None)
            process.send_signal(signal.SIGINT)
            first = await ended(process)
            server.denied.clear()
            left = json.loads((run / "run.json").read_text("utf-8"))["aftermath"]["left"]
            second = await bench("restore", str(run))
            return first, second, left

    first, second, left = asyncio.run(asyncio.wait_for(scene(), 100))
    # Interrupted is interrupted, quietly too; what is left is said beside it.
    assert first.code == 130, first.errors
    assert "left in the cluster: " in first.errors
    assert f"bench restore {run}" in first.errors
    begun = json.loads((run / "run.json").read_text("utf-8"))
    assert begun["status"] == "interrupted"
    assert left
    assert begun["aftermath"]["left"] == []
    assert second.code == 0, second.errors
    assert "gone: Namespace podbench" in second.out
