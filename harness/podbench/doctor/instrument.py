"""The accuracy of the instrument on this machine, without any network.

Three things limit a probe: the resolution of the clock, the wake-up latency of a sleeping process,
and the round trip through the loopback. Linux only; takes about 3 s and changes nothing. Results
are checks, so they render and count like all others.
"""

import ctypes
import socket
import time

import numpy as np
import numpy.typing as npt

from podbench.doctor.checks import Check, Need
from podbench.model import units
from podbench.model.units import show_ratio

Nanoseconds = npt.NDArray[np.int64]

PR_SET_TIMERSLACK = 29
"""linux/prctl.h. The default slack of 50 µs would be added to every sleep."""
PERIOD_NS = 1_000_000
"""The warm regime: one probe a millisecond."""
SLEEPS = 1000
ROUND_TRIPS = 1000
CLOCK_READS = 100_000
LATE_SHARE = 0.02
"""A session is invalid if its share of late probes is significantly above this."""
COARSE_CLOCK_NS = 1000


def instrument_checks() -> list[Check]:
    """Measures clock step, sleep lateness and loopback round trips."""
    return [clock_step(), sleep_lateness(), loopback()]


def clock_step() -> Check:
    """The smallest step between two readings of CLOCK_MONOTONIC."""
    step_ns = smallest_step(np.array([time.monotonic_ns() for _ in range(CLOCK_READS)]))
    return Check(
        name="clock step",
        ok=None if step_ns is None else step_ns < COARSE_CLOCK_NS,
        found="the clock did not move" if step_ns is None else units.show_ns(step_ns),
        needed_for="differences of less than a microsecond",
        need=Need.ADVICE,
        advice="see the clock source above",
    )


def sleep_lateness() -> Check:
    """How late a sleep ends, at one probe a millisecond."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    start = time.monotonic_ns() + PERIOD_NS
    late = np.empty(SLEEPS, dtype=np.int64)
    for number in range(SLEEPS):
        due = start + number * PERIOD_NS
        wait = due - time.monotonic_ns()
        if wait > 0:
            time.sleep(wait / 1e9)
        late[number] = time.monotonic_ns() - due
    share = float(np.mean(late > PERIOD_NS / 2))
    return Check(
        name="sleep lateness",
        ok=share <= LATE_SHARE,
        found=f"{_spread(late)}; {show_ratio(share)} later than half a period",
        needed_for="probes that leave on time at 1 kHz",
        need=Need.ADVICE,
        advice="stop other CPU load, or use a machine with more CPUs",
    )


def loopback() -> Check:
    """Round trips of one datagram through the loopback, as an application sees them."""
    round_trips = np.empty(ROUND_TRIPS, dtype=np.int64)
    answered = 0
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
    ):
        for end in (near, far):
            end.bind(("127.0.0.1", 0))
            end.settimeout(1.0)
        near.connect(far.getsockname())
        far.connect(near.getsockname())
        for _ in range(ROUND_TRIPS):
            sent = time.monotonic_ns()
            try:
                near.send(b"?" * 64)
                far.send(far.recv(64))
                near.recv(64)
            except TimeoutError:
                continue
            round_trips[answered] = time.monotonic_ns() - sent
            answered += 1
    found = _spread(round_trips[:answered]) if answered else "nothing came back"
    return Check(
        name="loopback",
        ok=answered == ROUND_TRIPS,
        found=f"{found}; {answered} of {ROUND_TRIPS} answered",
        needed_for="a floor under every round trip",
        need=Need.ADVICE,
        advice="something filters 127.0.0.1 here: look at `nft list ruleset`",
    )


def smallest_step(readings: Nanoseconds) -> int | None:
    """The smallest difference above zero of consecutive readings; null where there is none.

    Args:
        readings: (n,) int64, ns, in the order they were taken.
    """
    steps = np.diff(readings)
    steps = steps[steps > 0]
    return int(steps.min()) if steps.size else None


def _spread(values: Nanoseconds) -> str:
    p50, p99 = np.quantile(values, [0.5, 0.99])
    return f"p50 {units.show_ns(float(p50))}, p99 {units.show_ns(float(p99))}"
