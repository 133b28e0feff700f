"""Time line: was the CPU taken away when round trips rose? Coincidence is shown, not cause."""

import msgspec
from markupsafe import Markup

from podbench.analysis.bundle import TimePoint
from podbench_report import numbers, tables
from podbench_report.plots import timeline as plot
from podbench_report.view import RunView

_DRAWN = 6
"""Lines of more hosts cannot be told apart: those with the most stolen time are drawn."""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The drawing, and the hosts' steal as a table."""

    figure: tables.Figure | None
    steal: tables.Table


def build(view: RunView) -> Timeline:
    """The time line of one run."""
    by_node: dict[str, list[TimePoint]] = {}
    for point in view.bundle.timeline:
        by_node.setdefault(point.node, []).append(point)
    for points in by_node.values():
        points.sort(key=lambda p: p.time_s)
    chosen = sorted(by_node, key=lambda node: -_most_stolen(by_node[node]))[:_DRAWN]
    figure = None
    if chosen:
        drawn = [(view.labels.get(node, node), by_node[node]) for node in chosen]
        figure = tables.Figure(
            title="The run, second by second",
            svg=_svg(view, drawn),
            caption=_caption(len(by_node), [label for label, _ in drawn]),
        )
    return Timeline(figure=figure, steal=_steal_table(view))


def _svg(view: RunView, drawn: list[tuple[str, list[TimePoint]]]) -> Markup:
    worst = max(_most_stolen(points) for _, points in drawn)
    spoken = (
        "99th percentile of kernel and application round trips each second above, CPU busy, "
        f"softirq and stolen shares below. Most stolen in one second: {numbers.share(worst)}."
    )
    return plot.timeline_plot(drawn, view.bundle.visits, spoken)


def _caption(count: int, labels: list[str]) -> str:
    text = (
        "The bars in the middle show which mode was measured when; stolen CPU time has an axis of "
        "its own. Where round trips rise together with stolen time, they coincide; that alone does "
        "not make it the cause."
    )
    if count > 1:
        text += " Each host has a line of its own."
    if count > _DRAWN:
        text += f" Drawn: the {len(labels)} of {count} hosts with the most stolen time."
    return text


def _most_stolen(points: list[TimePoint]) -> float:
    return max((p.cpu_steal_ratio or 0.0 for p in points), default=0.0)


def _steal_table(view: RunView) -> tables.Table:
    known = [node for node in view.nodes if node.steal_ratio is not None]
    return tables.Table(
        caption="CPU time stolen by the hypervisor, share of all CPU time in each tick.",
        columns=(
            tables.Column("Node"),
            tables.Column("p50", "number"),
            tables.Column("p99", "number"),
            tables.Column("Largest", "number"),
        ),
        rows=tuple(
            tables.row(
                tables.Cell(view.labels[node.name], title=node.name),
                tables.quantity_cell(node.steal_ratio.p50, "ratio"),
                tables.quantity_cell(node.steal_ratio.p99, "ratio"),
                tables.quantity_cell(node.steal_ratio.max, "ratio"),
            )
            for node in known
            if node.steal_ratio is not None
        ),
    )
