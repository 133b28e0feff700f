"""Histograms on round bounds: exact counts, exact sums, phases apart."""

import numpy as np
import pandas as pd

from podbench.analysis.samples.histograms import BOUNDS_NS, SERIES, collect
from podbench.store import schemas


def rows(phase: str, kernel: list[int | None], block: int = 1) -> pd.DataFrame:
    """Probes of one pair; None is a lost one."""
    n = len(kernel)
    values = pd.Series(kernel, dtype="Int64")
    return pd.DataFrame(
        {
            "block": block, "round": 1, "arm": "vxlan/pod", "src": "n1", "dst": "n2",
            "family": "ipv4", "phase": phase, "intended_mono_ns": np.arange(n) * 10**6,
            "rtt_kernel_ns": values, "rtt_app_ns": values + 1000,
            "status": ["lost_forward" if k is None else "ok" for k in kernel], "valid": True,
            "stamp_source": "kernel",
        }
    ).reindex(columns=schemas.LATENCY.names)  # fmt: skip


def test_counts_are_exact_and_add_up_over_visits() -> None:
    """Each bound counts the samples at or below it, over all visits, lost probes left out."""
    found = {one.series: one for one in collect([
        rows("warm", [1000, 1001, None, 50_000]), rows("warm", [999], block=2), None,
    ])}  # fmt: skip
    kernel = found["rtt_kernel_ns"]
    at = dict(zip(BOUNDS_NS, kernel.cumulative, strict=True))
    assert (at[700], at[1000], at[1500], at[50_000]) == (0, 2, 3, 4)
    assert (kernel.n, kernel.sum_ns) == (4, 53_000)
    assert (found["rtt_app_ns"].n, found["rtt_app_ns"].sum_ns) == (4, 57_000)


def test_phases_are_apart() -> None:
    """Idle and loaded probes have series of their own."""
    found = {o.series: o.n for o in collect([rows("idle", [5000]), rows("loaded", [7000, 8000])])}
    assert found == {"rtt_idle_ns": 1, "rtt_loaded_ns": 2}


def test_no_samples_no_histogram() -> None:
    """Nothing that came back gives no histogram at all."""
    assert collect([rows("warm", [None, None]), None]) == ()


def test_bounds_ascend() -> None:
    """Bounds are round, ascending and reach from 100 ns to 10 s."""
    assert list(BOUNDS_NS) == sorted(set(BOUNDS_NS))
    assert (BOUNDS_NS[0], BOUNDS_NS[-1]) == (100, 10**10)
    assert len(SERIES) == 4
