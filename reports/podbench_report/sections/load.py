"""What traffic costs: CPU prices, at the traffic asked for, and curves against load."""

import msgspec

from podbench.model.summary import AtTraffic, CpuPrice, LoadHeld, LoadPoint
from podbench.model.traffic import show
from podbench_report import names, numbers, palette, strips, tables
from podbench_report.plots import curves
from podbench_report.view import RunView

_KINDS = {
    "bulk": ("Bulk: one TCP stream", "cores per Gbit/s"),
    "small": ("Small packets: UDP of 64 bytes", "cores per million packets/s"),
}
_FIGURES = (
    ("rtt_app_ns.p99", "Application RTT p99", "ns"),
    ("rtt_app_ns.p50", "Application RTT p50", "ns"),
    ("rtt_kernel_ns.p99", "Kernel RTT p99", "ns"),
    ("rtt_kernel_ns.p50", "Kernel RTT p50", "ns"),
    ("pdv_p99_ns", "Jitter (PDV p99)", "ns"),
)


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Tables and drawings; empty where the ladder was not climbed."""

    prices: tuple[tables.Table, ...]
    traffic: tables.Table
    held: tables.Table
    curves: tuple[tables.Figure, ...]
    more: tuple[tables.Figure, ...]
    """Folded: the figures that fewer readers ask for."""

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return any(self.prices) or bool(self.curves)


def build(view: RunView) -> Load:
    """The load chapter of one run."""
    prices = tuple(_prices(view, kind) for kind in _KINDS)
    drawn = [_curve(view, kind, figure) for figure in _FIGURES for kind in _KINDS]
    found = [one for one in drawn if one is not None]
    first = min(len(found), 2)
    return Load(
        prices=tuple(table for table in prices if table),
        traffic=_traffic(view),
        held=_held(view),
        curves=tuple(found[:first]),
        more=tuple(found[first:]),
    )


def _prices(view: RunView, kind: str) -> tables.Table:
    found = [p for p in view.summary.cpu_price if p.kind == kind]
    order = names.mode_order([p.mode for p in found])
    title, unit = _KINDS[kind]
    base = names.mode_label(found[0].base) if found else ""
    where = "all CPUs of the machine" if view.on_lab else "sender and receiver together"
    known = [b for p in found for b in (*(p.difference_ci95 or ()), p.difference) if b is not None]
    axis = strips.nice_axis([*known, 0.0], unit_factor=1.0)
    return tables.Table(
        caption=f"{title}, {unit} ({where}, generator included): slope of busy CPU over the"
        " ladder's load, 95% CI.",
        columns=(
            tables.Column("Difference is"),
            tables.Column("Mode"),
            tables.Column("Price", "number"),
            tables.Column(f"More than {base}", "number"),
            tables.Column("Difference", "strip", header=strips.axis_row(axis)),
            tables.Column("Steps", "number"),
        ),
        rows=tuple(_price_row(p, axis) for p in sorted(found, key=lambda p: order.index(p.mode))),
        sortable=False,
    )


def _price_row(price: CpuPrice, axis: strips.Axis) -> tables.Row:
    css = "v-" + price.verdict.replace(" ", "-")
    scale = numbers.scale_for([price.value, price.difference], "")
    return tables.row(
        tables.Cell(price.verdict, css=css, title=price.reason or "", below=price.reason or ""),
        names.mode_label(price.mode),
        tables.figure_cell(price.value, scale, price.ci95),
        tables.figure_cell(price.difference, scale, price.difference_ci95)
        if price.verdict != "base"
        else tables.Cell(""),
        tables.Cell(
            strips.whisker(
                axis, price.difference, price.difference_ci95, ink=palette.ink_of_mode(price.mode)
            )
        ),
        tables.count_cell(price.steps_reached),
    )


def _traffic(view: RunView) -> tables.Table:
    found = view.summary.at_traffic
    order = names.mode_order([one.mode for one in found])
    asked = list(dict.fromkeys(one.name for one in found))
    ranked = sorted(found, key=lambda one: (asked.index(one.name), order.index(one.mode)))
    cores = numbers.scale_for([one.extra_cores_per_node for one in found], "")
    times = numbers.scale_for([t for one in found for t in (one.rtt_app_ns.p99,)], "ns")
    count = len(view.summary.nodes)
    return tables.Table(
        caption="At this traffic of one node: CPU cores and latency read off the ladder, 95% CI;"
        " nothing is extrapolated.",
        columns=(
            tables.Column("Difference is"),
            tables.Column("Mode"),
            *tables.number_columns(
                [
                    ("Cores a node", ""),
                    ("More than the base, a node", ""),
                    (f"For {count} nodes", ""),
                    ("App RTT p50", times.unit),
                    ("App RTT p99", times.unit),
                ]
            ),
        ),
        rows=tuple(_traffic_row(one, cores, times, first=one.mode == order[0]) for one in ranked),
        sortable=False,
    )


def _traffic_row(
    one: AtTraffic, cores: numbers.Scale, times: numbers.Scale, *, first: bool
) -> tables.Row:
    group = ""
    if first:
        shown = show(one.bps, one.pps)
        group = shown if one.name == shown else f"{one.name}: {shown}"
    return tables.row(
        tables.Cell(one.verdict, css="v-" + one.verdict.replace(" ", "-"), below=one.reason or ""),
        names.mode_label(one.mode),
        tables.figure_cell(one.cores_per_node, cores, one.ci95),
        tables.figure_cell(one.extra_cores_per_node, cores, one.extra_ci95),
        tables.figure_cell(one.extra_cores_cluster, cores),
        tables.figure_cell(one.rtt_app_ns.p50, times, one.rtt_ci95.get("rtt_app_ns.p50")),
        tables.figure_cell(one.rtt_app_ns.p99, times, one.rtt_ci95.get("rtt_app_ns.p99")),
        group=group,
    )


def _held(view: RunView) -> tables.Table:
    found = view.summary.load_held
    order = names.mode_order([one.mode for one in found])
    limits = found[0].limits if found else {}
    p99 = numbers.quantity(limits.get("rtt_app_ns.p99"), "ns")
    return tables.Table(
        caption="The highest step that each mode held in every block: loss below"
        f" {numbers.share(limits.get('loss.ratio'))}, application p99 below {p99}."
        " A mode that held the top step may hold more.",
        columns=(
            tables.Column("Mode"),
            tables.Column("Load"),
            tables.Column("Held", "number"),
            tables.Column("Share of the capacity", "number", "%"),
            tables.Column("Of what the base held", "number", "%"),
        ),
        rows=tuple(
            _held_row(one)
            for one in sorted(found, key=lambda one: (one.kind, order.index(one.mode)))
        ),
        sortable=False,
    )


def _held_row(one: LoadHeld) -> tables.Row:
    rate = show(one.bps, one.pps) if one.share else "none"
    share = "none" if one.share is None else f"{100 * one.share:.0f}"
    bounds = one.share_range
    below = "" if bounds is None else f"{100 * bounds[0]:.0f} to {100 * bounds[1]:.0f}"
    of_base = "" if one.of_base_ratio is None else f"{100 * one.of_base_ratio:.0f}"
    return tables.row(
        names.mode_label(one.mode),
        one.kind,
        tables.Cell(f"{'at least ' if one.top else ''}{rate}"),
        tables.Cell(share, sort=one.share, below=below),
        tables.Cell(of_base, sort=one.of_base_ratio),
    )


def _curve(view: RunView, kind: str, figure: tuple[str, str, str]) -> tables.Figure | None:
    name, title, unit = figure
    lines = []
    for arm in dict.fromkeys(p.arm for p in view.summary.load_curve):
        if names.is_repeat(arm):
            continue
        points = [p for p in view.summary.load_curve if (p.arm, p.kind) == (arm, kind)]
        shown = [(_rate(p), _value(p, name), p.ci95.get(name), p.reached) for p in points]
        known = tuple(
            curves.Point(x=x, y=y, ci95=ci, reached=ok)
            for x, y, ci, ok in sorted(shown, key=lambda one: one[0])
            if y is not None
        )
        if known:
            mode = names.mode_of(arm)
            lines.append(
                curves.Line(
                    label=names.mode_label(mode), ink=palette.ink_of_mode(mode), points=known
                )
            )
    if not any(len(line.points) > 1 for line in lines):
        return None
    what = _KINDS[kind][0]
    return tables.Figure(
        title=f"{title} against load, {kind}",
        svg=curves.plot(
            f"{kind}-{name.replace('.', '-')}",
            lines,
            ("bit/s" if kind == "bulk" else "packets/s", unit),
            f"{title} of every mode against offered load, {kind}",
        ),
        caption=f"{what}. Bands: 95% CI over blocks. Hollow: a step that did not count in every"
        " block (rate off by more than 2%, or a CPU above 90%).",
    )


def _rate(point: LoadPoint) -> float:
    return (point.offered_bps if point.kind == "bulk" else point.offered_pps) or 0.0


def _value(point: LoadPoint, name: str) -> float | None:
    series, _, q = name.partition(".")
    found = getattr(point, series)
    value = getattr(found, q) if q else found
    return None if value is None else float(value)
