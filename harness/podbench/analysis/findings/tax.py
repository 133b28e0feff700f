"""The overlay tax: what the pod path adds to the host path of the same pairs in the same blocks.

pod and host are exp of the mean over blocks of their block statistics (`blocks`), over pairs
measured on both paths; the difference is the mean over blocks of pod - host, with the interval of
these block differences. The verdict rests on the block log-ratios, the metric's margin, the noise
floor and the resolution.
"""

from collections.abc import Mapping, Sequence

from podbench.analysis.findings import capped
from podbench.analysis.findings.comparisons import Tables, below_floor, mean_difference, resolved
from podbench.analysis.samples.blocks import block_series
from podbench.analysis.samples.metrics import BY_NAME, Metric
from podbench.analysis.stats.verdicts import decide
from podbench.model.arms import Path, parse_arm
from podbench.model.summary import OverlayTax

TAXED = (
    "rtt_kernel_ns.p50",
    "rtt_kernel_ns.p99",
    "rtt_app_ns.p50",
    "rtt_app_ns.p99",
    "pdv_p99_ns",
    "rtt_idle_ns.p50",
    "goodput_bps.tcp.p50",
)


def _one(metric: Metric, pod: str, tables: Tables, floor_log: float | None) -> OverlayTax:
    arm = parse_arm(pod)
    host = arm.on(Path.HOST).name
    series = block_series(tables.cells[metric.series], (host, pod), metric)
    decision = decide(series.differences(host, pod), metric.margin)
    at_pod, at_host = series.value(pod), series.value(host)
    difference, within = None, None
    if len(series.blocks):
        difference, within = mean_difference(series, (host, pod))
        decision = below_floor(metric, decision, difference, floor_log)
        decision = resolved(decision, metric, at_host, tables.steps.get(metric.series))
    decision = capped.judged(decision, (at_host, at_pod), metric.unit, tables.most_bps)
    return OverlayTax(
        mode=str(arm.mode),
        metric=metric.name,
        pod=at_pod,
        host=at_host,
        difference=difference,
        ci95=within,
        unit=metric.unit,
        verdict=decision.verdict.value,
        reason=decision.reason,
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
