"""Burns a fixed share of one CPU, for tests and demonstrations: `python burner.py [SECONDS]`.

Works for DUTY of every period and sleeps for the rest, and ends by itself after LIFETIME_S at the
latest, should whoever started it not do so. Imports nothing of podbench: it starts in 20 ms.
"""

import sys
import time

DUTY = 0.8
"""Share of one CPU that a burner takes."""

PERIOD_S = 0.05
"""Longer than a scheduler slice, so that others really wait; short against a round."""

LIFETIME_S = 7200.0


def burn(lifetime_s: float) -> None:
    """Burns until `lifetime_s` is over."""
    end = time.monotonic() + lifetime_s
    while (start := time.monotonic()) < end:
        # CPU time, not wall time: a burner that waits for a CPU still burns its share.
        stop = time.thread_time() + DUTY * PERIOD_S
        while time.thread_time() < stop and time.monotonic() < end:
            pass
        time.sleep(max(0.0, start + PERIOD_S - time.monotonic()))


if __name__ == "__main__":
    burn(float(sys.argv[1]) if len(sys.argv) > 1 else LIFETIME_S)
