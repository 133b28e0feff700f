"""Distributions: tails of all modes, kernel and application RTT, warm, idle and under load."""

import msgspec

from podbench.analysis.bundle import TailCurve
from podbench_report import names, numbers, palette, tables
from podbench_report.plots import tails
from podbench_report.view import RunView

_PANELS = (
    (
        "rtt_kernel_ns",
        "Kernel RTT, warm",
        "The network's part: between the four kernel timestamps, without reflector residence.",
    ),
    (
        "rtt_app_ns",
        "Application RTT, warm",
        "The program's view: from the send call to the return of receive, scheduling included.",
    ),
    (
        "rtt_idle_ns",
        "Kernel RTT, idle",
        "At 20 probes per second: caches are cold and CPUs are asleep when a probe arrives.",
    ),
    (
        "rtt_loaded_ns",
        "Kernel RTT under load",
        "Probes share the path with a TCP transfer: queueing is included.",
    ),
)


class Distributions(msgspec.Struct, frozen=True, kw_only=True):
    """Tail plots, and their points as a table."""

    figures: tuple[tables.Figure, ...]
    table: tables.Table


def build(view: RunView) -> Distributions:
    """Builds the tail plots of one run."""
    figures = []
    for metric, title, caption in _PANELS:
        curves = _curves(view, metric)
        if curves:
            lines = [_line(curve) for curve in curves]
            svg = tails.tail_plot(metric.split("_")[1], lines, _spoken(title, curves))
            said = caption + _absent(view, curves)
            figures.append(tables.Figure(title=title, svg=svg, caption=said))
    return Distributions(figures=tuple(figures), table=_table(view))


def _curves(view: RunView, metric: str) -> tuple[TailCurve, ...]:
    """One curve for each mode and one host path; the A/A repeat would hide its arm."""
    found = {c.arm: c for c in view.bundle.tails if c.metric == metric and c.q[-1:] >= (0.5,)}
    pods = [f"{mode}/pod" for mode in view.modes if f"{mode}/pod" in found]
    hosts = [f"{mode}/host" for mode in reversed(view.modes) if f"{mode}/host" in found]
    return tuple(found[arm] for arm in (*pods, *hosts[:1]))


def _line(curve: TailCurve) -> tails.Line:
    mode, host = names.mode_of(curve.arm), names.path_of(curve.arm) != "pod"
    return tails.Line(
        label=names.plot_label(curve.arm),
        q=curve.q,
        value_ns=curve.value_ns,
        ink="muted" if host else palette.ink_of_mode(mode),
        dash=() if host else palette.dash_of_mode(mode),
        marker="" if host else palette.marker_of_mode(mode),
    )


def _absent(view: RunView, curves: tuple[TailCurve, ...]) -> str:
    """Names the measured modes without a curve."""
    drawn = {names.mode_of(c.arm) for c in curves if names.path_of(c.arm) == "pod"}
    measured = [a.mode for a in view.arms_in_order(repeats=False) if a.status == "measured"]
    gone = [names.mode_label(m) for m in names.mode_order(measured) if m not in drawn]
    return f" Too few valid samples to draw: {', '.join(gone)}." if gone else ""


def _spoken(title: str, curves: tuple[TailCurve, ...]) -> str:
    ends = "; ".join(
        f"{names.arm_label(c.arm)} from {numbers.quantity(c.value_ns[0], 'ns')} at the "
        f"{c.q[0] * 100:g}th to {numbers.quantity(c.value_ns[-1], 'ns')} at the "
        f"{c.q[-1] * 100:.5g}th percentile"
        for c in curves
    )
    return f"{title}, latency by percentile: {ends}."


def _table(view: RunView) -> tables.Table:
    rows = []
    for metric, title, _ in _PANELS:
        for curve in _curves(view, metric):
            for q, value in zip(curve.q, curve.value_ns, strict=True):
                rows.append(
                    tables.row(
                        title,
                        names.arm_label(curve.arm),
                        tables.Cell(f"{q * 100:.6g}", sort=q),
                        tables.quantity_cell(value, "ns"),
                    )
                )
    return tables.Table(
        caption="Points of the tail plots.",
        columns=(
            tables.Column("Metric"),
            tables.Column("Arm"),
            tables.Column("Percentile", "number"),
            tables.Column("Value", "number"),
        ),
        rows=tuple(rows),
    )
