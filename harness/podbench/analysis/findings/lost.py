"""Loss of two arms compared: counts by block, and intervals that hold for bursts.

- `different`: paired t on log((lost + 0.5)/(sent + 1)) over blocks, confirmed by an exact test on
  episodes, because one burst is one event however many packets it takes.
- `equivalent`: the interval of the ratio lies inside the margin and both arms lost something in
  most blocks; or both arms' upper limits, burst by burst, lie below 0.1%.
- There is no ratio to or from zero: then the counts are in the reason.
"""

from dataclasses import dataclass, replace

import numpy as np

from podbench.analysis.findings import aa
from podbench.analysis.samples import loss, loss_table
from podbench.analysis.samples.loss_table import PairedLoss
from podbench.analysis.samples.metrics import LOSS
from podbench.analysis.stats import bursts, effect_size, scale
from podbench.analysis.stats.verdicts import Decision, Word, decide, unresolved
from podbench.model.summary import Interval
from podbench.model.units import show_limit, show_ratio

_MOST = 2 / 3
"""The share of blocks with a loss below which the ratio's spread is that of the zeros."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A decision on loss with what stands beside it."""

    decision: Decision
    difference: float | None = None
    difference_ci95: Interval | None = None
    cliffs_delta: float | None = None
    spread: scale.Scale | None = None
    floor_log: float | None = None


def compare(arms: tuple[str, str], counts: loss_table.LossTable) -> Found:
    """`loss.ratio` of (base, other)."""
    held = loss_table.paired(counts, arms)
    if not held.blocks:
        return Found(decision=decide(np.empty(0), LOSS.margin))
    lost = int(held.lost[0].sum()), int(held.lost[1].sum())
    sent = int(held.sent[0].sum()), int(held.sent[1].sum())
    base, other = (bursts.interval(one) or (0.0, 1.0) for one in held.sessions)
    difference, span = bursts.difference((lost[0] / sent[0], lost[1] / sent[1]), (base, other))
    d = loss.log_ratios(held.lost[1], held.sent[1]) - loss.log_ratios(held.lost[0], held.sent[0])
    decision = _verdict(d, held, (base[1], other[1]))
    both = all(lost)
    return Found(
        decision=decision,
        difference=difference,
        difference_ci95=span,
        cliffs_delta=effect_size.cliffs_delta(*(held.lost[i] / held.sent[i] for i in (0, 1)))
        if any(lost)
        else None,
        spread=scale.own(d) if len(d) > 1 and both else None,
        floor_log=aa.floor_log(d) if both else None,
    )


def _verdict(d: np.ndarray, held: PairedLoss, upper: tuple[float, float]) -> Decision:
    lost = int(held.lost[0].sum()), int(held.lost[1].sum())
    sent = int(held.sent[0].sum()), int(held.sent[1].sum())
    negligible = max(upper) < loss.NEGLIGIBLE_RATIO
    decision = decide(d, LOSS.margin)
    if not any(lost):
        return _none(decision, sent, negligible=negligible)
    if decision.verdict is Word.EQUIVALENT and not _seen_often(held):
        decision = replace(
            decision,
            verdict=Word.INCONCLUSIVE,
            blocks_needed=None,
            reason="too few blocks have losses for an interval",
        )
    p = loss.exact_p(held.episodes, sent)
    if p >= aa.SIGNIFICANCE:
        a, b = held.episodes
        decision = unresolved(
            decision, f"{a} against {b} bursts of loss: explained by chance (p = {p:.2f})"
        )
    if decision.p_value is not None:
        decision = replace(decision, p_value=max(decision.p_value, p))
    if not all(lost):
        decision = _without_ratio(decision, lost, sent)
    if negligible and decision.verdict is Word.INCONCLUSIVE:
        return replace(
            decision,
            verdict=Word.EQUIVALENT,
            reason=f"both lose below {show_ratio(loss.NEGLIGIBLE_RATIO)} (95% CI)",
        )
    return decision


def _seen_often(held: PairedLoss) -> bool:
    blocks = len(held.blocks)
    return all(int((side > 0).sum()) >= _MOST * blocks for side in held.lost)


def _without_ratio(decision: Decision, lost: tuple[int, int], sent: tuple[int, int]) -> Decision:
    """A zero makes no ratio: the counts instead."""
    counts = f"{lost[0]} of {sent[0]} against {lost[1]} of {sent[1]} probes lost"
    reason = counts if decision.reason is None else f"{counts}; {decision.reason}"
    return _bare(replace(decision, reason=reason))


def _bare(decision: Decision) -> Decision:
    return replace(
        decision,
        ratio=None,
        ci95=None,
        hodges_lehmann_ratio=None,
        smallest_detectable_ratio=None,
        blocks_needed=None,
        disagreement=False,
    )


def _none(decision: Decision, sent: tuple[int, int], *, negligible: bool) -> Decision:
    held = bursts.readings(min(sent))
    return replace(
        _bare(decision),
        verdict=Word.EQUIVALENT if negligible else Word.INCONCLUSIVE,
        p_value=None,
        wilcoxon_p=None,
        reason=f"none of {sent[0]} and {sent[1]} probes lost: each below "
        f"{show_limit(held.single)} if losses are single, below {show_limit(held.burst)} "
        f"for bursts of up to {held.packets} packets (95% CI)",
    )
