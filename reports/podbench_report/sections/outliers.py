"""Who stands out: nodes, pairs and hosts whose figures differ from the rest, with the evidence.

Below the sentences: every node's part as a sender and as a receiver, and on how many nodes and
pairs the modes were found to differ.
"""

from collections.abc import Sequence

import msgspec

from podbench.analysis.bundle import NodeEffect
from podbench.model.summary import Discoveries
from podbench_report import metrics, names, numbers, strips, tables, wording
from podbench_report.view import RunView

_FEW = 4
"""Fewer nodes than this leave too few pairs to tell a bad node from a bad pair."""
_SHOWN = 12
"""Nodes of each metric shown outright: those with the largest scores; all are behind a summary."""
_STRONGEST = 3


class BlameSection(msgspec.Struct, frozen=True, kw_only=True):
    """The sentences, or what it means that there are none, and what they rest on."""

    sentences: tuple[wording.Sentence, ...]
    none: str
    effects: tables.Table
    all_effects: tables.Table | None
    """Every node's, where `effects` has the largest only."""
    found: tables.Table


def build(view: RunView) -> BlameSection:
    """What stands out in one run."""
    found = sorted(view.summary.blame, key=lambda b: -abs(b.z))
    none = "No node, pair or host stands out from the others by more than the margin."
    if not any(arm.status == "measured" for arm in view.summary.arms):
        none = "Nothing was measured, so nothing can stand out."
    elif len(view.nodes) < _FEW:
        none = (
            f"Nothing is flagged. With {numbers.plural(len(view.nodes), 'node')} a bad node can "
            "hardly be told from a bad pair: look at the matrices."
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
    which = "Every node" if most is None else f"The {most} worst nodes of each metric"
    return tables.Table(
        caption=f"{which}: its part of the figures of its pairs, all modes together, distance "
        "between zones taken out (median polish). Hollow dot as a sender, full dot as a receiver; "
        "z above 3.5 stands out.",
        columns=(
            tables.Column("Node"),
            tables.Column("As a sender", "number"),
            tables.Column("As a receiver", "number"),
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
    """Where the modes differ, or differ by another amount than elsewhere; A/A repeats left out."""
    asked = [d for d in view.summary.discoveries if not names.is_repeat(d.other)]
    rank = {metric: i for i, metric in enumerate(metrics.HEADLINES)}
    asked.sort(key=lambda d: (rank.get(d.metric, 99), d.question))
    rows, last = [], ""
    for one in asked:
        words = metrics.metric_words(one.metric)
        rows.append(_found_row(view, one, "" if words.short == last else words.short))
        last = words.short
    return tables.Table(
        caption="On how many nodes and pairs two modes differ by more than the margin, or differ "
        "by more or less than elsewhere. Of what is found, 5 % are expected to be false "
        "(Benjamini-Hochberg); confirmed: found by the stricter Benjamini-Yekutieli too.",
        columns=(
            tables.Column("Modes"),
            tables.Column("Question"),
            tables.Column("Of"),
            *tables.number_columns([("Tested", ""), ("Found", ""), ("Confirmed", "")]),
            tables.Column("Strongest"),
        ),
        rows=tuple(rows),
        sortable=False,
    )


def _found_row(view: RunView, one: Discoveries, group: str) -> tables.Row:
    return tables.row(
        f"{names.arm_label(one.other)} against {names.arm_label(one.base)}",
        tables.Cell("differ there", css="keep")
        if one.question == "differs"
        else tables.Cell("differ otherwise than elsewhere"),
        f"{one.level}s",
        tables.count_cell(one.tested),
        tables.count_cell(one.found),
        tables.count_cell(one.confirmed),
        tables.Cell(_strongest(view, one) or numbers.EN_DASH, css="wrap"),
        group=group,
    )


def _strongest(view: RunView, one: Discoveries) -> str:
    told: Sequence[str] = [
        f"{'–'.join(view.labels.get(node, node) for node in d.nodes)} "
        f"{numbers.percent_change(d.ratio, d.ci95)} ({numbers.percent_change_interval(d.ci95)})"
        for d in one.strongest[:_STRONGEST]
    ]
    return "; ".join(told)
