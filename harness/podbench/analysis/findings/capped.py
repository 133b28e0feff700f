"""Withdraws verdicts on rates that the run's bandwidth cap limits.

If both arms reach the cap, their rates are equal because of it: no verdict stands, `equivalent`
least of all. If only one reaches it, that arm could be faster: `different` stands, `equivalent` and
`small` do not.
"""

import dataclasses
from collections.abc import Sequence

from podbench.analysis.figures import cap
from podbench.analysis.findings.caveats import Code
from podbench.analysis.stats.verdicts import Decision, Word
from podbench.model.summary import Comparison, Doubt
from podbench.model.units import show_bps

_HELD = "limited by this run's bandwidth cap"


def judged(
    decision: Decision, found: Sequence[float | None], unit: str, most_bps: float | None
) -> Decision:
    """Returns the decision, `inconclusive` where the cap determines it; more blocks do not help.

    Args:
        decision: on two rates.
        found: the two rates.
        unit: their unit.
        most_bps: bandwidth cap of one transfer; None: no cap.
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


def by_cpu(decision: Decision, unit: str) -> Decision:
    """Returns the decision, `inconclusive` for a rate that CPUs limit: it measures the cores.

    Flat out between namespaces a transfer's rate depends on which cores sender, receiver and
    softirq share; it is often bimodal, and no number of blocks makes it the mode's own.
    """
    if not cap.is_rate(unit) or decision.verdict is Word.NOT_MEASURED:
        return decision
    return dataclasses.replace(
        decision,
        verdict=Word.INCONCLUSIVE,
        reason="limited by the CPUs, not by a link: it shows what these cores move; "
        "compare modes by cpu_price",
        blocks_needed=None,
    )


def doubts(compared: tuple[Comparison, ...], most_bps: float | None) -> tuple[Doubt, ...]:
    """Returns one caveat if any comparison was withdrawn."""
    held = sorted({f"{c.other} against {c.base}" for c in compared if holds(c.reason)})
    if not held or most_bps is None:
        return ()
    return (
        Doubt(
            code=Code.CAPPED,
            message=f"transfers reached this run's bandwidth cap of {show_bps(most_bps)}: they "
            "measure the cap, not the modes",
            advice="raise --max-bandwidth, or use --saturate if nobody else needs the links",
            evidence=", ".join(held),
        ),
    )


def holds(reason: str | None) -> bool:
    """Reports whether the cap made a verdict inconclusive: then more blocks do not help."""
    return _HELD in (reason or "")
