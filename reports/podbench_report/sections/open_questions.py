"""Open questions and the time to answer them, missing measurements, caveats."""

import msgspec

from podbench.analysis.bundle import Damage
from podbench.analysis.stats.verdicts import HOPELESS_BLOCKS
from podbench.model.summary import Comparison, Doubt, OverlayTax
from podbench_report import metrics, names, numbers, tables, wording
from podbench_report.view import RunView

_DAMAGED = "file_damaged"
"""Skipped: the list of damaged files already says it."""
_MORE_BLOCKS = "more_blocks_needed"
"""Caveat that sums up the open questions: it heads their table, not the caveats."""


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """Open questions of a run."""

    lead: Doubt | None
    """Time to answer all open questions."""
    open: tables.Table
    without_interval: tuple[wording.Sentence, ...]
    not_measured: tuple[wording.Sentence, ...]
    doubts: tuple[Doubt, ...]
    damages: tuple[Damage, ...]

    def __bool__(self) -> bool:
        """True if anything is open or doubtful."""
        return bool(
            self.open or self.without_interval or self.not_measured or self.doubts or self.damages
        )


def build(view: RunView) -> Untold:
    """Builds the open questions of one run."""
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
        group = "" if i else "Is the pod path slower than the host path?"
        rows.append(_tax_row(tax, group=group))
    return tables.Table(
        caption="Open questions: estimate, interval, and the measuring time for an answer.",
        columns=(
            tables.Column("Modes"),
            tables.Column("Estimate", "number"),
            tables.Column("95% CI", "number"),
            tables.Column("Smallest detectable change", "number"),
            tables.Column("Blocks needed", "number"),
            tables.Column("Extra time", "number"),
            tables.Column("Reason"),
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
"""No exact number: more blocks will not help."""


def _waits(c: Comparison) -> tuple[tables.Cell, tables.Cell]:
    return (
        _wait(None if c.blocks_needed is None else numbers.count(c.blocks_needed)),
        _wait(None if c.further_s is None else numbers.duration(c.further_s)),
    )


def _wait(text: str | None) -> tables.Cell:
    return tables.Cell(text or "unknown", css="" if text else "null")


def _reason(reason: str | None) -> str:
    """The reason without the number of blocks and the time, which have separate columns."""
    return (reason or "the interval includes both faster and slower").partition("; about ")[0]


def _arms(view: RunView) -> tuple[wording.Sentence, ...]:
    out = []
    for arm in view.arms_in_order():
        if arm.status != "measured":
            because = f" ({arm.reason})" if arm.reason else ""
            who = wording.subject(arm.arm, view.implementations)
            out.append(wording.Sentence(text=f"{who}{because}", verdict="not measured"))
    return tuple(out)


def _comparisons(view: RunView) -> tuple[wording.Sentence, ...]:
    """Missing comparisons, except those of an arm that is already listed."""
    gone = {arm.arm for arm in view.summary.arms if arm.status != "measured"}
    rest = [c for c in view.between_modes() if not {c.other, c.base} & gone]
    return wording.not_measured(rest, view.implementations)
