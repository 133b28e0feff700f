"""A run's own cap on transfers, and which figures reached it.

On a cluster a transfer is limited (`--max-bandwidth`, a tenth of the NIC). What that means for a
verdict is in findings/capped.py.
"""

from podbench.analysis.samples.blocks import BlockSeries
from podbench.model.summary import Summary
from podbench.wire.iperf3 import SMALL_BYTES

REACHED = 0.95
"""From this share of the cap on a rate counts as held by it: iperf3 paces in bursts, and counts
payload, not headers."""
SETTING = "transfer_most_bps"
"""Where `spec` of a cluster's summary.json has the cap, bit/s."""
_BITS = {"bit/s": 1.0, "packets/s": 8.0 * SMALL_BYTES}
"""Bits of one unit of what is capped; iperf3 counts UDP's payload."""


def of(summary: Summary) -> float | None:
    """The most one transfer of a run was allowed to send, bit/s; None: no cap."""
    found = summary.spec.get(SETTING)
    return float(found) if isinstance(found, int | float) else None


def is_rate(unit: str) -> bool:
    """Whether a figure is a transfer's rate."""
    return unit in _BITS


def reached(value: float | None, unit: str, most_bps: float | None) -> bool:
    """Whether a figure is the cap's own; false for what is no rate, and without a cap."""
    if value is None or most_bps is None or unit not in _BITS:
        return False
    return value * _BITS[unit] >= REACHED * most_bps


def values(series: BlockSeries) -> list[float | None]:
    """Each arm's figure, as `reached` takes it."""
    return [series.value(arm) for arm in series.arms]
