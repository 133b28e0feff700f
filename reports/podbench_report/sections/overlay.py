"""Pod-network cost: pod path against host path of the same node pairs; variance statistics."""

import msgspec
from markupsafe import Markup

from podbench.model.summary import Estimate, OverlayTax, VarianceShare
from podbench_report import metrics, names, numbers, palette, strips, tables, wording
from podbench_report.view import RunView


class Overlay(msgspec.Struct, frozen=True, kw_only=True):
    """Cost tables (one for each metric, with a separate axis) and the variance of each metric."""

    taxes: tuple[tables.Table, ...]
    variance: tuple[tables.Table, ...]


def build(view: RunView) -> Overlay:
    """Builds the pod-network cost and the variance statistics of one run."""
    by_metric: dict[str, list[OverlayTax]] = {}
    for tax in view.summary.overlay_tax:
        if tax.pod is None and tax.host is None:
            continue
        by_metric.setdefault(tax.metric, []).append(tax)
    variance = [_variance_table(view, stem) for stem in ("rtt_kernel_ns", "rtt_app_ns")]
    return Overlay(
        taxes=tuple(_tax_table(metric, taxes) for metric, taxes in by_metric.items()),
        variance=tuple(table for table in variance if table),
    )


def _tax_table(metric: str, taxes: list[OverlayTax]) -> tables.Table:
    words = metrics.metric_words(metric)
    unit = taxes[0].unit
    scale = numbers.scale_for([v for t in taxes for v in (t.pod, t.host)], unit)
    change = numbers.scale_for([t.difference for t in taxes], unit)
    known = [b for t in taxes for b in (*(t.ci95 or ()), t.difference) if b is not None]
    axis = strips.nice_axis(known, unit_factor=change.factor)
    rank = names.mode_order([t.mode for t in taxes])
    return tables.Table(
        caption=f"{words.short[0].upper()}{words.short[1:]}: pod path minus host path",
        columns=(
            tables.Column("Mode"),
            *tables.number_columns(
                [("Pod", scale.unit), ("Host", scale.unit), ("Difference", change.unit)]
            ),
            tables.Column(f"Difference, {change.unit}", "strip", header=strips.axis_row(axis)),
            tables.Column("Verdict"),
        ),
        rows=tuple(
            tables.row(
                names.mode_label(t.mode),
                tables.figure_cell(t.pod, scale),
                tables.figure_cell(t.host, scale),
                tables.estimate_cell(t.difference, t.ci95, unit, change.unit),
                tables.Cell(
                    strips.whisker(axis, t.difference, t.ci95, ink=palette.ink_of_mode(t.mode))
                ),
                tables.Cell(t.verdict, css="v-" + t.verdict.replace(" ", "-")),
            )
            for t in sorted(taxes, key=lambda t: rank.index(t.mode))
        ),
    )


def _variance_table(view: RunView, stem: str) -> tables.Table:
    quantiles = [f"{stem}.{q}" for q in ("p50", "p90", "p99", "p999")]
    arms = [
        a for a in view.arms_in_order() if any(view.value(a.arm, m) is not None for m in quantiles)
    ]
    heads = {arm.arm: _first(view, arm.arm, quantiles) for arm in arms}
    columns = [[view.value(a.arm, m) for a in arms] for m in quantiles]
    columns.append([None if h is None else h.mean for h in heads.values()])
    columns.append([None if h is None else h.sd for h in heads.values()])
    scale = numbers.scale_for([value for column in columns for value in column], "ns")
    scales = [numbers.column_scale(column, scale) for column in columns]
    short = metrics.metric_words(quantiles[0]).short.rsplit(" ", 1)[0]
    return tables.Table(
        caption=f"{short[0].upper()}{short[1:]}, {scale.unit}: quantiles with 95% CI over "
        "blocks, mean, standard deviation, and the sources of the variance. " + wording.FEW_BEYOND,
        columns=(
            tables.Column("Arm"),
            *tables.number_columns(
                [(t, scale.unit) for t in ("p50", "p90", "p99", "p99.9", "Mean", "SD")]
            ),
            tables.Column("Variance: within sessions · between blocks · between pairs"),
            *tables.number_columns([("n", ""), ("Effective n", "")]),
        ),
        rows=tuple(_variance_row(view, arm.arm, quantiles, heads[arm.arm], scales) for arm in arms),
    )


def _first(view: RunView, arm: str, names_: list[str]) -> Estimate | None:
    """Returns the first estimate of an arm that has a mean and a spread."""
    found = [e for m in names_ if (e := view.estimate(arm, m)) is not None]
    return next((e for e in found if e.mean is not None), found[0] if found else None)


def _variance_row(
    view: RunView,
    arm: str,
    quantiles: list[str],
    head: Estimate | None,
    scales: list[numbers.Scale],
) -> tables.Row:
    cells = []
    for metric, scale in zip(quantiles, scales, strict=False):
        e = view.estimate(arm, metric)
        value, bounds = (None, None) if e is None else (e.value, e.ci95)
        cells.append(tables.figure_cell(value, scale, bounds))
    effective = None if head is None or head.n_effective is None else round(head.n_effective)
    return tables.row(
        names.arm_label(arm),
        *cells,
        tables.figure_cell(None if head is None else head.mean, scales[-2]),
        tables.figure_cell(None if head is None else head.sd, scales[-1]),
        _shares(None if head is None else head.variance_share),
        tables.count_cell(None if head is None else head.n),
        tables.count_cell(effective),
    )


def _shares(found: VarianceShare | None) -> tables.Cell:
    if found is None:
        return tables.Cell(numbers.NOT_MEASURED, css="null")
    parts = (found.within_session, found.between_blocks, found.between_pairs)
    text = f"{parts[0]:.0%} · {parts[1]:.0%} · {parts[2]:.0%}"
    bar = Markup('<span class="shares" aria-hidden="true">') + Markup("").join(
        Markup('<i style="width:{}%"></i>').format(round(part * 100, 1)) for part in parts
    )
    return tables.Cell(bar + Markup("</span>") + text, sort=parts[0])
