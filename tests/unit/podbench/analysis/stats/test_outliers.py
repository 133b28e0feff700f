"""Culprits in a mesh: named when they repeat and stand out, and hardly anybody else."""

from itertools import combinations

import numpy as np
import pytest

from podbench.analysis.stats import outliers

MARGIN = float(np.log1p(0.05))


def _mesh(
    rng: np.random.Generator, nodes: int, *, blocks: int = 5, each: float = 0.03, pair: float = 0.0
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    pairs = list(combinations(range(nodes), 2))
    return rng.normal(0.0, each, (blocks, len(pairs))) + rng.normal(0.0, pair, len(pairs)), pairs


@pytest.mark.parametrize("nodes", [6, 12])
def test_a_bad_node_and_a_bad_pair_are_named(nodes: int) -> None:
    """+15% and +25% over 3% noise, both at once: nearly always, and nobody else."""
    rng = np.random.default_rng(nodes)
    node = pair = others = 0
    for _ in range(40):
        values, pairs = _mesh(rng, nodes)
        values[:, [0 in ends for ends in pairs]] += np.log(1.15)
        values[:, -1] += np.log(1.25)
        found = outliers.find(values, pairs, nodes, margin=MARGIN, alpha=0.01)
        node += [one.subject for one in found.nodes] == [0]
        pair += [one.subject for one in found.pairs] == [len(pairs) - 1]
        others += len(found.nodes) + len(found.pairs) > 2
    assert node >= 36
    assert pair >= 36
    assert others == 0


@pytest.mark.parametrize(("each", "pair"), [(0.10, 0.0), (0.01, 0.10)])
@pytest.mark.parametrize("nodes", [4, 6, 10])
def test_noise_is_nobodys_fault(nodes: int, each: float, pair: float) -> None:
    """Blocks that scatter by 10%, or pairs that always differ by as much: 5% at most."""
    rng = np.random.default_rng(nodes)
    named = 0
    for _ in range(150):
        values, pairs = _mesh(rng, nodes, each=each, pair=pair)
        found = outliers.find(values, pairs, nodes, margin=MARGIN, alpha=0.05)
        named += bool(found.nodes or found.pairs)
    assert named <= 0.08 * 150


def test_three_nodes_two_blocks_and_holes() -> None:
    """Too little to say anything; what was not measured is no obstacle."""
    rng = np.random.default_rng(4)
    values, pairs = _mesh(rng, 3)
    assert outliers.find(values + 1.0, pairs, 3, margin=MARGIN, alpha=0.05) == outliers.Found()
    values, pairs = _mesh(rng, 8)
    values[:, [0 in ends for ends in pairs]] += np.log(1.3)
    assert outliers.find(values[:2], pairs, 8, margin=MARGIN, alpha=0.05) == outliers.Found()
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:, 5] = np.nan
    found = outliers.find(values, pairs, 8, margin=MARGIN, alpha=0.05)
    assert [one.subject for one in found.nodes] == [0]
    assert found.nodes[0].effect == pytest.approx(np.log(1.3), abs=0.05)
    assert found.nodes[0].p_adjusted < 0.05


def test_one_value_a_node() -> None:
    """A host that is slow in every block is named; one that was slow once is not."""
    rng = np.random.default_rng(5)
    values = rng.normal(0.0, 0.03, (6, 8))
    values[:, 3] += 0.7
    values[2, 5] += 2.0
    found = outliers.against_others(values, margin=0.1, alpha=0.05)
    assert [one.subject for one in found] == [3]
    assert outliers.against_others(values[:, :3], margin=0.1, alpha=0.05) == ()
