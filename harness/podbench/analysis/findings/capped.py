"""Verdicts on rates that a run's own cap holds down: withdrawn, with the reason.

Two arms that both reach the cap come out equal because of it, so no verdict on their rates stands,
`equivalent` least. Where one reaches it, it could have done more: that the other is slower stands,
that they hardly differ does not.
"""

import dataclasses
from collections.abc import Sequence

from podbench.analysis.figures import cap
from podbench.analysis.findings.caveats import Code
from podbench.analysis.stats.verdicts import Decision, Word
from podbench.model.summary import Comparison, Doubt
from podbench.model.units import show_bps

_HELD = "held by this run's own cap"


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
    held = [cap.reached(value, unit, most_bps) for value in found]
    open_anyway = decision.verdict in {Word.EQUIVALENT, Word.SMALL}
    if most_bps is None or not any(held) or not (all(held) or open_anyway):
        return decision
    which = "both are" if all(held) else "one of them is"
    return dataclasses.replace(
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
