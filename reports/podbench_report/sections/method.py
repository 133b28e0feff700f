"""Facts for method, limits and reading guide; `closing.html.j2` has the text."""

import msgspec

from podbench_report import names, numbers
from podbench_report.view import RunView

_ENOUGH_BLOCKS = 5
"""Minimum number of blocks for a verdict (docs/statistics.md)."""
_METHODS = {
    "pools": "Each mode has a separate address pool and separate pods, side by side on the same "
    "nodes. Existing pools and settings stay unchanged.",
    "observe": "The network was measured as configured: pods use the cluster's current mode, and "
    "the run changed no network setting.",
    "switch": "The run reconfigured the network from one mode to the next between visits, and "
    "restored it at the end: modes were measured one after another, never side by side.",
}


class MethodSection(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about the run for the closing text."""

    blocks: str
    few_blocks: bool
    seed: int
    repeated: str | None
    """The A/A repeat in words; null if no mode was measured twice."""
    on_lab: bool
    method: str
    """How the modes were created, in a sentence."""
    aftermath: str
    """State of the objects created in a cluster; empty on the lab."""
    looks: str
    """Blocks after which the run checked whether to stop; empty: it never checked."""
    decided_early: bool


def build(view: RunView) -> MethodSection:
    """Builds the facts for the closing text of one run."""
    plan = view.bundle.plan
    repeats = [names.arm_label(arm) for arm in plan.arms_in_block if names.is_repeat(arm)]
    return MethodSection(
        blocks=numbers.plural(plan.blocks_done, "block"),
        few_blocks=plan.blocks_done < _ENOUGH_BLOCKS,
        seed=view.summary.seed,
        repeated=repeats[0] if repeats else None,
        on_lab=view.on_lab,
        method=_METHODS.get(view.summary.method, view.summary.method),
        aftermath=_aftermath(view),
        looks=", ".join(str(look) for look in plan.looks),
        decided_early=plan.decided_early,
    )


def _aftermath(view: RunView) -> str:
    facts = view.bundle.cluster
    if facts is None:
        return ""
    if not facts.looked:
        return (
            "Unknown whether objects of the run remain in the cluster: bench restore finds and "
            "removes them."
        )
    made = f"Created in the cluster: {numbers.plural(len(facts.made), 'object')}"
    if facts.left:
        return f"{made}. Still present: {'; '.join(facts.left)}. bench restore removes them."
    back = f"; {numbers.plural(len(facts.restored), 'object')} restored" if facts.restored else ""
    return f"{made}, all removed{back}; verified after the run (see the appendix)."
