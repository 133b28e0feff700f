"""From block differences to a verdict: different, equivalent, small, inconclusive.

d_b = log(other) - log(base) in block b; exp of their mean is the ratio. With margin m:
- `different`: the 95% interval excludes 1 and the effect exceeds m;
- `equivalent`: the 90% interval lies inside [1/(1+m), 1+m]: two one-sided tests at 5% (TOST),
  Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987) 657-680;
- `small`: the 95% interval excludes 1, the effect is within m, equivalence not shown;
- `inconclusive`: none of these. Never "no difference" from a large p. A difference below the noise
floor (A/A and host paths) or the instrument's resolution is `inconclusive`, and says so.

The spread of d_b comes from these differences alone, or from all arms of the run (`scale`).

Looking several times costs certainty: at 5, 10, 15, 20, 30, 50 blocks a run may stop early only on
99% intervals (99.5% at 5) in place of 95/90%; at its maximum plain 95/90% hold.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import special

from podbench.analysis.stats import intervals
from podbench.analysis.stats.intervals import Interval
from podbench.analysis.stats.scale import Scale

FloatArray = npt.NDArray[np.float64]

LOOKS = (5, 10, 15, 20, 30, 50)
POWER = 0.8
_TWIN_CAN_DECIDE = 6
"""With 5 blocks the smallest p of the signed-rank test is 0.0625: it cannot confirm anything."""
HOPELESS_BLOCKS = 500
"""Ten times the last look: a run that needs more blocks needs a quieter machine instead."""
_MAX_BLOCKS = 100_000
OPEN = "the interval includes both faster and slower"
"""Why most inconclusive comparisons are."""


class Word(StrEnum):
    """A verdict."""

    DIFFERENT = "different"
    EQUIVALENT = "equivalent"
    SMALL = "small"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict with what it rests on. Ratios are other/base."""

    verdict: Word
    ratio: float | None
    ci95: Interval | None
    blocks: int
    p_value: float | None = None
    hodges_lehmann_ratio: float | None = None
    wilcoxon_p: float | None = None
    disagreement: bool = False
    smallest_detectable_ratio: float | None = None
    blocks_needed: int | None = None
    """Blocks for an interval of half-width m/2 at this spread, which settles any comparison; null
    where the spread is unknown."""
    reason: str | None = None


def interval_of(d: FloatArray, level: float, spread: Scale | None = None) -> Interval | None:
    """Interval of the mean log ratio: by the spread given, else by the differences alone."""
    if spread is None or len(d) < 2:
        return intervals.mean_interval(d, level)
    return spread.interval(float(d.mean()), len(d), level)


def classify(
    d: FloatArray,
    margin: float,
    levels: tuple[float, float] = (0.95, 0.90),
    spread: Scale | None = None,
) -> Word:
    """The verdict of block log-ratios by the rule above.

    Args:
        d: (blocks,) log ratios, finite.
        margin: m, relative.
        levels: of the interval that must exclude 1, and of the one that must lie within the margin.
        spread: of one block's difference; None: by the differences alone.
    """
    outer, inner = (interval_of(d, level, spread) for level in levels)
    if outer is None or inner is None:
        return Word.INCONCLUSIVE
    limit = float(np.log1p(margin))
    excludes = outer[0] > 0.0 or outer[1] < 0.0
    if excludes and abs(float(d.mean())) > limit:
        return Word.DIFFERENT
    if -limit <= inner[0] and inner[1] <= limit:
        return Word.EQUIVALENT
    return Word.SMALL if excludes else Word.INCONCLUSIVE


def twins_disagree(d: FloatArray) -> bool:
    """Reports whether the robust check contradicts the mean.

    True where the Hodges-Lehmann centre lies outside the 95% interval or on the other side of zero
    than a significant mean, or where (from 6 blocks on) one test is clear (p < 0.05) and the other
    not even close (p > 0.10).
    """
    interval = intervals.mean_interval(d, 0.95)
    p_t = intervals.t_p_value(d)
    if interval is None or p_t is None:
        return False
    centre = intervals.hodges_lehmann(d)
    slack = 1e-12 + 1e-9 * abs(centre)
    if not interval[0] - slack <= centre <= interval[1] + slack:
        return True
    excludes = interval[0] > 0.0 or interval[1] < 0.0
    if excludes and centre * float(d.mean()) < 0.0:
        return True
    p_w = intervals.wilcoxon_p(d)
    return len(d) >= _TWIN_CAN_DECIDE and min(p_t, p_w) < 0.05 and max(p_t, p_w) > 0.10


def smallest_detectable_ratio(sd: float, blocks: int) -> float | None:
    """The ratio told from 1 with 80% power at 5%, given the spread of block log-ratios."""
    if blocks < 2:
        return None
    df = blocks - 1
    steps = intervals.t_quantile(df, 0.95) + float(special.stdtrit(df, POWER))
    with np.errstate(over="ignore"):
        ratio = float(np.exp(steps * sd / math.sqrt(blocks)))
    return ratio if np.isfinite(ratio) else None


def blocks_needed(sd: float, margin: float) -> int | None:
    """Blocks until the 95% interval's half-width is m/2; None beyond any sensible number."""
    target = float(np.log1p(margin)) / 2.0
    low, high = 2, _MAX_BLOCKS

    def wide(n: int) -> bool:
        return intervals.t_quantile(n - 1, 0.95) * sd / math.sqrt(n) > target

    if wide(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if wide(middle) else (low, middle)
    return low


def decide(
    d: FloatArray,
    margin: float,
    *,
    levels: tuple[float, float] = (0.95, 0.90),
    spread: Scale | None = None,
) -> Decision:
    """Decision on block log-ratios; `inconclusive` with a reason below two blocks.

    Args:
        d: (blocks,) log(other) - log(base), finite.
        margin: relative.
        levels: as in `classify`.
        spread: as in `classify`.
    """
    if len(d) == 0:
        return Decision(
            verdict=Word.NOT_MEASURED,
            ratio=None,
            ci95=None,
            blocks=0,
            reason="no block has this metric in both arms",
        )
    ratio = float(np.exp(d.mean()))
    if len(d) == 1:
        return Decision(
            verdict=Word.INCONCLUSIVE,
            ratio=ratio,
            ci95=None,
            blocks=1,
            reason="one block only: an interval needs two",
        )
    sd = float(d.std(ddof=1)) if spread is None else math.sqrt(spread.variance)
    verdict = classify(d, margin, levels, spread)
    interval = interval_of(d, 0.95, spread)
    needed = blocks_needed(sd, margin)
    return Decision(
        verdict=verdict,
        ratio=ratio,
        ci95=None if interval is None else intervals.scaled(1.0, interval),
        blocks=len(d),
        p_value=intervals.t_p_value(d)
        if spread is None
        else spread.p_value(float(d.mean()), len(d)),
        hodges_lehmann_ratio=intervals.scaled(1.0, (intervals.hodges_lehmann(d),) * 2)[1],
        wilcoxon_p=intervals.wilcoxon_p(d),
        disagreement=twins_disagree(d),
        smallest_detectable_ratio=smallest_detectable_ratio(sd, len(d)),
        blocks_needed=needed,
        reason=_what_is_missing(verdict, len(d), needed),
    )


def _what_is_missing(verdict: Word, blocks: int, needed: int | None) -> str | None:
    return OPEN + patience(blocks, needed) if verdict is Word.INCONCLUSIVE else None


def patience(blocks: int, needed: int | None) -> str:
    """What more blocks would do, as the end of a reason; empty where nothing is known of it."""
    if needed is None or needed <= blocks:
        return ""
    if needed > HOPELESS_BLOCKS:
        return "; block-to-block noise is too large: more blocks will not help"
    return f"; about {needed} blocks would narrow it to half the margin"


def unresolved(decision: Decision, reason: str, blocks_needed: int | None = None) -> Decision:
    """Withdraws a claimed difference: `different` and `small` become `inconclusive`.

    Args:
        decision: any; other verdicts stay as they are.
        reason: why.
        blocks_needed: how many would help; null: none.
    """
    if decision.verdict not in {Word.DIFFERENT, Word.SMALL}:
        return decision
    return replace(decision, verdict=Word.INCONCLUSIVE, reason=reason, blocks_needed=blocks_needed)


def alpha_of(blocks: int) -> float:
    """The level of a look after so many blocks: what it may decide, and how its run is judged."""
    return 0.005 if blocks < LOOKS[1] else 0.01
