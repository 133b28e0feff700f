"""The A/A check: the same arm measured twice in every block, and what that says about all the rest.

- Noise floor of a metric: the 95th percentile of |log ratio| between an arm and itself. One
  campaign holds one A/A ratio per metric; what it might as well have been is had by swapping the
  two labels within blocks (all 2^B swaps, or 4,096 drawn), which is exact because the labels mean
  nothing. The floor is never below the A/A ratio seen. A difference between modes inside it is not
  resolved.
- Check: an A/A comparison that is `different` after Holm's correction over all of them
  (`multiple`) is a false alarm. More than 10% void the run.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from podbench.analysis.stats import multiple
from podbench.analysis.stats.verdicts import Decision, Word
from podbench.model.summary import AaCheck

FloatArray = npt.NDArray[np.float64]

VOID_SHARE = 0.10
SIGNIFICANCE = 0.05
_EXACT_BLOCKS = 12
_DRAWN_SWAPS = 4_096
_SEED = 20_041


def floor_log(d: FloatArray) -> float | None:
    """Noise floor as |log ratio| of the campaign; None below two blocks.

    Args:
        d: (blocks,) log(arm#2) - log(arm).
    """
    if len(d) < 2:
        return None
    if len(d) <= _EXACT_BLOCKS:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(d))))
    else:
        rng = np.random.default_rng(_SEED)
        signs = rng.choice((-1.0, 1.0), size=(_DRAWN_SWAPS, len(d)))
    swapped = np.abs(signs @ d) / len(d)
    percentile = float(np.quantile(swapped, 0.95, method="inverted_cdf"))
    return max(percentile, abs(float(d.mean())))


def check(decisions: Sequence[Decision]) -> AaCheck:
    """Counts false alarms among A/A decisions; `passed` null where none could be made."""
    testable = [decision for decision in decisions if decision.p_value is not None]
    if not testable:
        return AaCheck(passed=None, comparisons=0, false_alarms=0)
    adjusted = multiple.holm([decision.p_value or 0.0 for decision in testable])
    alarms = sum(
        decision.verdict is Word.DIFFERENT and p < SIGNIFICANCE
        for decision, p in zip(testable, adjusted.tolist(), strict=True)
    )
    return AaCheck(passed=alarms == 0, comparisons=len(testable), false_alarms=alarms)


def void(result: AaCheck) -> bool:
    """Whether so many A/A comparisons alarm that nothing else in the run can be believed."""
    return result.false_alarms > VOID_SHARE * result.comparisons
