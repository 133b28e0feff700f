"""What a whole run does when something under it dies, or the disk is full."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import needs
from support.bench import BEGUN_S, bench, small_run, wait_for

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(300),
    needs.lab(),
]

Struck = tuple[int, dict[str, object]]


def _run_and_strike(out: Path, strike: Callable[[dict[str, object]], None]) -> Struck:
    """Starts a run, strikes once its first round is on disk; exit code and summary."""
    command = small_run(out, "--modes", "vxlan,bgp", "--probes", "latency", "--quiet")
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            journal = out / "journal.jsonl"
            wait_for(lambda: journal.exists() and '"event":"round"' in journal.read_text(), BEGUN_S)
            strike(json.loads((out / "run.json").read_text()))
            code = process.wait(timeout=200)
        finally:
            process.kill()
    return code, json.loads((out / "summary.json").read_text())


def _pod_pid(record: dict[str, object], name: str) -> int:
    nodes = record["nodes"]
    assert isinstance(nodes, list)
    return next(int(p["pid"]) for n in nodes for p in n["pods"] if p["name"] == name)


def test_a_dead_agent_costs_its_own_pairs_only(tmp_path: Path) -> None:
    """The run goes on; what the agent could not measure is told with the reason."""

    def strike(record: dict[str, object]) -> None:
        os.kill(_pod_pid(record, "n2-bgp"), signal.SIGKILL)

    code, summary = _run_and_strike(tmp_path / "r", strike)
    assert code in {0, 3}
    warnings = summary["warnings"]
    assert isinstance(warnings, list)
    lost = [w for w in warnings if w["code"] == "measurement_not_taken"]
    assert lost
    assert all("n2-bgp" in w["message"] for w in lost)
    arms = {a["arm"]: a for a in summary["arms"]}  # type: ignore[attr-defined] # plain JSON
    assert arms["vxlan/pod"]["status"] == arms["vxlan/pod#2"]["status"] == "measured"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a round or two."""
    where = tmp_path / "small"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(where)], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield where
    subprocess.run(["umount", str(where)], check=True)


@pytest.mark.root
def test_a_full_disk_stops_the_run_and_loses_nothing(small_disk: Path) -> None:
    """Exit 1 with one sentence and the way out; what was written is whole and still shown."""
    out = small_disk / "r"
    done = bench("run", "--nodes", "2", "--blocks", "3", "--probes", "latency", "--out", str(out))
    assert done.returncode == 1
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(out.rglob("*.part"))
    rounds = (out / "journal.jsonl").read_text().count('"event":"round"')
    assert rounds >= 1
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    again = bench("report", str(out), "--quiet")
    assert again.returncode in {0, 3}, again.stderr
    assert json.loads((out / "summary.json").read_text())["status"] == "partial"
