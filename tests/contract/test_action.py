"""The composite action: its script with the files a runner gives it, and what it says of itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import rundirs, synthetic

ACTION = Path(__file__).resolve().parents[2] / ".github" / "actions" / "gate"
PASSES = "slos: [{metric: rtt_kernel_ns.p50, path: pod, max: 10s}]\n"
FAILS = "slos: [{metric: rtt_kernel_ns.p50, path: pod, max: 1ns}]\n"


@pytest.mark.parametrize(("slo", "code"), [(PASSES, 0), (FAILS, 4), ("slos: 3\n", 2)])
def test_the_script_reports_as_the_gate_does(tmp_path: Path, slo: str, code: int) -> None:
    """Exit code and Markdown reach the runner's files; bad limits leave no comment."""
    shape = synthetic.Shape(nodes=2, blocks=10, modes=("vxlan",), repeat=None, host=False)
    rundirs.made_up(tmp_path / "run", shape=shape)
    (tmp_path / "slo.yaml").write_text(slo)
    bench = tmp_path / "bench"
    bench.write_text(f'#!/bin/sh\nexec {sys.executable} -m podbench.cli "$@"\n')
    bench.chmod(0o755)
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    done = subprocess.run(
        [ACTION / "gate.sh"],
        env={
            **os.environ,
            **{name: str(path) for name, path in files.items()},
            "RUNNER_TEMP": str(tmp_path),
            "BENCH": str(bench),
            "RUN": str(tmp_path / "run"),
            "SLO": str(tmp_path / "slo.yaml"),
            "UNKNOWN": "",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    assert outputs["exit-code"] == str(code)
    if code == 2:
        assert "comment" not in outputs
        return
    said = Path(outputs["comment"]).read_text()
    assert said == files["GITHUB_STEP_SUMMARY"].read_text()
    assert "rtt_kernel_ns.p50" in said


def test_no_input_is_expanded_inside_a_script() -> None:
    """An input in a `run:` line is a way in for whoever names a branch or a directory."""
    steps = yaml.safe_load((ACTION / "action.yml").read_text())["runs"]["steps"]
    assert len(steps) == 3
    assert not [step["name"] for step in steps if "${{" in step["run"]]
