"""TCP goodput of each mode beside the ceiling that its headers allow, on a link of a known rate.

    python tests/bench/ceiling [--rate 400Mbit/s]

Runs the default run's own ceiling probe on the lab (segment shaped to 200 Mbit/s, offloads off; or
the whole lab at `--rate`) twice, with each mode's own MTU and with equal MTUs. Prints measured and
predicted share, their ratio and their distance in points. The referee is arithmetic:
(pod_mtu - 52) / (pod_mtu + overhead + 38), RFC 791, 793, 7323, 7348, 2003, IEEE 802.3.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

FLAGGED = 3


def measure(rate: str | None, out: Path, *extra: str) -> list[dict[str, float | str | None]]:
    """One run; its `encapsulation` entries."""
    command = [sys.executable, "-m", "podbench.cli", "run", "--target", "lab", "--cni", "calico"]
    command += ["--probes", "ceiling", "--quiet"]
    command += [] if rate is None else ["--lab-rate", rate]
    done = subprocess.run([*command, *extra, "--out", str(out)], check=False)
    if done.returncode not in {0, FLAGGED}:
        sys.exit(done.returncode)
    found: list[dict[str, float | str | None]]
    found = json.loads((out / "summary.json").read_text())["encapsulation"]
    return found


def main() -> None:
    """Prints the table; exits 1 when a mode is more than one point off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate")
    options = parser.parse_args()
    worst = 0.0
    print("MTUs   mode   pod MTU  predicted  measured   ratio points")
    with tempfile.TemporaryDirectory() as folder:
        for label, extra in (("own", ()), ("equal", ("--equal-mtu",))):
            for one in measure(options.rate, Path(folder, label), *extra):
                predicted, measured = one["predicted_goodput_share"], one["measured_goodput_share"]
                if not isinstance(predicted, float) or not isinstance(measured, float):
                    print(f"{label:6} {one['mode']:6} not measured")
                    continue
                points = 100 * (measured - predicted)
                worst = max(worst, abs(points))
                print(
                    f"{label:6} {one['mode']:6} {one['pod_mtu']:>7} {predicted:>10.2%}"
                    f" {measured:>9.2%} {measured / predicted:>7.4f} {points:+.2f}"
                )
    print(f"largest distance {worst:.2f} points; the goal is 1")
    sys.exit(worst > 1)


if __name__ == "__main__":
    main()
