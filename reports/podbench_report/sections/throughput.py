"""Throughput: goodput, predicted ceiling and RTT under load."""

import msgspec

from podbench_report import metrics, names, numbers, palette, strips, tables
from podbench_report.view import RunView

_RATES = (
    "goodput_bps.tcp.p50",
    "goodput_bps.tcp_8.p50",
    "goodput_bps.udp.p50",
    "small_packets_pps.p50",
    "retransmit_ratio",
)


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """Three tables; an empty one was not measured."""

    rates: tables.Table
    ceiling: tables.Table
    loaded: tables.Table


def build(view: RunView) -> Throughput:
    """Builds the throughput of one run."""
    return Throughput(rates=_rates(view), ceiling=_ceiling(view), loaded=_loaded(view))


def _rates(view: RunView) -> tables.Table:
    found = [m for m in _RATES if any(view.value(a, m) is not None for a in view.arms_with(m))]
    scales = {
        m: numbers.scale_for([view.value(a, m) for a in view.arms_with(m)], _unit(view, m))
        for m in found
    }
    arms = [a.arm for a in view.arms_in_order() if any(view.estimate(a.arm, m) for m in found)]
    rows = []
    for arm in arms:
        cells = []
        for metric in found:
            e = view.estimate(arm, metric)
            value, bounds = (None, None) if e is None else (e.value, e.ci95)
            cells.append(tables.figure_cell(value, scales[metric], bounds))
        rows.append(tables.row(names.arm_label(arm), *cells))
    return tables.Table(
        caption="Receiver-side rates over all pairs, median with 95% CI over blocks.",
        columns=(
            tables.Column("Arm"),
            *tables.number_columns(
                [(metrics.metric_words(m).short, scales[m].unit) for m in found]
            ),
        ),
        rows=tuple(rows),
    )


def _unit(view: RunView, metric: str) -> str:
    units = [e.unit for e in view.summary.estimates if e.metric == metric]
    return units[0] if units else metrics.metric_words(metric).unit


def _ceiling(view: RunView) -> tables.Table:
    found = view.summary.encapsulation
    known = [
        v
        for e in found
        for v in (e.predicted_goodput_share, e.measured_goodput_share)
        if v is not None
    ]
    axis = strips.nice_axis([*known, 1.0], unit_factor=0.01)
    order = names.mode_order([e.mode for e in found])
    return tables.Table(
        caption="Goodput as a share of the link or host-path rate. Bar: measured; tick: ceiling "
        "predicted from header sizes.",
        columns=(
            tables.Column("Mode"),
            *tables.number_columns(
                [
                    ("Overhead per packet", "bytes"),
                    ("Pod MTU", ""),
                    ("Predicted", "%"),
                    ("Measured", "%"),
                ]
            ),
            tables.Column("Share in %", "strip", header=strips.axis_row(axis)),
            tables.Column("Share of"),
        ),
        rows=tuple(
            tables.row(
                names.mode_label(e.mode),
                tables.count_cell(e.overhead_bytes),
                tables.count_cell(e.pod_mtu),
                _share_cell(e.predicted_goodput_share),
                _share_cell(e.measured_goodput_share),
                tables.Cell(
                    strips.bullet(
                        axis,
                        e.measured_goodput_share,
                        e.predicted_goodput_share,
                        ink=palette.ink_of_mode(e.mode),
                    )
                ),
                e.share_of or "unknown",
            )
            for e in sorted(found, key=lambda e: order.index(e.mode))
        ),
    )


def _share_cell(value: float | None) -> tables.Cell:
    if value is None:
        return tables.Cell(numbers.NOT_MEASURED, css="null")
    return tables.Cell(f"{value * 100:.2f}", sort=value)


def _loaded(view: RunView) -> tables.Table:
    found = view.bundle.loaded
    columns = [(p.rest_p50_ns, p.loaded_p50_ns, p.rest_p99_ns, p.loaded_p99_ns) for p in found]
    scale = numbers.scale_for([v for row in columns for v in row], "ns")
    scales = [numbers.column_scale([row[i] for row in columns], scale) for i in range(4)]
    # With few transfers there are too few probes for a p99: draw the medians.
    at = 2 if any(p.loaded_p99_ns is not None for p in found) else 0
    drawn = [v for row in columns for v in row[at : at + 2] if v is not None]
    axis = strips.nice_axis(drawn, unit_factor=scale.factor)
    rank = {arm.arm: i for i, arm in enumerate(view.arms_in_order())}
    return tables.Table(
        caption="Kernel RTT at rest and under load (a TCP transfer on the same pairs), all samples "
        "pooled, not averaged over blocks. Hollow dot: at rest; full dot: under load.",
        columns=(
            tables.Column("Arm"),
            *tables.number_columns(
                [
                    ("p50 at rest", scale.unit),
                    ("p50 under load", scale.unit),
                    ("p99 at rest", scale.unit),
                    ("p99 under load", scale.unit),
                ]
            ),
            tables.Column(
                f"{'p99' if at else 'p50'}, {scale.unit}", "strip", header=strips.axis_row(axis)
            ),
            tables.Column("n", "number"),
        ),
        rows=tuple(
            tables.row(
                names.arm_label(p.arm),
                *(
                    tables.figure_cell(v, one)
                    if v is not None
                    else tables.Cell("too few samples", css="null")
                    for v, one in zip(
                        (p.rest_p50_ns, p.loaded_p50_ns, p.rest_p99_ns, p.loaded_p99_ns),
                        scales,
                        strict=True,
                    )
                ),
                tables.Cell(
                    strips.dumbbell(
                        axis,
                        p.rest_p99_ns if at else p.rest_p50_ns,
                        p.loaded_p99_ns if at else p.loaded_p50_ns,
                        ink=palette.ink_of_mode(names.mode_of(p.arm)),
                    )
                ),
                tables.count_cell(p.n),
            )
            for p in sorted(found, key=lambda p: rank.get(p.arm, 99))
        ),
    )
