"""Distributions to draw: tails to the last quantile supported, and latency beside a transfer."""

from collections.abc import Mapping

import numpy as np

from podbench.analysis import quantiles
from podbench.analysis.blocks import Cells, PairKey
from podbench.analysis.bundle import LoadedPoint, TailCurve
from podbench.analysis.streams import FloatArray

DRAWN = ("rtt_kernel_ns", "rtt_app_ns", "rtt_idle_ns", "rtt_loaded_ns")

_GRID = (
    *(round(0.01 * i, 2) for i in range(1, 90)),
    *(round(0.9 + 0.005 * i, 3) for i in range(18)),
    *(0.99, 0.992, 0.994, 0.996, 0.998, 0.999),
    *(0.9992, 0.9994, 0.9996, 0.9998, 0.9999, 0.99995, 0.99999, 0.999999),
)
"""Equal steps on paper: finer towards the tail, as the percentile axis is."""


def _pooled(cells: Cells, arm: str, only: set[tuple[int, PairKey]] | None = None) -> FloatArray:
    parts = [
        part
        for (of, block), held in cells.items()
        if of == arm
        for pair, part in held.items()
        if only is None or (block, pair) in only
    ]
    return np.sort(np.concatenate(parts)) if parts else np.empty(0)


def tails(cells: Mapping[str, Cells], arms: tuple[str, ...]) -> tuple[TailCurve, ...]:
    """One curve per arm and latency series that has samples, all pairs and blocks together."""
    found = []
    for series in DRAWN:
        for arm in arms:
            ordered = _pooled(cells[series], arm)
            grid = tuple(q for q in _GRID if quantiles.supported(len(ordered), q))
            if grid:
                values = tuple(quantiles.harrell_davis(ordered, q) for q in grid)
                found.append(TailCurve(arm=arm, metric=series, q=grid, value_ns=values))
    return tuple(found)


def loaded(cells: Mapping[str, Cells], arms: tuple[str, ...]) -> tuple[LoadedPoint, ...]:
    """Kernel RTT at rest and beside a transfer, for the same pairs in the same blocks."""
    found = []
    for arm in arms:
        held = {
            (block, pair)
            for (of, block), by_pair in cells["rtt_loaded_ns"].items()
            if of == arm
            for pair in by_pair
        }
        if not held:
            continue
        under = _pooled(cells["rtt_loaded_ns"], arm)
        rest = _pooled(cells["rtt_kernel_ns"], arm, held)
        found.append(
            LoadedPoint(
                arm=arm,
                rest_p50_ns=quantiles.quantile(rest, 0.5),
                rest_p99_ns=quantiles.quantile(rest, 0.99),
                loaded_p50_ns=quantiles.quantile(under, 0.5),
                loaded_p99_ns=quantiles.quantile(under, 0.99),
                n=len(under),
            )
        )
    return tuple(found)
