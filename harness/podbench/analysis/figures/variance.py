"""Where a figure's variance comes from: within sessions, between blocks, between pairs.

Model: y = mu + pair + session(pair) + e, a session being one pair in one block; all effects random.
Estimator: ANOVA moments of the nested unbalanced design (Searle, Casella, McCulloch, Variance
Components, 1992, section 3.6), the sampling error of a session's mean taken as within-variance /
n_eff because samples in a session are correlated; negative components are clipped at zero and the
three shares made to add up to 1. What blocks share (drift) and what single sessions do are both
"between blocks".
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.model.summary import VarianceShare

FloatArray = npt.NDArray[np.float64]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One pair in one block, reduced to what the estimator needs."""

    pair: tuple[str, str]
    mean: float
    sum_squares: float
    """Sum of squared deviations from the mean."""
    n: int
    n_effective: float


def session(pair: tuple[str, str], values: FloatArray, n_effective: float | None) -> Session:
    """Reduces one session's samples.

    Raises:
        ValueError: No samples.
    """
    if len(values) == 0:
        raise ValueError("a session without samples")
    mean = float(values.mean())
    return Session(
        pair=pair,
        mean=mean,
        sum_squares=float(((values - mean) ** 2).sum()),
        n=len(values),
        n_effective=float(len(values)) if n_effective is None else n_effective,
    )


def components(sessions: Sequence[Session]) -> tuple[float, float, float] | None:
    """Variance within sessions, between blocks, between pairs, in the square of the unit.

    Returns:
        None unless there are two pairs, a pair with two sessions, and a session with two samples.
    """
    by_pair: dict[tuple[str, str], list[Session]] = {}
    for one in sessions:
        by_pair.setdefault(one.pair, []).append(one)
    pairs, total = len(by_pair), len(sessions)
    freedom = sum(one.n - 1 for one in sessions)
    if pairs < 2 or total <= pairs or freedom < 1:
        return None
    within = sum(one.sum_squares for one in sessions) / freedom
    error = {key: [within / one.n_effective for one in held] for key, held in by_pair.items()}
    means = {key: np.array([one.mean for one in held]) for key, held in by_pair.items()}
    scatter = sum(float(((m - m.mean()) ** 2).sum()) for m in means.values())
    noise = sum((1 - 1 / len(e)) * sum(e) for e in error.values())
    blocks = max(0.0, (scatter - noise) / (total - pairs))
    centres = np.array([m.mean() for m in means.values()])
    sampling = [blocks / len(e) + sum(e) / len(e) ** 2 for e in error.values()]
    between = max(0.0, float(centres.var(ddof=1)) - float(np.mean(sampling)))
    return within, blocks, between


def shares(sessions: Sequence[Session]) -> VarianceShare | None:
    """The components as shares of their sum; None where they cannot be told apart."""
    parts = components(sessions)
    if parts is None or not sum(parts) > 0.0:
        return None
    whole = sum(parts)
    within, blocks = parts[0] / whole, parts[1] / whole
    return VarianceShare(
        within_session=within, between_blocks=blocks, between_pairs=max(0.0, 1.0 - within - blocks)
    )
