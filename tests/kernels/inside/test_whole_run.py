"""`bench run --cni calico` with all three modes by the kernel's own devices, as root and without.

A guest is slow, so senders are late and the run says so (exit code 3): latency is not judged here.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import outsider

from podbench.target.lab.ipip import dataplane

IMPLEMENTATIONS = {"vxlan": "kernel device", "ipip": "kernel device", "bgp": "routed"}
POD_MTUS = {"vxlan": 1450, "ipip": 1480, "bgp": 1500}
OPTIONS = ("--target", "lab", "--cni", "calico", "--nodes", "2", "--blocks", "1")
WHOLE_S = 800.0


def _run(who: str, folder: Path, *more: str) -> dict[str, Any]:
    """One run; returns its summary. The page and what was printed are judged here."""
    command = [*outsider.python(who), "-m", "podbench.cli", "run", *OPTIONS, *more]
    done = subprocess.run(
        [*command, "--probes", "latency", "--out", str(folder)],
        env=outsider.environment() | {"HOME": "/tmp"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=WHOLE_S,
    )
    assert done.returncode in {0, 3}, done.stderr
    page = (folder / "report.html").read_text()
    assert dataplane.EBPF not in page
    assert "kernel device" in page
    return dict(json.loads((folder / "summary.json").read_text()))


def _judge(summary: dict[str, Any], method: str) -> None:
    arms = {arm["mode"]: arm for arm in summary["arms"] if arm["arm"] == f"{arm['mode']}/pod"}
    assert arms.keys() == POD_MTUS.keys()
    for mode, arm in arms.items():
        assert (arm["status"], arm["reason"]) == ("measured", None)
        assert arm["implementation"] == IMPLEMENTATIONS[mode]
        assert arm["pod_mtu"] == POD_MTUS[mode]
        proof = arm["proof"]
        assert (proof["verdict"], proof["method"]) == ("match", method), (mode, proof)
        assert (proof["observed"], proof["pairs_matched"], proof["pairs_total"]) == (mode, 2, 2)
    assert arms["ipip"]["proof"]["route_origin"] == "Felix"
    # At 1,000 probes a second a busy guest may lose some in its own queues.
    assert {pair["arm"] for pair in summary["pairs"]} >= {f"{mode}/pod" for mode in POD_MTUS}
    assert all(pair["loss"]["sent"] > 0 for pair in summary["pairs"])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_measures_three_modes_and_captures_them(tmp_path: Path) -> None:
    """Outer headers read off the nodes' devices prove each mode for both directions."""
    _judge(_run(outsider.OURSELVES, tmp_path / "run", "--proof", "capture"), "captured")


def test_an_ordinary_user_measures_three_modes_and_counts_them() -> None:
    """Without root there is no eBPF: IPIP is here because the kernel has the device."""
    folder = Path("/tmp/of-nobody")
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    _judge(_run(outsider.ORDINARY, folder / "run"), "counted")
