"""Block statistics: the same pairs in every arm, and the union where one pair is too small."""

import numpy as np
import pytest

from podbench.analysis.samples.blocks import Cells, block_series, common_pairs
from podbench.analysis.samples.metrics import BY_NAME
from podbench.analysis.stats import quantiles

P50, P99 = BY_NAME["rtt_kernel_ns.p50"], BY_NAME["rtt_kernel_ns.p99"]
AB, BA = ("a", "b"), ("b", "a")


def _samples(centre: float, n: int = 100, seed: int = 0) -> np.ndarray:
    return np.sort(centre * np.exp(np.random.default_rng(seed).normal(0, 0.1, n)))


def test_mean_over_pairs_of_log_quantiles() -> None:
    """The geometric mean of the pairs' medians."""
    cells: Cells = {("x", 1): {AB: _samples(100, seed=1), BA: _samples(400, seed=2)}}
    series = block_series(cells, ("x",), P50)
    each = [quantiles.harrell_davis(part, 0.5) for part in cells["x", 1].values()]
    assert not series.union
    assert series.value("x") == pytest.approx(np.sqrt(each[0] * each[1]))


def test_only_common_pairs_are_compared() -> None:
    """A slow pair that one arm lacks does not make the other arm slow."""
    cells: Cells = {
        ("x", 1): {AB: _samples(100), BA: _samples(9000)},
        ("y", 1): {AB: _samples(100), BA: np.empty(0)},
    }
    assert common_pairs(cells, ("x", "y"), 1) == (AB,)
    series = block_series(cells, ("x", "y"), P50)
    assert series.differences("x", "y") == pytest.approx([0.0])


def test_union_route_for_all_arms_and_blocks() -> None:
    """One cell of 999 samples sends the p99 of every arm and block over the union."""
    cells: Cells = {
        (arm, block): {AB: _samples(100, 1000, block), BA: _samples(100, 1000, block + 9)}
        for arm in ("x", "y")
        for block in (1, 2)
    }
    assert not block_series(cells, ("x", "y"), P99).union
    cells["y", 2][BA] = cells["y", 2][BA][:-1]
    series = block_series(cells, ("x", "y"), P99)
    assert series.union
    together = np.sort(np.concatenate(list(cells["x", 1].values())))
    assert np.exp(series.logs[0, 0]) == pytest.approx(quantiles.harrell_davis(together, 0.99))


def test_a_block_too_small_is_left_out() -> None:
    """Where even the union does not support the quantile, the block does not count."""
    cells: Cells = {("x", 1): {AB: _samples(100, 2000)}, ("x", 2): {AB: _samples(100, 500)}}
    assert block_series(cells, ("x",), P99).blocks == (1,)
    assert block_series({("x", 1): {AB: _samples(1, 5)}}, ("x",), P50).value("x") is None


def test_blocks_one_arm_lacks_are_left_out() -> None:
    """A comparison is over blocks both arms were measured in."""
    cells: Cells = {("x", b): {AB: _samples(100)} for b in (1, 2, 3)}
    cells |= {("y", b): {AB: _samples(110)} for b in (2, 3, 4)}
    assert block_series(cells, ("x", "y"), P50).blocks == (2, 3)


def test_zero_has_no_logarithm() -> None:
    """A block statistic of zero is left out, not minus infinity."""
    cells: Cells = {("x", 1): {AB: np.zeros(100)}, ("x", 2): {AB: _samples(5)}}
    assert block_series(cells, ("x",), P50).blocks == (2,)
