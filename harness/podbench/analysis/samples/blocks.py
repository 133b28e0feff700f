"""Samples to block statistics: one number per arm and block, over the same pairs in every arm.

The block statistic is the mean over pairs of log quantile. Where one pair's n in one block is too
small for the quantile, it is, for the whole comparison, the quantile of the union of the same
pairs' samples. Either way a block counts only with pairs that every compared arm measured in it:
arms are never compared over different pairs, and a pair that lost everything in one arm shows up as
loss, not as speed. Reference: docs/statistics.md; the run as unit of analysis: Kalibera, Jones,
"Rigorous benchmarking in reasonable time", ISMM 2013.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.analysis.samples.metrics import Metric
from podbench.analysis.stats import quantiles

FloatArray = npt.NDArray[np.float64]
PairKey = tuple[str, str]
Cells = dict[tuple[str, int], dict[PairKey, FloatArray]]
"""Sorted samples of one series by (arm, block), then by directed pair."""


class Digest(msgspec.Struct, frozen=True):
    """A cell's samples, reduced to what block statistics ask of them."""

    n: int
    quantiles: dict[float, float]
    """Those that n supports."""
    step: float = 0.0
    """Of the clock, as these samples show it (`clock_step`); 0: none shows."""

    def __len__(self) -> int:
        return self.n


_STEP_SAMPLES = 200
_STEP_TIES = 0.5


def clock_step(ordered: FloatArray | npt.NDArray[np.uint32]) -> float:
    """The step of the clock behind sorted samples; 0 where their ties do not show one."""
    gaps = np.diff(np.asarray(ordered, dtype=np.float64))
    if len(ordered) < _STEP_SAMPLES or float((gaps == 0.0).mean()) < _STEP_TIES:
        return 0.0
    steps = gaps[gaps > 0.0]
    return float(steps.min()) if len(steps) else 0.0


def series_step(cells: "Cells | Reduced") -> float | None:
    """The step that most cells of a series show; None: none shows."""
    steps = [
        part.step if isinstance(part, Digest) else clock_step(part)
        for held in cells.values()
        for part in held.values()
        if len(part)
    ]
    seen = [step for step in steps if step > 0.0]
    return float(np.median(seen)) if 2 * len(seen) > len(steps) else None


class Union(Protocol):
    """Quantiles of some pairs' samples together."""

    def __call__(
        self, series: str, place: tuple[str, int], pairs: tuple[PairKey, ...], q: float
    ) -> float | None:
        """Of these pairs in this arm and block; None where there are too few."""


class Reduced(dict[tuple[str, int], dict[PairKey, Digest]]):
    """Cells of one series whose samples are not held: digests, and a way to ask for unions."""

    def __init__(self, series: str, union: Union) -> None:
        super().__init__()
        self.series, self._union = series, union

    def union(self, place: tuple[str, int], pairs: tuple[PairKey, ...], q: float) -> float | None:
        """The q-quantile of these pairs' samples together."""
        return self._union(self.series, place, pairs, q)


class BlockSeries(msgspec.Struct, frozen=True, eq=False):
    """Log block statistics: `logs[a, b]` of arm a in `blocks[b]`."""

    arms: tuple[str, ...]
    blocks: tuple[int, ...]
    logs: FloatArray
    samples: int = 0
    union: bool = False

    def differences(self, base: str, other: str) -> FloatArray:
        """(blocks,) log(other) - log(base)."""
        rows = self.logs[self.arms.index(other)] - self.logs[self.arms.index(base)]
        return np.asarray(rows, dtype=np.float64)

    def value(self, arm: str) -> float | None:
        """Exp of the mean over blocks; None without a block."""
        row = self.logs[self.arms.index(arm)]
        return float(np.exp(row.mean())) if len(row) else None


def blocks_of(cells: Cells | Reduced) -> tuple[int, ...]:
    """Block numbers that have any samples."""
    return tuple(sorted({block for _, block in cells}))


def common_pairs(cells: Cells | Reduced, arms: Sequence[str], block: int) -> tuple[PairKey, ...]:
    """Pairs with at least one sample in every one of these arms in this block."""
    by_arm = [cells.get((arm, block), {}) for arm in arms]
    shared = {pair for pair, samples in by_arm[0].items() if len(samples)}
    for held in by_arm[1:]:
        shared &= {pair for pair, samples in held.items() if len(samples)}
    return tuple(sorted(shared))


def block_series(cells: Cells | Reduced, arms: Sequence[str], metric: Metric) -> BlockSeries:
    """Block statistics of one metric for arms that are to be compared.

    Args:
        cells: samples of the metric's series.
        arms: one or more; every block needs pairs common to all of them.
        metric: says which quantile, and whether n*(1-q) >= 10 is asked for.
    """
    shared = {block: common_pairs(cells, arms, block) for block in blocks_of(cells)}
    shared = {block: pairs for block, pairs in shared.items() if pairs}
    union = metric.tail_rule and any(
        not quantiles.supported(len(cells[arm, block][pair]), metric.q)
        for block, pairs in shared.items()
        for arm in arms
        for pair in pairs
    )
    kept: list[int] = []
    columns: list[list[float]] = []
    samples = 0
    for block, pairs in shared.items():
        column = [_statistic(cells, (arm, block), pairs, metric, union=union) for arm in arms]
        if all(np.isfinite(column)):
            kept.append(block)
            columns.append(column)
            samples += sum(len(cells[arm, block][pair]) for arm in arms for pair in pairs)
    logs = np.array(columns, dtype=np.float64).T if kept else np.empty((len(arms), 0))
    return BlockSeries(tuple(arms), tuple(kept), logs, samples, union)


def _statistic(
    cells: Cells | Reduced,
    place: tuple[str, int],
    pairs: tuple[PairKey, ...],
    metric: Metric,
    *,
    union: bool,
) -> float:
    """Log of the block statistic; NaN where it cannot be had."""
    held = cells[place]
    values: list[float | None]
    if not union:
        values = [_quantile(held[pair], metric) for pair in pairs]
    elif isinstance(cells, Reduced):
        values = [cells.union(place, pairs, metric.q)]
    else:
        values = [quantiles.quantile(np.sort(np.concatenate([held[p] for p in pairs])), metric.q)]
    if any(value is None or value <= 0.0 for value in values):
        return float("nan")
    return float(np.mean(np.log(np.array(values, dtype=np.float64))))


def log_statistic(part: FloatArray | Digest, metric: Metric) -> float:
    """Log of one pair's own statistic in one block; NaN where its samples do not support it."""
    value = _quantile(part, metric)
    return float(np.log(value)) if value is not None and value > 0.0 else float("nan")


def _quantile(part: FloatArray | Digest, metric: Metric) -> float | None:
    if isinstance(part, Digest):
        return part.quantiles.get(metric.q)
    return quantiles.quantile(part, metric.q, tail_rule=metric.tail_rule)
