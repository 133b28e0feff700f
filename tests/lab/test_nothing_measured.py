"""A run knows what it lacks: a kind of probe that never came back flags it, and can be measured."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import needs
from support.bench import bench

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), needs.lab()]

RUN = ("run", "--target", "lab", "--nodes", "2", "--modes", "bgp", "--blocks", "1", "--seed", "3",
       "--probes", "latency,throughput")  # fmt: skip
FAILS = """#!/bin/bash
case " $* " in
  *" -c "*) printf '{"start":{"connected":[],"version":"iperf 3.12"},"intervals":[],"end":{},
"error":"unable to connect to server: Connection refused"}';;
  *) exec REAL "$@";;
esac
"""
NO_STREAMS = """#!/bin/bash
case " $* " in
  *" -s "*|*" --version "*) exec REAL "$@";;
  *" -c "*) REAL "$@" | PYTHON -c 'import json, sys
d = json.load(sys.stdin)
for i in d["intervals"]: i["streams"] = []
json.dump(d, sys.stdout)';;
  *) exec REAL "$@";;
esac
"""


def _summary(run: Path) -> Any:
    return json.loads((run / "summary.json").read_text())


def test_no_latency_is_flagged_and_fails_in_a_pipeline(tmp_path: Path) -> None:
    """Too few file descriptors for any session: transfers work, and the run says what it lacks."""
    out = tmp_path / "r"
    command = [sys.executable, "-m", "podbench.cli", *RUN, "--out", str(out)]
    done = subprocess.run(
        ["bash", "-c", f"ulimit -n 24; exec {' '.join(command)}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "flagged: no latency was measured" in done.stderr
    found = _summary(out)
    assert found["status"] == "partial"
    pods = [arm for arm in found["arms"] if arm["path"] == "pod"]
    assert {arm["status"] for arm in pods} == {"not measured"}
    assert all("no latency was measured" in arm["reason"] for arm in pods)
    assert any(pair["goodput_bps"] for pair in found["pairs"])
    junit = bench("export", str(out), "--format", "junit").stdout
    assert 'failures="0"' not in junit.splitlines()[1]


@pytest.mark.parametrize("script", [FAILS, NO_STREAMS], ids=["fails", "no-streams"])
def test_transfers_that_all_fail_are_flagged_and_measured_again(
    tmp_path: Path, script: str
) -> None:
    """Exit 3, rounds count as missing; `resume` with a sound iperf3 measures them."""
    real = subprocess.check_output(["which", "iperf3"], text=True).strip()
    program = tmp_path / "bin/iperf3"
    program.parent.mkdir()
    program.write_text(script.replace("REAL", real).replace("PYTHON", sys.executable))
    program.chmod(0o755)
    out = tmp_path / "r"
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "podbench.cli", *RUN, "--out", str(out)]
    done = subprocess.run(
        command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "flagged: no throughput was measured" in done.stderr
    assert "Traceback" not in done.stderr
    assert _summary(out)["status"] == "partial"
    if script is NO_STREAMS:
        return
    again = bench("resume", str(out))
    assert again.returncode in {0, 3}, again.stderr
    assert "was measured:" not in again.stderr
    found = _summary(out)
    assert found["status"] == "complete"
    assert any(pair["goodput_bps"] and pair["goodput_bps"]["tcp"] for pair in found["pairs"])
