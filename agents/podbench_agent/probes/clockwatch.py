"""Watches CLOCK_REALTIME against CLOCK_MONOTONIC while a measurement runs.

Kernel stamps are CLOCK_REALTIME: a step of it between two stamps would be read as latency. Offsets
are taken now and then; what was out between two that differ by more than slew allows is marked.
"""

import bisect
import time

import numpy as np

from podbench.wire.copies import Bools, Ints

SLEW_RATIO = 500e-6
"""The kernel slews a clock by at most 500 ppm (adjtimex(2))."""
TOLERANCE_NS = 1000
_TRIES = 5


class ClockWatch:
    """Offsets REALTIME - MONOTONIC over time."""

    def __init__(self) -> None:
        self._mono_ns: list[int] = []
        self._offset_ns: list[int] = []
        self._error_ns: list[int] = []
        self.note()

    @property
    def last_ns(self) -> int:
        """Time of the last offset, CLOCK_MONOTONIC."""
        return self._mono_ns[-1]

    def note(self) -> None:
        """Records one offset: the tightest of a few readings, robust against preemption."""
        best: tuple[int, int, int] | None = None
        for _ in range(_TRIES):
            before = time.monotonic_ns()
            wall = time.time_ns()
            after = time.monotonic_ns()
            if best is None or after - before < best[0]:
                best = (after - before, before, wall)
        assert best is not None
        spread, before, wall = best
        self._mono_ns.append(before)
        self._offset_ns.append(wall - before - spread // 2)
        self._error_ns.append(spread)

    def forget(self, before_ns: int) -> None:
        """Drops offsets that no later time needs."""
        last = max(bisect.bisect_right(self._mono_ns, before_ns) - 1, 0)
        del self._mono_ns[:last], self._offset_ns[:last], self._error_ns[:last]

    def stepped(self, from_mono_ns: Ints, to_mono_ns: Ints) -> Bools:
        """(n,) whether the clock stepped between two times of each row.

        Args:
            from_mono_ns: (n,) when each probe left.
            to_mono_ns: (n,) when its reply was there, or the last moment it could have been.
        """
        mono = np.array(self._mono_ns, dtype=np.int64)
        offset = np.array(self._offset_ns, dtype=np.int64)
        error = np.array(self._error_ns, dtype=np.int64)
        allowed = np.diff(mono) * SLEW_RATIO + TOLERANCE_NS + error[1:] + error[:-1]
        steps = np.flatnonzero(np.abs(np.diff(offset)) > allowed)
        hit = np.zeros(len(from_mono_ns), dtype=bool)
        for i in steps:
            hit |= (from_mono_ns <= mono[i + 1]) & (to_mono_ns >= mono[i])
        return hit
