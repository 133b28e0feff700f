"""How long the analysis of many samples takes and how much memory, beside plain DuckDB quantiles.

Run: `python tests/bench/analysis_scale [--samples 1e7] [--nodes 20] [--blocks 5] [--keep DIR]`.
`--samples 1e8` is what docs/statistics.md has figures of (1.6 GB on disk, 10 GB as rows in memory).
Wall time means little on a busy machine: look at the CPU time beside it.
Memory is the proportional set of all processes together (Pss), sampled ten times a second. DuckDB
answers four quantiles of two series by arm and directed pair over the same files, on two threads:
nothing of blocks, effective sizes, loss episodes or intervals. Last, a report of 100 nodes.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.analysis_scale import generate, timed
from support.bundle_cases import Case
from support.bundles import make_bundle

from podbench.store.rundir import RunDir
from podbench_report import build


def report(nodes: int) -> None:
    """Renders a page of this many nodes."""
    bundle = make_bundle(Case(nodes=nodes, zones=4, target="kubernetes"))
    began = time.monotonic()
    page = build.render(bundle)
    took = time.monotonic() - began
    print(f"report of {nodes} nodes: {took:.1f} s, {len(page.encode()) / 1e6:.2f} MB")


def main() -> None:
    """Generates, analyses, asks DuckDB, renders; removes what it wrote."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=float, default=1e7)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="where the run is made, or lies already")
    options = parser.parse_args()
    size = generate.Size(samples=int(options.samples), nodes=options.nodes, blocks=options.blocks)
    path = options.keep or Path(tempfile.mkdtemp(prefix="podbench-scale-"))
    try:
        if not (path / "samples").exists():
            path.mkdir(parents=True, exist_ok=True)
            rows, octets, took = generate.write(RunDir(path), size)
            print(f"{rows:,} rows in {octets / 1e9:.2f} GB of Parquet, made in {took:.0f} s")
        ours = timed.measured(timed.analysed, path)
        theirs = timed.measured(timed.asked_duckdb, path)
        for name, (seconds, cpu, peak) in (("podbench", ours), ("DuckDB", theirs)):
            print(f"{name:<9}{seconds:8.1f} s {cpu:8.1f} s of CPU {peak / 1e9:6.2f} GB at most")
        print(f"podbench takes {ours[0] / theirs[0]:.1f} times as long as DuckDB's quantiles")
    finally:
        if options.keep is None:
            shutil.rmtree(path)
    report(100)


if __name__ == "__main__":
    main()
