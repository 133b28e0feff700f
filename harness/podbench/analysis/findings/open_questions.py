"""Open questions of a run, and the blocks and time to answer them.

While it measures: the questions of the first screen that a look leaves open. When it is
done: for every inconclusive comparison the blocks that would narrow its interval to half the margin
on each side (`verdicts.blocks_needed`; such an interval cannot be inconclusive), less those it has,
times what a block took.
"""

from collections.abc import Iterable, Sequence

import msgspec

from podbench.analysis.bundle import PlanFacts
from podbench.analysis.findings import comparisons, controls, first_screen
from podbench.analysis.findings.caveats import SHOWN_PLACES, Code
from podbench.analysis.findings.comparisons import Tables
from podbench.analysis.samples.metrics import LOSS
from podbench.analysis.stats import verdicts
from podbench.analysis.stats.verdicts import HOPELESS_BLOCKS, LOOKS, Word
from podbench.model.arms import Path, parse_arm
from podbench.model.summary import Comparison, Doubt
from podbench.model.units import counted, show_duration


def undecided(
    tables: Tables, arms: Sequence[str], maximum: int, after: int
) -> tuple[tuple[str, str, str], ...]:
    """(metric, base, other) of every member of the family that a look does not settle yet.

    The family is judged at the look's level, as its report would be if the run ended here. A
    difference inside the noise floor is not settled: the floor falls with more blocks.

    Args:
        tables: the blocks measured so far.
        arms: measured arms.
        maximum: blocks the budget allows; there everything is settled.
        after: blocks measured.
    """
    if after >= maximum:
        return ()
    alpha = verdicts.alpha_of(after)
    present = [arm for arm in arms if parse_arm(arm).path is Path.POD]
    pairs = comparisons.between_modes_of(arms)
    everything = tuple((name, *pair) for pair in pairs for name in first_screen.MEMBERS)
    if after not in LOOKS:
        return everything
    found = comparisons.between_modes(
        tables,
        present,
        comparisons.Rule(
            levels=(1.0 - alpha, 1.0 - alpha),
            floors=controls.noise_floor(
                [*controls.against_itself(tables, arms), *controls.against_hosts(tables, arms)]
            ),
            arms=tuple(present),
        ),
    )
    few = [one for one in found if 0 < one.comparison.blocks < LOOKS[0]]
    still = [*first_screen.early(found, alpha), *few]
    names = [(c.comparison.metric, c.comparison.base, c.comparison.other) for c in still]
    return tuple(
        dict.fromkeys(n for n in names if n[0] in first_screen.MEMBERS and n[0] != LOSS.name)
    )


def block_s(plan: PlanFacts) -> float | None:
    """Returns the measuring time of one block; None if none is done or its time is unknown."""
    if plan.blocks_done < 1 or plan.measuring_s <= 0.0:
        return None
    return plan.measuring_s / plan.blocks_done


def timed(found: Iterable[Comparison], plan: PlanFacts) -> tuple[Comparison, ...]:
    """Adds to each open comparison the time for its missing blocks."""
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
    """Yields one caveat on all inconclusive comparisons between modes."""
    unclear = [one for one in found if one.verdict == Word.INCONCLUSIVE and "#" not in one.other]
    missing = [(one, one.blocks_needed or 0) for one in unclear if one.blocks_needed is not None]
    sensible = [(one, n) for one, n in missing if one.blocks < n <= HOPELESS_BLOCKS]
    if sensible:
        most, blocks = max(sensible, key=lambda both: both[1])
        time = "" if most.further_s is None else f", {show_duration(most.further_s)} measuring time"
        settled = _all_or(len(sensible), len(unclear))
        yield Doubt(
            code=Code.MORE_BLOCKS,
            message=f"{counted(len(unclear), 'comparison')} between modes "
            f"{_are(len(unclear))} inconclusive; about {blocks} blocks would settle {settled}: "
            f"{blocks - most.blocks} more{time}",
            advice=f"bench run --blocks {blocks}",
            evidence=_listed(sensible),
        )
    elif missing:
        yield Doubt(
            code=Code.MORE_BLOCKS,
            message=f"{counted(len(missing), 'comparison')} between modes "
            f"{_are(len(missing))} inconclusive: block-to-block noise is too large, more blocks "
            "will not help",
            advice="re-run on a quieter machine, or with longer sessions",
            evidence=_listed(missing),
        )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _all_or(some: int, all_of: int) -> str:
    if some < all_of:
        return f"{some} of them"
    return "it" if some == 1 else "all of them"


def _listed(missing: Sequence[tuple[Comparison, int]]) -> str:
    ordered = sorted(missing, key=lambda both: both[1])
    said = [f"{one.metric} of {one.other}: {blocks} blocks" for one, blocks in ordered]
    rest = len(said) - SHOWN_PLACES
    return "; ".join(said[:SHOWN_PLACES]) + (f"; and {rest} more" if rest > 0 else "")
