"""A run's own cap on transfers: what it holds at the cap says nothing about the network.

On a cluster a transfer is limited (`--max-bandwidth`, a tenth of the NIC). Two arms that both reach
the limit come out equal because of it, so no verdict on their rates stands, `equivalent` least.
Where one reaches it, it could have done more: that the other is slower stands, that they hardly
differ does not.
"""

from collections.abc import Sequence

import msgspec

from podbench.analysis.blocks import BlockSeries
from podbench.analysis.doubts import Code
from podbench.analysis.verdicts import Decision, Word
from podbench.model.summary import Comparison, Doubt, Summary
from podbench.model.units import show_bps
from podbench.wire.iperf3 import SMALL_BYTES

REACHED = 0.95
"""From this share of the cap on a rate counts as held by it: iperf3 paces in bursts, and counts
payload, not headers."""
SETTING = "transfer_most_bps"
"""Where `spec` of a cluster's summary.json has the cap, bit/s."""
_HELD = "held by this run's own cap"
_BITS = {"bit/s": 1.0, "packets/s": 8.0 * SMALL_BYTES}
"""Bits of one unit of what is capped; iperf3 counts UDP's payload."""


def of(summary: Summary) -> float | None:
    """The most one transfer of a run was allowed to send, bit/s; None: no cap."""
    found = summary.spec.get(SETTING)
    return float(found) if isinstance(found, int | float) else None


def reached(value: float | None, unit: str, most_bps: float | None) -> bool:
    """Whether a figure is the cap's own; false for what is no rate, and without a cap."""
    if value is None or most_bps is None or unit not in _BITS:
        return False
    return value * _BITS[unit] >= REACHED * most_bps


def values(series: BlockSeries) -> list[float | None]:
    """Each arm's figure, as `reached` takes it."""
    return [series.value(arm) for arm in series.arms]


def judged(
    decision: Decision, found: Sequence[float | None], unit: str, most_bps: float | None
) -> Decision:
    """A decision on capped figures, `inconclusive` where the cap made it; more blocks do not help.

    Args:
        decision: on two figures.
        found: the two.
        unit: theirs.
        most_bps: the most one transfer may send; None: no cap.
    """
    held = [reached(value, unit, most_bps) for value in found]
    open_anyway = decision.verdict in {Word.EQUIVALENT, Word.SMALL}
    if most_bps is None or not any(held) or not (all(held) or open_anyway):
        return decision
    which = "both are" if all(held) else "one of them is"
    return msgspec.structs.replace(
        decision,
        verdict=Word.INCONCLUSIVE,
        reason=f"{which} {_HELD} of {show_bps(most_bps)}",
        blocks_needed=None,
    )


def doubts(compared: tuple[Comparison, ...], most_bps: float | None) -> tuple[Doubt, ...]:
    """One warning where any comparison was withdrawn."""
    held = sorted({f"{c.other} against {c.base}" for c in compared if holds(c.reason)})
    if not held or most_bps is None:
        return ()
    return (
        Doubt(
            code=Code.CAPPED,
            message=f"transfers reached this run's own cap of {show_bps(most_bps)}: their rates "
            "are the cap's, and which mode carries more was not measured",
            advice="raise --max-bandwidth, or --saturate where nobody else needs the links",
            evidence=", ".join(held),
        ),
    )


def holds(reason: str | None) -> bool:
    """Whether a verdict was left open by the cap: then more blocks do not help."""
    return _HELD in (reason or "")
