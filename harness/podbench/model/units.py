"""Human units, parsed once at the edge (command line and YAML) and rendered once (report).

Inside, quantities are plain numbers whose names carry the unit: `_ns`, `_s`, `_bps`, `_bytes`,
`_ratio`.
"""

import re

from podbench.model.errors import ConfigError

_NUMBER = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Zµ%/]*)\s*$")

_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
}
_BITS = {"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9, "Tbit/s": 1e12}
_BITS_SHORT = {
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "kbit": 1e3,
    "Mbit": 1e6,
    "Gbit": 1e9,
    "": 1.0,
}


def _split(text: str, option: str, example: str) -> tuple[float, str]:
    match = _NUMBER.match(text)
    if match is None:
        raise ConfigError(
            f"{option}: {text!r} is not a number with a unit", advice=f"write it like {example}"
        )
    return float(match.group(1)), match.group(2)


def parse_duration_s(text: str, option: str) -> float:
    """Seconds from `90`, `90s`, `3m`, `500ms`; a bare number is seconds.

    Raises:
        ConfigError: Not a duration; names `option`.
    """
    value, unit = _split(text, option, "90s or 3m")
    if unit and unit not in _SECONDS:
        raise ConfigError(
            f"{option}: unknown unit {unit!r} in {text!r}", advice="use ns, us, ms, s, m or h"
        )
    return value * _SECONDS.get(unit, 1.0)


def parse_positive_duration_s(text: str, option: str) -> float:
    """A duration above zero.

    Raises:
        ConfigError: Not a duration, or zero; names `option`.
    """
    value = parse_duration_s(text, option)
    if value <= 0:
        raise ConfigError(
            f"{option}: the duration must be above zero, not {text!r}", advice="write it like 3m"
        )
    return value


def parse_rate_bps(text: str, option: str) -> int:
    """Bits per second from `200Mbit/s`, `1G`.

    Raises:
        ConfigError: Not a rate, or zero; names `option`.
    """
    value, unit = _split(text, option, "200Mbit/s")
    factor = _BITS.get(unit, _BITS_SHORT.get(unit))
    if factor is None:
        raise ConfigError(
            f"{option}: unknown unit {unit!r} in {text!r}", advice="use kbit/s, Mbit/s or Gbit/s"
        )
    if value <= 0:
        raise ConfigError(
            f"{option}: the rate must be above zero, not {text!r}", advice="write it like 200Mbit/s"
        )
    return round(value * factor)


def parse_ratio(text: str, option: str) -> float:
    """A share of 0 to 1 from `1%` or `0.01`.

    Raises:
        ConfigError: Not a share, or outside 0 to 1; names `option`.
    """
    value, unit = _split(text, option, "1%")
    if unit not in {"", "%"}:
        raise ConfigError(
            f"{option}: unknown unit {unit!r} in {text!r}", advice="write it like 1% or 0.01"
        )
    ratio = value / 100 if unit == "%" else value
    if not 0 <= ratio <= 1:
        raise ConfigError(
            f"{option}: {text!r} is not between 0 and 100%", advice="write it like 1% or 0.01"
        )
    return ratio


def _scaled(value: float, steps: list[tuple[float, str]]) -> str:
    for size, unit in steps:
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    size, unit = steps[-1]
    return f"{value / size:.3g} {unit}"


def show_ns(value_ns: float) -> str:
    """Three significant digits with a fitting unit: `12.2 µs`."""
    return _scaled(value_ns, [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")])


def show_bps(value_bps: float) -> str:
    """Three significant digits with a fitting unit: `9.41 Gbit/s`."""
    return _scaled(value_bps, [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s")])


def show_ratio(ratio: float) -> str:
    """A share in percent, three significant digits: `0.046%`, `12.5%`."""
    return f"{100 * ratio:.3g}%"


def show_limit(ratio: float) -> str:
    """The upper limit of a share in percent: two digits of it are all there is to know."""
    return f"{100 * ratio:.2g}%"


def counted(number: int, noun: str) -> str:
    """`1 pair`, `5 pairs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def show_duration(value_s: float) -> str:
    """`45 s`, `3 min 20 s`; from an hour on `22 h 30 min`."""
    minutes, seconds = divmod(round(value_s), 60)
    if minutes >= 60:
        hours, minutes = divmod(minutes + (seconds >= 30), 60)
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
