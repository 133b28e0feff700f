"""Signals as a terminal's programs have them, and examples judged by what they show, not by time.

A shell without job control starts what it puts into the background with SIGINT ignored, and
`nohup` ignores SIGHUP; both are inherited, and the programs under test would not end by them.

Hypothesis fails an example that took over 0.2 s, and a test whose examples come slowly: a busy
machine does both. pytest's own time limit stays.
"""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("podbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("podbench")


def pytest_configure() -> None:
    """Before any test: what is ignored here is not ignored by the children."""
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
