"""`bench run --target kubernetes` as a user starts it: real packets in a stand-in cluster."""

import json
from pathlib import Path

import pytest
from support.inlab import in_lab, needs_namespaces
from support.lab_cluster import ON_IT, Finished, bench, lab_cluster

from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, needs_namespaces()]


def test_pools_beside_each_other_from_the_command_to_the_report(tmp_path: Path) -> None:
    """VXLAN and BGP at once; proven, compared, one page; nothing of it remains."""
    where = tmp_path / "run"

    async def scenario(world: LabWorld) -> Finished:
        async with lab_cluster(world, tmp_path) as (server, kubelet):
            before = set(server.store.places())
            asked = ("--modes", "vxlan,bgp", "--budget", "80s", "--blocks", "1")
            found = await bench("run", *ON_IT, *asked, "--out", str(where))
            found.left = [str(each) for each in set(server.store.places()) - before]
            found.disorder = kubelet.disorder
            return found

    found = in_lab(scenario, Finished)
    assert found.code in (0, 3), found.errors
    assert (found.left, found.disorder) == ([], [])
    assert f"report: {where / 'report.html'}" in found.out
    summary = json.loads((where / "summary.json").read_text("utf-8"))
    assert (summary["target"], summary["method"]) == ("kubernetes", "pools")
    assert summary["cni"]["version"] == "3.31.0"
