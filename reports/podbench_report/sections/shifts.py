"""Change by percentile: where in the distribution two modes differ, with intervals."""

import msgspec

from podbench.model.summary import Shift, ShiftPoint
from podbench_report import names, numbers, palette, tables
from podbench_report.plots import shifts as plot
from podbench_report.view import RunView

_TITLES = {"rtt_kernel_ns": "Kernel RTT", "rtt_app_ns": "Application RTT"}


class Shifts(msgspec.Struct, frozen=True, kw_only=True):
    """A plot for each kind of RTT, and their points as a table."""

    figures: tuple[tables.Figure, ...]
    table: tables.Table


def build(view: RunView) -> Shifts:
    """Builds the shift functions of one run; summary.json has those of the A/A repeat."""
    shown = [s for s in view.summary.shifts if s.path == "pod" and not names.is_repeat(s.other)]
    shown.sort(key=lambda s: view.modes.index(names.mode_of(s.other)))
    by_metric = {m: [s for s in shown if s.metric == m and _known(s)] for m in _TITLES}
    return Shifts(
        figures=tuple(_figure(metric, found) for metric, found in by_metric.items() if found),
        table=_table(shown),
    )


def _known(shift: Shift) -> list[tuple[ShiftPoint, float]]:
    return [(point, point.ratio) for point in shift.points if point.ratio is not None]


def _figure(metric: str, found: list[Shift]) -> tables.Figure:
    base = names.arm_label(found[0].base)
    lines = [
        plot.ShiftLine(
            label=names.plot_label(shift.other),
            q=tuple(point.q for point, _ in _known(shift)),
            ratio=tuple(ratio for _, ratio in _known(shift)),
            bounds=tuple(point.ci95 for point, _ in _known(shift)),
            ink=palette.ink_of_mode(names.mode_of(shift.other)),
            marker=palette.marker_of_mode(names.mode_of(shift.other)),
        )
        for shift in found
    ]
    title = f"{_TITLES[metric]}, change against {base}"
    spoken = "; ".join(
        f"{line.label} from {numbers.percent_change(line.ratio[0])} at the "
        f"{line.q[0] * 100:g}th to {numbers.percent_change(line.ratio[-1])} at the "
        f"{line.q[-1] * 100:g}th percentile"
        for line in lines
    )
    return tables.Figure(
        title=title,
        svg=plot.shift_plot(metric.split("_")[1], lines, f"{title}, by percentile: {spoken}."),
        caption="Bars: 95% CI over blocks. Flat: the mode adds the same to every probe. Rising to "
        "the right: it adds more to slow probes." + (_CUT if plot.is_cut(lines) else ""),
    )


_CUT = f" The axis ends at {plot.SHOWN_MOST}; bars at the upper edge continue beyond it."


def _table(found: list[Shift]) -> tables.Table:
    rows = []
    for shift in found:
        heading = f"{_TITLES[shift.metric]}, {names.arm_label(shift.other)} against "
        heading += names.arm_label(shift.base)
        for point, ratio in _known(shift):
            rows.append(
                tables.row(
                    f"{point.q * 100:g}",
                    tables.quantity_cell(point.difference, shift.unit, signed=True),
                    tables.Cell(numbers.percent_change(ratio, point.ci95)),
                    tables.Cell(
                        numbers.percent_change_interval(point.ci95)
                        if point.ci95
                        else "no interval",
                        css="" if point.ci95 else "null",
                    ),
                    tables.Cell("different" if point.told_apart else "inconclusive"),
                    group=heading,
                )
            )
            heading = ""
    return tables.Table(
        caption="Change at each percentile. Different: at a false discovery rate of 5% over the "
        "percentiles of one comparison (Benjamini-Hochberg), and above the resolution of the "
        "instrument.",
        columns=(
            tables.Column("Percentile"),
            tables.Column("Difference", "number"),
            tables.Column("Change", "number"),
            tables.Column("95% CI", "number"),
            tables.Column("Verdict"),
        ),
        rows=tuple(rows),
        sortable=False,
    )
