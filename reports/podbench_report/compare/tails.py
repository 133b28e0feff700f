"""Tails of all runs overlaid: one plot for each mode and kind of RTT."""

import msgspec

from podbench.analysis.compare.bundle import SideBySide, TailPanel
from podbench_report import names, numbers, palette, tables
from podbench_report.compare import words
from podbench_report.plots import tails
from podbench_report.wording import listed

_TITLES = {
    "rtt_app_ns": "Application RTT",
    "rtt_kernel_ns": "Kernel RTT",
}
_READ = (0.5, 0.9, 0.99, 0.999)
"""Percentiles of the table; each run's report has more."""


class Tails(msgspec.Struct, frozen=True, kw_only=True):
    """Plots, and their values as a table."""

    figures: tuple[tables.Figure, ...]
    table: tables.Table


def build(page: SideBySide) -> Tails:
    """Builds the overlaid tails of one comparison."""
    drawn = [panel for panel in page.tails if any(line.q[-1] >= _READ[0] for line in panel.lines)]
    return Tails(
        figures=tuple(_figure(page, panel, number) for number, panel in enumerate(drawn)),
        table=_table(page, drawn),
    )


def _figure(page: SideBySide, panel: TailPanel, number: int) -> tables.Figure:
    title = f"{_TITLES[panel.metric]}, {names.arm_label(panel.row)}"
    lines = []
    for line in panel.lines:
        ink, dash, marker = palette.run_look(line.run)
        label = _short(page, line.run)
        lines.append(
            tails.Line(
                label=label, q=line.q, value_ns=line.value_ns, ink=ink, dash=dash, marker=marker
            )
        )
    spoken = "; ".join(
        f"{words.key(page, line.run)} from {numbers.quantity(line.value_ns[0], 'ns')} to "
        f"{numbers.quantity(line.value_ns[-1], 'ns')} at the {line.q[-1] * 100:.6g}th percentile"
        for line in panel.lines
    )
    return tables.Figure(
        title=title,
        svg=tails.tail_plot(f"runs-{number}", lines, f"{title}, latency by percentile: {spoken}."),
        caption=_caption(page, panel),
    )


def _short(page: SideBySide, run: int) -> str:
    """Returns a short name of a run for a line, or its letter if there are more than two runs."""
    if len(page.cards) > 2:
        return words.key(page, run)
    return list(names.short_labels([card.label for card in page.cards]).values())[run]


def _caption(page: SideBySide, panel: TailPanel) -> str:
    parts = []
    if panel.refused:
        said = [f"{words.key(page, run)} ({why})" for run, why in panel.refused]
        parts.append(f"Not comparable and not drawn: {listed(said)}.")
    known = {line.run for line in panel.lines} | {run for run, _ in panel.refused}
    gone = [words.key(page, run) for run in range(len(page.cards)) if run not in known]
    if gone:
        parts.append(f"No samples: {listed(gone)}.")
    return " ".join(parts)


def _cell(value: float | None) -> tables.Cell:
    if value is None:
        return tables.Cell("too few samples", css="null")
    return tables.quantity_cell(value, "ns")


def _table(page: SideBySide, drawn: list[TailPanel]) -> tables.Table:
    rows = []
    for panel in drawn:
        heading = f"{_TITLES[panel.metric]}, {names.arm_label(panel.row)}"
        for line in panel.lines:
            held = dict(zip(line.q, line.value_ns, strict=True))
            cells = [_cell(held.get(q)) for q in _READ]
            rows.append(tables.row(words.heading(page, line.run), *cells, group=heading))
            heading = ""
    return tables.Table(
        caption="Values of these plots at selected percentiles, all pairs pooled.",
        columns=(
            tables.Column("Run"),
            *(tables.Column(f"{q * 100:.6g}", "number") for q in _READ),
        ),
        rows=tuple(rows),
        sortable=False,
    )
