"""Wake-ups come in order and never early, whatever was waited for and whatever was missed."""

import contextlib
import time

import numpy as np
import pytest

from podbench.wire.copies import Ints
from podbench_agent.probes.alarm import Wakeups

MS = 1_000_000


def _row(*offsets_ns: int) -> Ints:
    return time.monotonic_ns() + np.array(offsets_ns, dtype=np.int64)


@pytest.mark.parametrize(
    "offsets_ns",
    [(MS, 2 * MS, 3 * MS, 4 * MS, 5 * MS), (MS, MS, MS + 1, 5 * MS, 5 * MS), (2 * MS,)],
)
def test_never_early(offsets_ns: tuple[int, ...]) -> None:
    """Even, uneven, equal times, and one alone."""
    due = _row(*offsets_ns)
    with contextlib.closing(Wakeups(due)) as wakeups:
        for n, due_ns in enumerate(due):
            wakeups.wait(n)
            assert time.monotonic_ns() >= due_ns


@pytest.mark.parametrize("odd_ns", [0, 1])
def test_what_is_past_is_not_waited_for(odd_ns: int) -> None:
    """A sender that could not run: what fell due meanwhile comes at once, the rest on time."""
    due = _row(*(n * MS for n in range(1, 12)), 12 * MS + odd_ns)
    with contextlib.closing(Wakeups(due)) as wakeups:
        wakeups.wait(0)
        time.sleep(0.005)
        for n in range(1, 12):
            wakeups.wait(n)
            assert time.monotonic_ns() >= due[n]


def test_a_time_may_be_passed_over() -> None:
    """Its timer, set ahead and gone off unread, does not wake the one after the next."""
    for due in (
        _row(MS, 2 * MS, 6 * MS, 7 * MS, 9 * MS),
        _row(*(n * 2 * MS for n in range(5))),
    ):
        with contextlib.closing(Wakeups(due)) as wakeups:
            for n in (0, 2, 4):
                wakeups.wait(n)
                assert time.monotonic_ns() >= due[n]
