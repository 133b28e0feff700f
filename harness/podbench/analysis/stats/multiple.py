"""Many tests at once: p values adjusted so that a whole set of them may be read.

- Holm: the chance of one false alarm or more in the set stays at the level, whatever the tests'
  dependence. Scandinavian Journal of Statistics 6 (1979) 65-70. For few tests (A/A, rankings).
- Benjamini-Hochberg: the expected share of false ones among the discoveries stays at q, for
  independent or positively dependent tests (pairs that share a node are). Journal of the Royal
  Statistical Society B 57 (1995) 289-300. For many tests (pairs, nodes, deciles).
- Benjamini-Yekutieli: the same under any dependence, hence stricter. Annals of Statistics 29 (2001)
  1165-1188. Beside Benjamini-Hochberg, as a check.

All adjust p values (a test is a discovery where the adjusted one is at most q) and keep the order
given. Nothing of networks here.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Values = Sequence[float] | FloatArray


def holm(p_values: Values) -> FloatArray:
    """Holm-adjusted p values, in the order given."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def benjamini_hochberg(p_values: Values) -> FloatArray:
    """Benjamini-Hochberg-adjusted p values, in the order given."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    ranks = np.arange(1, len(p) + 1)
    stepped = np.minimum.accumulate((p[order] * len(p) / ranks)[::-1])[::-1]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def benjamini_yekutieli(p_values: Values) -> FloatArray:
    """Benjamini-Yekutieli-adjusted p values: Benjamini-Hochberg's times 1 + 1/2 + ... + 1/n."""
    p = np.asarray(p_values, dtype=np.float64)
    harmonic = float((1.0 / np.arange(1, len(p) + 1)).sum())
    return benjamini_hochberg(p * harmonic)
