"""Reports on meshes with and without a culprit, by size: who is named."""

from itertools import combinations

import numpy as np
from bench.statistics.tables import Row, Table

from podbench.analysis.findings import blame
from podbench.analysis.stats import outliers

BEFORE = {
    4: "node 8%, pair 65%",
    5: "node 11%, pair 51%",
    6: "pair 26%",
    10: "pair 7.5%",
}
FIGURES = 6
MARGIN = float(np.log1p(0.05))
SHARE = 0.8 * blame.ALPHA / FIGURES
NOISE = {
    "blocks scatter 10%": (0.10, 0.0),
    "pairs differ by 10%": (0.01, 0.10),
}


def table(into: Table, runs: int, seed: int) -> None:
    """Adds the rows. Six figures a report (kernel and application, goodput, loss)."""
    for nodes in (3, 4, 5, 6, 8, 10, 16, 24):
        pairs = list(combinations(range(nodes), 2))
        size = runs if nodes <= 10 else max(100, runs // 5)
        for name, (block_sd, pair_sd) in NOISE.items():
            rng = np.random.default_rng((seed, nodes))
            named = 0
            for _ in range(size):
                named += any(
                    _found(_values(rng, len(pairs), 5, block_sd, pair_sd), pairs, nodes)
                    for _ in range(FIGURES)
                )
            into.add(
                Row(
                    claim="blame, no culprit",
                    setting=f"{nodes} nodes, {name}, 5 blocks",
                    nominal=0.05,
                    side="at most",
                    reached=named / size,
                    runs=size,
                    before=BEFORE.get(nodes, ""),
                )
            )
        if nodes >= 4:
            _hits(into, (nodes, pairs), size, seed)


def _values(
    rng: np.random.Generator, pairs: int, blocks: int, block_sd: float, pair_sd: float
) -> np.ndarray:
    found = rng.normal(0.0, block_sd, (blocks, pairs)) + rng.normal(0.0, pair_sd, pairs)
    return np.asarray(found)


def _found(values: np.ndarray, pairs: list[tuple[int, int]], nodes: int) -> bool:
    held = outliers.find(values, pairs, nodes, margin=MARGIN, alpha=SHARE)
    return bool(held.nodes or held.pairs)


def _hits(into: Table, mesh: tuple[int, list[tuple[int, int]]], runs: int, seed: int) -> None:
    nodes, pairs = mesh
    touches = np.array([0 in pair for pair in pairs])
    rng = np.random.default_rng((seed, nodes, 2))
    node = pair = 0
    for _ in range(runs):
        values = _values(rng, len(pairs), 5, 0.03, 0.0)
        slow = values + np.log(1.15) * touches
        held = outliers.find(slow, pairs, nodes, margin=MARGIN, alpha=SHARE)
        node += 0 in {one.subject for one in held.nodes}
        values[:, -1] += np.log(1.25)
        held = outliers.find(values, pairs, nodes, margin=MARGIN, alpha=SHARE)
        pair += len(pairs) - 1 in {one.subject for one in held.pairs}
    for what, hits in (("node +15%", node), ("pair +25%", pair)):
        into.add(
            Row(
                claim="blame, hits",
                setting=f"{nodes} nodes, {what}, scatter 3%, 5 blocks",
                nominal=0.95 if nodes >= 6 else None,
                side="at least" if nodes >= 6 else "shown",
                reached=hits / runs,
                runs=runs,
            )
        )
