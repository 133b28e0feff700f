"""The shift function: where in their distributions two arms differ, quantile by quantile.

At the deciles, p95 and p99 the block log-ratios of two arms are compared as any other figure is
(`blocks`, `intervals`): ratio, interval, p of ratio 1. p values are adjusted by Benjamini-Hochberg
inside the set, which positive dependence between neighbouring quantiles allows; what the
instrument cannot resolve, or what lies within the quantile's own A/A noise floor (`aa`), is not
told apart, however small p is. A mode that adds a
constant is flat in `difference`; one that adds a tail rises to the right. Reference: Wilcox,
Introduction to Robust Estimation and Hypothesis Testing (2012), section 5.1; Doksum, Annals of
Statistics 2 (1974) 267-277.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from podbench.analysis.findings import aa
from podbench.analysis.samples.blocks import Cells, Reduced, block_series
from podbench.analysis.samples.metrics import SHIFTS, Metric
from podbench.analysis.stats import intervals, multiple
from podbench.model.arms import parse_arm
from podbench.model.summary import Shift, ShiftPoint

FALSE_DISCOVERIES = 0.05


def _point(metric: Metric, arms: tuple[str, str], cells: Cells | Reduced) -> ShiftPoint:
    """One quantile, not adjusted yet."""
    series = block_series(cells, arms, metric)
    d = series.differences(*arms)
    spread = intervals.mean_interval(d)
    base, other = series.value(arms[0]), series.value(arms[1])
    return ShiftPoint(
        q=metric.q,
        ratio=float(np.exp(d.mean())) if len(d) else None,
        ci95=None if spread is None else intervals.scaled(1.0, spread),
        difference=None if base is None or other is None else other - base,
        p_value=intervals.t_p_value(d),
        p_adjusted=None,
        told_apart=False,
        blocks=len(d),
    )


def _floors(
    series: str, contrasts: Sequence[tuple[str, str]], cells: Cells | Reduced
) -> tuple[float, ...]:
    """|log ratio| that the A/A pairs show at each quantile; 0 where none says."""
    repeats = [arms for arms in contrasts if parse_arm(arms[1]).repeat > 1]
    return tuple(
        max(
            (
                aa.floor_log(block_series(cells, arms, metric).differences(*arms)) or 0.0
                for arms in repeats
            ),
            default=0.0,
        )
        for metric in SHIFTS[series]
    )


def _adjusted(
    series: str, points: Sequence[ShiftPoint], floors: Sequence[float]
) -> tuple[ShiftPoint, ...]:
    tested = [point.p_value for point in points if point.p_value is not None]
    adjusted = iter(multiple.benjamini_hochberg(tested).tolist())
    return tuple(
        point if point.p_value is None else _with(metric, point, next(adjusted), floor)
        for metric, point, floor in zip(SHIFTS[series], points, floors, strict=True)
    )


def _with(metric: Metric, point: ShiftPoint, p: float, floor_log: float) -> ShiftPoint:
    resolved = abs(point.difference or 0.0) >= metric.resolution
    above = point.ratio is not None and abs(float(np.log(point.ratio))) > floor_log
    apart = resolved and above and p <= FALSE_DISCOVERIES
    return msgspec.structs.replace(point, p_adjusted=p, told_apart=apart)


def shift(
    series: str, arms: tuple[str, str], cells: Cells | Reduced, floors: Sequence[float] = ()
) -> Shift | None:
    """The shift function of (base, other); None where no quantile of a block can be compared.

    Args:
        series: one of `metrics.SHIFTED`.
        arms: base and other.
        cells: of this series.
        floors: A/A noise floor at each quantile, |log ratio|; empty: there are none.
    """
    points = [_point(metric, arms, cells) for metric in SHIFTS[series]]
    if not any(point.blocks for point in points):
        return None
    return Shift(
        metric=series,
        base=arms[0],
        other=arms[1],
        path=str(parse_arm(arms[0]).path),
        unit="ns",
        points=_adjusted(series, points, floors or [0.0] * len(points)),
    )


def table(
    cells: Mapping[str, Cells | Reduced], contrasts: Sequence[tuple[str, str]]
) -> tuple[Shift, ...]:
    """The shift functions of every series and every (base, other) that have one.

    Args:
        cells: by series.
        contrasts: (base, other); floors come from the A/A pairs among them.
    """
    return tuple(
        found
        for series in SHIFTS
        for floors in [_floors(series, contrasts, cells[series])]
        for arms in contrasts
        for found in [
            shift(series, arms, cells[series], () if parse_arm(arms[1]).repeat > 1 else floors)
        ]
        if found is not None
    )
