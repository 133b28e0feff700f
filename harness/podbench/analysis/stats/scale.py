"""How far a contrast of two arms scatters from block to block, estimated from all arms.

Model: log statistic = block + arm + residual. A contrast's own differences give its variance with
b - 1 degrees of freedom, very few in five blocks. The residuals of the other arms help:

- each arm's variance by Grubbs (Journal of the American Statistical Association 43 (1948) 243-264):
  the sum of squares of its residuals, corrected for what the block means take from the other arms;
- repeats of one mode (the A/A arm) have one variance and share their degrees of freedom;
- the variance of a contrast is the sum of its two arms', with degrees of freedom by Welch and
  Satterthwaite, and never less than that of its own differences.

A plain pooled residual has more degrees of freedom still, but where one mode scatters three times
as much as the others its false alarms double. Simulated rates: docs/statistics.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from podbench.analysis.stats.intervals import Interval

FloatArray = npt.NDArray[np.float64]

MIN_ARMS = 3
MIN_BLOCKS = 3
_LEAST_SHARE = 0.1
"""A variance estimated below this share of the mean one is taken for that share: Grubbs' estimates
of few blocks can fall below zero."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Variance of one block's difference, with its degrees of freedom."""

    variance: float
    df: float

    def error(self, blocks: int) -> float:
        """Standard error of the mean of so many blocks."""
        return math.sqrt(self.variance / blocks)

    def half(self, blocks: int, level: float) -> float:
        """Half-width of the two-sided interval of this level."""
        return float(special.stdtrit(self.df, 0.5 + level / 2.0)) * self.error(blocks)

    def interval(self, centre: float, blocks: int, level: float) -> Interval:
        """Two-sided interval round a mean of so many blocks."""
        half = self.half(blocks, level)
        return centre - half, centre + half

    def p_value(self, centre: float, blocks: int) -> float:
        """Two-sided p of mean zero."""
        error = self.error(blocks)
        if error == 0.0:
            return 1.0 if centre == 0.0 else 0.0
        return float(2.0 * special.stdtr(self.df, -abs(centre) / error))


@dataclass(frozen=True, kw_only=True, eq=False)
class Arms:
    """Variance of each kind of arm, from the blocks that hold every arm."""

    variances: dict[str, float]
    df: dict[str, float]


def own(d: FloatArray) -> Scale:
    """The scale of a contrast by itself. d: (blocks,), two at least."""
    return Scale(variance=float(d.var(ddof=1)), df=float(len(d) - 1))


def of_arms(logs: FloatArray, kinds: Sequence[str]) -> Arms | None:
    """Variances by kind; None below three arms or three blocks.

    Args:
        logs: (arms, blocks) log statistics, all finite.
        kinds: what each arm is a repeat of.
    """
    arms, blocks = logs.shape
    if arms < MIN_ARMS or blocks < MIN_BLOCKS:
        return None
    residual = logs - logs.mean(axis=0) - logs.mean(axis=1, keepdims=True) + logs.mean()
    squares = (residual**2).sum(axis=1) / (blocks - 1)
    mean = float(squares.sum()) / (arms - 1)
    each = np.maximum((squares - mean / arms) * arms / (arms - 2), _LEAST_SHARE * mean)
    variances, df = {}, {}
    for kind in dict.fromkeys(kinds):
        members = [i for i, of in enumerate(kinds) if of == kind]
        variances[kind] = float(each[members].mean())
        df[kind] = float(len(members) * (blocks - 1))
    return Arms(variances=variances, df=df)


def contrast(d: FloatArray, arms: Arms | None, kinds: tuple[str, str]) -> Scale:
    """The scale of one contrast, other arms considered.

    Args:
        d: (blocks,) its own differences, two at least.
        arms: variances of all arms; None: its own differences are all there is.
        kinds: of its two arms.
    """
    alone = own(d)
    if arms is None or not all(kind in arms.variances for kind in kinds):
        return alone
    a, b = (arms.variances[kind] for kind in kinds)
    below = a**2 / arms.df[kinds[0]] + b**2 / arms.df[kinds[1]]
    if below == 0.0:
        return alone
    return Scale(variance=max(a + b, alone.variance), df=max((a + b) ** 2 / below, alone.df))
