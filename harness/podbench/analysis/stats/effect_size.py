"""Cliff's delta: how completely one arm's blocks lie above the other's, whatever the size of it.

delta = (#(other > base) - #(other < base)) / (n1 n2) = 2U/(n1 n2) - 1 with U of Mann-Whitney, over
all pairs of one block of each arm: 1 where every block of the other is above every one of the base,
0 where they are mixed. Reference: Cliff, Psychological Bulletin 114 (1993) 494-509. It takes the
blocks' own statistics, never samples, and says nothing of a margin: a description beside a verdict.
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def cliffs_delta(base: FloatArray, other: FloatArray) -> float | None:
    """Cliff's delta of other against base; None where one has no value.

    Args:
        base: (n1,) block statistics, any monotone scale.
        other: (n2,) the same.
    """
    if not len(base) or not len(other):
        return None
    ordered = np.sort(base)
    below = np.searchsorted(ordered, other, side="left")
    above = len(base) - np.searchsorted(ordered, other, side="right")
    return float((below - above).sum()) / (len(base) * len(other))
