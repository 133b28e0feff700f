"""Steps of the wall clock are seen, slew is not."""

import numpy as np
import pytest

from podbench_agent.probes import clockwatch


class Clocks:
    """Both clocks under the test's control; each reading takes 50 ns."""

    def __init__(self) -> None:
        self.mono = 1_000_000_000
        self.offset = 10**18

    def monotonic_ns(self) -> int:
        """The monotonic clock."""
        self.mono += 50
        return self.mono

    def time_ns(self) -> int:
        """The wall clock."""
        self.mono += 50
        return self.mono + self.offset


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Replaces the clocks clockwatch reads."""
    clocks = Clocks()
    monkeypatch.setattr(clockwatch, "time", clocks)
    return clocks


def _stepped(watch: clockwatch.ClockWatch, start: int, end: int) -> bool:
    return bool(watch.stepped(np.array([start]), np.array([end]))[0])


def test_slew_is_no_step(clocks: Clocks) -> None:
    """400 ppm over 100 ms is what adjtimex may do."""
    watch = clockwatch.ClockWatch()
    clocks.mono += 100_000_000
    clocks.offset += 40_000
    watch.note()

    assert not _stepped(watch, 0, 2_000_000_000)


def test_step_marks_what_was_out_at_the_time(clocks: Clocks) -> None:
    """A step of 1 ms marks rows that overlap the interval it fell into, and no others."""
    watch = clockwatch.ClockWatch()
    first = clocks.mono
    clocks.mono += 100_000_000
    watch.note()
    clocks.mono += 100_000_000
    clocks.offset -= 1_000_000
    watch.note()

    assert not _stepped(watch, first, first + 50_000_000)
    assert _stepped(watch, first + 50_000_000, first + 150_000_000)


def test_forgotten_steps_are_gone(clocks: Clocks) -> None:
    """A new measurement does not inherit the last one's step."""
    watch = clockwatch.ClockWatch()
    clocks.offset += 1_000_000
    watch.note()

    assert _stepped(watch, 0, clocks.mono)

    watch.forget(clocks.mono)

    assert not _stepped(watch, 0, clocks.mono)


def test_a_step_after_what_is_forgotten_is_kept(clocks: Clocks) -> None:
    """Also one between two readings of which the first is older."""
    watch = clockwatch.ClockWatch()
    begun = clocks.mono
    clocks.mono += 100_000_000
    clocks.offset -= 1_000_000
    watch.note()

    watch.forget(begun + 50_000_000)

    assert _stepped(watch, begun + 50_000_000, clocks.mono)
