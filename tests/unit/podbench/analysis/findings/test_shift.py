"""The shift function on distributions whose difference is known."""

import numpy as np
import pytest
from scipy import stats

from podbench.analysis.findings import shift
from podbench.analysis.samples.blocks import Cells, Reduced
from podbench.analysis.samples.metrics import SHIFT_QUANTILES, SHIFTS
from podbench.analysis.stats import multiple, quantiles
from podbench.model.summary import Shift

ARMS = ("bgp/pod", "vxlan/pod")
SERIES = "rtt_kernel_ns"


def _cells(seed: int, blocks: int, n: int, *, tail: float = 0.0, factor: float = 1.0) -> Cells:
    """One pair; the other arm is `factor` slower, and its slowest tenth by `tail` more."""
    rng = np.random.default_rng(seed)
    cells: Cells = {}
    for block in range(1, blocks + 1):
        for arm in ARMS:
            values = 10_000.0 * np.exp(rng.normal(rng.normal(0.0, 0.01), 0.1, n))
            if arm == ARMS[1]:
                values = values * factor
                values += np.where(values > np.quantile(values, 0.9), tail * values, 0.0)
            cells[arm, block] = {("n1", "n2"): np.sort(values)}
    return cells


def _made(cells: Cells) -> Shift:
    found = shift.shift(SERIES, ARMS, cells)
    assert found is not None
    return found


def test_a_constant_factor_is_flat() -> None:
    """Every quantile has the factor inside its interval and is told apart."""
    made = _made(_cells(1, 10, 2_000, factor=1.2))
    assert tuple(point.q for point in made.points) == SHIFT_QUANTILES
    assert all(point.told_apart for point in made.points)
    held = [point.ci95[0] <= 1.2 <= point.ci95[1] for point in made.points if point.ci95]
    assert len(held) == 11
    assert sum(held) >= 10
    assert (made.base, made.other, made.path, made.unit) == (*ARMS, "pod", "ns")


def test_a_heavier_tail_shows_at_its_end_only() -> None:
    """The slowest tenth is a half slower: the deciles stay, p95 and p99 rise."""
    points = {point.q: point for point in _made(_cells(2, 10, 2_000, tail=0.5)).points}
    assert not points[0.5].told_apart
    assert points[0.95].told_apart
    assert points[0.99].ratio == pytest.approx(1.5, rel=0.1)


def test_a_point_is_the_block_statistics_t_test() -> None:
    """Ratio, p and difference of one decile by hand, p adjusted over the eleven."""
    cells = _cells(3, 6, 500, factor=1.02)
    made = _made(cells)
    logs = np.array(
        [
            [np.log(quantiles.harrell_davis(cells[arm, b]["n1", "n2"], 0.3)) for b in range(1, 7)]
            for arm in ARMS
        ]
    )
    point = next(point for point in made.points if point.q == 0.3)
    assert point.ratio == pytest.approx(np.exp((logs[1] - logs[0]).mean()))
    assert point.p_value == pytest.approx(stats.ttest_rel(logs[1], logs[0]).pvalue)
    assert point.difference == pytest.approx(
        np.exp(logs[1].mean()) - np.exp(logs[0].mean()), rel=1e-9
    )
    raw = [p.p_value for p in made.points if p.p_value is not None]
    adjusted = [p.p_adjusted for p in made.points if p.p_adjusted is not None]
    assert adjusted == pytest.approx(multiple.benjamini_hochberg(raw))


def test_quantiles_too_few_samples_support_are_null() -> None:
    """200 samples a block have deciles and p95, and no p99."""
    points = {point.q: point for point in _made(_cells(4, 5, 200)).points}
    assert points[0.95].ratio is not None
    last = points[0.99]
    assert (last.ratio, last.ci95, last.p_adjusted, last.blocks) == (None, None, None, 0)


def test_one_block_has_ratios_and_no_tests() -> None:
    """Ratios without intervals; without any block there is no function."""
    made = _made(_cells(5, 1, 2_000))
    assert all(point.ratio is not None and point.p_value is None for point in made.points)
    assert not any(point.told_apart for point in made.points)
    assert shift.shift(SERIES, ARMS, {}) is None


@pytest.mark.parametrize(("more_ns", "apart"), [(200.0, False), (800.0, True)])
def test_what_the_instrument_cannot_resolve_is_not_told_apart(more_ns: float, apart: bool) -> None:
    """Kernel stamps tell 0.5 µs apart, however sure a smaller difference is."""
    cells = _cells(1, 6, 500)
    for block in range(1, 7):
        base = cells[ARMS[0], block]["n1", "n2"]
        cells[ARMS[1], block] = {("n1", "n2"): base + more_ns}
    median = next(point for point in _made(cells).points if point.q == 0.5)
    assert (median.p_adjusted or 0.0) < 0.001
    assert median.told_apart is apart


def test_what_an_arm_differs_from_itself_by_is_not_told_apart() -> None:
    """8 % where the A/A pair shows 12 %: sure, and no difference of the modes."""
    cells = _cells(7, 8, 500, factor=1.08)
    alone = shift.table(_all_series(cells), [ARMS])
    for block in range(1, 9):
        repeat = {pair: 1.12 * values for pair, values in cells[ARMS[0], block].items()}
        cells[f"{ARMS[0]}#2", block] = repeat
    beside = shift.table(_all_series(cells), [ARMS, (ARMS[0], f"{ARMS[0]}#2")])
    assert all(point.told_apart for point in alone[0].points if point.p_adjusted is not None)
    modes, itself = beside
    assert not any(point.told_apart for point in modes.points)
    assert all(point.told_apart for point in itself.points if point.p_adjusted is not None)


def _all_series(cells: Cells) -> dict[str, Cells | Reduced]:
    nothing: Cells = {}
    return {series: cells if series == SERIES else nothing for series in SHIFTS}
