"""A lab run whose broker, agents or routing daemons die or are stopped: mended once, or ended."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.bench import BEGUN_S, BENCH, lab_trouble, small_run, wait_for

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(400),
    pytest.mark.skipif(lab_trouble() is not None, reason=f"no lab here: {lab_trouble()}"),
]

SHORT_S = 45.0
"""A run ends within 30 s of a loss that cannot be mended; others use this machine too."""


def _begun(out: Path) -> "subprocess.Popen[str]":
    """A run whose first round is on disk."""
    command = small_run(out, "--modes", "vxlan,bgp", "--probes", "latency")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    journal = out / "journal.jsonl"
    wait_for(lambda: journal.exists() and '"event":"round"' in journal.read_text(), BEGUN_S)
    return process


def _family(root: int) -> list[int]:
    """A process and all below it, as the host sees them."""
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("ascii", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        below.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += below.get(pid, [])
    return found


def _find(root: int, words: str) -> int:
    """The uppermost process below a run whose command line holds these words."""
    for pid in _family(root):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if words in line and "setpriv" not in line:
            return pid
    raise LookupError(words)


def _is_there(root: int, words: str) -> bool:
    try:
        return _find(root, words) > 0
    except LookupError:
        return False


PARTS = {
    "agent": "--id n2-bgp",
    "host agent": "--id n1-host",
    "broker": "mosquitto -c",
    "BIRD": "bird -f -R",
}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
@pytest.mark.parametrize("part", PARTS)
def test_what_is_lost_once_is_mended_and_the_round_measured_again(
    tmp_path: Path, part: str, number: signal.Signals
) -> None:
    """The run goes on to its end, whole, and says what was lost; nothing is left behind."""
    out = tmp_path / "r"
    with _begun(out) as process:
        try:
            os.kill(_find(process.pid, PARTS[part]), number)
            _, said = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode in {0, 3}, said
    assert "it is started anew" in said
    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "complete"
    assert not [w for w in summary["warnings"] if w["code"] == "measurement_not_taken"]
    assert not list(out.rglob("*.part"))


@pytest.mark.parametrize("part", ["agent", "broker"])
def test_what_is_lost_again_and_again_ends_the_run_at_once(tmp_path: Path, part: str) -> None:
    """Within 30 s, with the reason; whole rounds are kept, and resumed the run is complete."""
    out = tmp_path / "r"
    with _begun(out) as process:
        try:
            first = _find(process.pid, PARTS[part])
            os.kill(first, signal.SIGKILL)
            wait_for(
                lambda: (
                    _is_there(process.pid, PARTS[part]) and _find(process.pid, PARTS[part]) != first
                ),
                SHORT_S,
            )
            os.kill(_find(process.pid, PARTS[part]), signal.SIGKILL)
            struck = time.monotonic()
            _, said = process.communicate(timeout=200)
            took_s = time.monotonic() - struck
        finally:
            process.kill()
    assert process.returncode == 1, said
    assert re.search("a second time, so the run ends|could not be started anew", said), said
    assert "has not announced itself" not in said
    assert took_s < SHORT_S
    assert json.loads((out / "run.json").read_text())["status"] == "failed"
    kept = _rounds(out)
    assert kept
    done = subprocess.run(
        [*BENCH, "resume", str(out), "--quiet"], capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode in {0, 3}, done.stderr
    assert _rounds(out)[: len(kept)] == kept
    assert json.loads((out / "summary.json").read_text())["status"] == "complete"


def _rounds(out: Path) -> list[object]:
    lines = (out / "journal.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == "round"]
