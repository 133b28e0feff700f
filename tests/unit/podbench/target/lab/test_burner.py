"""The CPU burner ends by itself."""

import time

from podbench.target.lab import burner


def test_ends_when_its_time_is_over() -> None:
    """It has used CPU by then: at least some of the share it is named for."""
    before = time.thread_time()
    burner.burn(0.1)
    used_s = time.thread_time() - before
    assert 0 < used_s <= 0.1
