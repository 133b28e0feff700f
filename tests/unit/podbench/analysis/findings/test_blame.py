"""Who is blamed, from the tables of a run: repetition over blocks, figures, zones, hosts."""

from itertools import combinations

import numpy as np
import pytest
from support import synthetic

from podbench.analysis.findings.blame import blame, effects
from podbench.analysis.findings.comparisons import Tables
from podbench.analysis.samples.blocks import Cells, Digest, Reduced
from podbench.analysis.samples.loss_table import LossTable, Tally
from podbench.analysis.samples.metrics import METRICS
from podbench.analysis.samples.residues import Residues
from podbench.analysis.stats import polish
from podbench.analysis.summarise import analyse

ARMS = ("bgp/pod", "vxlan/pod")
NOTHING = Residues(exact=True)


def _no_union(series: str, place: tuple[str, int], pairs: object, q: float) -> float | None:
    del series, place, pairs, q
    return None


def _tables(rng: np.random.Generator, nodes: int, factors: dict[tuple[str, str], float]) -> Tables:
    """Five blocks of kernel medians at 10 µs, initiators alternating; 3% noise."""
    held: dict[str, Cells | Reduced] = {metric.series: {} for metric in METRICS}
    cells = held["rtt_kernel_ns"] = Reduced("rtt_kernel_ns", _no_union)
    losses: LossTable = {}
    names = [f"n{i:02}" for i in range(nodes)]
    for block in range(1, 6):
        for arm in ARMS:
            place = cells.setdefault((arm, block), {})
            for a, b in combinations(names, 2):
                pair = (a, b) if block % 2 else (b, a)
                level = 1e4 * factors.get((a, b), 1.0) * np.exp(rng.normal(0.0, 0.03))
                place[pair] = Digest(1_000, {0.5: level})
                losses.setdefault((arm, block), {})[pair] = Tally(
                    sent=1_000, lost_forward=0, lost_backward=0, lost_unknown=0, episodes=0,
                    squares=0, longest=0,
                )  # fmt: skip
    return Tables(cells=held, losses=losses)


def _slow(node: str, nodes: int, factor: float) -> dict[tuple[str, str], float]:
    names = [f"n{i:02}" for i in range(nodes)]
    return {pair: factor for pair in combinations(names, 2) if node in pair}


def test_a_slow_node_and_a_slow_pair() -> None:
    """Each by its name, with an interval over blocks and its adjusted p."""
    rng = np.random.default_rng(1)
    found = blame(_tables(rng, 6, _slow("n02", 6, 1.15)), ARMS, NOTHING, {})
    assert [(one.kind, one.subject, one.metric) for one in found] == [
        ("node", "n02", "rtt_kernel_ns.p50")
    ]
    assert found[0].effect_ratio == pytest.approx(1.15, rel=0.04)
    assert found[0].ci95 is not None
    assert found[0].ci95[0] < found[0].effect_ratio < found[0].ci95[1]
    found = blame(_tables(rng, 6, {("n01", "n04"): 1.25}), ARMS, NOTHING, {})
    assert [(one.kind, one.subject) for one in found] == [("pair", "n01 - n04")]
    assert (found[0].p_adjusted or 1.0) < 0.05


def test_nothing_is_blamed_in_a_quiet_mesh_or_below_four_nodes() -> None:
    """Four quiet nodes have no culprit; three cannot have one."""
    rng = np.random.default_rng(2)
    assert blame(_tables(rng, 4, {}), ARMS, NOTHING, {}) == ()
    tables = _tables(rng, 3, _slow("n00", 3, 3.0))
    assert blame(tables, ARMS, NOTHING, {}) == ()
    assert effects(tables, ARMS, {}) == ()


def test_loss_that_repeats_has_a_culprit_and_one_burst_has_none() -> None:
    """A pair that loses 1% in every block is named; one burst of 50 in one block is nobody's."""
    rng = np.random.default_rng(3)
    for each, named in ((10, True), (0, False)):
        tables = _tables(rng, 6, {})
        for (_, block), held in tables.losses.items():
            pair = ("n00", "n03") if block % 2 else ("n03", "n00")
            lost = each or (50 if block == 2 else 0)
            held[pair] = Tally(
                sent=1_000, lost_forward=lost, lost_backward=0, lost_unknown=0, episodes=1,
                squares=lost, longest=1,
            )  # fmt: skip
        found = blame(tables, ARMS, NOTHING, {})
        assert [one.subject for one in found] == (["n00 - n03"] if named else [])


def test_distance_between_zones_is_nobodys_fault() -> None:
    """Far zones are slow as a whole; only a node slow within them is named."""
    factors = _slow("n08", 12, 1.3)
    for a, b in combinations(range(12), 2):
        if (a < 6) != (b < 6):
            pair = (f"n{a:02}", f"n{b:02}")
            factors[pair] = factors.get(pair, 1.0) * 7.0
    zones: dict[str, str | None] = {f"n{i:02}": "a" if i < 6 else "b" for i in range(12)}
    found = blame(_tables(np.random.default_rng(4), 12, factors), ARMS, NOTHING, zones)
    assert [one.subject for one in found if one.kind == "node"] == ["n08"]


def test_every_node_has_its_part() -> None:
    """The picture beside the names: a slow node has the largest part."""
    found = effects(_tables(np.random.default_rng(5), 6, _slow("n02", 6, 1.3)), ARMS, {})
    assert [one.node for one in found] == [f"n{i:02}" for i in range(6)]
    assert max(found, key=lambda one: one.z).node == "n02"


def test_a_starved_host_is_told_from_a_slow_path() -> None:
    """Own host time up on one node while its path is flat: host_cpu, not node."""
    shape = synthetic.Shape(nodes=6, blocks=4, throughput=False, host=False)
    made = synthetic.run(7, shape)
    assert made.latency is not None
    rows = made.latency
    rows.loc[rows["src"] == "n3", "host_ns"] = rows.loc[rows["src"] == "n3", "host_ns"] * 4
    found = analyse(made).summary.blame
    assert [(one.kind, one.subject) for one in found] == [("host_cpu", "n3")]


def test_polish_takes_effects_apart() -> None:
    """A table made of effects is given back as these effects; holes are no obstacle."""
    out, into = np.array([0.0, 0.2, 0.0, -0.1, 0.0]), np.array([0.0, 0.0, 0.4, 0.0, 0.0])
    table = 5.0 + out[:, None] + into[None, :]
    np.fill_diagonal(table, np.nan)
    found = polish.median_polish(table)
    np.testing.assert_allclose(found.out, out, atol=1e-6)
    np.testing.assert_allclose(found.into, into, atol=1e-6)
    assert found.mu == pytest.approx(5.0)
    rng = np.random.default_rng(1)
    holed = rng.normal(0.0, 0.3, (12, 12))
    holed[rng.random((12, 12)) < 0.4] = np.nan
    holed[3, :] = np.nan
    parts = polish.median_polish(holed)
    total = parts.mu + parts.out[:, None] + parts.into[None, :] + parts.residual
    known = ~np.isnan(holed)
    np.testing.assert_allclose(total[known], holed[known])
    assert np.isnan(parts.out[3])
    with pytest.raises(ValueError, match="without a single"):
        polish.median_polish(np.full((3, 3), np.nan))


def test_robust_z() -> None:
    """The outlier's score is large, the others' small; three values are the least."""
    z = polish.robust_z(np.array([0.0, 0.1, -0.1, 0.05, -0.05, 3.0, np.nan]))
    assert z[5] > 20
    assert np.isnan(z[6])
    assert list(polish.robust_z(np.array([1.0, 9.0]))) == [0.0, 0.0]
