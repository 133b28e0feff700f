"""When each probe is due: pure arithmetic on arrays, no clock. Used by latency/loop.py.

Source: RFC 3432 (periodic streams with random phase), RFC 2330 section 11.1 (Poisson).
"""

import math
from collections.abc import Sequence

import numpy as np

from podbench.model.errors import ProbeError
from podbench.wire.copies import Ints
from podbench.wire.messages import LatencySession

SCHEDULES = ("periodic", "uniform", "poisson")
MAX_RATE_PPS = 25_000
"""A probe and its reply take this process 31-35 us at 20,000 pps: beyond lies no schedule."""
MAX_PROBES = 5_000_000
"""Some 200 octets of memory each until the session is handed over."""


def period_ns(session: LatencySession) -> int:
    """Mean time between two probes, ns."""
    return round(1e9 / session.rate_pps)


def count(session: LatencySession) -> int:
    """Probes of a session.

    Raises:
        ProbeError: The rate or duration is outside what this instrument can do; names the limit.
    """
    if not 0 < session.rate_pps <= MAX_RATE_PPS:
        raise ProbeError(
            f"rate {session.rate_pps:g} pps: must be above 0 and at most {MAX_RATE_PPS} pps"
        )
    if not session.duration_s > 0 or not math.isfinite(session.duration_s):
        raise ProbeError(f"duration {session.duration_s:g} s: must be above 0, and have an end")
    if session.rate_pps * session.duration_s < 1:
        raise ProbeError(
            f"{session.rate_pps:g} pps for {session.duration_s:g} s is less than one probe: "
            f"at least {1 / session.rate_pps:g} s"
        )
    probes = round(session.rate_pps * session.duration_s)
    if probes > MAX_PROBES:
        raise ProbeError(
            f"{probes} probes in one session: at most {MAX_PROBES}; lower rate or duration"
        )
    return probes


def check(session: LatencySession) -> None:
    """Refuses a schedule that cannot be had.

    Raises:
        ProbeError: Unknown schedule, or a rate or duration outside the limits.
    """
    count(session)
    if session.schedule not in SCHEDULES:
        raise ProbeError(f"schedule {session.schedule!r}: must be {', '.join(SCHEDULES)}")


def check_together(sessions: Sequence[LatencySession]) -> None:
    """Refuses sessions that this process cannot carry out at the same time.

    Raises:
        ProbeError: Their rates add up to more than it can send; names the limit.
    """
    total = sum(session.rate_pps for session in sessions)
    if total > MAX_RATE_PPS:
        raise ProbeError(f"{total:g} pps in all: one sender does at most {MAX_RATE_PPS} pps")


def due_times(session: LatencySession, start_ns: int, rng: np.random.Generator) -> Ints:
    """(n,) intended send times, ns on the clock of `start_ns`, never before it.

    `periodic`: every T from a random phase. `uniform`: gaps between T/2 and 3T/2, which no timer
    can alias with. `poisson`: exponential gaps.

    Raises:
        ProbeError: The schedule is unknown, or the session is outside the limits.
    """
    check(session)
    n, period = count(session), period_ns(session)
    first = start_ns + int(rng.integers(period))
    times: Ints
    if session.schedule == "periodic":
        # From the exact rate: a rounded period drifts by a third of a ns per probe at 3 pps.
        times = np.rint(np.arange(n) * (1e9 / session.rate_pps)).astype(np.int64)
        return first + times
    if session.schedule == "uniform":
        gaps = rng.uniform(period / 2, period * 3 / 2, n - 1)
    else:
        gaps = rng.exponential(period, n - 1)
    times = np.concatenate([[0], np.cumsum(np.rint(gaps).astype(np.int64))])
    return first + times
