"""Outliers: nodes, pairs and hosts that differ from the rest, with the evidence.

Below the sentences: every node's effect as sender and as receiver, and how many nodes and pairs
differ between modes.
"""

from collections.abc import Sequence

import msgspec

from podbench.analysis.bundle import NodeEffect
from podbench.model.summary import Discoveries
from podbench_report import metrics, names, numbers, strips, tables, wording
from podbench_report.view import RunView

_FEW = 4
"""With fewer nodes there are too few pairs to tell a bad node from a bad pair."""
_SHOWN = 12
"""Nodes shown for each metric, largest scores first; the folded table has all."""
_STRONGEST = 3


class BlameSection(msgspec.Struct, frozen=True, kw_only=True):
    """Sentences on outliers (or the reason for none) and the tables behind them."""

    sentences: tuple[wording.Sentence, ...]
    none: str
    effects: tables.Table
    all_effects: tables.Table | None
    """All nodes, if `effects` has only the largest."""
    found: tables.Table


def build(view: RunView) -> BlameSection:
    """Builds the outliers of one run."""
    found = sorted(view.summary.blame, key=lambda b: -abs(b.z))
    none = "No outlier: no node, pair or host differs from the others by more than the margin."
    if not any(arm.status == "measured" for arm in view.summary.arms):
        none = "Nothing was measured, so there are no outliers to report."
    elif len(view.nodes) < _FEW:
        none = (
            f"No outliers reported: {numbers.plural(len(view.nodes), 'node')} are too few to tell "
            "a bad node from a bad pair. See the matrices."
        )
    many = len(view.nodes) > _SHOWN
    return BlameSection(
        sentences=tuple(wording.blame(b, view.labels) for b in found),
        none=none,
        effects=_effects(view, _SHOWN if many else None),
        all_effects=_effects(view, None) if many and view.bundle.effects else None,
        found=_found(view),
    )


def _effects(view: RunView, most: int | None) -> tables.Table:
    by_metric: dict[str, list[NodeEffect]] = {}
    for effect in view.bundle.effects:
        by_metric.setdefault(effect.metric, []).append(effect)
    place = {node.name: i for i, node in enumerate(view.nodes)}
    changes = [r - 1 for e in view.bundle.effects for r in (e.sender_ratio, e.receiver_ratio)]
    axis = strips.nice_axis(changes, unit_factor=0.01)
    rows = []
    for metric in [m for m in metrics.HEADLINES if m in by_metric]:
        words = metrics.metric_words(metric)
        chosen = sorted(by_metric[metric], key=lambda e: -e.z)[:most]
        if most is None:
            chosen.sort(key=lambda e: place.get(e.node, len(place)))
        for i, effect in enumerate(chosen):
            rows.append(_effect_row(view, effect, axis, "" if i else words.short))
    which = "All nodes" if most is None else f"The {most} worst nodes of each metric"
    return tables.Table(
        caption=f"{which}: effect on the pairs of the node, all modes pooled, zone distance "
        "removed (median polish). Hollow dot: as sender; full dot: as receiver. A z above 3.5 is "
        "an outlier.",
        columns=(
            tables.Column("Node"),
            tables.Column("As sender", "number"),
            tables.Column("As receiver", "number"),
            tables.Column("Change in %", "strip", header=strips.axis_row(axis)),
            tables.Column("Robust z", "number"),
        ),
        rows=tuple(rows),
        sortable=False,
    )


def _effect_row(view: RunView, e: NodeEffect, axis: strips.Axis, group: str) -> tables.Row:
    strip = strips.dumbbell(axis, e.sender_ratio - 1, e.receiver_ratio - 1, ink="ink")
    return tables.row(
        tables.Cell(view.labels.get(e.node, e.node), title=e.node),
        tables.Cell(numbers.percent_change(e.sender_ratio, decimals=1)),
        tables.Cell(numbers.percent_change(e.receiver_ratio, decimals=1)),
        tables.Cell(strip),
        tables.Cell(f"{e.z:.1f}".replace("-", numbers.MINUS), css="bad" if e.z > 3.5 else ""),
        group=group,
    )


def _found(view: RunView) -> tables.Table:
    """Nodes and pairs where modes differ, or differ more or less than elsewhere; no A/A repeats."""
    tested = [d for d in view.summary.discoveries if not names.is_repeat(d.other)]
    rank = {metric: i for i, metric in enumerate(metrics.HEADLINES)}
    tested.sort(key=lambda d: (rank.get(d.metric, 99), d.question))
    rows, last = [], ""
    for one in tested:
        words = metrics.metric_words(one.metric)
        rows.append(_found_row(view, one, "" if words.short == last else words.short))
        last = words.short
    return tables.Table(
        caption="Number of nodes and pairs on which two modes differ by more than the margin, or "
        "differ more or less than elsewhere. Found: at a false discovery rate of 5% "
        "(Benjamini-Hochberg). Confirmed: also by the stricter Benjamini-Yekutieli.",
        columns=(
            tables.Column("Modes"),
            tables.Column("Question"),
            tables.Column("Level"),
            *tables.number_columns([("Tested", ""), ("Found", ""), ("Confirmed", "")]),
            tables.Column("Strongest"),
        ),
        rows=tuple(rows),
        sortable=False,
    )


def _found_row(view: RunView, one: Discoveries, group: str) -> tables.Row:
    return tables.row(
        f"{names.arm_label(one.other)} against {names.arm_label(one.base)}",
        tables.Cell("different", css="keep")
        if one.question == "differs"
        else tables.Cell("different from elsewhere"),
        f"{one.level}s",
        tables.count_cell(one.tested),
        tables.count_cell(one.found),
        tables.count_cell(one.confirmed),
        tables.Cell(_strongest(view, one) or numbers.EN_DASH, css="wrap"),
        group=group,
    )


def _strongest(view: RunView, one: Discoveries) -> str:
    parts: Sequence[str] = [
        f"{'–'.join(view.labels.get(node, node) for node in d.nodes)} "
        f"{numbers.percent_change(d.ratio, d.ci95)} ({numbers.percent_change_interval(d.ci95)})"
        for d in one.strongest[:_STRONGEST]
    ]
    return "; ".join(parts)
