"""Index of the bundle for the sections: order and labels of nodes, arms and estimates.

Only selects and orders; computes nothing.
"""

import functools

from podbench.analysis.bundle import Bundle
from podbench.model.summary import ArmSummary, Comparison, Estimate, NodeSummary, Pair, Summary
from podbench_report import names


class RunView:
    """One bundle with the look-ups that sections share."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.summary: Summary = bundle.summary
        self.nodes = self._all_nodes()
        self.labels = names.short_labels([node.name for node in self.nodes])
        self.arms: dict[str, ArmSummary] = {arm.arm: arm for arm in self.summary.arms}
        self.modes = names.mode_order([arm.mode for arm in self.summary.arms])
        self._estimates = {(e.arm, e.metric): e for e in self.summary.estimates}

    def _all_nodes(self) -> tuple[NodeSummary, ...]:
        """Returns the nodes in zone order, including nodes known only from pairs."""
        known = {node.name: node for node in self.summary.nodes}
        for pair in self.summary.pairs:
            for name in (pair.src, pair.dst):
                known.setdefault(name, NodeSummary(name=name))
        return names.zone_order(tuple(known.values()))

    @property
    def on_lab(self) -> bool:
        """True if all nodes are namespaces on one machine."""
        return self.summary.target == "lab"

    @property
    def has_zones(self) -> bool:
        """True if the nodes are in more than one zone."""
        return len({(node.region, node.zone) for node in self.nodes}) > 1

    @functools.cached_property
    def pairs(self) -> dict[str, dict[tuple[str, str], Pair]]:
        """Directed pairs of each arm by (src, dst); IPv4 if both families are present."""
        out: dict[str, dict[tuple[str, str], Pair]] = {}
        for pair in sorted(self.summary.pairs, key=lambda p: p.family, reverse=True):
            out.setdefault(pair.arm, {})[(pair.src, pair.dst)] = pair
        return out

    @functools.cached_property
    def implementations(self) -> dict[str, str | None]:
        """Implementation of each mode's pod arm (`kernel device`, `eBPF at tc`, `routed`)."""
        return {a.mode: a.implementation for a in self.summary.arms if a.path == "pod"}

    def estimate(self, arm: str, metric: str) -> Estimate | None:
        """Returns the estimate of one arm's metric over all pairs, or null."""
        return self._estimates.get((arm, metric))

    def value(self, arm: str, metric: str) -> float | None:
        """Returns the value of that estimate."""
        found = self.estimate(arm, metric)
        return None if found is None else found.value

    def arms_in_order(self, *, repeats: bool = True) -> tuple[ArmSummary, ...]:
        """Returns pod paths in mode order, then host paths; the A/A repeat follows its arm."""
        rank = {mode: i for i, mode in enumerate(self.modes)}
        chosen = [a for a in self.summary.arms if repeats or not names.is_repeat(a.arm)]
        return tuple(sorted(chosen, key=lambda a: (a.path != "pod", rank[a.mode], a.arm)))

    def arms_with(self, metric: str, path: str | None = None) -> tuple[str, ...]:
        """Returns the names of the arms with an estimate of this metric, in order."""
        return tuple(
            arm.arm
            for arm in self.arms_in_order()
            if (path is None or arm.path == path) and self.estimate(arm.arm, metric) is not None
        )

    def between_modes(self) -> tuple[Comparison, ...]:
        """Returns the comparisons of two modes, without the A/A comparisons."""
        return tuple(
            c
            for c in self.summary.comparisons
            if not names.is_repeat(c.other) and not names.is_repeat(c.base)
        )
