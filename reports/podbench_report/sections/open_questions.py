"""What could not be told, and how much longer it would take; what was not measured; doubts."""

import msgspec

from podbench.analysis.bundle import Damage
from podbench.analysis.stats.verdicts import HOPELESS_BLOCKS
from podbench.model.summary import Comparison, Doubt, OverlayTax
from podbench_report import metrics, names, numbers, tables, wording
from podbench_report.view import RunView

_DAMAGED = "file_damaged"
"""The doubt of a damaged file says what its entry among the damages says."""
_MORE_BLOCKS = "more_blocks_needed"
"""The doubt that sums up the open questions: it heads them in place of standing among doubts."""


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """What the run does not answer."""

    lead: Doubt | None
    """How much longer the open questions would take, all together."""
    open: tables.Table
    without_interval: tuple[wording.Sentence, ...]
    not_measured: tuple[wording.Sentence, ...]
    doubts: tuple[Doubt, ...]
    damages: tuple[Damage, ...]

    def __bool__(self) -> bool:
        """True where there is anything to confess."""
        return bool(
            self.open or self.without_interval or self.not_measured or self.doubts or self.damages
        )


def build(view: RunView) -> Untold:
    """The open ends of one run."""
    rank = {metric: i for i, metric in enumerate(metrics.HEADLINES)}
    ordered = sorted(view.between_modes(), key=lambda c: rank.get(c.metric, 99))
    unclear = [c for c in ordered if c.verdict == "inconclusive"]
    warnings = view.summary.warnings
    return Untold(
        lead=next((w for w in warnings if w.code == _MORE_BLOCKS), None),
        open=_table(view, [c for c in unclear if c.ci95 is not None]),
        without_interval=wording.open_questions(
            [c for c in unclear if c.ci95 is None], view.implementations
        ),
        not_measured=(*_arms(view), *_comparisons(view)),
        doubts=tuple(w for w in warnings if w.code not in {_MORE_BLOCKS, _DAMAGED}),
        damages=view.bundle.damages,
    )


def _table(view: RunView, unclear: list[Comparison]) -> tables.Table:
    rows, last = [], ""
    for c in unclear:
        words = metrics.metric_words(c.metric)
        rows.append(
            _row(c, group="" if words.phrase == last else f"Does the {words.phrase} differ?")
        )
        last = words.phrase
    taxes = [
        tax
        for tax in view.summary.overlay_tax
        if tax.verdict == "inconclusive" and tax.metric in metrics.HEADLINES
    ]
    for i, tax in enumerate(taxes):
        group = "" if i else "Do pods pay over their own node's path?"
        rows.append(_tax_row(tax, group=group))
    return tables.Table(
        caption="Open questions: what was seen, what else fits, and what an answer would take.",
        columns=(
            tables.Column("Modes"),
            tables.Column("Seen", "number"),
            tables.Column("What fits (95 % CI)", "number"),
            tables.Column("Would have seen", "number"),
            tables.Column("Blocks for an answer", "number"),
            tables.Column("More measuring", "number"),
            tables.Column("Why it is open"),
        ),
        rows=tuple(rows),
        sortable=False,
    )


def _row(c: Comparison, *, group: str) -> tables.Row:
    seen = c.smallest_detectable_ratio
    hopeless = c.blocks_needed is not None and c.blocks_needed > HOPELESS_BLOCKS
    return tables.row(
        f"{names.arm_label(c.other)} against {names.arm_label(c.base)}",
        tables.Cell(numbers.percent_change(c.ratio, c.ci95)),
        tables.Cell(numbers.percent_change_interval(c.ci95)),
        tables.Cell(numbers.percent_change(seen).lstrip("+") if seen else numbers.EN_DASH),
        *(_HOPELESS if hopeless else _waits(c)),
        tables.Cell(_reason(c.reason), css="wrap"),
        group=group,
    )


def _tax_row(tax: OverlayTax, *, group: str) -> tables.Row:
    words = metrics.metric_words(tax.metric)
    size, bounds = numbers.estimate(tax.difference or 0.0, tax.ci95, tax.unit)
    return tables.row(
        f"{names.mode_label(tax.mode)}, {words.short}",
        tables.Cell(size),
        tables.Cell(bounds or "no interval"),
        *(tables.Cell(numbers.EN_DASH) for _ in range(3)),
        tables.Cell(_reason(tax.reason), css="wrap"),
        group=group,
    )


_HOPELESS = (tables.Cell(f"over {HOPELESS_BLOCKS}"), tables.Cell(numbers.EN_DASH))
"""A number to plan with beside "more does not help" would say two things."""


def _waits(c: Comparison) -> tuple[tables.Cell, tables.Cell]:
    return (
        _wait(None if c.blocks_needed is None else numbers.count(c.blocks_needed)),
        _wait(None if c.further_s is None else numbers.duration(c.further_s)),
    )


def _wait(text: str | None) -> tables.Cell:
    return tables.Cell(text or "not known", css="" if text else "null")


def _reason(reason: str | None) -> str:
    """Why, without the number of blocks and the time, which have columns of their own."""
    return (reason or "the interval leaves both sides open").partition("; about ")[0]


def _arms(view: RunView) -> tuple[wording.Sentence, ...]:
    out = []
    for arm in view.arms_in_order():
        if arm.status != "measured":
            because = f" ({arm.reason})" if arm.reason else ""
            who = wording.subject(arm.arm, view.implementations)
            out.append(wording.Sentence(text=f"{who}{because}", verdict="not measured"))
    return tuple(out)


def _comparisons(view: RunView) -> tuple[wording.Sentence, ...]:
    """Comparisons that fell out, but for those of an arm that is named already."""
    gone = {arm.arm for arm in view.summary.arms if arm.status != "measured"}
    rest = [c for c in view.between_modes() if not {c.other, c.base} & gone]
    return wording.not_measured(rest, view.implementations)
