"""The referee of busy CPU: a cycle soaker, one SCHED_IDLE spinner a CPU that counts loops.

What the spinners lose against an idle machine is what everything else took, interrupts and softirq
included; no accounting of the kernel is asked. The idea of netperf's looper and of cyclesoak. For
the lab only: it fills every CPU.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np
import pandas as pd

from podbench.analysis.findings import price
from podbench.analysis.samples import ladder

PERIOD_S = 0.02
CALIBRATE_S = 2.0


def _spin(cpu: int, count: "Synchronized[int]") -> None:
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    n = 0
    while True:
        for _ in range(2000):
            n += 1
        count.value = n


def compare(out: Path) -> None:
    """One run beside the soaker: prices by idle time (which reads 100 %) and by lost loops."""
    cpus = sorted(os.sched_getaffinity(0))
    counts = [multiprocessing.Value("q", 0, lock=False) for _ in cpus]
    spinners = [
        multiprocessing.Process(target=_spin, args=(cpu, count), daemon=True)
        for cpu, count in zip(cpus, counts, strict=True)
    ]
    for one in spinners:
        one.start()
    time.sleep(0.5)
    ticks: list[tuple[int, int]] = []
    command = [sys.executable, "-m", "podbench.cli", "run", "--target", "lab", "--cni", "calico"]
    command += ["--seed", "1", "--quiet", "--out", str(out), "--probes", "latency,ladder"]
    idle = _rate(counts, CALIBRATE_S)
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while running.poll() is None:
        ticks.append((time.monotonic_ns(), sum(count.value for count in counts)))
        time.sleep(PERIOD_S)
    for one in spinners:
        one.terminate()
    print(f"soaker: {len(cpus)} CPUs, {idle / 1e6:.1f} million loops/s idle")
    _judge(out, np.array(ticks, dtype=np.float64), idle, len(cpus))


def _rate(counts: "list[Synchronized[int]]", length_s: float) -> float:
    start, before = time.monotonic(), sum(count.value for count in counts)
    time.sleep(length_s)
    return (sum(count.value for count in counts) - before) / (time.monotonic() - start)


def _judge(out: Path, ticks: "np.ndarray", idle: float, cpus: int) -> None:
    """Busy CPU of each step's window by the loops that were lost in it, then the same model."""
    spans = [
        (entry["block"], entry["arm"], span)
        for line in (out / "journal.jsonl").read_text().splitlines()
        if (entry := json.loads(line)).get("event") == "round"
        for span in entry.get("spans", ())
        if span["kind"] == "warm" or span["kind"].startswith("load-")
    ]
    rows = pd.read_parquet(out / "samples" / "ladder")
    found = []
    for block, arm, span in spans:
        low, high = span["start_mono_ns"] + 0.2e9, span["end_mono_ns"] - 0.3e9
        at = np.interp([low, high], ticks[:, 0], ticks[:, 1])
        busy = cpus * (1 - (at[1] - at[0]) / ((high - low) / 1e9) / idle)
        kind, share = ("", 0) if span["kind"] == "warm" else span["kind"].split("-")[1:]
        same = (rows["block"] == block) & (rows["arm"] == arm)
        same &= (rows["offered_share"] * 100).round() == int(share)
        same &= (rows["kind"] == kind) if kind else True
        own = rows[same].copy()
        own["busy_cores_src"], own["reached"] = busy, True
        own["busy_method"], own["busiest_cpu_ratio"] = "soaker", 0.5
        found.append(own)
    table = pd.concat(found, ignore_index=True)
    for one in price.prices(ladder.steps(table), ("bgp", "ipip", "vxlan"), "bgp").prices:
        print("soaker", one.kind, one.mode, one.value, one.ci95, one.difference, one.verdict)
