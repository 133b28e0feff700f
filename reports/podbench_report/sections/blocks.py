"""Block statistics: the spread behind each interval, one panel for each headline metric."""

import msgspec

from podbench.analysis.bundle import BlockPoint
from podbench_report import metrics, names, numbers, tables
from podbench_report.plots import points as plot
from podbench_report.view import RunView

_PANELS = 6


class Blocks(msgspec.Struct, frozen=True, kw_only=True):
    """Panels, and their points as a table."""

    figures: tuple[tables.Figure, ...]
    table: tables.Table


def build(view: RunView) -> Blocks:
    """Builds the block statistics of one run, pod path; the A/A repeat has hollow marks."""
    by_metric: dict[str, list[BlockPoint]] = {}
    for point in view.bundle.block_points:
        if names.path_of(point.arm) == "pod":
            by_metric.setdefault(point.metric, []).append(point)
    order = [m for m in metrics.HEADLINES if m in by_metric][:_PANELS]
    return Blocks(
        figures=tuple(_figure(view, metric, by_metric[metric]) for metric in order),
        table=_table(by_metric),
    )


def _figure(view: RunView, metric: str, found: list[BlockPoint]) -> tables.Figure:
    words = metrics.metric_words(metric)
    rank = {arm.arm: i for i, arm in enumerate(view.arms_in_order())}
    found = sorted(found, key=lambda p: (rank.get(p.arm, 99), p.block))
    spoken = "; ".join(
        f"{names.arm_label(arm)}: "
        + ", ".join(numbers.quantity(p.value, words.unit) for p in found if p.arm == arm)
        for arm in dict.fromkeys(p.arm for p in found)
    )
    title = words.short[0].upper() + words.short[1:]
    key = metric.replace(".", "-").replace("_", "-")
    scale = numbers.scale_for([p.value for p in found], words.unit)
    return tables.Figure(
        title=f"{title} by block, {scale.unit}" if scale.unit else f"{title} by block",
        svg=plot.block_plot(key, found, scale.factor, f"{title} in each block. {spoken}."),
    )


def _table(by_metric: dict[str, list[BlockPoint]]) -> tables.Table:
    rows = [
        tables.row(
            metrics.metric_words(metric).short,
            names.arm_label(p.arm),
            tables.count_cell(p.block),
            tables.count_cell(p.order),
            tables.quantity_cell(p.value, metrics.metric_words(metric).unit),
        )
        for metric, found in by_metric.items()
        for p in found
    ]
    return tables.Table(
        caption="Statistic of each arm in each block. Order: position of the visit in its block.",
        columns=(
            tables.Column("Metric"),
            tables.Column("Arm"),
            tables.Column("Block", "number"),
            tables.Column("Order", "number"),
            tables.Column("Value", "number"),
        ),
        rows=tuple(rows),
    )
