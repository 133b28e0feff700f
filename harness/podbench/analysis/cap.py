"""A run's own cap on transfers: what it holds at the cap says nothing about the network.

On a cluster a transfer is limited (`--max-bandwidth`, a tenth of the NIC). Two arms that both reach
the limit come out equal because of it, so no verdict on their rates stands, `equivalent` least.
"""

import msgspec

from podbench.analysis.blocks import BlockSeries
from podbench.analysis.doubts import Code
from podbench.analysis.metrics import Metric
from podbench.analysis.verdicts import Decision, Word
from podbench.model.summary import Comparison, Doubt
from podbench.model.units import show_bps

REACHED = 0.95
"""From this share of the cap on a rate counts as held by it: iperf3 paces in bursts, and counts
payload, not headers."""
HELD = "both are held by this run's own cap"


def holds(metric: Metric, series: BlockSeries, most_bps: float | None) -> bool:
    """Whether every arm of a series reached the cap; false where there is none.

    Args:
        metric: only rates (`bit/s`) can be held.
        series: the arms' block means, bit/s.
        most_bps: the most one transfer may send; None: no cap.
    """
    if most_bps is None or metric.unit != "bit/s":
        return False
    values = [series.value(arm) for arm in series.arms]
    return all(value is not None and value >= REACHED * most_bps for value in values)


def withdrawn(decision: Decision, most_bps: float) -> Decision:
    """Any verdict on arms that the cap holds becomes `inconclusive`; more blocks do not help."""
    return msgspec.structs.replace(
        decision,
        verdict=Word.INCONCLUSIVE,
        reason=f"{HELD} of {show_bps(most_bps)}",
        blocks_needed=None,
    )


def doubts(compared: tuple[Comparison, ...], most_bps: float | None) -> tuple[Doubt, ...]:
    """One warning where any comparison was withdrawn."""
    held = sorted({arm for c in compared if _is_held(c) for arm in (c.base, c.other)})
    if not held or most_bps is None:
        return ()
    return (
        Doubt(
            code=Code.CAPPED,
            message=f"transfers reached this run's own cap of {show_bps(most_bps)}: their goodput "
            "is the cap's, and which mode carries more was not measured",
            advice="raise --max-bandwidth, or --saturate where nobody else needs the links",
            evidence=", ".join(held),
        ),
    )


def _is_held(compared: Comparison) -> bool:
    return (compared.reason or "").startswith(HELD)
