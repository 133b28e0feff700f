"""Slopes of busy CPU over offered load: one linear model over all blocks, intervals per arm.

A visit is one arm in one block. Model: busy = a[visit] + (beta[block] + s[arm]) * load + error. The
intercept of each visit takes what the machine does besides; `beta` takes what a block's pair and
hour do to every arm alike; s is what an arm adds. With the same steps in every arm of a block the
least-squares fit is the same as fitting each visit's own slope and then slopes to block + arm,
weighted by the spread of the visit's loads. The second form is used: its residual is what visits
differ by beyond block and arm, which holds noise of single steps and variation of whole visits
(where the scheduler put sender and receiver) alike. Degrees of freedom: visits - blocks - arms + 1.

- Difference of two arms: t interval on that pooled residual.
- One arm's own slope: t interval on its blocks' slopes, blocks - 1 degrees of freedom.

Coverage of both was simulated for the design of the default run (docs/statistics.md,
tests/bench/price). Numbers in, numbers out; nothing of networks here.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]
Interval = tuple[float, float]


class VisitSlope(NamedTuple):
    """One visit's own slope: busy CPU per unit of load."""

    block: int
    arm: str
    slope: float
    spread: float
    """Sum of squared deviations of its loads: how much the slope weighs."""
    repeat: int = 1


class Slope(NamedTuple):
    """One arm's slope over all blocks."""

    value: float
    ci95: Interval | None
    blocks: int


class SlopeDifference(NamedTuple):
    """other - base."""

    value: float
    error: float | None
    """Standard error; null with too few visits for one."""
    df: int
    blocks: int

    def interval(self, level: float = 0.95) -> Interval | None:
        """Two-sided t interval of this level."""
        if self.error is None:
            return None
        half = float(special.stdtrit(self.df, 0.5 + level / 2.0)) * self.error
        return self.value - half, self.value + half

    @property
    def p_value(self) -> float | None:
        """Two-sided p of no difference."""
        if self.error is None:
            return None
        if self.error == 0.0:
            return 1.0 if self.value == 0.0 else 0.0
        return float(2.0 * special.stdtr(self.df, -abs(self.value) / self.error))


def visit_slope(load: FloatArray, busy: FloatArray) -> tuple[float, float] | None:
    """A visit's least-squares slope and the spread of its loads; None below two loads."""
    centred = load - load.mean() if len(load) else load
    spread = float((centred**2).sum())
    if spread <= 0.0:
        return None
    return float((centred * busy).sum()) / spread, spread


def slope(visits: Sequence[VisitSlope], arm: str) -> Slope | None:
    """One arm's slope; blocks weigh by the spread of their loads."""
    by_block: dict[int, list[VisitSlope]] = {}
    for one in visits:
        if one.arm == arm:
            by_block.setdefault(one.block, []).append(one)
    if not by_block:
        return None
    weights = np.array([sum(v.spread for v in held) for held in by_block.values()])
    values = np.array(
        [
            sum(v.slope * v.spread for v in held) / sum(v.spread for v in held)
            for held in by_block.values()
        ]
    )
    weights = weights / weights.sum()
    value = float((weights * values).sum())
    n = len(values)
    if n < 2:
        return Slope(value, None, n)
    # Ratio estimate's linearised variance: exact where all weights are equal.
    residuals = weights * (values - value)
    error = math.sqrt(n / (n - 1) * float((residuals**2).sum()))
    half = float(special.stdtrit(n - 1, 0.975)) * error
    return Slope(value, (value - half, value + half), n)


def difference(visits: Sequence[VisitSlope], base: str, other: str) -> SlopeDifference | None:
    """How much steeper `other` is than `base`, by the model over all arms; None: not estimable."""
    shared = sorted(
        {v.block for v in visits if v.arm == base} & {v.block for v in visits if v.arm == other}
    )
    if not shared:
        return None
    held = [v for v in visits if v.block in shared]
    arms = [base, *sorted({v.arm for v in held} - {base})]
    design = np.zeros((len(held), len(shared) + len(arms) - 1))
    for row, one in enumerate(held):
        design[row, shared.index(one.block)] = 1.0
        if one.arm != base:
            design[row, len(shared) + arms.index(one.arm) - 1] = 1.0
    root = np.sqrt([v.spread for v in held])
    scaled, target = design * root[:, None], np.array([v.slope for v in held]) * root
    solution, _, rank, _ = np.linalg.lstsq(scaled, target, rcond=None)
    place = len(shared) + arms.index(other) - 1
    df = len(held) - int(rank)
    error = None
    # One block says nothing of the next, however often an arm comes in it.
    if df > 0 and len(shared) > 1:
        residual = target - scaled @ solution
        covariance = np.linalg.pinv(scaled.T @ scaled)
        error = math.sqrt(float((residual**2).sum()) / df * float(covariance[place, place]))
    return SlopeDifference(float(solution[place]), error, df, len(shared))
