"""Signals as a terminal's programs have them, and examples judged by what they show, not by time.

Unit tests that analyse whole simulated runs, render whole pages or open a browser carry the mark
`slow`: `scripts/test --fast` leaves them out.

A shell without job control starts what it puts into the background with SIGINT ignored, and
`nohup` ignores SIGHUP; both are inherited, and the programs under test would not end by them.

Hypothesis fails an example that took over 0.2 s, and a test whose examples come slowly: a busy
machine does both. pytest's own time limit stays.
"""

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

UNIT = Path(__file__).parent / "unit"
SLOW = {
    "podbench/analysis/figures/test_probes.py",
    "podbench/analysis/findings/test_aa.py",
    "podbench/analysis/findings/test_blame.py",
    "podbench/analysis/findings/test_discoveries.py",
    "podbench/analysis/findings/test_open_questions.py",
    "podbench/analysis/findings/test_price.py",
    "podbench/analysis/stats/test_multiple.py",
    "podbench/analysis/stats/test_sketch.py",
    "podbench/analysis/test_summarise.py",
    "podbench/campaign/test_looks.py",
    "podbench/results/test_conclude.py",
    "podbench_report/compare/test_page.py",
    "podbench_report/test_browser_page.py",
    "podbench_report/test_build.py",
}
"""Files of unit tests that take most of their time: two thirds of it for one test in ten."""

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what `--fast` leaves out, by its file."""
    slow = {UNIT / name for name in SLOW}
    for item in items:
        if item.path in slow:
            item.add_marker(pytest.mark.slow)
