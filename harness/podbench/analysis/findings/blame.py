"""Which node, which pair, and whether a host rather than the path: named only on repetition.

- Node and pair: worse than the others by more than the margin in the blocks' own replicates, and
  more than the mesh's pairs differ anyway (`stats.outliers`), on log figures of all pod arms, each
  centred on itself, zone-pair medians removed first. From four nodes on.
- Host: the split rule. A round trip is path + reflector's residence + own host time. Where a node's
  own host time stands out while its path does not, it is the host's CPU (scheduling, steal); where
  its residence stands out, it is that node as a reflector. The evidence names the coincidence, not
  a cause.

All figures of a report share 5%: that often, at most, a report without a culprit names anybody.
Reached rates by size of the mesh: docs/statistics.md.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from podbench.analysis.bundle import NodeEffect
from podbench.analysis.findings.comparisons import Tables
from podbench.analysis.samples import loss, residues
from podbench.analysis.samples.blocks import log_statistic
from podbench.analysis.samples.metrics import BY_NAME, LOSS
from podbench.analysis.samples.residues import Residues
from podbench.analysis.stats import intervals, outliers, polish
from podbench.model.arms import Path, parse_arm
from podbench.model.summary import Blame, Interval

FloatArray = npt.NDArray[np.float64]
Ends = tuple[str, str]

ALPHA = 0.05
_PATHS, _HOSTS = 0.8, 0.2
"""Of that chance, what path figures share and what host figures do."""
FIGURES = (
    "rtt_app_ns.p50",
    "rtt_app_ns.p99",
    "rtt_kernel_ns.p50",
    "rtt_kernel_ns.p99",
    "goodput_bps.tcp.p50",
    LOSS.name,
)
_LOSS_FACTOR = 2.0
"""A pair or node is blamed for loss from twice the others' on."""


class Mesh:
    """One figure of every pair by block, larger is worse: (blocks, pairs) logs."""

    def __init__(self, tables: Tables, arms: Sequence[str], name: str) -> None:
        self.name = name
        self.directed = name.startswith("goodput")
        pods = [arm for arm in arms if parse_arm(arm).path is Path.POD]
        held = [one for one in (self._of_arm(tables, arm) for arm in pods) if one]
        self.pairs: tuple[Ends, ...] = tuple(sorted({p for one in held for _, p in one}))
        self.blocks = tuple(sorted({b for one in held for b, _ in one}))
        self.values = self._together(held)

    def _of_arm(self, tables: Tables, arm: str) -> dict[tuple[int, Ends], float]:
        """By (block, pair), logs as they were measured; both directions drawn together."""
        found: dict[tuple[int, Ends], list[float]] = {}
        for block, pair, value in _logs(tables, arm, self.name):
            key = pair if self.directed else (min(pair), max(pair))
            found.setdefault((block, key), []).append(-value if self.directed else value)
        return {place: float(np.mean(values)) for place, values in found.items()}

    def _together(self, held: Sequence[Mapping[tuple[int, Ends], float]]) -> FloatArray:
        """Mean over arms, each less its own median in the block."""
        if not held:
            return np.empty((0, 0))
        tables = np.full((len(held), len(self.blocks), len(self.pairs)), np.nan)
        rows = {block: i for i, block in enumerate(self.blocks)}
        columns = {pair: i for i, pair in enumerate(self.pairs)}
        for table, one in zip(tables, held, strict=True):
            for (block, pair), value in one.items():
                table[rows[block], columns[pair]] = value
            known = ~np.isnan(table).all(axis=1)
            table[known] -= np.nanmedian(table[known], axis=1, keepdims=True)
        measured = ~np.isnan(tables)
        total, count = np.where(measured, tables, 0.0).sum(axis=0), measured.sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def without_zones(self, zones: Mapping[str, str | None]) -> None:
        """Removes the median of each two zones, so that distance is nobody's fault."""
        between = [tuple(sorted(str(zones.get(node)) for node in pair)) for pair in self.pairs]
        if len({zone for zone in zones.values() if zone is not None}) < 2:
            return
        for ends in set(between):
            area = self.values[:, [one == ends for one in between]]
            if not np.isnan(area).all():
                self.values[:, [one == ends for one in between]] -= np.nanmedian(area)


def _logs(tables: Tables, arm: str, name: str) -> Iterator[tuple[int, Ends, float]]:
    if name == LOSS.name:
        for (of, block), tallies in tables.losses.items():
            if of == arm:
                for pair, tally in tallies.items():
                    counts = np.array([tally.lost]), np.array([tally.sent])
                    yield block, pair, float(loss.log_ratios(*counts)[0])
        return
    metric = BY_NAME[name]
    for (of, block), held in tables.cells[metric.series].items():
        if of == arm:
            for pair, part in held.items():
                value = log_statistic(part, metric)
                if np.isfinite(value):
                    yield block, pair, value


def blame(
    tables: Tables, arms: Sequence[str], split: Residues, zones: Mapping[str, str | None]
) -> tuple[Blame, ...]:
    """Everything that stands out, strongest first; nothing below four nodes.

    Args:
        tables: samples by series, and loss counts.
        arms: measured arms.
        split: of round trips into path, reflector and own host.
        zones: zone by node, null where unknown.
    """
    meshes = [Mesh(tables, arms, name) for name in FIGURES]
    meshes = [mesh for mesh in meshes if np.isfinite(mesh.values).any()]
    nodes = sorted({node for mesh in meshes for pair in mesh.pairs for node in pair})
    found: list[Blame] = []
    for mesh in meshes:
        mesh.without_zones(zones)
        found += _of_mesh(mesh, nodes, _PATHS * ALPHA / len(meshes))
    on_path = {one.subject for one in found if one.kind == "node"}
    found += _hosts(split, nodes, on_path)
    return tuple(sorted(found, key=lambda one: -one.z))


def _of_mesh(mesh: Mesh, nodes: Sequence[str], alpha: float) -> list[Blame]:
    number = {node: i for i, node in enumerate(nodes)}
    ends = [(number[src], number[dst]) for src, dst in mesh.pairs]
    margin = _LOSS_FACTOR - 1.0 if mesh.name == LOSS.name else BY_NAME[mesh.name].margin
    held = outliers.find(mesh.values, ends, len(nodes), margin=float(np.log1p(margin)), alpha=alpha)
    found = [_blame("node", nodes[one.subject], mesh, one) for one in held.nodes]
    arrow = " > " if mesh.directed else " - "
    return found + [
        _blame("pair", arrow.join(mesh.pairs[one.subject]), mesh, one) for one in held.pairs
    ]


def _blame(kind: str, subject: str, mesh: Mesh, one: outliers.Named) -> Blame:
    ratio, ci95 = _ratio(one, worse_is_less=mesh.directed)
    beyond = "than the other nodes" if kind == "node" else "than its two nodes explain"
    side = "lower" if mesh.directed else "higher"
    return Blame(
        kind="node" if kind == "node" else "pair",
        subject=subject,
        metric=mesh.name,
        effect_ratio=ratio,
        ci95=ci95,
        z=one.score,
        p_adjusted=one.p_adjusted,
        evidence=f"{abs(100 * (ratio - 1)):.3g}% {side} {beyond}, in {one.blocks} blocks",
    )


def _ratio(one: outliers.Named, *, worse_is_less: bool) -> tuple[float, Interval]:
    low, high = intervals.scaled(1.0, (one.effect - one.half, one.effect + one.half))
    ratio = float(np.exp(one.effect))
    return (1.0 / ratio, (1.0 / high, 1.0 / low)) if worse_is_less else (ratio, (low, high))


def _hosts(held: Residues, nodes: Sequence[str], on_path: set[str]) -> list[Blame]:
    """The split rule: own host time by initiator, residence by reflector."""
    limit = float(np.log1p(BY_NAME["rtt_app_ns.p99"].margin))
    found: list[Blame] = []
    for kind, metric, said in (
        (residues.HOST, "host_ns", "its own host time (p99) is up while its path is not"),
        (residues.REFLECTOR, "reflector_ns", "its residence time as a reflector (p99) is up"),
    ):
        values = held.log_p99(kind, list(nodes))
        if not values.size:
            continue
        for one in outliers.against_others(values, margin=limit, alpha=_HOSTS * ALPHA / 2.0):
            if kind == residues.HOST and nodes[one.subject] in on_path:
                continue
            ratio, ci95 = _ratio(one, worse_is_less=False)
            found.append(
                Blame(
                    kind="host_cpu" if kind == residues.HOST else "reflector",
                    subject=nodes[one.subject],
                    metric=metric,
                    effect_ratio=ratio,
                    ci95=ci95,
                    z=one.score,
                    p_adjusted=one.p_adjusted,
                    evidence=f"{said}, in {one.blocks} blocks",
                )
            )
    return found


def effects(
    tables: Tables, arms: Sequence[str], zones: Mapping[str, str | None]
) -> tuple[NodeEffect, ...]:
    """Every node's part as a sender and as a receiver, a picture; nothing below four nodes."""
    found = []
    for name in FIGURES:
        mesh = Mesh(tables, arms, name)
        nodes = sorted({node for pair in mesh.pairs for node in pair})
        if name == LOSS.name or len(nodes) < outliers.MIN_NODES:
            continue
        mesh.without_zones(zones)
        parts = polish.median_polish(_square(mesh, nodes))
        scores = polish.robust_z(parts.out + parts.into)
        sign = -1.0 if mesh.directed else 1.0
        found += [
            NodeEffect(
                metric=name,
                node=node,
                sender_ratio=float(np.exp(sign * parts.out[i])),
                receiver_ratio=float(np.exp(sign * parts.into[i])),
                z=float(scores[i]),
            )
            for i, node in enumerate(nodes)
            if np.isfinite(scores[i])
        ]
    return tuple(found)


def _square(mesh: Mesh, nodes: Sequence[str]) -> FloatArray:
    """(nodes, nodes) means over blocks; round trips in both directions alike."""
    table = np.full((len(nodes), len(nodes)), np.nan)
    for column, (src, dst) in enumerate(mesh.pairs):
        values = mesh.values[:, column]
        if np.isfinite(values).any():
            i, j = nodes.index(src), nodes.index(dst)
            table[i, j] = float(np.nanmean(values))
            if not mesh.directed:
                table[j, i] = table[i, j]
    return table
