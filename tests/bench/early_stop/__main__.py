"""A run on the lab that ends by itself, long before its budget.

    .venv/bin/python tests/bench/early_stop [--budget 3m]

Two nodes, VXLAN and BGP, round trips only, with margins so wide that a look decides every headline
comparison that has five blocks; nothing else of the run is changed. That is after block 5, a minute
from the start, or after block 10 where other load made sessions late. Checks that the run stopped
there, that the journal says why, and that report and summary say it too. Ends with exit code 1
where one of these does not hold.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from podbench.analysis.stats.verdicts import LOOKS

WIDE = """
import sys
import msgspec
from podbench.analysis import comparisons
from podbench.analysis.samples.metrics import LOSS
comparisons.HEADLINES = tuple(
    m if m is LOSS else msgspec.structs.replace(m, margin=100.0) for m in comparisons.HEADLINES
)
from podbench.cli.main import main
sys.argv[0] = "bench"
main()
"""
"""`bench` with a margin of a factor of 101. Loss is not looked at, and known by its identity."""


def _run(out: Path, budget: str) -> float:
    """Seconds that the whole run took."""
    options = ["--target", "lab", "--cni", "calico", "--nodes", "2", "--modes", "vxlan,bgp"]
    options += ["--probes", "latency", "--seed", "11", "--budget", budget, "--out", str(out)]
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", WIDE, "run", *options, "--quiet"], check=False)
    if done.returncode not in {0, 3}:
        sys.exit(f"bench run ended with {done.returncode}")
    return time.monotonic() - began


def _checks(out: Path) -> dict[str, bool]:
    """What has to hold, in words."""
    entries = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    decided = [e for e in entries if e["event"] == "decided"]
    stopped = max((e["block"] for e in decided), default=0)
    rounds = [e["block"] for e in entries if e["event"] == "round"]
    planned = json.loads((out / "plan.json").read_text())["blocks"]
    page = " ".join((out / "report.html").read_text().split())
    summary = json.loads((out / "summary.json").read_text())
    return {
        f"one look decided, after block {stopped}": len(decided) == 1 and stopped in LOOKS,
        f"nothing was measured after it (to block {max(rounds)})": max(rounds) == stopped,
        f"more was planned ({planned} blocks)": planned > stopped,
        "the journal says why": all("every headline" in (e.get("note") or "") for e in decided),
        "the run is complete": json.loads((out / "run.json").read_text())["status"] == "complete"
        and summary["status"] == "complete",
        "the report says that it stopped": ", and stopped early." in page,
    }


def main() -> None:
    """Runs, checks, prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--budget", default="3m")
    budget = parser.parse_args().budget
    with tempfile.TemporaryDirectory() as where:
        out = Path(where) / "r"
        took_s = _run(out, budget)
        checks = _checks(out)
    print(f"took {took_s:.0f} s of a budget of {budget}")
    for what, holds in checks.items():
        print(f"{'ok    ' if holds else 'BROKEN'} {what}")
    sys.exit(not all(checks.values()))


if __name__ == "__main__":
    main()
