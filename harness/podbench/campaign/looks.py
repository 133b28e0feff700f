"""Interim looks at a run: after 5, 10, 15, 20, 30 and 50 blocks, whether more would help.

Only a run with a budget stops early; a number of blocks that was asked for is measured. The rule
and its levels are those of `analysis.stats.verdicts.look`; each look is journalled, so that the
report can say how many were taken.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from podbench.campaign import plan, record
from podbench.campaign.journal import DECIDED, LOOK, Entry, Journal
from podbench.campaign.progress import Progress
from podbench.store.rundir import RunDir

if TYPE_CHECKING:
    from podbench.analysis.samples.inputs import Inputs

Read = Callable[[RunDir, record.RunRecord], "Inputs"]
"""Reads a run directory for analysis: `results.gather.inputs`, passed in: imports go down only."""
_WHY = "every headline comparison is decided on the stricter intervals of a look"


async def settled(
    read: Read,
    rundir: RunDir,
    begun: record.RunRecord,
    drawn: plan.Plan,
    block: int,
    progress: Progress,
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
    from podbench.analysis import summarise
    from podbench.analysis.stats import verdicts

    if block not in verdicts.LOOKS:
        return False
    inputs = await asyncio.to_thread(read, rundir, begun)
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
