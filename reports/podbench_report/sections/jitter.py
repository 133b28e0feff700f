"""Jitter: RTT above the session minimum (PDV) and from probe to probe (IPDV)."""

from podbench_report import names, numbers, palette, strips, tables, wording
from podbench_report.view import RunView

_METRICS = (
    ("pdv_p99_ns", "PDV p99"),
    ("ipdv_p50_ns", "IPDV p50"),
    ("rfc3550_jitter_ns", "RFC 3550"),
)
_MEANING = {
    "pdv_p99_ns": "PDV: above the minimum of the session (RFC 5481)",
    "ipdv_p50_ns": "IPDV: absolute change from one probe to the next (RFC 3393)",
    "rfc3550_jitter_ns": "RFC 3550: the smoothed jitter of RTP",
}


def build(view: RunView) -> tables.Table:
    """Builds one row for each arm and one column for each jitter metric of the run."""
    known = [
        (m, title)
        for m, title in _METRICS
        if any(view.value(a, m) is not None for a in view.arms_with(m))
    ]
    arms = [
        a.arm
        for a in view.arms_in_order()
        if any(view.value(a.arm, m) is not None for m, _ in known)
    ]
    columns = [[view.value(arm, m) for arm in arms] for m, _ in known]
    scale = numbers.scale_for([value for column in columns for value in column], "ns")
    scales = [numbers.column_scale(column, scale) for column in columns]
    axis = strips.nice_axis(_ends(view, arms, known), unit_factor=scale.factor)
    drawn = known[0][1] if known else ""
    return tables.Table(
        caption="Variation of the warm kernel RTT, 95% CI over blocks. "
        f"{'; '.join(_MEANING[metric] for metric, _ in known)}. {wording.FEW_BEYOND}",
        columns=(
            tables.Column("Arm"),
            *tables.number_columns([(title, scale.unit) for _, title in known]),
            tables.Column(f"{drawn}, {scale.unit}", "strip", header=strips.axis_row(axis)),
        ),
        rows=tuple(_row(view, arm, known, scales, axis) for arm in arms),
    )


def _ends(view: RunView, arms: list[str], known: list[tuple[str, str]]) -> list[float]:
    """Values the axis must cover; an interval much wider than its value is cut."""
    found = []
    for arm in arms:
        e = view.estimate(arm, known[0][0])
        if e is not None and e.value is not None:
            found += [e.value, *(min(bound, 3 * e.value) for bound in e.ci95 or ())]
    return found


def _row(
    view: RunView,
    arm: str,
    known: list[tuple[str, str]],
    scales: list[numbers.Scale],
    axis: strips.Axis,
) -> tables.Row:
    cells = []
    for (metric, _), scale in zip(known, scales, strict=True):
        e = view.estimate(arm, metric)
        value, bounds = (None, None) if e is None else (e.value, e.ci95)
        cells.append(tables.figure_cell(value, scale, bounds))
    first = view.estimate(arm, known[0][0])
    pod = names.path_of(arm) == "pod"
    ink = palette.ink_of_mode(names.mode_of(arm)) if pod else "muted"
    value, bounds = (None, None) if first is None else (first.value, first.ci95)
    strip = strips.whisker(axis, value, bounds, ink=ink)
    return tables.row(names.arm_label(arm), *cells, tables.Cell(strip))
