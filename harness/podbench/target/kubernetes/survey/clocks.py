"""How far a node's monotonic clock is from ours: each machine's began when it booted.

Samples, host counters and the journal are laid beside each other by time, so all are told in the
orchestrator's clock. The control channel is good enough for that: seconds and tenths are looked at.
No delay is ever taken between two machines' clocks.
"""

import time
from collections.abc import Awaitable, Callable

import msgspec

from podbench.model.facts import NodeFacts

TRIES = 3
"""The quickest answer bounds the error best."""


class Offset(msgspec.Struct, frozen=True, order=True):
    """What has to be added to a node's clock, and how far off that may be; nanoseconds."""

    error_ns: int
    offset_ns: int


async def read(ask: Callable[[], Awaitable[NodeFacts]]) -> tuple[NodeFacts, Offset | None]:
    """Reads a node's facts, and its clock meanwhile; null where it does not tell its clock.

    The clock was read somewhere between question and answer: half of that time bounds the error. An
    offset within it is none, as between processes of one machine.

    Raises:
        ProbeError: The node could not be read; TransportError: its agent is gone.
    """
    found: list[Offset] = []
    for _ in range(TRIES):
        before_ns = time.monotonic_ns()
        facts = await ask()
        after_ns = time.monotonic_ns()
        if facts.mono_ns is None:
            return facts, None
        error_ns = (after_ns - before_ns) // 2
        offset_ns = before_ns + error_ns - facts.mono_ns
        found.append(Offset(error_ns, 0 if abs(offset_ns) <= error_ns else offset_ns))
    return facts, min(found)
