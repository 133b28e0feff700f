"""Limits of an SLO as people write them (`2ms`, `0.1%`, `5Gbit/s`), turned into a metric's unit.

The unit must fit the metric: a time for a ratio is refused, and so is a bare number where a unit
could be meant. `option` names file, line and field in every complaint.
"""

import math
import re

from podbench.analysis.figures.dotted import Figure
from podbench.model.errors import ConfigError

_NUMBER = re.compile(r"^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(.*)$")


def _steps(prefixes: str, units: tuple[str, ...]) -> dict[str, float]:
    """Each unit with each decimal prefix: `""`, k, M, G, T in this order."""
    return {
        prefix + unit: 1e3**power for power, prefix in enumerate(("", *prefixes)) for unit in units
    }


_FACTORS: dict[str, dict[str, float]] = {
    "ns": {"ns": 1.0, "us": 1e3, "µs": 1e3, "\u03bcs": 1e3, "ms": 1e6, "s": 1e9},
    "bit/s": _steps("kMGT", ("bit/s", "bps")),
    "packets/s": _steps("kM", ("packets/s", "pps")),
    "ratio": {"": 1.0, "%": 0.01},
    "": {"": 1.0},
}
_WHAT = {
    "ns": ("a time", "2ms"),
    "bit/s": ("a rate in bits", "5Gbit/s"),
    "packets/s": ("a packet rate", "100kpps"),
    "ratio": ("a share", "0.1%"),
    "": ("a count", "3"),
}


def _split(text: str, option: str, example: str) -> tuple[float, str]:
    match = _NUMBER.match(text.strip())
    value = float(match.group(1).replace("_", "")) if match else math.nan
    if match is None or not math.isfinite(value):
        raise ConfigError(
            f"{option}: {text!r} is not a number with a unit", advice=f"write it like {example}"
        )
    if value < 0:
        raise ConfigError(f"{option}: {text!r} is below zero", advice=f"write it like {example}")
    return value, (match.group(2) or "").strip()


def bound(text: str, figure: Figure, option: str) -> float:
    """The limit in the metric's own unit.

    Raises:
        ConfigError: Not a number, below zero, the wrong unit, or a share beyond 100%.
    """
    what, example = _WHAT[figure.unit]
    value, unit = _split(text, option, example)
    factor = _FACTORS[figure.unit].get(unit)
    if factor is None:
        raise ConfigError(
            f"{option}: {text!r} {_misfit(unit)}, but {figure.name} is {what}",
            advice=f"write it like {example}",
        )
    limit = value * factor
    if figure.unit == "ratio" and limit > 1:
        raise ConfigError(
            f"{option}: {text!r} is more than 100%", advice=f"write it like {example}"
        )
    return limit


def _misfit(unit: str) -> str:
    if not unit:
        return "has no unit"
    for kind, known in _FACTORS.items():
        if unit in known:
            return f"is {_WHAT[kind][0]}"
    return f"has the unknown unit {unit!r}"


def confidence(text: str, option: str) -> float:
    """A confidence above 50 and below 100% from `0.99` or `99%`.

    Raises:
        ConfigError: Something else.
    """
    value, unit = _split(text, option, "99%")
    level = value / 100 if unit == "%" else value
    if unit not in {"", "%"} or not 0.5 < level < 1:
        raise ConfigError(
            f"{option}: {text!r} is no confidence above 50 and below 100%",
            advice="write it like 99% or 0.99",
        )
    return level


def worse_by(text: str, option: str) -> float:
    """A relative change from `5%` or `0.05`; more than 100% is allowed.

    Raises:
        ConfigError: Something else.
    """
    value, unit = _split(text, option, "5%")
    if unit not in {"", "%"}:
        raise ConfigError(
            f"{option}: {text!r} must be relative to the baseline", advice="write it like 5%"
        )
    return value / 100 if unit == "%" else value
