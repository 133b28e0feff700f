"""Method, limits, reading guide: the words are in `closing.html.j2`, the facts here."""

import msgspec

from podbench_report import names, numbers
from podbench_report.view import RunView

_ENOUGH_BLOCKS = 5
"""The first number of blocks at which a run may decide anything (docs/statistics.md)."""
_METHODS = {
    "pools": "Every mode has an address pool and pods of its own, all side by side on the same "
    "nodes; what was there before keeps its pools and its settings.",
    "observe": "The network was measured as it was found: pods got the mode that pods get there, "
    "and nothing of the network was changed.",
    "switch": "The network itself was turned from one mode to the next between visits, and back at "
    "the end: modes were measured one after the other, never side by side.",
}


class MethodSection(msgspec.Struct, frozen=True, kw_only=True):
    """What the closing words must know about this run."""

    blocks: str
    few_blocks: bool
    seed: int
    repeated: str | None
    """The A/A repeat in words; null where no mode was measured twice."""
    on_lab: bool
    method: str
    """How the arms came to exist, in a sentence."""
    aftermath: str
    """What became of what was made in a cluster; empty on the lab."""
    looks: str
    """After which blocks the run asked whether it may stop; empty: it did not ask."""
    decided_early: bool


def build(view: RunView) -> MethodSection:
    """The facts for the closing words of one run."""
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
            "Whether anything that the run made is still in the cluster is not known: bench "
            "restore looks, and takes it away."
        )
    made = f"Made in the cluster: {numbers.plural(len(facts.made), 'object')}"
    if facts.left:
        return f"{made}. Still there: {'; '.join(facts.left)}. bench restore takes it away."
    back = f"; {numbers.plural(len(facts.restored), 'object')} put back" if facts.restored else ""
    return f"{made}, all gone again{back}: looked for afterwards and not found (see the appendix)."
