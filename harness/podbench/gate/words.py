"""Figures as a gate says them: three digits and a unit, for terminals, JUnit and Markdown alike."""

from podbench.model.summary import Interval
from podbench.model.units import show_bps, show_ns


def quantity(value: float, unit: str) -> str:
    """`12.2 µs`, `9.41 Gbit/s`, `0.021%`, `3`."""
    if unit == "ns":
        return show_ns(value)
    if unit == "bit/s":
        return show_bps(value)
    if unit == "ratio":
        return f"{value * 100:.3g}%"
    if unit:
        return f"{value:.4g} {unit}"
    return f"{value:.10g}"


def span(interval: Interval, unit: str) -> str:
    """`12.2 µs to 14.1 µs`."""
    return f"{quantity(interval[0], unit)} to {quantity(interval[1], unit)}"


def confidence(level: float) -> str:
    """`95% CI`."""
    return f"{level * 100:.4g}% CI"


def change(ratio: float) -> str:
    """A ratio as a signed change: `+4.2%`."""
    return f"{(ratio - 1) * 100:+.3g}%"


def change_span(interval: Interval) -> str:
    """`+1.2% to +7.9%`."""
    return f"{change(interval[0])} to {change(interval[1])}"
