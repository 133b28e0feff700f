"""The overlay tax: what the pod path adds to the host path of the same pairs in the same blocks.

pod and host are exp of the mean over blocks of their block statistics (`blocks`), over pairs
measured on both paths; the difference is pod - host, its interval the t interval of the blocks'
differences. The verdict is that of the block log-ratios (`verdicts`), with the metric's margin and
the noise floor.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from podbench.analysis import intervals
from podbench.analysis.blocks import BlockSeries, block_series
from podbench.analysis.comparisons import Tables, below_floor
from podbench.analysis.metrics import BY_NAME, Metric
from podbench.analysis.verdicts import decide
from podbench.model.arms import Path, parse_arm
from podbench.model.summary import Interval, OverlayTax

TAXED = (
    "rtt_kernel_ns.p50",
    "rtt_kernel_ns.p99",
    "rtt_app_ns.p50",
    "rtt_app_ns.p99",
    "pdv_p99_ns",
    "rtt_idle_ns.p50",
    "goodput_bps.tcp.p50",
)


def _difference_interval(series: BlockSeries, host: str, pod: str) -> Interval | None:
    levels = np.exp(series.logs)
    d = levels[series.arms.index(pod)] - levels[series.arms.index(host)]
    spread = intervals.mean_interval(d - d.mean())
    if spread is None:
        return None
    centre = (series.value(pod) or 0.0) - (series.value(host) or 0.0)
    return centre + spread[0], centre + spread[1]


def _one(metric: Metric, pod: str, tables: Tables, floor_log: float | None) -> OverlayTax:
    arm = parse_arm(pod)
    host = arm.on(Path.HOST).name
    series = block_series(tables.cells[metric.series], (host, pod), metric)
    decision = decide(series.differences(host, pod), metric.margin)
    at_pod, at_host = series.value(pod), series.value(host)
    difference = None if at_pod is None or at_host is None else at_pod - at_host
    if difference is not None:
        decision = below_floor(metric, decision, difference, floor_log)
    return OverlayTax(
        mode=str(arm.mode),
        metric=metric.name,
        pod=at_pod,
        host=at_host,
        difference=difference,
        ci95=_difference_interval(series, host, pod) if difference is not None else None,
        unit=metric.unit,
        verdict=decision.verdict.value,
    )


def table(
    tables: Tables, arms: Sequence[str], floors: Mapping[str, float]
) -> tuple[OverlayTax, ...]:
    """The tax of every mode, for each taxed metric both paths have samples of."""
    return tuple(
        _one(BY_NAME[name], arm, tables, floors.get(name))
        for arm in arms
        if parse_arm(arm).path is Path.POD and parse_arm(arm).repeat == 1
        for name in TAXED
        if tables.has(arm, BY_NAME[name])
        and tables.has(parse_arm(arm).on(Path.HOST).name, BY_NAME[name])
    )
