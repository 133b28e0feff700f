"""Latency histograms on round bounds, counted from the raw samples: exact, and small.

For systems that draw heat maps from cumulative buckets (OpenMetrics). Bounds are 1, 1.5, 2, 3, 5, 7
times powers of ten, so that two runs share them and can be added up. `sketch` is the neighbour for
quantiles; its bounds are finer and not round, so counts are taken from the samples themselves.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.analysis.samples import streams
from podbench.analysis.samples.series import PHASE_OF
from podbench.analysis.samples.source import Table

SERIES = ("rtt_kernel_ns", "rtt_app_ns", "rtt_idle_ns", "rtt_loaded_ns")

_STEPS = (10, 15, 20, 30, 50, 70)
BOUNDS_NS: tuple[int, ...] = (
    *(step * 10**power // 10 for power in range(2, 10) for step in _STEPS),
    10**10,
)
"""100 ns to 10 s; a reply that takes longer than 2 s counts as lost anyway."""


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """`cumulative[i]` samples at or below `BOUNDS_NS[i]`; `n` and `sum_ns` over all."""

    arm: str
    series: str
    cumulative: tuple[int, ...]
    n: int
    sum_ns: int


def collect(latency_of_visits: Iterable[Table | None]) -> tuple[Histogram, ...]:
    """One histogram for each arm and series that has samples, all pairs and blocks together.

    Args:
        latency_of_visits: tables with the columns of `podbench.store.schemas.LATENCY`.
    """
    counts: dict[tuple[str, str], npt.NDArray[np.int64]] = {}
    sums: dict[tuple[str, str], int] = {}
    for latency in latency_of_visits:
        probes = streams.read(latency)
        for series in SERIES:
            values = probes.app_ns if series == "rtt_app_ns" else probes.kernel_ns
            for cell in probes.cells(PHASE_OF[series]):
                part = values[cell.start : cell.stop]
                part = np.sort(part[np.isfinite(part)]).astype(np.int64)
                if not len(part):
                    continue
                key = (series, cell.key.arm)
                below = np.searchsorted(part, BOUNDS_NS, side="right")
                counts[key] = counts.get(key, 0) + np.append(below, len(part))
                sums[key] = sums.get(key, 0) + int(part.sum())
    return tuple(
        Histogram(
            arm=arm,
            series=series,
            cumulative=tuple(int(count) for count in counts[series, arm][:-1]),
            n=int(counts[series, arm][-1]),
            sum_ns=sums[series, arm],
        )
        for series, arm in sorted(counts, key=lambda key: (SERIES.index(key[0]), key[1]))
    )
