"""Two independent campaigns on one figure: Welch's t on the logarithms of their block statistics.

Blocks of one campaign are not blocks of the other, so nothing is paired: d = mean(log other) -
mean(log base), its error from both spreads, degrees of freedom by Welch, Biometrika 34 (1947) 28-35
(Satterthwaite's formula). The verdict rule is that of `verdicts`: 95% interval and margin, TOST at
90%. The assumption to say beside every such figure: blocks of a campaign are independent and stand
for it; what differs between the days of the two campaigns is inside the difference.

Loss: block counts as log((lost + 0.5)/(sent + 1)), withdrawn where an exact test on the counts is
not clear, as in `comparisons`.
"""

import math
from dataclasses import replace

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import special

from podbench.analysis.findings import aa
from podbench.analysis.samples import loss
from podbench.analysis.stats import bursts, intervals
from podbench.analysis.stats.verdicts import OPEN, POWER, Decision, Word, blocks_needed, unresolved
from podbench.model.summary import Interval
from podbench.model.units import show_limit, show_ratio

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MIN_BLOCKS = 5
"""With fewer blocks the spread is too uncertain for a useful interval between campaigns; also the
first look of a run, and the default number of blocks."""


class Welch(msgspec.Struct, frozen=True, kw_only=True):
    """A log ratio with its error and degrees of freedom."""

    log_ratio: float
    error: float
    df: float

    def interval(self, level: float) -> Interval:
        """Two-sided interval of the log ratio."""
        half = self.quantile(0.5 + level / 2.0) * self.error
        return self.log_ratio - half, self.log_ratio + half

    def quantile(self, share: float) -> float:
        """Student's t."""
        return float(special.stdtrit(self.df, share))

    @property
    def p_value(self) -> float:
        """Two-sided p of ratio 1."""
        if self.error == 0.0:
            return 1.0 if self.log_ratio == 0.0 else 0.0
        return float(2.0 * special.stdtr(self.df, -abs(self.log_ratio) / self.error))


def welch(base: FloatArray, other: FloatArray) -> Welch | None:
    """Log ratio other/base; None where one side has fewer than two blocks.

    Args:
        base: (blocks,) log statistics of one campaign.
        other: the same of the other; any number of blocks.
    """
    sizes = len(base), len(other)
    if min(sizes) < 2:
        return None
    parts = [float(side.var(ddof=1)) / len(side) for side in (base, other)]
    total = sum(parts)
    below = sum(part**2 / (n - 1) for part, n in zip(parts, sizes, strict=True))
    return Welch(
        log_ratio=float(other.mean() - base.mean()),
        error=math.sqrt(total),
        df=total**2 / below if below > 0.0 else float(sum(sizes) - 2),
    )


def decide(base: FloatArray, other: FloatArray, margin: float) -> Decision:
    """The verdict between two campaigns; without an interval below `MIN_BLOCKS` blocks each.

    `blocks` of the decision is the smaller number of the two.
    """
    blocks = min(len(base), len(other))
    if blocks == 0:
        return Decision(
            verdict=Word.NOT_MEASURED,
            ratio=None,
            ci95=None,
            blocks=0,
            reason="not measured in both runs",
        )
    ratio = intervals.scaled(1.0, (float(other.mean() - base.mean()),) * 2)[1]
    found = welch(base, other) if blocks >= MIN_BLOCKS else None
    if found is None:
        return Decision(
            verdict=Word.INCONCLUSIVE,
            ratio=ratio,
            ci95=None,
            blocks=blocks,
            reason=f"descriptive: one campaign each ({len(base)} and {len(other)} blocks; "
            f"an interval needs {MIN_BLOCKS} each)",
        )
    verdict = _classify(found, margin)
    centre = hodges_lehmann(base, other)
    return Decision(
        verdict=verdict,
        ratio=ratio,
        ci95=intervals.scaled(1.0, found.interval(0.95)),
        blocks=blocks,
        p_value=found.p_value,
        hodges_lehmann_ratio=intervals.scaled(1.0, (centre, centre))[1],
        disagreement=_outside(centre, found.interval(0.95)),
        smallest_detectable_ratio=_detectable(found),
        # Welch's degrees of freedom are at least those of the smaller campaign.
        blocks_needed=blocks_needed(
            math.hypot(*(float(one.std(ddof=1)) for one in (base, other))), margin
        ),
        reason=OPEN if verdict is Word.INCONCLUSIVE else None,
    )


def hodges_lehmann(base: FloatArray, other: FloatArray) -> float:
    """Median of all differences other_j - base_i: the robust twin of the difference of means.

    Source: Hodges, Lehmann, Annals of Mathematical Statistics 34 (1963) 598-611.
    """
    return float(np.median(np.subtract.outer(other, base)))


def _outside(centre: float, interval: Interval) -> bool:
    slack = 1e-12 + 1e-9 * abs(centre)
    return not interval[0] - slack <= centre <= interval[1] + slack


def _classify(found: Welch, margin: float) -> Word:
    limit = math.log1p(margin)
    outer, inner = found.interval(0.95), found.interval(0.90)
    excludes = outer[0] > 0.0 or outer[1] < 0.0
    if excludes and abs(found.log_ratio) > limit:
        return Word.DIFFERENT
    if -limit <= inner[0] and inner[1] <= limit:
        return Word.EQUIVALENT
    return Word.SMALL if excludes else Word.INCONCLUSIVE


def _detectable(found: Welch) -> float | None:
    """The ratio told from 1 with 80% power at 5%, at this spread."""
    steps = found.quantile(0.975) + found.quantile(POWER)
    with np.errstate(over="ignore"):
        ratio = float(np.exp(steps * found.error))
    return ratio if math.isfinite(ratio) else None


class Counts(msgspec.Struct, frozen=True, eq=False):
    """(blocks,) probes sent and lost of one campaign, and its sessions."""

    sent: IntArray
    lost: IntArray
    episodes: int = 0
    sessions: tuple[bursts.Session, ...] = ()

    @property
    def total(self) -> tuple[int, int]:
        """(lost, sent) over all blocks."""
        return int(self.lost.sum()), int(self.sent.sum())

    @property
    def logs(self) -> FloatArray:
        """(blocks,) log((lost + 0.5)/(sent + 1))."""
        return loss.log_ratios(self.lost, self.sent)

    def certainly_below(self, level: float = 0.95) -> float:
        """Upper limit of the loss ratio, bursts considered."""
        found = bursts.interval(self.sessions, level)
        return 1.0 if found is None else found[1]


def decide_loss(base: Counts, other: Counts, margin: float) -> Decision:
    """The verdict on loss between two campaigns; both lossless is a verdict of its own."""
    decision = decide(base.logs, other.logs, margin)
    if not len(base.sent) or not len(other.sent):
        return decision
    totals = base.total, other.total
    upper = max(base.certainly_below(), other.certainly_below())
    negligible = upper < loss.NEGLIGIBLE_RATIO
    if not totals[0][0] and not totals[1][0]:
        return replace(
            decision,
            verdict=Word.EQUIVALENT if negligible else Word.INCONCLUSIVE,
            ratio=None,
            ci95=None,
            p_value=None,
            hodges_lehmann_ratio=None,
            disagreement=False,
            smallest_detectable_ratio=None,
            blocks_needed=None,
            reason=f"none of {totals[0][1]} and {totals[1][1]} probes lost: "
            f"each below {show_limit(upper)} (95%)",
        )
    p = loss.exact_p((base.episodes, other.episodes), (totals[0][1], totals[1][1]))
    if p >= aa.SIGNIFICANCE:
        decision = unresolved(
            decision,
            f"{totals[0][0]} against {totals[1][0]} lost: explained by chance (p = {p:.2f})",
        )
    if negligible and decision.verdict is Word.INCONCLUSIVE:
        return replace(
            decision,
            verdict=Word.EQUIVALENT,
            reason=f"both lose below {show_ratio(loss.NEGLIGIBLE_RATIO)} (95%)",
        )
    return decision
