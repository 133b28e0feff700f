"""Signals as a terminal's programs have them, wherever the tests were started from.

A shell without job control starts what it puts into the background with SIGINT ignored, and
`nohup` ignores SIGHUP; both are inherited, and the programs under test would not end by them.
"""

import signal


def pytest_configure() -> None:
    """Before any test: what is ignored here is not ignored by the children."""
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
