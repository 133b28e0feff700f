"""Arms compared block by block.

The base is the measured pod arm with the least encapsulation. Every comparison uses the same pairs
in both arms (`blocks`): `ratio` = other/base from the differences of log block statistics, with a
spread that all arms of the run contribute to (`stats.scale`); `difference` = the mean of other -
base over blocks, in the metric's unit, with the interval of these block differences. Loss has no
quantile and is compared in `lost`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from podbench.analysis.figures import cap
from podbench.analysis.findings import aa, capped, lost
from podbench.analysis.samples import loss_table
from podbench.analysis.samples.blocks import BlockSeries, Cells, Reduced, block_series
from podbench.analysis.samples.metrics import LOSS, METRICS, Metric
from podbench.analysis.stats import effect_size, intervals, scale
from podbench.analysis.stats.verdicts import HOPELESS_BLOCKS, Decision, Word, decide, unresolved
from podbench.model.arms import OVERHEAD_BYTES, Path, parse_arm
from podbench.model.summary import Comparison, Interval
from podbench.model.units import show_ns

HEADLINES: tuple[Metric, ...] = (*(m for m in METRICS if m.headline), LOSS)


class Compared(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A comparison with what controls and the family need of it."""

    comparison: Comparison
    decision: Decision
    spread: scale.Scale | None = None
    """Of one block's log ratio, from which intervals of any level are made."""
    floor_log: float | None = None


class Tables(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What is compared: samples by series, and loss counts."""

    cells: Mapping[str, Cells | Reduced]
    losses: loss_table.LossTable
    steps: Mapping[str, float] = {}
    """By series, ns: the step of the clock that its samples show; absent: none shows."""
    most_bps: float | None = None
    """The most one transfer may send; null: no cap."""
    cpu_bound: bool = False
    """Whether CPUs, not a link, bound the transfers."""

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


def mean_difference(series: BlockSeries, arms: tuple[str, str]) -> tuple[float, Interval | None]:
    """Mean over blocks of other - base in the metric's unit, and its 95% t interval.

    Blocks that share a drift share it in both arms: it cancels in each block's difference, and an
    interval made from the ratio's would leave that out.
    """
    base, other = (np.exp(series.logs[series.arms.index(arm)]) for arm in arms)
    return float((other - base).mean()), intervals.t_interval(other - base)


def spread_of(tables: "Tables", arms: Sequence[str], metric: Metric) -> scale.Arms | None:
    """Variances of these arms' block statistics by mode, over blocks that hold every arm."""
    if metric is LOSS or len(arms) < scale.MIN_ARMS:
        return None
    present = [arm for arm in arms if tables.has(arm, metric)]
    if len(present) < scale.MIN_ARMS:
        return None
    series = block_series(tables.cells[metric.series], present, metric)
    return scale.of_arms(series.logs, [kind_of(arm) for arm in present])


def kind_of(arm: str) -> str:
    """What an arm is a repeat of. Host paths are all the same path, whatever the mode beside."""
    parsed = parse_arm(arm)
    return str(parsed.mode) if parsed.path is Path.POD else str(parsed.path)


def _comparison(
    metric: Metric,
    arms: tuple[str, str],
    decision: Decision,
    *,
    difference: float | None = None,
    difference_ci95: Interval | None = None,
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
        difference_ci95=difference_ci95,
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
    metric: Metric,
    decision: Decision,
    difference: float,
    floor_log: float | None,
) -> Decision:
    """Withdraws a difference inside the noise floor or below the instrument's resolution."""
    effect = 0.0 if decision.ratio is None else abs(float(np.log(decision.ratio)))
    if abs(difference) < metric.resolution:
        # More blocks narrow the interval, not the resolution.
        return unresolved(
            decision,
            f"{show_ns(abs(difference))} is below the {show_ns(metric.resolution)} "
            "resolution of this measurement",
        )
    if floor_log is None or effect > floor_log or effect == 0.0:
        return decision
    # Without bias, the floor falls with the square root of the blocks.
    needed = math.ceil(min(decision.blocks * (floor_log / effect) ** 2, 2.0**31)) + 1
    reason = f"within this run's noise floor, {_show_floor(floor_log)}"
    if needed <= HOPELESS_BLOCKS:
        reason += f"; about {needed} blocks would bring the floor below it"
    return unresolved(decision, reason, needed)


def resolved(
    decision: Decision, metric: Metric, at_base: float | None, step: float | None
) -> Decision:
    """Withdraws `equivalent` where the margin is not wider than twice the resolution.

    Args:
        decision: any.
        metric: its margin, and what its kind of time stamp can resolve.
        at_base: the base's figure.
        step: of the clock, as the samples show it; None: no step shows.
    """
    least = max(metric.resolution, step or 0.0)
    if decision.verdict is not Word.EQUIVALENT or least == 0.0 or at_base is None:
        return decision
    if metric.margin * at_base > 2.0 * least:
        return decision
    return replace(
        decision,
        verdict=Word.INCONCLUSIVE,
        blocks_needed=None,
        reason=f"below resolution: {metric.margin:.0%} of {show_ns(at_base)} is not more "
        f"than twice the {show_ns(least)} this measurement can resolve",
    )


def _show_floor(floor_log: float) -> str:
    ratio = float(np.exp(floor_log))
    # As many digits as pages and tables show.
    percent = 100 * (ratio - 1)
    return f"{percent:.{0 if percent >= 100 else 1 if percent >= 1 else 2}f}%"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What a set of comparisons is judged by.

    `levels` as in `verdicts.classify`; `floors`: noise floor by metric, |log ratio|; `arms`: those
    that contribute to the spread.
    """

    levels: tuple[float, float] = (0.95, 0.90)
    floors: Mapping[str, float] = {}
    arms: tuple[str, ...] = ()


def compare(metric: Metric, arms: tuple[str, str], tables: Tables, rule: Rule = Rule()) -> Compared:  # noqa: B008 - frozen
    """One metric of (base, other)."""
    floor = rule.floors.get(metric.name)
    if metric is LOSS:
        return _of_loss(arms, tables, floor)
    series = block_series(tables.cells[metric.series], arms, metric)
    d = series.differences(*arms)
    if len(d) == 0:
        decision = replace(decide(d, metric.margin), reason=_why_no_block(metric, arms, tables))
        return Compared(comparison=_comparison(metric, arms, decision), decision=decision)
    spread = None
    if len(d) > 1 and rule.arms:
        held = spread_of(tables, rule.arms, metric)
        spread = scale.contrast(d, held, (kind_of(arms[0]), kind_of(arms[1]))) if held else None
    decision = decide(d, metric.margin, levels=rule.levels, spread=spread)
    difference, within = mean_difference(series, arms)
    decision = below_floor(metric, decision, difference, floor)
    step = tables.steps.get(metric.series)
    decision = resolved(decision, metric, series.value(arms[0]), step)
    decision = capped.judged(decision, cap.values(series), metric.unit, tables.most_bps)
    if tables.cpu_bound:
        decision = capped.by_cpu(decision, metric.unit)
    return Compared(
        comparison=_comparison(
            metric,
            arms,
            decision,
            difference=difference,
            difference_ci95=within,
            cliffs_delta=effect_size.cliffs_delta(*series.logs),
        ),
        decision=decision,
        spread=spread or (scale.own(d) if len(d) > 1 else None),
        floor_log=aa.floor_log(d),
    )


def _of_loss(arms: tuple[str, str], tables: Tables, floor_log: float | None) -> Compared:
    found = lost.compare(arms, tables.losses)
    decision = found.decision
    if decision.ratio is not None and found.difference is not None:
        decision = below_floor(LOSS, decision, found.difference, floor_log)
    return Compared(
        comparison=_comparison(
            LOSS,
            arms,
            decision,
            difference=found.difference,
            difference_ci95=found.difference_ci95,
            cliffs_delta=found.cliffs_delta,
        ),
        decision=decision,
        spread=found.spread,
        floor_log=found.floor_log,
    )


def _why_no_block(metric: Metric, arms: tuple[str, str], tables: Tables) -> str:
    missing = [arm for arm in arms if not tables.has(arm, metric)]
    if missing:
        sent = any(of in missing for of, _ in tables.losses)
        names = " and ".join(missing)
        return f"no reply on {names}" if sent else f"no sample of {names}"
    if metric.tail_rule:
        return f"too few samples beyond quantile {metric.q} in a block (10 are needed)"
    return "no pair was measured in both arms of one block"


def not_measured(arms: tuple[str, str], reason: str | None) -> list[Comparison]:
    """Returns the missing comparisons with an arm that has no samples."""
    decision = Decision(verdict=Word.NOT_MEASURED, ratio=None, ci95=None, blocks=0, reason=reason)
    shown = {"rtt_kernel_ns.p50", "rtt_kernel_ns.p99", "rtt_app_ns.p50", "rtt_app_ns.p99"}
    return [_comparison(metric, arms, decision) for metric in HEADLINES if metric.name in shown]


def between_modes_of(arms: Sequence[str]) -> list[tuple[str, str]]:
    """(base, other) for every other pod arm; A/A repeats are no mode of their own."""
    base = base_of(arms)
    found = [arm for arm in map(parse_arm, arms) if arm.path is Path.POD and arm.repeat == 1]
    return [(base, arm.name) for arm in found if base is not None and arm.name != base]


def between_modes(tables: Tables, arms: Sequence[str], rule: Rule) -> list[Compared]:
    """Every headline metric the base has, against every other measured pod arm."""
    return [
        compare(metric, pair, tables, rule)
        for pair in between_modes_of(arms)
        for metric in HEADLINES
        if any(tables.has(arm, metric) for arm in pair)
    ]
