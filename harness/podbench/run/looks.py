"""Looks at a growing run: after 5, 10, 15, 20, 30 and 50 blocks, whether more would tell anything.

Only a run with a budget stops early; a number of blocks that was asked for is measured. The rule
and its levels are analysis.verdicts.look's; each look is journalled, so that the report can say how
many were taken.
"""

import asyncio
import time

from podbench.run import plan, record
from podbench.run.journal import DECIDED, LOOK, Entry, Journal
from podbench.run.progress import Progress
from podbench.store.rundir import RunDir

_WHY = "every headline comparison is decided on the stricter intervals of a look"


async def settled(
    rundir: RunDir, begun: record.RunRecord, drawn: plan.Plan, block: int, progress: Progress
) -> bool:
    """Whether every headline comparison is decided after this block; false where no look is due.

    Raises:
        StoreError: The run directory cannot be read or the look not be journalled.
    """
    if begun.spec.budget_s is None or block >= drawn.blocks:
        return False
    if len(drawn.modes) < 2:
        return False  # nothing is compared, so nothing is ever decided: the budget is all there is
    # Loading the statistics takes a second, and only runs long enough for a look need them.
    from podbench.analysis import summarise, verdicts
    from podbench.run import gather

    if block not in verdicts.LOOKS:
        return False
    inputs = await asyncio.to_thread(gather.inputs, rundir, begun)
    still = await asyncio.to_thread(summarise.undecided, inputs, drawn.blocks, block)
    names = [f"{metric} of {other} against {base}" for metric, base, other in still]
    progress.looked(block, names)
    Journal(rundir.journal).write(
        Entry(
            event=LOOK if names else DECIDED,
            wall_ns=time.time_ns(),
            block=block,
            note="; ".join(names) or _WHY,
        )
    )
    return not names
