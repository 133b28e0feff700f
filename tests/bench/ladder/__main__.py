"""The ladder's generator beside interface counters and beside iperf3's own word.

    python tests/bench/ladder RUN

From a finished run: for each kind and share, the offered rate against what the receiver's interface
counted in the step's window and against what iperf3 says of the whole step; datagrams lost; bursts;
the share of steps that counted and why the others did not. Exits 1 where a step that counted is
more than 2 % off by the receiver's interface.
"""

import argparse
import gzip
import json
import sys
from pathlib import Path

import pandas as pd


def told(run: Path) -> pd.DataFrame:
    """Iperf3's own rate of each step, from the raw JSON of its client."""
    rows = []
    for path in sorted((run / "raw").rglob("*load-*-client.json.gz")):
        document = json.loads(gzip.decompress(path.read_bytes()))
        end = document.get("end", {})
        whole = end.get("sum_sent") or end.get("sum") or {}
        step = path.name.partition("load-")[2].partition("-client")[0]
        kind, _, share = step.partition("-")
        rows.append({"kind": kind, "share": int(share), "told": whole.get("bits_per_second")})
    return pd.DataFrame(rows, columns=["kind", "share", "told"])


def main() -> None:
    """Prints the table; exits 1 when a step that counted is off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    steps = pd.read_parquet(run / "samples" / "ladder")
    steps = steps[steps["offered_share"] > 0]
    words = told(run)
    worst = 0.0
    print("kind   share  offered bit/s  by interface  by iperf3  lost  burst  counted")
    for (kind, fraction), own in steps.groupby(["kind", "offered_share"]):
        share = float(str(fraction))
        counted = own[own["reached"]]
        ratio = (counted["achieved_bps"] / counted["offered_bps"]).dropna()
        said = words[(words["kind"] == kind) & (words["share"] == round(100 * share))]["told"]
        offered = own["offered_bps"].iloc[0]
        worst = max([worst, *(ratio - 1).abs()])
        print(
            f"{kind:6} {share:5.0%} {offered:14.3g} {ratio.mean():13.4f}"
            f" {(said / offered).mean():10.4f} {own['lost_packets'].sum():5.0f}"
            f" {own['burst_packets'].max():6.0f} {len(counted):4} of {len(own)}"
        )
    for reason, times in steps["not_reached_reason"].dropna().value_counts().items():
        print(f"not reached, {times} times: {reason}")
    print(f"largest distance of a step that counted {worst:.2%}; the goal is 2 %")
    sys.exit(worst > 0.02)


if __name__ == "__main__":
    main()
