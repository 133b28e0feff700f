"""Findings: verdict sentences by theme, then all comparisons on one axis."""

import math

import msgspec
from markupsafe import Markup

from podbench.model.summary import Comparison
from podbench_report import (
    headline,
    losses,
    metrics,
    names,
    numbers,
    palette,
    strips,
    tables,
    wording,
)
from podbench_report.view import RunView

_SHOWN = {"different", "small", "equivalent"}
_AXIS_LIMIT = 1.5
"""The axis ends at +150%, so that one large tail does not flatten the others (it gets an arrow)."""


class Theme(msgspec.Struct, frozen=True):
    """Sentences under one heading."""

    title: str
    sentences: tuple[wording.Sentence, ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The findings."""

    decision: headline.Decision | None
    headline: tuple[str, ...]
    themes: tuple[Theme, ...]
    comparisons: tables.Table


def build(view: RunView) -> Found:
    """Builds the findings of one run."""
    chosen = _headline_comparisons(view)
    themes = []
    for title in metrics.THEMES:
        said = [
            wording.comparison(c, view.implementations)
            for c in chosen
            # If neither mode lost a probe, each mode's own sentence says more.
            if c.verdict in _SHOWN
            and c.ratio is not None
            and metrics.metric_words(c.metric).theme == title
        ]
        if title == "Loss":
            said += _loss_sentences(view)
        themes.append(Theme(title, tuple(said)))
    lost = [losses.arm_loss(view, a.arm) for a in view.summary.arms if a.path == "pod"]
    seen = [one for one in lost if one is not None and one.sent]
    themes.insert(1, Theme("Pod-network cost", _tax_sentences(view)))
    repeats = [c for c in view.summary.comparisons if names.is_repeat(c.other)]
    alone = sum(c.verdict == "different" for c in repeats)
    aa = wording.aa_check(view.summary.aa_check, view.summary.noise_floor, alone)
    themes.append(Theme("Noise floor", (aa, *_controls(view))))
    return Found(
        decision=headline.decision(view.summary.recommendation, view.summary.at_traffic),
        headline=headline.sentences(
            view.summary.comparisons,
            view.implementations,
            on_lab=view.on_lab,
            check=view.summary.aa_check,
            taxes=view.summary.overlay_tax,
            all_lost=bool(seen) and all(losses.lost(one) >= one.sent for one in seen),
        ),
        themes=tuple(theme for theme in themes if theme.sentences),
        comparisons=_comparison_table(view),
    )


def _controls(view: RunView) -> tuple[wording.Sentence, ...]:
    """The host paths: controls that must agree."""
    held = [c for c in view.summary.controls if c.kind == "host_path" and c.passed is not None]
    return (wording.host_controls(held),) if held else ()


def _headline_comparisons(view: RunView) -> list[Comparison]:
    rank = {metric: i for i, metric in enumerate(metrics.SENTENCES)}
    pod = [c for c in view.between_modes() if c.path == "pod" and c.metric in rank]
    return sorted(pod, key=lambda c: rank[c.metric])


def _loss_sentences(view: RunView) -> list[wording.Sentence]:
    out = []
    for arm in view.arms_in_order(repeats=False):
        found = losses.arm_loss(view, arm.arm) if arm.path == "pod" else None
        if found is not None:
            out.append(wording.loss(arm.arm, found, view.implementations))
    return out


def _tax_sentences(view: RunView) -> tuple[wording.Sentence, ...]:
    return tuple(
        wording.overlay_tax(tax, view.implementations)
        for tax in view.summary.overlay_tax
        if tax.metric == "rtt_kernel_ns.p50" and tax.verdict in _SHOWN
    )


def _comparison_table(view: RunView) -> tables.Table:
    """Returns all comparisons with a result, grouped by metric, with their intervals drawn."""
    shown = [c for c in view.summary.comparisons if c.ratio is not None]
    ends = [
        bound - 1
        for c in shown
        for bound in (*(c.ci95 or ()), c.ratio or 1.0)
        if math.isfinite(bound)
    ]
    limited = [max(-1.0, min(end, _AXIS_LIMIT)) for end in ends]
    axis = strips.nice_axis(limited, unit_factor=0.01)
    rank = {metric: i for i, metric in enumerate(metrics.HEADLINES)}
    shown.sort(key=lambda c: (rank.get(c.metric, 99), c.metric, c.path, _place(view, c)))
    rows, last = [], ""
    for c in shown:
        words = metrics.metric_words(c.metric)
        group = "" if words.short == last else f"{words.short}: {_limits(view, c)}"
        last = words.short
        rows.append(_comparison_row(c, axis, group))
    return tables.Table(
        caption="All comparisons: change against the base mode, 95% CI over blocks. Shaded band: "
        "the margin; differences inside it are too small to act on.",
        columns=(
            tables.Column("Modes"),
            tables.Column("Difference", "number"),
            tables.Column("Change", "number"),
            tables.Column("95% CI", "number"),
            tables.Column("Change in %", "strip", header=strips.axis_row(axis)),
            tables.Column("Verdict"),
            tables.Column("Smallest detectable change", "number"),
        ),
        rows=tuple(rows),
        sortable=False,
    )


def _limits(view: RunView, c: Comparison) -> str:
    """Returns the margin and the noise floor of a metric, in words."""
    floor = view.summary.noise_floor.get(c.metric)
    noise = "noise floor unknown"
    if floor is not None:
        noise = f"noise floor {wording.floor_percent(floor)}"
    return f"margin {numbers.margin(c.margin)}, {noise}"


def _place(view: RunView, c: Comparison) -> tuple[bool, int]:
    """Sort key: the run's mode order; the A/A repeat last."""
    mode = names.mode_of(c.other)
    place = view.modes.index(mode) if mode in view.modes else len(view.modes)
    return names.is_repeat(c.other), place


def _difference(c: Comparison) -> tables.Cell:
    if c.difference is None or c.difference_ci95 is None:
        return tables.quantity_cell(c.difference, c.unit, signed=True)
    text, _ = numbers.estimate(c.difference, c.difference_ci95, c.unit)
    return tables.Cell(f"{'+' if c.difference > 0 else ''}{text}", sort=c.difference)


def _comparison_row(c: Comparison, axis: strips.Axis, group: str) -> tables.Row:
    repeat = names.is_repeat(c.other) or names.is_repeat(c.base)
    who = f"{names.arm_label(c.other)} against {names.arm_label(c.base)}"
    strip: Markup = strips.whisker(
        axis,
        (c.ratio or 1.0) - 1,
        None if c.ci95 is None else (c.ci95[0] - 1, c.ci95[1] - 1),
        ink="muted" if repeat else palette.ink_of_mode(names.mode_of(c.other)),
        band=(1 / (1 + c.margin) - 1, c.margin),
    )
    seen = c.smallest_detectable_ratio
    return tables.row(
        tables.Cell(who if c.in_family or repeat else f"{who} (exploratory)"),
        _difference(c),
        tables.Cell(numbers.percent_change(c.ratio, c.ci95), sort=c.ratio),
        tables.Cell(
            "no interval" if c.ci95 is None else numbers.percent_change_interval(c.ci95),
            css="" if c.ci95 is not None else "null",
        ),
        tables.Cell(strip),
        tables.Cell(c.verdict, css="v-" + c.verdict.replace(" ", "-")),
        tables.Cell(
            numbers.percent_change(seen).lstrip("+") if seen else numbers.EN_DASH, sort=seen
        ),
        group=group,
    )
