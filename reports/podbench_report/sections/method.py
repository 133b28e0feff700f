"""Method, limits, reading guide: the words are in `closing.html.j2`, the facts here."""

import msgspec

from podbench_report import names, numbers
from podbench_report.view import RunView

_ENOUGH_BLOCKS = 5
"""The first number of blocks at which a run may decide anything (docs/statistics.md)."""


class MethodSection(msgspec.Struct, frozen=True, kw_only=True):
    """What the closing words must know about this run."""

    blocks: str
    few_blocks: bool
    seed: int
    repeated: str | None
    """The A/A repeat in words; null where no mode was measured twice."""
    on_lab: bool
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
        looks=", ".join(str(look) for look in plan.looks),
        decided_early=plan.decided_early,
    )
