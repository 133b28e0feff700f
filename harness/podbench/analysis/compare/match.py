"""Matches arms by name or kind, and pairs of nodes by name, zone or role.

Arms of the same name match. If a run lacks an arm but has another routed mode (`bgp` and
`host-gw`), the two share a row: neither encapsulates. Pairs match by name if the runs have the same
nodes, by zone if they have the same zones, else by role: within a zone, between zones, between
regions.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

import msgspec

from podbench.analysis.figures.group_points import ALL, Groups
from podbench.analysis.samples.blocks import PairKey
from podbench.model.arms import OVERHEAD_BYTES
from podbench.model.summary import NodeSummary, Summary

ROUTED = "routed"
_ROUTED_MODES = tuple(str(mode) for mode, extra in OVERHEAD_BYTES.items() if extra == 0)
MOST_NAMED_NODES = 12
"""Above this, a table of all pairs is too long to read; zones and roles remain."""


class ArmRow(msgspec.Struct, frozen=True, kw_only=True):
    """Arms in one row: `arms[i]` belongs to run i, null if it has none."""

    label: str
    path: str
    arms: tuple[str | None, ...]


def _split(arm: str) -> tuple[str, str]:
    mode, _, path = arm.partition("/")
    return mode, path


def arm_rows(runs: Sequence[Summary]) -> tuple[ArmRow, ...]:
    """Returns the rows of a comparison, in the order of the first run, without A/A repeats."""
    held = [[arm.arm for arm in run.arms if "#" not in arm.arm] for run in runs]
    rows: dict[str, ArmRow] = {}
    for arm in dict.fromkeys(chain.from_iterable(held)):
        mode, path = _split(arm)
        own = tuple(arm if arm in arms else None for arms in held)
        if mode in _ROUTED_MODES and None in own:
            others = tuple(arm if arm in arms else _routed(arms, path) for arms in held)
            if others.count(None) < own.count(None):
                label = f"{ROUTED}/{path}"
                rows.setdefault(label, ArmRow(label=label, path=path, arms=others))
                continue
        rows[arm] = ArmRow(label=arm, path=path, arms=own)
    return tuple(rows.values())


def _routed(arms: Sequence[str], path: str) -> str | None:
    """Returns the first routed arm of a path, in the order of `model.arms`."""
    found = [f"{mode}/{path}" for mode in _ROUTED_MODES if f"{mode}/{path}" in arms]
    return found[0] if found else None


class Matching(msgspec.Struct, frozen=True, kw_only=True):
    """Matching of pairs over all runs: `how` is `name`, `zone`, `role` or `none`."""

    how: str
    groups: tuple[str, ...] = ()
    """Names of the groups, in display order."""
    of_pair: tuple[dict[PairKey, tuple[str, ...]], ...] = ()
    """For each run, the groups of each directed pair, including the group of all pairs."""


def match_pairs(runs: Sequence[Summary]) -> Matching:
    """Returns the groups of pairs that all runs share."""
    nodes = [{node.name: node for node in run.nodes} for run in runs]
    every = [{(pair.src, pair.dst) for pair in run.pairs} for run in runs]
    how = _how(nodes)
    named: list[dict[PairKey, tuple[str, ...]]] = []
    seen: dict[str, int] = {}
    for known, pairs in zip(nodes, every, strict=True):
        found = {pair: _group(how, known, pair) for pair in sorted(pairs)}
        named.append({p: (ALL,) if g is None else (ALL, g) for p, g in found.items()})
        for group in {group for group in found.values() if group is not None}:
            seen[group] = seen.get(group, 0) + 1
    shared = tuple(sorted((g for g, n in seen.items() if n > 1), key=_order))
    return Matching(how=how if shared else "none", groups=shared, of_pair=tuple(named))


def _order(group: str) -> tuple[int, str]:
    return (_ROLES.index(group) if group in _ROLES else 0, group)


_ROLES = ("same zone", "other zone", "other region")


def _how(nodes: Sequence[Mapping[str, NodeSummary]]) -> str:
    names = {frozenset(known) for known in nodes}
    if len(names) == 1 and 2 < len(nodes[0]) <= MOST_NAMED_NODES:
        return "name"
    zones = [{node.zone for node in known.values()} for known in nodes]
    if any(None in held or not held for held in zones):
        return "none"
    if len({frozenset(held) for held in zones}) == 1 and len(zones[0]) > 1:
        return "zone"
    return "role" if any(len(held) > 1 for held in zones) else "none"


def _group(how: str, nodes: Mapping[str, NodeSummary], pair: PairKey) -> str | None:
    """Returns the group of a pair; both directions share one, because a round trip crosses both."""
    if how == "name":
        return " – ".join(sorted(pair))
    ends = [nodes.get(name) for name in pair]
    if how == "none" or ends[0] is None or ends[1] is None:
        return None
    src, dst = ends[0], ends[1]
    if how == "zone":
        return " – ".join(sorted((str(src.zone), str(dst.zone))))
    if src.region != dst.region:
        return "other region"
    return "same zone" if src.zone == dst.zone else "other zone"


def groups_of(matching: Matching, run: int) -> Groups:
    """Returns the groups of one run's pairs."""
    return matching.of_pair[run]
