"""Controls: what must agree, and what follows where it does not."""

import numpy as np
import pytest

from podbench.analysis.findings import comparisons, controls
from podbench.analysis.samples.blocks import Cells
from podbench.analysis.samples.metrics import METRICS

ARMS = ("bgp/pod", "bgp/host", "vxlan/pod", "vxlan/host", "vxlan/pod#2", "vxlan/host#2")


def _tables(factor: float) -> comparisons.Tables:
    """Eight quiet blocks; the host path beside VXLAN is `factor` times the one beside BGP."""
    rng = np.random.default_rng(1)
    cells: Cells = {}
    for block in range(1, 9):
        for arm in ARMS:
            level = 50_000.0 if arm.partition("#")[0].endswith("pod") else 30_000.0
            if arm == "vxlan/host":
                level *= factor
            value = level * np.exp(rng.normal(0.0, 0.002))
            cells[arm, block] = {("n1", "n2"): np.full(2_000, value)}
    held: dict[str, Cells] = {metric.series: {} for metric in METRICS}
    held["rtt_kernel_ns"] = cells
    return comparisons.Tables(cells=held, losses={})


@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (1.4, False)])
def test_host_paths_must_agree(factor: float, *, passed: bool) -> None:
    """They have no CNI: where one moves, the control fails, is said, and is the floor."""
    tables = _tables(factor)
    hosts = controls.against_hosts(tables, ARMS)
    itself = controls.against_itself(tables, ARMS)
    found = controls.table({controls.AA: itself, controls.HOST_PATH: hosts})
    assert {(c.kind, c.other) for c in found} == {
        ("aa", "vxlan/pod#2"),
        ("host_path", "vxlan/host"),
        ("host_path", "vxlan/host#2"),
    }
    moved = [c for c in found if c.other == "vxlan/host"]
    assert all(c.passed is passed for c in moved)
    floor = controls.noise_floor([*itself, *hosts])["rtt_kernel_ns.p50"]
    caveats = list(controls.failed(found))
    if passed:
        assert floor < 0.01
        assert caveats == []
    else:
        assert floor == pytest.approx(np.log(1.4), rel=0.02)
        (caveat,) = caveats
        assert caveat.code == "control_failed"
        assert "vxlan/host against bgp/host: +40" in (caveat.evidence or "")


def test_without_host_paths_there_is_only_the_repeat() -> None:
    """A run that measured pods alone has its A/A check and no other control."""
    assert controls.host_paths(("bgp/pod", "vxlan/pod", "vxlan/pod#2")) == []
