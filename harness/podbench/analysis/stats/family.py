"""A fixed family of comparisons: the chance of one false `different` or more stays at the level.

Holm's adjusted p values (`multiple`) hold the family-wise error in the strong sense: where one arm
truly differs, the others keep the level. Beside each stands an interval of the level that Holm's
step gave it, so that interval and verdict never contradict each other: an interval leaves out 1
exactly where the adjusted p is at most alpha. What is outside the family is exploratory, and
adjusted by Benjamini-Hochberg.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from podbench.analysis.stats import multiple

ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Held:
    """One member: its adjusted p, and the level of the interval that agrees with it."""

    p_adjusted: float
    level: float

    def rejected(self, alpha: float) -> bool:
        """Whether ratio 1 is rejected in the family."""
        return self.p_adjusted <= alpha


def holm(p_values: Sequence[float], alpha: float = ALPHA) -> list[Held]:
    """Each member's place in the family, in the order given."""
    if not len(p_values):
        return []
    adjusted = multiple.holm(p_values)
    order = np.argsort(np.asarray(p_values, dtype=np.float64), kind="stable")
    rejected = int((adjusted <= alpha).sum())
    size = len(p_values)
    levels = np.empty(size)
    for place, member in enumerate(order.tolist()):
        levels[member] = 1.0 - alpha / (size - min(place, rejected))
    return [
        Held(p_adjusted=float(p), level=float(level))
        for p, level in zip(adjusted, levels, strict=True)
    ]
