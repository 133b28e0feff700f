"""What is timed, each in a process of its own, and how its memory is watched."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from podbench.analysis.bundle import PlanFacts
from podbench.analysis.samples.inputs import Inputs
from podbench.analysis.summarise import analyse
from podbench.model.summary import Cni
from podbench.store.latency_files import LatencyFiles
from podbench.store.rundir import RunDir


def analysed(path: Path) -> str:
    """Analyses the run; says what came out."""
    plan = PlanFacts(
        blocks_planned=5, blocks_done=5, visits=0, rounds=0, measuring_s=0.0, arms_in_block=()
    )
    inputs = Inputs(
        run_id="scale",
        started="2026-01-01T00:00:00Z",
        ended=None,
        target="kubernetes",
        cni=Cni(name="calico", version=None, requested="calico", detected_from=()),
        seed=1,
        method="bench",
        plan=plan,
        latency_files=LatencyFiles(RunDir(path)),
    )
    bundle = analyse(inputs)
    summary = bundle.summary
    size = len(msgspec.json.encode(bundle)) / 1e6
    return (
        f"{len(summary.pairs)} pairs x arms, {len(summary.comparisons)} comparisons, {size:.0f} MB"
    )


def asked_duckdb(path: Path) -> str:
    """Quantiles by arm and pair."""
    try:
        import duckdb
    except ImportError:
        return "duckdb is not installed"
    at = "[0.5, 0.9, 0.99, 0.999]"
    files = f"{path}/samples/latency/*/*/*.parquet"
    query = (
        f"select arm, src, dst, quantile_cont(rtt_kernel_ns, {at}), "
        f"quantile_cont(rtt_app_ns, {at}) from read_parquet('{files}') "
        "where status = 'ok' and valid group by arm, src, dst"
    )
    with duckdb.connect(config={"threads": 2}) as base:
        base.execute("set enable_progress_bar = false")
        return f"{len(base.execute(query).fetchall())} groups"


def _tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += _tree(int(child))
    return found


def _pss_bytes(pid: int) -> int:
    total = 0
    for one in _tree(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += 1024 * int(line.split()[1])
    return total


def measured(what: Callable[[Path], str], path: Path) -> tuple[float, float, float]:
    """Runs it in a process of its own; returns (seconds, CPU seconds, peak Pss in bytes)."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_run, args=(theirs, what, path))
    child.start()
    theirs.close()
    assert child.pid is not None
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            try:
                peak = max(peak, _pss_bytes(child.pid or 0))
            except (OSError, ProcessLookupError):
                continue  # a process ended while it was looked at

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        said, seconds, cpu = ours.recv()
    finally:
        done.set()
        watcher.join()
        child.join()
    print(f"  {what.__name__}: {said}")
    return seconds, cpu, float(peak)


def _run(pipe: Any, what: Callable[[Path], str], path: Path) -> None:
    began = time.monotonic()
    said = what(path)
    took = time.monotonic() - began
    used = os.times()
    pipe.send((said, took, sum(used[:4])))
