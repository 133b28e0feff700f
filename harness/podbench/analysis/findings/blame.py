"""Outliers: nodes, pairs, and hosts (as opposed to paths), each with its evidence.

- Node: z(out + in) > 3.5 and effect above the margin; out-only or in-only names the direction.
  Pair: residual z > 5 and above the margin. Both by median polish (`polish`) of the log figures of
  all pod arms, each centred on itself, zone-pair medians removed first. From 4 nodes on: below,
  effects and noise cannot be told apart.
- Host: the split rule. A round trip is path + reflector's residence + own host time. Where a node's
  own host time stands out while its path does not, it is the host's CPU (scheduling, steal); where
  its residence stands out, it is that node as a reflector. The evidence names the coincidence, not
  a cause.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from podbench.analysis.bundle import NodeEffect
from podbench.analysis.samples import residues
from podbench.analysis.samples.metrics import BY_NAME
from podbench.analysis.samples.residues import Residues
from podbench.analysis.samples.streams import Streams
from podbench.analysis.stats import polish
from podbench.model.arms import Path, parse_arm
from podbench.model.summary import Blame, Pair

FloatArray = npt.NDArray[np.float64]

MIN_NODES = 4
NODE_Z = 3.5
PAIR_Z = 5.0
_FIGURES: dict[str, Callable[[Pair], float | None]] = {
    "rtt_kernel_ns.p50": lambda p: p.rtt_kernel_ns.p50 if p.rtt_kernel_ns else None,
    "rtt_kernel_ns.p99": lambda p: p.rtt_kernel_ns.p99 if p.rtt_kernel_ns else None,
    "goodput_bps.tcp.p50": (
        lambda p: p.goodput_bps.tcp.p50 if p.goodput_bps and p.goodput_bps.tcp else None
    ),
}


def _mesh(pairs: Sequence[Pair], nodes: Sequence[str], name: str) -> FloatArray:
    """(n, n) mean over pod arms of the log figure less its arm's median; worse is larger."""
    number = {node: i for i, node in enumerate(nodes)}
    by_arm: dict[str, FloatArray] = {}
    for pair in pairs:
        value = _FIGURES[name](pair)
        if value is None or value <= 0.0 or parse_arm(pair.arm).path is not Path.POD:
            continue
        table = by_arm.setdefault(pair.arm, np.full((len(nodes), len(nodes)), np.nan))
        table[number[pair.src], number[pair.dst]] = np.log(value)
    if not by_arm:
        return np.full((len(nodes), len(nodes)), np.nan)
    stack = np.stack([table - np.nanmedian(table) for table in by_arm.values()])
    measured = ~np.isnan(stack)
    total, count = np.where(measured, stack, 0.0).sum(axis=0), measured.sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    # Less goodput is worse, more latency is worse.
    return -mean if name.startswith("goodput") else mean


def _without_zones(table: FloatArray, zones: Sequence[str | None]) -> FloatArray:
    """Removes the median of each zone pair, so that distance is nobody's fault."""
    found = table.copy()
    names = sorted({zone for zone in zones if zone is not None})
    if len(names) < 2:
        return found
    member = {zone: np.array([z == zone for z in zones], dtype=np.bool_) for zone in names}
    for a in names:
        for b in names:
            area = np.ix_(member[a], member[b])
            if not np.isnan(found[area]).all():
                found[area] -= np.nanmedian(found[area])
    return found


def _direction(out: float, into: float, limit: float) -> str:
    if out > limit >= into:
        return "as sender"
    return "as receiver" if into > limit >= out else "in both directions"


def _nodes(effects: polish.Effects, nodes: Sequence[str], name: str) -> list[Blame]:
    limit = float(np.log1p(BY_NAME[name].margin))
    both = effects.out + effects.into
    scores = polish.robust_z(both)
    found = []
    for i in np.flatnonzero((scores > NODE_Z) & (both > limit)).tolist():
        out, into = float(effects.out[i]), float(effects.into[i])
        found.append(
            Blame(
                kind="node",
                subject=nodes[i],
                metric=name,
                effect_ratio=_ratio(max(out, into), name),
                z=float(scores[i]),
                evidence=f"{100 * np.expm1(out):+.1f}% as sender, "
                f"{100 * np.expm1(into):+.1f}% as receiver: "
                f"outlier {_direction(out, into, limit / 2)}",
            )
        )
    return found


def _ratio(effect: float, name: str) -> float:
    return float(np.exp(-effect if name.startswith("goodput") else effect))


def _pairs(effects: polish.Effects, nodes: Sequence[str], name: str) -> list[Blame]:
    limit = float(np.log1p(BY_NAME[name].margin))
    scores = polish.robust_z(effects.residual)
    with np.errstate(invalid="ignore"):
        flagged = np.argwhere((scores > PAIR_Z) & (effects.residual > limit)).tolist()
    return [
        Blame(
            kind="pair",
            subject=f"{nodes[i]} > {nodes[j]}",
            metric=name,
            effect_ratio=_ratio(float(effects.residual[i, j]), name),
            z=float(scores[i, j]),
            evidence="beyond the effect of its two nodes",
        )
        for i, j in flagged
    ]


def _hosts(held: Residues, nodes: list[str], on_path: set[str]) -> list[Blame]:
    """The split rule: own host time by initiator, residence by reflector."""
    own = held.log_p99(residues.HOST, nodes)
    residence = held.log_p99(residues.REFLECTOR, nodes)
    limit = float(np.log1p(BY_NAME["rtt_app_ns.p99"].margin))
    found: list[Blame] = []
    for kind, logs, said in (
        ("host_cpu", own, "its host time (p99) is high while its path is normal"),
        ("reflector", residence, "its residence time as reflector (p99) is high"),
    ):
        scores = polish.robust_z(logs)
        effect = logs - np.nanmedian(logs) if not np.isnan(logs).all() else logs
        with np.errstate(invalid="ignore"):
            flagged = np.flatnonzero((scores > NODE_Z) & (effect > limit)).tolist()
        found += [
            Blame(
                kind="host_cpu" if kind == "host_cpu" else "reflector",
                subject=nodes[i],
                metric="host_ns" if kind == "host_cpu" else "reflector_ns",
                effect_ratio=float(np.exp(effect[i])),
                z=float(scores[i]),
                evidence=said,
            )
            for i in flagged
            if kind == "reflector" or nodes[i] not in on_path
        ]
    return found


def _polished(
    pairs: Sequence[Pair], nodes: Sequence[str], zones: Mapping[str, str | None]
) -> Iterator[tuple[str, polish.Effects]]:
    """Each figure's mesh split into nodes and pairs; figures nobody has are left out."""
    for name in _FIGURES:
        table = _without_zones(_mesh(pairs, nodes, name), [zones.get(node) for node in nodes])
        if not np.isnan(table).all():
            yield name, polish.median_polish(table)


def effects(pairs: Sequence[Pair], zones: Mapping[str, str | None]) -> tuple[NodeEffect, ...]:
    """Every node's part as a sender and as a receiver; nothing below four nodes.

    Args:
        pairs: the full-mesh table.
        zones: zone by node, null where unknown.
    """
    nodes = sorted({p.src for p in pairs} | {p.dst for p in pairs})
    if len(nodes) < MIN_NODES:
        return ()
    found = []
    for name, parts in _polished(pairs, nodes, zones):
        scores = polish.robust_z(parts.out + parts.into)
        found += [
            NodeEffect(
                metric=name,
                node=node,
                sender_ratio=_ratio(float(parts.out[i]), name),
                receiver_ratio=_ratio(float(parts.into[i]), name),
                z=float(scores[i]),
            )
            for i, node in enumerate(nodes)
            if np.isfinite(scores[i])
        ]
    return tuple(found)


def blame(
    pairs: Sequence[Pair], split: Residues | Streams, zones: dict[str, str | None]
) -> tuple[Blame, ...]:
    """Returns all outliers, strongest first; none below four nodes.

    Args:
        pairs: the full-mesh table.
        split: of round trips into path, reflector and own host; or the rows to make it from.
        zones: zone by node, null where unknown.
    """
    nodes = sorted({p.src for p in pairs} | {p.dst for p in pairs})
    if len(nodes) < MIN_NODES:
        return ()
    found: list[Blame] = []
    for name, parts in _polished(pairs, nodes, zones):
        found += _nodes(parts, nodes, name) + _pairs(parts, nodes, name)
    on_path = {one.subject for one in found if one.kind == "node"}
    held = residues.of(split) if isinstance(split, Streams) else split
    found += _hosts(held, nodes, on_path)
    return tuple(sorted(found, key=lambda one: -one.z))
