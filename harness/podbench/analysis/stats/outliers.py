"""Which node or pair of a mesh is worse than the others, block after block.

Log figures by block and pair of nodes, larger is worse. Two questions, and both must say yes:

- Repetition: does the effect exceed the margin in the blocks' own replicates? A node's effect in a
  block is the median of its pairs less the median of the others; a pair's is what its two nodes do
  not explain. One-sided t over blocks against the margin; a spread is never below the mesh's.
- Standing out: is it more than pairs differ from each other anyway? Additive fit of the block
  means, mu + a_i + a_j; externally studentised residuals (Cook, Weisberg 1982) name pairs, one
  after the other, then each node is held against the others by what residual is left. Four nodes
  leave two degrees of freedom, three none: small meshes name hardly anybody.

Holm over the larger of both p values, nodes and pairs apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from podbench.analysis.stats import multiple

FloatArray = npt.NDArray[np.float64]

MIN_NODES = 4
MIN_BLOCKS = 3
_EXACT_NODES = 8
"""Up to here a pair is left out of what it is held against; in larger meshes a median hardly
notices."""
_MOST_PAIRS = 4
"""Pairs that are taken out of the fit, at most."""
_NOISY = 5.0
"""A spread this much above the mesh's mean counts by itself, with its own few blocks."""
_MOST_DF = 30
_LEAST = 1e-12


@dataclass(frozen=True, kw_only=True)
class Named:
    """One node or pair: `subject` numbers it (its place among nodes or pairs)."""

    subject: int
    effect: float
    half: float
    """Half-width of the 95% interval of the effect, over blocks."""
    score: float
    """The effect in standard errors."""
    p_adjusted: float
    blocks: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """What stands out."""

    nodes: tuple[Named, ...] = ()
    pairs: tuple[Named, ...] = ()


def _medians(values: FloatArray) -> FloatArray:
    """(blocks,) medians of what is known; NaN where nothing is."""
    found = np.full(len(values), np.nan)
    known = ~np.isnan(values).all(axis=1)
    if known.any():
        found[known] = np.nanmedian(values[known], axis=1)
    return found


def contrasts(
    values: FloatArray, pairs: Sequence[tuple[int, int]], nodes: int
) -> tuple[FloatArray, FloatArray]:
    """(blocks, nodes) and (blocks, pairs) effects.

    Args:
        values: (blocks, pairs), NaN where not measured.
        pairs: each pair's two nodes.
        nodes: how many there are.
    """
    touches = np.zeros((len(pairs), nodes), dtype=np.bool_)
    for row, (i, j) in enumerate(pairs):
        touches[row, [i, j]] = True
    own = np.stack([_medians(values[:, touches[:, i]]) for i in range(nodes)], axis=1)
    rest = np.stack([_medians(values[:, ~touches[:, i]]) for i in range(nodes)], axis=1)
    beyond = np.full_like(values, np.nan)
    centre = _medians(values)
    for row, (i, j) in enumerate(pairs):
        if nodes > _EXACT_NODES:
            beyond[:, row] = values[:, row] - own[:, i] - own[:, j] + centre
            continue
        others = np.arange(len(pairs)) != row
        beyond[:, row] = (
            values[:, row]
            - _medians(values[:, touches[:, i] & others])
            - _medians(values[:, touches[:, j] & others])
            + _medians(values[:, ~touches[:, i] & ~touches[:, j]])
        )
    return own - rest, beyond


@dataclass(frozen=True, kw_only=True, eq=False)
class _Repeated:
    mean: FloatArray
    error: FloatArray
    df: FloatArray
    p: FloatArray
    blocks: npt.NDArray[np.int64]


def _repeated(effects: FloatArray, margin: float) -> _Repeated:
    """One-sided p for each column that its mean exceeds the margin."""
    known = ~np.isnan(effects)
    n = known.sum(axis=0)
    enough = n >= MIN_BLOCKS
    total = np.where(known, effects, 0.0).sum(axis=0)
    mean = np.where(enough, total / np.maximum(n, 1), np.nan)
    squares = np.where(known, (np.where(known, effects, 0.0) - mean) ** 2, 0.0).sum(axis=0)
    variance = squares / np.maximum(n - 1, 1)
    pooled = float(variance[enough].mean()) if enough.any() else 0.0
    df = np.maximum(n - 1, 1) * max(1, effects.shape[1] // 2)
    df = np.where(variance > _NOISY * pooled, np.maximum(n - 1, 1), np.minimum(df, _MOST_DF))
    error = np.sqrt(np.maximum(np.maximum(variance, pooled), _LEAST) / np.maximum(n, 1))
    p = np.where(enough, special.stdtr(df, -(mean - margin) / error), 1.0)
    return _Repeated(mean=mean, error=error, df=df.astype(np.float64), p=p, blocks=n)


def _standing_out(
    means: FloatArray, pairs: Sequence[tuple[int, int]], nodes: int, alpha: float
) -> tuple[FloatArray, FloatArray]:
    """(nodes,), (pairs,) one-sided p values of standing out of the mesh's own differences."""
    design = np.zeros((len(pairs), nodes))
    for row, (i, j) in enumerate(pairs):
        design[row, [i, j]] = 1.0
    keep = np.isfinite(means)
    of_pairs = np.ones(len(pairs))
    for _ in range(_MOST_PAIRS + 1):
        df = int(keep.sum()) - nodes
        if df < 2:
            break
        q, _ = np.linalg.qr(design[keep])
        residual = means[keep] - q @ (q.T @ means[keep])
        free = np.clip(1.0 - (q**2).sum(axis=1), 1e-9, 1.0)
        variance = ((residual**2).sum() - residual**2 / free) / (df - 1)
        scores = residual / np.sqrt(np.maximum(variance, _LEAST) * free)
        p = special.stdtr(df - 1, -scores)
        worst = int(np.argmin(p))
        if p[worst] * len(pairs) > alpha:
            break
        at = np.flatnonzero(keep)[worst]
        of_pairs[at], keep[at] = p[worst], False
    return _nodes_out(means, design, keep), of_pairs


def _nodes_out(means: FloatArray, design: FloatArray, keep: npt.NDArray[np.bool_]) -> FloatArray:
    """One-sided p values of each node against the mean of the others."""
    nodes = design.shape[1]
    left, values = design[keep], means[keep]
    df = len(left) - nodes
    if df < 1 or np.linalg.matrix_rank(left) < nodes:
        return np.ones(nodes)
    inverse = np.linalg.inv(left.T @ left)
    fitted = inverse @ left.T @ values
    variance = max(float(((values - left @ fitted) ** 2).sum()) / df, _LEAST)
    against = np.eye(nodes) - (1.0 - np.eye(nodes)) / (nodes - 1)
    errors = np.sqrt(variance * np.einsum("ij,jk,ik->i", against, inverse, against))
    return np.asarray(special.stdtr(df, -(against @ fitted) / errors), dtype=np.float64)


def find(
    values: FloatArray,
    pairs: Sequence[tuple[int, int]],
    nodes: int,
    *,
    margin: float,
    alpha: float,
) -> Found:
    """Nodes and pairs that are worse than the others by more than the margin.

    Args:
        values: (blocks, pairs) log figures, larger is worse, NaN where not measured.
        pairs: each pair's two nodes, no pair twice.
        nodes: how many there are.
        margin: as a difference of logarithms.
        alpha: chance that a mesh without a culprit names anybody; half for nodes, half for pairs.
    """
    if nodes < MIN_NODES or len(values) < MIN_BLOCKS or not len(pairs):
        return Found()
    of_nodes, of_pairs = contrasts(values, pairs, nodes)
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    means = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
    nodes_out, pairs_out = _standing_out(means, pairs, nodes, alpha / 2.0)
    return Found(
        nodes=_named(_repeated(of_nodes, margin), nodes_out, alpha / 2.0),
        pairs=_named(_repeated(of_pairs, margin), pairs_out, alpha / 2.0),
    )


def _named(repeated: _Repeated, out: FloatArray, alpha: float) -> tuple[Named, ...]:
    p = np.fmax(repeated.p, out)
    adjusted = multiple.holm(p)
    return tuple(
        Named(
            subject=int(i),
            effect=float(repeated.mean[i]),
            half=float(special.stdtrit(repeated.df[i], 0.975) * repeated.error[i]),
            score=float(repeated.mean[i] / repeated.error[i]),
            p_adjusted=float(adjusted[i]),
            blocks=int(repeated.blocks[i]),
        )
        for i in np.flatnonzero(adjusted <= alpha)
    )


def against_others(values: FloatArray, *, margin: float, alpha: float) -> tuple[Named, ...]:
    """Single values a node (host time, residence): those worse than the others, block after block.

    Args:
        values: (blocks, nodes) log figures, NaN where not measured.
        margin: as a difference of logarithms.
        alpha: chance of naming anybody where nobody is worse.
    """
    blocks, nodes = values.shape
    if nodes < MIN_NODES or blocks < MIN_BLOCKS:
        return ()
    effects = np.stack(
        [values[:, i] - _medians(np.delete(values, i, axis=1)) for i in range(nodes)], axis=1
    )
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    means = np.where(known.any(axis=0), np.where(known, values, 0.0).sum(axis=0) / count, np.nan)
    return _named(_repeated(effects, margin), _deleted(means), alpha)


def _deleted(means: FloatArray) -> FloatArray:
    """One-sided p of each value against the others' mean and spread."""
    out = np.ones(len(means))
    for i in np.flatnonzero(np.isfinite(means)):
        rest = np.delete(means, i)
        rest = rest[np.isfinite(rest)]
        if len(rest) >= 3:
            error = max(float(rest.std(ddof=1)), 1e-6) * np.sqrt(1.0 + 1.0 / len(rest))
            out[i] = float(special.stdtr(len(rest) - 1, -(means[i] - rest.mean()) / error))
    return out
