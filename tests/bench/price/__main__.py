"""The CPU price of VXLAN over BGP on the lab: its sign, its spread between runs, its coverage.

    python tests/bench/price [--seeds 5] [--burner] [--soaker] [--simulate 2000] [--keep DIR]

- Runs the whole lab command once for each seed, quiet and, with `--burner`, beside one CPU burner;
  prints price, difference, interval and verdict of both kinds, and counts signs and verdicts.
- `--soaker`: the referee. The same steps while one SCHED_IDLE spinner a CPU counts loops; what it
  loses is what everything else took, interrupts included. Both prices stand side by side.
- `--simulate`: coverage of the interval for the default design, without a lab.

Wants an idle machine: everything else on it is in the prices. Exits 1 where the reverse (VXLAN
cheaper) was called `different`, or more than one quiet seed in five was inconclusive.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from podbench.analysis.stats import slopes
from podbench.campaign.ladder import design

FLAGGED = 3
KINDS = ("bulk", "small")


def measure(seed: int, out: Path, *extra: str) -> dict[str, Any]:
    """One whole default run of the lab; its summary."""
    command = [sys.executable, "-m", "podbench.cli", "run", "--target", "lab", "--cni", "calico"]
    command += ["--seed", str(seed), "--quiet", "--out", str(out), *extra]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in {0, FLAGGED}:
        sys.exit(done.returncode)
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return found


def show(label: str, summary: dict[str, Any]) -> dict[str, str]:
    """Prints a run's prices; returns VXLAN's verdict by kind, `reverse` where it was cheaper."""
    words = {}
    for price in summary["cpu_price"]:
        value, gap = price["value"], price["difference"]
        bounds = price["difference_ci95"] or (float("nan"), float("nan"))
        text = "none" if value is None else f"{value:.4f}"
        more = "" if gap is None else f" {gap:+.4f} [{bounds[0]:+.4f}, {bounds[1]:+.4f}]"
        print(
            f"{label:16} {price['kind']:6} {price['mode']:6} {text:>8}{more}"
            f" {price['verdict']} {price['reason'] or ''}"
        )
        if price["mode"] == "vxlan":
            reverse = price["verdict"] == "different" and (gap or 0) < 0
            words[price["kind"]] = "reverse" if reverse else price["verdict"]
    return words


def simulate(runs: int) -> None:
    """Coverage for the default design: six blocks, four visits, two of four steps of a kind."""
    rng = np.random.default_rng(1)
    truth = {"bgp": 0.0605, "ipip": 0.068, "vxlan": 0.068}
    print(
        "noise of a window, cores | of a visit's slope | difference covers | half-width, of price"
    )
    for step_sd, visit_sd in ((0.02, 0.0), (0.01, 0.05), (0.01, 0.15), (0.03, 0.03)):
        covered, halves = 0, []
        for _ in range(runs):
            visits = []
            for block in range(6):
                shares = [share for _, share in design.of_block(1, block + 1)[:2]]
                load = 8.0 * np.array([0.0, 0.0, 0.0, *shares])
                common = 1 + 0.05 * rng.normal()
                for arm in ("vxlan", "ipip", "bgp", "vxlan"):
                    slope = truth[arm] * common * (1 + visit_sd * rng.normal())
                    busy = 0.3 + slope * load + step_sd * rng.normal(size=len(load))
                    fitted = slopes.visit_slope(load, busy)
                    if fitted is not None:
                        visits.append(slopes.VisitSlope(block, arm, *fitted))
            found = slopes.difference(visits, "bgp", "vxlan")
            interval = None if found is None else found.interval()
            if interval is not None:
                covered += interval[0] <= truth["vxlan"] - truth["bgp"] <= interval[1]
                halves.append((interval[1] - interval[0]) / 2 / truth["bgp"])
        print(
            f"{step_sd:24.2f} | {visit_sd:18.0%} | {covered / runs:17.1%} | {np.mean(halves):.1%}"
        )


def main() -> None:
    """Runs what was asked for; prints, judges, exits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--burner", action="store_true")
    parser.add_argument("--soaker", action="store_true")
    parser.add_argument("--simulate", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    if options.simulate:
        simulate(options.simulate)
        return
    cases: list[tuple[str, tuple[str, ...]]] = [("quiet", ())]
    if options.burner:
        cases.append(("one burner", ("--lab-cpu-noise", "1")))
    wrong = False
    with tempfile.TemporaryDirectory() as folder:
        root = options.keep or Path(folder)
        for label, extra in cases:
            said: list[str] = []
            for seed in range(1, options.seeds + 1):
                out = root / f"{label.replace(' ', '-')}-{seed}"
                said += show(f"{label} {seed}", measure(seed, out, *extra)).values()
            print(label, {word: said.count(word) for word in sorted(set(said))})
            undecided = sum(word in {"inconclusive", "not measured"} for word in said)
            wrong |= "reverse" in said
            wrong |= label == "quiet" and undecided > len(said) / 5
        if options.soaker:
            sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
            from bench.price import soaker

            soaker.compare(root / "soaker")
    sys.exit(wrong)


if __name__ == "__main__":
    main()
