"""What could not be told: open questions, what was not measured and why, doubts, damaged files."""

import msgspec

from podbench.analysis.bundle import Damage
from podbench.model.summary import Doubt
from podbench_report import metrics, wording
from podbench_report.view import RunView


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """What the run does not answer."""

    open_questions: tuple[wording.Sentence, ...]
    not_measured: tuple[wording.Sentence, ...]
    doubts: tuple[Doubt, ...]
    damages: tuple[Damage, ...]

    def __bool__(self) -> bool:
        """True where there is anything to confess."""
        return bool(self.open_questions or self.not_measured or self.doubts or self.damages)


def build(view: RunView) -> Untold:
    """The open ends of one run."""
    rank = {metric: i for i, metric in enumerate(metrics.HEADLINES)}
    ordered = sorted(view.between_modes(), key=lambda c: rank.get(c.metric, 99))
    taxes = [
        wording.overlay_tax(tax, view.implementations)
        for tax in view.summary.overlay_tax
        if tax.verdict == "inconclusive" and tax.metric in metrics.HEADLINES
    ]
    return Untold(
        open_questions=(*wording.open_questions(ordered, view.implementations), *taxes),
        not_measured=(*_arms(view), *_comparisons(view)),
        doubts=view.summary.warnings,
        damages=view.bundle.damages,
    )


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
