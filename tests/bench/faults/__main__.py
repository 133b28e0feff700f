"""A hundred runs, each struck at a random instant: SIGKILL or SIGSTOP of a random process of it.

    .venv/bin/python tests/bench/faults [--instants 100] [--seed 1]

After each strike the run is let go to its end (a stopped orchestrator is killed after a minute),
what is left on the machine is looked for, and the run is resumed. Counted: processes and files left
behind, rounds that were whole before and are not any more, resumed summaries that are not complete.
tests/faults/test_lost_parts.py is the part of this that every change is tested with.
"""

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BENCH = [sys.executable, "-m", "podbench.cli"]
SMALL = ("--target", "lab", "--nodes", "2", "--blocks", "1", "--modes", "vxlan,bgp")
LONGEST_S = 45.0
"""Once it has its plan, a small run takes about so long: instants are drawn from it."""


def family(root: int) -> dict[int, str]:
    """A process and all below it, with their command lines, as the host sees them."""
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("ascii", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        below.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    pids = [root]
    for pid in pids:
        pids += below.get(pid, [])
    return {pid: _line(pid) for pid in pids}


def _line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def kind(line: str, pid: int, root: int) -> str:
    """What a process is, for the count."""
    if pid == root:
        return "outer"
    for words, name in (
        *(("podbench_agent", "agent"), ("mosquitto", "broker"), ("bird", "BIRD")),
        *(("iperf3", "iperf3"), ("sleep", "holder"), ("podbench.cli", "session")),
    ):
        if words in line:
            return name
    return "other"


def rounds(out: Path) -> list[str]:
    """The journal's whole rounds."""
    try:
        lines = (out / "journal.jsonl").read_text().splitlines()
    except OSError:
        return []
    return [line for line in lines if '"event":"round"' in line and line.endswith("}")]


def _wait_for(path: Path) -> None:
    """Until a run has begun, or should have."""
    deadline = time.monotonic() + 120.0
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def strike(out: Path, rng: random.Random) -> tuple[str, int]:
    """One run and one strike; what was struck, and how many processes were left."""
    command = [*BENCH, "run", *SMALL, "--probes", "latency", "--quiet", "--out", str(out)]
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as run:
        _wait_for(out / "plan.json")
        time.sleep(rng.uniform(0.0, LONGEST_S))
        held = family(run.pid)
        kinds = {kind(line, pid, run.pid) for pid, line in held.items()}
        wanted = rng.choice(sorted(kinds))
        target = rng.choice([p for p, line in held.items() if kind(line, p, run.pid) == wanted])
        number = rng.choice((signal.SIGKILL, signal.SIGSTOP))
        what = f"{kind(held[target], target, run.pid)} {number.name}"
        if run.poll() is None:
            try:
                os.kill(target, number)
            except ProcessLookupError:
                what = "gone already"
        try:
            run.wait(60)
        except subprocess.TimeoutExpired:
            held |= family(run.pid)
            run.kill()
            run.wait()
    time.sleep(2.0)
    left = [pid for pid, line in held.items() if line and _line(pid) == line]
    return what, len(left)


def main() -> int:
    """Strikes, resumes and counts; exit code 1 if anything was left or lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instants", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    struck: collections.Counter[str] = collections.Counter()
    totals: collections.Counter[str] = collections.Counter()
    for number in range(options.instants):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            what, left = strike(out, rng)
            struck[what] += 1
            before = rounds(out)
            again = subprocess.run(
                [*BENCH, "resume", str(out), "--quiet"], capture_output=True, text=True, check=False
            )
            begun = (out / "run.json").exists()
            summary = out / "summary.json"
            whole = summary.exists() and json.loads(summary.read_text())["status"] == "complete"
            totals["left behind"] += left
            totals["files left"] += len(list(out.rglob("*.part")))
            totals["rounds lost"] += len([line for line in before if line not in rounds(out)])
            totals["not complete"] += begun and not whole
            print(
                f"{number + 1}: {what}, {len(before)} rounds, resumed {again.returncode}",
                flush=True,
            )
    print(dict(struck))
    print({name: totals[name] for name in sorted(totals)})
    return 1 if any(totals.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
