"""Which nodes and pairs differ: truth found, false discoveries kept to their share."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from podbench.analysis.findings import discoveries
from podbench.analysis.samples.blocks import Cells, Reduced
from podbench.analysis.samples.metrics import BY_NAME
from podbench.analysis.stats import multiple
from podbench.model.summary import Discoveries

ARMS = ("bgp/pod", "vxlan/pod")
P50 = BY_NAME["rtt_kernel_ns.p50"]
NAMES = tuple(f"n{i}" for i in range(1, 9))


def _cells(
    rng: np.random.Generator,
    *,
    nodes: int = 8,
    blocks: int = 8,
    factors: dict[tuple[str, str], float] | None = None,
    sd: float = 0.02,
) -> Cells:
    """Initiators alternate by block; `factors`: of the other arm, by pair in name order."""
    cells: Cells = {}
    for block in range(1, blocks + 1):
        for arm in ARMS:
            held = cells.setdefault((arm, block), {})
            for pair in combinations(NAMES[:nodes], 2):
                factor = (factors or {}).get(pair, 1.0) if arm == ARMS[1] else 1.0
                value = 10_000.0 * factor * np.exp(rng.normal(0.0, sd))
                held[pair if block % 2 else (pair[1], pair[0])] = np.full(40, value)
    return cells


def _sets(cells: Cells) -> dict[tuple[str, str], Discoveries]:
    found = discoveries.of_contrast(P50, ARMS, cells)
    return {(one.question, one.level): one for one in found}


def test_a_pair_is_found_and_the_others_are_not() -> None:
    """One pair of 28 pays 40 % more: it differs, and it stands out."""
    sets = _sets(_cells(np.random.default_rng(1), factors={("n2", "n5"): 1.4}))
    for question in ("differs", "stands out"):
        pairs = sets[question, "pair"]
        assert (pairs.tested, pairs.untested) == (28, 0)
        assert [one.nodes for one in pairs.strongest] == [("n2", "n5")]
        one = pairs.strongest[0]
        assert one.ratio == pytest.approx(1.4, rel=0.05)
        assert one.ci95[0] < 1.4 < one.ci95[1]
        assert one.confirmed
        assert one.blocks == 8


def test_a_node_is_found_where_all_pay() -> None:
    """A mode that costs 20 % everywhere differs everywhere; a node that pays twice stands out."""
    factors = {pair: 1.44 if "n3" in pair else 1.2 for pair in combinations(NAMES, 2)}
    sets = _sets(_cells(np.random.default_rng(2), factors=factors))
    assert sets["differs", "pair"].found == 28
    assert sets["differs", "node"].found == 8
    assert [one.nodes for one in sets["stands out", "node"].strongest] == [("n3",)]
    assert {"n3"} <= set(sets["stands out", "pair"].strongest[0].nodes)


def test_small_effects_are_significant_and_not_found() -> None:
    """2 % everywhere is real, and within the margin of 5 %."""
    factors = dict.fromkeys(combinations(NAMES, 2), 1.02)
    pairs = _sets(_cells(np.random.default_rng(3), factors=factors, sd=0.002))["differs", "pair"]
    assert pairs.significant == 28
    assert (pairs.found, pairs.confirmed, pairs.strongest) == (0, 0, ())


def test_below_the_instruments_resolution_nothing_is_found() -> None:
    """20 % of 2 µs are 400 ns, less than two kernel stamps can tell apart."""
    factors = dict.fromkeys(combinations(NAMES, 2), 1.2)
    cells = _cells(np.random.default_rng(4), factors=factors, sd=0.002)
    for held in cells.values():
        for pair, values in held.items():
            held[pair] = values / 5.0
    pairs = _sets(cells)["differs", "pair"]
    assert (pairs.significant, pairs.found) == (28, 0)


def test_equal_arms_make_discoveries_in_one_set_of_twenty_at_most() -> None:
    """Nothing differs: sets with any significant pair stay near 5 %, also for nodes."""
    rng = np.random.default_rng(5)
    alarms = np.zeros(2)
    for _ in range(200):
        sets = _sets(_cells(rng, nodes=5, blocks=5))
        alarms += [sets["differs", level].significant > 0 for level in ("node", "pair")]
    assert np.all(alarms / 200 <= 0.09)


def test_a_test_is_scipys_paired_t() -> None:
    """P and interval of every pair, and the adjustment over the set."""
    rng = np.random.default_rng(6)
    ratios = rng.normal(0.1, 0.05, (6, 7))
    tests = discoveries.paired_t(ratios)
    expected = stats.ttest_1samp(ratios, 0.0, axis=1)
    assert tests.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert tests.mean - tests.half == pytest.approx(interval.low)
    assert tests.mean + tests.half == pytest.approx(interval.high)
    held = _sets(_cells(rng, factors={("n1", "n2"): 1.5}))["differs", "pair"]
    table = discoveries.pair_table(P50, ARMS, _cells(np.random.default_rng(7)))
    assert len(table.subjects) == held.tested
    p = discoveries.paired_t(table.ratios).p
    assert np.all(multiple.benjamini_hochberg(p) >= p)


def test_missing_blocks_and_sparse_pairs() -> None:
    """Two blocks are no test; a pair in one arm only is not there at all."""
    cells = _cells(np.random.default_rng(8), nodes=4, blocks=5)
    for block in range(3, 6):
        for arm in ARMS:
            cells[arm, block] = {p: v for p, v in cells[arm, block].items() if "n4" not in p}
    for block in range(1, 6):
        cells[ARMS[1], block] = {
            p: v for p, v in cells[ARMS[1], block].items() if set(p) != {"n1", "n2"}
        }
    sets = _sets(cells)
    pairs = sets["differs", "pair"]
    assert (pairs.tested, pairs.untested) == (2, 3)
    # Blocks of fewer than six pairs have no median worth holding a pair against.
    assert ("stands out", "pair") not in sets
    assert _sets(_cells(np.random.default_rng(9), blocks=2)) == {}
    assert _sets({}) == {}


def test_blocks_all_alike() -> None:
    """Without any spread a difference is sure and equality is not a difference."""
    factors = {("n1", "n2"): 1.5}
    pairs = _sets(_cells(np.random.default_rng(10), factors=factors, sd=0.0))["differs", "pair"]
    assert [one.nodes for one in pairs.strongest] == [("n1", "n2")]
    assert pairs.significant == 1


def test_what_equal_arms_differ_by_is_no_discovery() -> None:
    """20 % everywhere under a noise floor of 30 % is none; what stands out of it still does."""
    factors = dict.fromkeys(combinations(NAMES, 2), 1.2) | {("n2", "n5"): 1.8}
    cells = _cells(np.random.default_rng(3), factors=factors)
    free, bounded = (
        {(one.question, one.level): one for one in discoveries.of_contrast(P50, ARMS, cells, floor)}
        for floor in (None, float(np.log(1.3)))
    )
    assert free["differs", "pair"].found == 28
    assert [one.nodes for one in bounded["differs", "pair"].strongest] == [("n2", "n5")]
    assert bounded["differs", "pair"].margin == pytest.approx(0.3)
    assert bounded["stands out", "pair"] == free["stands out", "pair"]


def test_the_floor_holds_for_modes_and_not_for_the_pair_it_comes_from() -> None:
    """An arm against its own repeat shows whatever was found."""
    cells = _cells(np.random.default_rng(4), factors=dict.fromkeys(combinations(NAMES, 2), 1.2))
    for block in range(1, 9):
        cells["bgp/pod#2", block] = cells["vxlan/pod", block]
    contrasts = [ARMS, ("bgp/pod", "bgp/pod#2")]
    held: dict[str, Cells | Reduced] = {metric.series: {} for metric in discoveries.TESTED}
    found = discoveries.table(
        {**held, P50.series: cells}, contrasts, {P50.name: float(np.log(1.3))}
    )
    counts = {
        one.other: one.found
        for one in found
        if (one.metric, one.question, one.level) == (P50.name, "differs", "pair")
    }
    assert counts == {"vxlan/pod": 0, "bgp/pod#2": 28}
