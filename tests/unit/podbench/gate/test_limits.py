"""Limits with units, turned into each metric's own unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench.analysis.figures.dotted import FIGURES
from podbench.gate import limits
from podbench.model.errors import ConfigError


@pytest.mark.parametrize(
    ("metric", "text", "value"),
    [
        ("rtt_app_ns.p99", "2ms", 2e6),
        ("rtt_app_ns.p99", "150 us", 150e3),
        ("rtt_app_ns.p99", "150µs", 150e3),
        ("rtt_app_ns.p99", "1.5s", 1.5e9),
        ("pdv_p99_ns", "900ns", 900.0),
        ("loss.ratio", "0.1%", 0.001),
        ("loss.ratio", "0.001", 0.001),
        ("loss.ratio", "0", 0.0),
        ("goodput_bps.tcp.p50", "5Gbit/s", 5e9),
        ("goodput_bps.udp.min", "900 Mbps", 9e8),
        ("small_packets_pps.p50", "100kpps", 1e5),
        ("loss.episodes", "3", 3.0),
        ("rtt_app_ns.n", "1e4", 1e4),
    ],
)
def test_units(metric: str, text: str, value: float) -> None:
    """Every unit a metric may have is understood."""
    assert limits.bound(text, FIGURES[metric], "max") == pytest.approx(value)


@given(st.text(max_size=12))
def test_any_text_is_a_limit_or_a_sentence(text: str) -> None:
    """Whatever is written gives a number or a ConfigError, never another error."""
    for metric in ("rtt_app_ns.p99", "loss.ratio", "goodput_bps.tcp.p50", "loss.sent"):
        try:
            found = limits.bound(text, FIGURES[metric], "max")
        except ConfigError as error:
            said = str(error)
        else:
            said = f"max: {found}" if found >= 0 else "below zero"
        assert said.startswith("max: ")


@pytest.mark.parametrize(("text", "level"), [("0.99", 0.99), ("99%", 0.99), ("99.5 %", 0.995)])
def test_confidence(text: str, level: float) -> None:
    """A confidence is a share or a percentage."""
    assert limits.confidence(text, "confidence") == pytest.approx(level)
