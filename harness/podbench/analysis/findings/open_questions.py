"""What a run cannot tell yet, and how much longer it would take: blocks, and time at its pace.

While it measures: the headline comparisons that a look (`verdicts.look`) leaves open. When it is
done: for every inconclusive comparison the blocks that would narrow its interval to half the margin
on each side (`verdicts.blocks_needed`; such an interval cannot be inconclusive), less those it has,
times what a block took.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.analysis.bundle import PlanFacts
from podbench.analysis.figures import cap
from podbench.analysis.findings import comparisons
from podbench.analysis.findings.caveats import SHOWN_PLACES, Code
from podbench.analysis.findings.comparisons import Tables
from podbench.analysis.samples.blocks import block_series
from podbench.analysis.samples.metrics import LOSS, Metric
from podbench.analysis.stats.verdicts import HOPELESS_BLOCKS, Look, Word, look
from podbench.model.summary import Comparison, Doubt
from podbench.model.units import counted, show_duration

FloatArray = npt.NDArray[np.float64]


def undecided(
    tables: Tables, arms: Sequence[str], maximum: int, after: int | None = None
) -> tuple[tuple[str, str, str], ...]:
    """(metric, base, other) of every headline comparison a look does not settle yet.

    A difference inside the A/A noise floor is not settled: it would be withdrawn, and the floor
    falls with more blocks.

    Args:
        tables: the blocks measured so far.
        arms: measured pod arms.
        maximum: blocks the budget allows (verdicts.look).
        after: blocks measured (verdicts.look).
    """
    floors = comparisons.noise_floor(comparisons.against_itself(tables, arms))
    found = []
    for pair in comparisons.between_modes_of(arms):
        for metric in comparisons.HEADLINES:
            if metric is LOSS or not all(tables.has(arm, metric) for arm in pair):
                continue
            series = block_series(tables.cells[metric.series], pair, metric)
            held = [cap.reached(v, metric.unit, tables.most_bps) for v in cap.values(series)]
            if all(held):
                continue
            d = series.differences(*pair)
            seen = look(d, metric.margin, maximum=maximum, after=after)
            if seen is None or not seen.decided or _will_be_withdrawn(seen, d, floors, metric):
                found.append((metric.name, *pair))
    return tuple(found)


def _will_be_withdrawn(
    seen: Look, d: FloatArray, floors: Mapping[str, float], metric: Metric
) -> bool:
    """Whether a look's `different` lies inside the noise floor that this run has so far."""
    floor = floors.get(metric.name)
    different = seen.decision.verdict is Word.DIFFERENT
    return different and floor is not None and abs(float(d.mean())) <= floor


def block_s(plan: PlanFacts) -> float | None:
    """Measuring seconds of one block; None where none is done or its time was not kept."""
    if plan.blocks_done < 1 or plan.measuring_s <= 0.0:
        return None
    return plan.measuring_s / plan.blocks_done


def timed(found: Iterable[Comparison], plan: PlanFacts) -> tuple[Comparison, ...]:
    """The comparisons, each open one with the time that the blocks it lacks would take."""
    each_s = block_s(plan)
    return tuple(_timed(one, each_s) for one in found)


def _timed(one: Comparison, each_s: float | None) -> Comparison:
    if one.blocks_needed is None or each_s is None:
        return one
    more = max(0, one.blocks_needed - one.blocks)
    further_s = more * each_s
    reason = one.reason
    if reason is not None and more > 0 and one.blocks_needed <= HOPELESS_BLOCKS:
        reason += f" ({more} more: {show_duration(further_s)})"
    return msgspec.structs.replace(one, further_s=further_s, reason=reason)


def of_open(found: Iterable[Comparison]) -> Iterable[Doubt]:
    """One doubt for everything between modes that more blocks would settle, or would not."""
    asked = [one for one in found if one.verdict == Word.INCONCLUSIVE and "#" not in one.other]
    missing = [(one, one.blocks_needed or 0) for one in asked if one.blocks_needed is not None]
    sensible = [(one, n) for one, n in missing if one.blocks < n <= HOPELESS_BLOCKS]
    if sensible:
        most, blocks = max(sensible, key=lambda both: both[1])
        time = "" if most.further_s is None else f", {show_duration(most.further_s)} of measuring"
        settled = _all_or(len(sensible), len(asked))
        yield Doubt(
            code=Code.MORE_BLOCKS,
            message=f"{counted(len(asked), 'comparison')} between modes could "
            f"not be told; about {blocks} blocks would settle {settled}: "
            f"{blocks - most.blocks} more{time}",
            advice=f"bench run --blocks {blocks}",
            evidence=_listed(sensible),
        )
    elif missing:
        yield Doubt(
            code=Code.MORE_BLOCKS,
            message=f"{counted(len(missing), 'comparison')} between modes "
            "could not be told, and the blocks differ too much for more of them to help",
            advice="a quieter machine, or longer sessions",
            evidence=_listed(missing),
        )


def _all_or(some: int, all_of: int) -> str:
    if some < all_of:
        return f"{some} of them"
    return "it" if some == 1 else "all of them"


def _listed(missing: Sequence[tuple[Comparison, int]]) -> str:
    ordered = sorted(missing, key=lambda both: both[1])
    said = [f"{one.metric} of {one.other}: {blocks} blocks" for one, blocks in ordered]
    rest = len(said) - SHOWN_PLACES
    return "; ".join(said[:SHOWN_PLACES]) + (f"; and {rest} more" if rest > 0 else "")
