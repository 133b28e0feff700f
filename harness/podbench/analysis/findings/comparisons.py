"""Arms compared block by block, the A/A pair first because its noise floor bounds all the others.

The base is the measured pod arm with the least encapsulation. Every comparison uses the same pairs
in both arms (`blocks`), `ratio` = other/base, `difference` = other - base of the same block means,
so the two never contradict each other. Loss has no quantile: block counts, paired t on log((lost +
0.5)/(sent + 1)), confirmed by an exact test because few losses make the t test too sure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from podbench.analysis.figures import cap
from podbench.analysis.findings import aa, capped
from podbench.analysis.samples import loss, loss_table
from podbench.analysis.samples.blocks import Cells, Reduced, block_series
from podbench.analysis.samples.metrics import LOSS, METRICS, Metric
from podbench.analysis.stats import effect_size
from podbench.analysis.stats.verdicts import HOPELESS_BLOCKS, Decision, Word, decide, unresolved
from podbench.model.arms import OVERHEAD_BYTES, Path, parse_arm
from podbench.model.summary import Comparison, Interval
from podbench.model.units import show_limit, show_ns, show_ratio

HEADLINES: tuple[Metric, ...] = (*(m for m in METRICS if m.headline), LOSS)


class Compared(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A comparison with what the A/A check needs of it."""

    comparison: Comparison
    decision: Decision
    floor_log: float | None = None


class Tables(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What is compared: samples by series, and loss counts."""

    cells: Mapping[str, Cells | Reduced]
    losses: loss_table.LossTable
    most_bps: float | None = None
    """The most one transfer may send; null: no cap."""

    def has(self, arm: str, metric: Metric) -> bool:
        """Whether an arm has any samples of a metric."""
        if metric is LOSS:
            return any(of == arm for of, _ in self.losses)
        return any(
            of == arm and any(len(part) for part in held.values())
            for (of, _), held in self.cells[metric.series].items()
        )


def base_of(arms: Sequence[str]) -> str | None:
    """The pod arm with the least encapsulation; the first named wins a tie. A/A repeats never."""
    found = [arm for arm in map(parse_arm, arms) if arm.path is Path.POD and arm.repeat == 1]
    return min(found, key=lambda arm: OVERHEAD_BYTES.get(arm.mode, 0)).name if found else None


def repeats(arms: Sequence[str]) -> list[tuple[str, str]]:
    """(arm, its A/A repeat) on the pod path."""
    parsed = [parse_arm(arm) for arm in arms]
    return [
        (parse_arm(f"{arm.mode}/{arm.path}").name, arm.name)
        for arm in parsed
        if arm.repeat > 1 and arm.path is Path.POD and f"{arm.mode}/{arm.path}" in arms
    ]


def in_units(decision: Decision, at_base: float | None) -> Interval | None:
    """The ratio's interval as a difference from the base: it contains the difference, always."""
    if decision.ci95 is None or at_base is None:
        return None
    return at_base * (decision.ci95[0] - 1.0), at_base * (decision.ci95[1] - 1.0)


def _comparison(
    metric: Metric,
    arms: tuple[str, str],
    decision: Decision,
    *,
    difference: float | None = None,
    at_base: float | None = None,
    cliffs_delta: float | None = None,
) -> Comparison:
    return Comparison(
        metric=metric.name,
        base=arms[0],
        other=arms[1],
        path=str(parse_arm(arms[0]).path),
        ratio=decision.ratio,
        ci95=decision.ci95,
        difference=difference,
        difference_ci95=in_units(decision, at_base),
        unit=metric.unit,
        blocks=decision.blocks,
        verdict=decision.verdict.value,
        margin=metric.margin,
        smallest_detectable_ratio=decision.smallest_detectable_ratio,
        reason=decision.reason,
        disagreement=decision.disagreement,
        p_value=decision.p_value,
        hodges_lehmann_ratio=decision.hodges_lehmann_ratio,
        wilcoxon_p=decision.wilcoxon_p,
        cliffs_delta=cliffs_delta,
        blocks_needed=decision.blocks_needed if decision.verdict is Word.INCONCLUSIVE else None,
    )


def below_floor(
    metric: Metric, decision: Decision, difference: float, floor_log: float | None
) -> Decision:
    """Withdraws a difference inside the A/A noise floor or below the instrument's resolution."""
    effect = 0.0 if decision.ratio is None else abs(float(np.log(decision.ratio)))
    if abs(difference) < metric.resolution:
        # More blocks narrow an interval, not an instrument.
        return unresolved(
            decision,
            f"{show_ns(abs(difference))} is below the {show_ns(metric.resolution)} "
            "this measurement can resolve",
        )
    if floor_log is None or effect > floor_log or effect == 0.0:
        return decision
    # The floor of a place without bias falls with the square root of the blocks.
    needed = math.ceil(min(decision.blocks * (floor_log / effect) ** 2, 2.0**31)) + 1
    reason = f"within this run's A/A noise floor, {_show_floor(floor_log)}"
    if needed <= HOPELESS_BLOCKS:
        reason += f"; about {needed} blocks would bring the floor below it"
    return unresolved(decision, reason, needed)


def _show_floor(floor_log: float) -> str:
    ratio = float(np.exp(floor_log))
    # With the digits that pages and tables show a floor with.
    percent = 100 * (ratio - 1)
    return f"{percent:.{0 if percent >= 100 else 1 if percent >= 1 else 2}f} %"


def compare(
    metric: Metric, arms: tuple[str, str], tables: Tables, floor_log: float | None = None
) -> Compared:
    """One metric of (base, other). `floor_log`: A/A noise floor; null for the A/A pair itself."""
    if metric is LOSS:
        return compare_loss(arms, tables.losses, floor_log)
    series = block_series(tables.cells[metric.series], arms, metric)
    d = series.differences(*arms)
    decision = decide(d, metric.margin)
    if len(d) == 0:
        reason = _why_no_block(metric, arms, tables)
        decision = replace(decision, reason=reason)
        return Compared(comparison=_comparison(metric, arms, decision), decision=decision)
    difference = (series.value(arms[1]) or 0.0) - (series.value(arms[0]) or 0.0)
    decision = below_floor(metric, decision, difference, floor_log)
    decision = capped.judged(decision, cap.values(series), metric.unit, tables.most_bps)
    return Compared(
        comparison=_comparison(
            metric,
            arms,
            decision,
            difference=difference,
            at_base=series.value(arms[0]),
            cliffs_delta=effect_size.cliffs_delta(*series.logs),
        ),
        decision=decision,
        floor_log=aa.floor_log(d),
    )


def _why_no_block(metric: Metric, arms: tuple[str, str], tables: Tables) -> str:
    missing = [arm for arm in arms if not tables.has(arm, metric)]
    if missing:
        sent = any(of in missing for of, _ in tables.losses)
        names = " and ".join(missing)
        return f"no probe of {names} came back" if sent else f"no sample of {names}"
    if metric.tail_rule:
        return f"too few samples in a block beyond quantile {metric.q} (10 are needed)"
    return "no pair was measured in both arms of one block"


def compare_loss(
    arms: tuple[str, str], counts: loss_table.LossTable, floor_log: float | None
) -> Compared:
    """`loss.ratio` of (base, other)."""
    held = loss_table.paired(counts, arms)
    sent = tuple(int(part.sum()) for part in held.sent)
    lost = tuple(int(part.sum()) for part in held.lost)
    d = (
        loss.log_ratios(held.lost[1], held.sent[1]) - loss.log_ratios(held.lost[0], held.sent[0])
        if held.blocks
        else np.empty(0)
    )
    decision = decide(d, LOSS.margin)
    if not held.blocks:
        return Compared(comparison=_comparison(LOSS, arms, decision), decision=decision)
    decision = _loss_verdict(decision, (lost[0], lost[1]), (sent[0], sent[1]))
    difference = lost[1] / sent[1] - lost[0] / sent[0]
    if decision.ratio is not None:
        decision = below_floor(LOSS, decision, difference, floor_log)
    delta = effect_size.cliffs_delta(*(held.lost[i] / held.sent[i] for i in (0, 1)))
    return Compared(
        comparison=_comparison(
            LOSS, arms, decision, difference=difference, cliffs_delta=delta if any(lost) else None
        ),
        decision=decision,
        floor_log=aa.floor_log(d) if any(lost) else None,
    )


def _loss_verdict(decision: Decision, lost: tuple[int, int], sent: tuple[int, int]) -> Decision:
    upper = max(loss.binomial_interval(lost[i], sent[i])[1] for i in (0, 1))
    negligible = upper < loss.NEGLIGIBLE_RATIO
    if not any(lost):
        return replace(
            decision,
            verdict=Word.EQUIVALENT if negligible else Word.INCONCLUSIVE,
            ratio=None,
            ci95=None,
            p_value=None,
            hodges_lehmann_ratio=None,
            wilcoxon_p=None,
            smallest_detectable_ratio=None,
            blocks_needed=None,
            reason=f"none of {sent[0]} and {sent[1]} probes lost: each below "
            f"{show_limit(upper)} (95 %)",
        )
    p = loss.exact_p(lost, sent)
    if p >= aa.SIGNIFICANCE:
        decision = unresolved(
            decision, f"{lost[0]} against {lost[1]} lost is what chance alone gives (p = {p:.2f})"
        )
    if negligible and decision.verdict is Word.INCONCLUSIVE:
        return replace(
            decision,
            verdict=Word.EQUIVALENT,
            reason=f"both lose below {show_ratio(loss.NEGLIGIBLE_RATIO)} (95 %)",
        )
    return decision


def not_measured(arms: tuple[str, str], reason: str | None) -> list[Comparison]:
    """What would have been compared with an arm that has no samples."""
    decision = Decision(verdict=Word.NOT_MEASURED, ratio=None, ci95=None, blocks=0, reason=reason)
    shown = {"rtt_kernel_ns.p50", "rtt_kernel_ns.p99", "rtt_app_ns.p50", "rtt_app_ns.p99"}
    return [_comparison(metric, arms, decision) for metric in HEADLINES if metric.name in shown]


def between_modes_of(arms: Sequence[str]) -> list[tuple[str, str]]:
    """(base, other) for every other pod arm; A/A repeats are no mode of their own."""
    base = base_of(arms)
    found = [arm for arm in map(parse_arm, arms) if arm.path is Path.POD and arm.repeat == 1]
    return [(base, arm.name) for arm in found if base is not None and arm.name != base]


def against_itself(tables: Tables, arms: Sequence[str]) -> list[Compared]:
    """Every headline metric of every A/A pair that has it."""
    return [
        compare(metric, pair, tables)
        for pair in repeats(arms)
        for metric in HEADLINES
        if all(tables.has(arm, metric) for arm in pair)
    ]


def noise_floor(found: Sequence[Compared]) -> dict[str, float]:
    """|log ratio| by metric, the largest where there are several A/A pairs."""
    floors: dict[str, float] = {}
    for one in found:
        if one.floor_log is not None:
            metric = one.comparison.metric
            floors[metric] = max(one.floor_log, floors.get(metric, 0.0))
    return floors


def between_modes(
    tables: Tables, arms: Sequence[str], floors: Mapping[str, float]
) -> list[Comparison]:
    """Every headline metric the base has, against every other measured pod arm."""
    return [
        compare(metric, pair, tables, floors.get(metric.name)).comparison
        for pair in between_modes_of(arms)
        for metric in HEADLINES
        if any(tables.has(arm, metric) for arm in pair)
    ]
