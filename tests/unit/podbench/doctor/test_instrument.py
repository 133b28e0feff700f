"""What the instrument's own figures are made of."""

import numpy as np

from podbench.doctor import instrument


def test_the_smallest_step_passes_over_readings_that_stand_still() -> None:
    """Two equal readings are no step of zero: the clock was read twice within one."""
    assert instrument.smallest_step(np.array([10, 10, 55, 95, 95, 200])) == 40


def test_a_clock_that_does_not_move_has_no_step() -> None:
    """No step is null, not zero."""
    assert instrument.smallest_step(np.array([7, 7, 7])) is None


def test_a_spread_names_the_middle_and_the_tail() -> None:
    """Median and 99th percentile, each with its unit."""
    assert instrument._spread(np.arange(0, 1001) * 1000) == "p50 500 µs, p99 990 µs"
