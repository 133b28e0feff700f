"""Timeline: RTT and CPU steal over the run. It shows coincidence, not cause."""

import msgspec
from markupsafe import Markup

from podbench.analysis.bundle import TimePoint
from podbench_report import numbers, tables
from podbench_report.plots import timeline as plot
from podbench_report.view import RunView

_DRAWN = 6
"""More lines are hard to read: draw the hosts with the most steal."""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The plot, and the steal of each host as a table."""

    figure: tables.Figure | None
    steal: tables.Table


def build(view: RunView) -> Timeline:
    """Builds the timeline of one run."""
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
        "Top: p99 of kernel and application RTT each second. Bottom: CPU busy, softirq and steal. "
        f"Highest steal in one second: {numbers.share(worst)}."
    )
    return plot.timeline_plot(drawn, view.bundle.visits, spoken)


def _caption(count: int, labels: list[str]) -> str:
    text = (
        "The bars in the middle show which mode was measured when; CPU steal has a separate axis. "
        "If RTT and steal rise together, they coincide; that alone does not prove the cause."
    )
    if count > 1:
        text += " One line per host."
    if count > _DRAWN:
        text += f" Drawn: the {len(labels)} of {count} hosts with the most steal."
    return text


def _most_stolen(points: list[TimePoint]) -> float:
    return max((p.cpu_steal_ratio or 0.0 for p in points), default=0.0)


def _steal_table(view: RunView) -> tables.Table:
    known = [node for node in view.nodes if node.steal_ratio is not None]
    return tables.Table(
        caption="CPU steal (taken by the hypervisor), share of all CPU time in each tick.",
        columns=(
            tables.Column("Node"),
            tables.Column("p50", "number"),
            tables.Column("p99", "number"),
            tables.Column("Max", "number"),
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
