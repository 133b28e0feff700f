"""Campaigns compared on one figure: Welch's t on their log means, from three a side on.

A campaign is one run seen as one observation: blocks inside it say nothing of the next hour. One
run a side is `one campaign each`: the ratio, and what the blocks inside would allow it to be, but
no verdict. From three campaigns a side: d = mean(log other) - mean(log base) over campaigns,
degrees of freedom by Welch, Biometrika 34 (1947) 28-35 (Satterthwaite's formula), the verdict words
of `verdicts`, and Holm over the page (`holm`).

Loss: campaigns' counts as log((lost + 0.5)/(sent + 1)), confirmed by an exact test on episodes.
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

MIN_CAMPAIGNS = 3
"""Two campaigns show one difference between campaigns: its spread is hardly known."""


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
    """Log ratio other/base; None where one side has fewer than two values.

    Args:
        base: (n,) log statistics of one side.
        other: the same of the other; any number.
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
    """The verdict between two sides; without an interval below `MIN_CAMPAIGNS` campaigns each.

    Args:
        base: (campaigns,) log means.
        other: the same of the other side.
        margin: relative.
    """
    campaigns = min(len(base), len(other))
    if campaigns == 0:
        return Decision(
            verdict=Word.NOT_MEASURED,
            ratio=None,
            ci95=None,
            blocks=0,
            reason="not measured on both sides",
        )
    ratio = intervals.scaled(1.0, (float(other.mean() - base.mean()),) * 2)[1]
    found = welch(base, other) if campaigns >= MIN_CAMPAIGNS else None
    if found is None:
        return Decision(
            verdict=Word.INCONCLUSIVE,
            ratio=ratio,
            ci95=None,
            blocks=campaigns,
            reason=too_few(len(base), len(other)),
        )
    verdict = _classify(found, margin)
    centre = hodges_lehmann(base, other)
    return Decision(
        verdict=verdict,
        ratio=ratio,
        ci95=intervals.scaled(1.0, found.interval(0.95)),
        blocks=campaigns,
        p_value=found.p_value,
        hodges_lehmann_ratio=intervals.scaled(1.0, (centre, centre))[1],
        disagreement=_outside(centre, found.interval(0.95)),
        smallest_detectable_ratio=_detectable(found),
        # Welch's degrees of freedom are at least those of the smaller side.
        blocks_needed=blocks_needed(
            math.hypot(*(float(one.std(ddof=1)) for one in (base, other))), margin
        ),
        reason=OPEN if verdict is Word.INCONCLUSIVE else None,
    )


def too_few(base: int, other: int) -> str:
    """Why so few campaigns have no verdict."""
    if base == other == 1:
        return f"one campaign each: a verdict takes {MIN_CAMPAIGNS} campaigns of each"
    return f"{base} and {other} campaigns: a verdict takes {MIN_CAMPAIGNS} of each"


def within_runs(base: FloatArray, other: FloatArray) -> Interval | None:
    """What the blocks inside one run each would allow the ratio to be; None below two blocks."""
    found = welch(base, other)
    return None if found is None else intervals.scaled(1.0, found.interval(0.95))


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
    """The ratio told from 1 with 80 % power at 5 %, at this spread."""
    steps = found.quantile(0.975) + found.quantile(POWER)
    with np.errstate(over="ignore"):
        ratio = float(np.exp(steps * found.error))
    return ratio if math.isfinite(ratio) else None


class Counts(msgspec.Struct, frozen=True, eq=False):
    """(campaigns,) probes sent and lost of one side, and its sessions."""

    sent: IntArray
    lost: IntArray
    episodes: int = 0
    sessions: tuple[bursts.Session, ...] = ()

    @property
    def total(self) -> tuple[int, int]:
        """(lost, sent) over all campaigns."""
        return int(self.lost.sum()), int(self.sent.sum())

    @property
    def logs(self) -> FloatArray:
        """(campaigns,) log((lost + 0.5)/(sent + 1))."""
        return loss.log_ratios(self.lost, self.sent)

    def of(self, campaigns: int) -> "Counts":
        """As so many campaigns: the blocks of one run come to one."""
        if campaigns > 1 or not len(self.sent):
            return self
        total = np.array([self.sent.sum()]), np.array([self.lost.sum()])
        return Counts(*total, self.episodes, self.sessions)

    def certainly_below(self, level: float = 0.95) -> float:
        """Upper limit of the loss ratio, bursts considered."""
        found = bursts.interval(self.sessions, level)
        return 1.0 if found is None else found[1]


def decide_loss(base: Counts, other: Counts, margin: float) -> Decision:
    """The verdict on loss between two sides; both lossless is a verdict of its own."""
    decision = decide(base.logs, other.logs, margin)
    if not len(base.sent) or not len(other.sent):
        return decision
    if min(len(base.sent), len(other.sent)) < MIN_CAMPAIGNS:
        both = base.total[0] and other.total[0]
        return decision if both else replace(decision, ratio=None)
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
            f"each below {show_limit(upper)} for bursts of up to {bursts.ASSUMED} packets",
        )
    p = loss.exact_p((base.episodes, other.episodes), (totals[0][1], totals[1][1]))
    if p >= aa.SIGNIFICANCE:
        decision = unresolved(
            decision,
            f"{base.episodes} against {other.episodes} bursts of loss is what chance gives "
            f"(p = {p:.2f})",
        )
    if not (totals[0][0] and totals[1][0]):
        decision = replace(
            decision,
            ratio=None,
            ci95=None,
            hodges_lehmann_ratio=None,
            smallest_detectable_ratio=None,
            reason=f"{totals[0][0]} of {totals[0][1]} against {totals[1][0]} of {totals[1][1]} "
            "probes lost",
        )
    if negligible and decision.verdict is Word.INCONCLUSIVE:
        return replace(
            decision,
            verdict=Word.EQUIVALENT,
            reason=f"both lose below {show_ratio(loss.NEGLIGIBLE_RATIO)} (95% CI)",
        )
    return decision
