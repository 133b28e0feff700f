"""Distributions to draw: tails to the last quantile supported, and latency beside a transfer."""

from podbench.analysis.bundle import LoadedPoint, TailCurve
from podbench.analysis.stats import quantiles
from podbench.analysis.stats.quantiles import Ordered

DRAWN = ("rtt_kernel_ns", "rtt_app_ns", "rtt_idle_ns", "rtt_loaded_ns")

_GRID = (
    *(round(0.01 * i, 2) for i in range(1, 90)),
    *(round(0.9 + 0.005 * i, 3) for i in range(18)),
    *(0.99, 0.992, 0.994, 0.996, 0.998, 0.999),
    *(0.9992, 0.9994, 0.9996, 0.9998, 0.9999, 0.99995, 0.99999, 0.999999),
)
"""Equal steps on paper: finer towards the tail, as the percentile axis is."""
TAIL_GRID = tuple(q for q in _GRID if q >= 0.9 or q in {0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85})
"""For curves drawn from bins, which closer points would show as steps."""


def tail(arm: str, series: str, ordered: Ordered) -> TailCurve | None:
    """The curve of one arm's samples, ascending; None where they support no quantile."""
    grid = tuple(q for q in _GRID if quantiles.supported(len(ordered), q))
    if not grid:
        return None
    values = tuple(quantiles.harrell_davis(ordered, q) for q in grid)
    return TailCurve(arm=arm, metric=series, q=grid, value_ns=values)


def loaded(arm: str, rest: Ordered, under: Ordered) -> LoadedPoint:
    """Kernel RTT at rest and beside a transfer, for the same pairs in the same blocks.

    Args:
        arm: the arm.
        rest: warm samples of the pairs and blocks that were measured beside a transfer too,
            whichever end sent, ascending.
        under: the samples beside transfers, ascending.
    """
    return LoadedPoint(
        arm=arm,
        rest_p50_ns=quantiles.quantile(rest, 0.5),
        rest_p99_ns=quantiles.quantile(rest, 0.99),
        loaded_p50_ns=quantiles.quantile(under, 0.5),
        loaded_p99_ns=quantiles.quantile(under, 0.99),
        n=len(under),
    )
