"""One figure per arm and metric, over all pairs, with an interval from the blocks.

`value` is exp of the mean over blocks of the block statistic (`blocks`): the quantile a typical
pair saw in a typical block; its interval is t (BCa from 15 blocks) on the same logs. `mean`, `sd`
and `variance_share` are those of all samples together. `loss.ratio` is lost over sent, intervals by
`loss`.
"""

from collections.abc import Mapping

import msgspec
import numpy as np

from podbench.analysis.bundle import BlockPoint
from podbench.analysis.figures import variance
from podbench.analysis.samples import loss_table
from podbench.analysis.samples.blocks import BlockSeries, Cells, Reduced, block_series
from podbench.analysis.samples.metrics import LOSS, METRICS, Metric
from podbench.analysis.stats import intervals
from podbench.model.summary import Estimate, Interval, VarianceShare


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """One series of one arm, all samples together."""

    n: int
    n_effective: float | None
    mean: float | None
    sd: float | None
    variance_share: VarianceShare | None


def moments(sessions: list[variance.Session]) -> Moments:
    """Moments of sessions together; n = 0 where all was lost."""
    n = sum(one.n for one in sessions)
    if n == 0:
        return Moments(n=0, n_effective=None, mean=None, sd=None, variance_share=None)
    mean = sum(one.mean * one.n for one in sessions) / n
    squares = sum(one.sum_squares + one.n * (one.mean - mean) ** 2 for one in sessions)
    return Moments(
        n=n,
        n_effective=sum(one.n_effective for one in sessions),
        mean=mean,
        sd=float(np.sqrt(squares / (n - 1))) if n > 1 else None,
        variance_share=variance.shares(sessions),
    )


def rate_moments(rates: Mapping[str, Cells]) -> dict[tuple[str, str], Moments]:
    """Moments by (arm, series) of the throughput series. Intervals are few: no effective n."""
    sessions: dict[tuple[str, str], list[variance.Session]] = {}
    for name, cells in rates.items():
        for (arm, _), by_pair in cells.items():
            held = sessions.setdefault((arm, name), [])
            held.extend(variance.session(pair, part, None) for pair, part in by_pair.items())
    found = {key: moments(held) for key, held in sessions.items()}
    return {key: msgspec.structs.replace(m, n_effective=None) for key, m in found.items()}


def _interval(series: BlockSeries, arm: str) -> Interval | None:
    logs = series.logs[series.arms.index(arm)]
    found = intervals.mean_interval(logs)
    return None if found is None else intervals.scaled(1.0, found)


def _estimate(metric: Metric, arm: str, series: BlockSeries, held: Moments) -> Estimate:
    return Estimate(
        arm=arm,
        metric=metric.name,
        value=series.value(arm),
        unit=metric.unit,
        ci95=_interval(series, arm),
        n=held.n,
        n_effective=held.n_effective,
        blocks=len(series.blocks),
        mean=held.mean,
        sd=held.sd,
        variance_share=held.variance_share,
    )


def of_loss(counts: loss_table.LossTable, arms: tuple[str, ...]) -> list[Estimate]:
    """`loss.ratio` of every arm that sent anything."""
    found = []
    for arm in arms:
        summary = loss_table.of_arm(counts, arm)
        if summary is not None:
            found.append(
                Estimate(
                    arm=arm,
                    metric=LOSS.name,
                    value=summary.ratio,
                    unit=LOSS.unit,
                    ci95=summary.ci95,
                    n=summary.sent,
                    n_effective=None,
                    blocks=len({block for of, block in counts if of == arm}),
                )
            )
    return found


def table(
    cells: Mapping[str, Cells | Reduced],
    by_series: Mapping[tuple[str, str], Moments],
    arms: tuple[str, ...],
    orders: Mapping[tuple[int, str], int],
) -> tuple[list[Estimate], list[BlockPoint]]:
    """Estimates of every metric an arm has cells for, and the block points they rest on.

    Args:
        cells: by series.
        by_series: moments by (arm, series).
        arms: in the order to report.
        orders: place of (block, arm) in its block, from 1.
    """
    estimates, points = [], []
    for metric in METRICS:
        for arm in arms:
            held = by_series.get((arm, metric.series))
            if held is None:
                continue
            series = block_series(cells[metric.series], (arm,), metric)
            estimates.append(_estimate(metric, arm, series, held))
            points += [
                BlockPoint(
                    block=block,
                    order=orders.get((block, arm), 0),
                    arm=arm,
                    metric=metric.name,
                    value=float(np.exp(log)),
                )
                for block, log in zip(series.blocks, series.logs[0], strict=True)
            ]
    return estimates, points
