"""Formats numbers: three digits, one unit a column, a true minus, no-break spaces.

Null is always `NOT_MEASURED`, never 0. Nothing here computes a statistic; units come from
`podbench.model.summary` (`ns`, `bit/s`, `ratio`, ...).
"""

import math
from collections.abc import Iterable

import msgspec

from podbench.model import units

NOT_MEASURED = "not measured"
NBSP = "\u00a0"
MINUS = "\u2212"
EN_DASH = "\u2013"
THIN = "\u202f"
_MANY = 1000
_FAR = 5.0

_STEPS: dict[str, tuple[tuple[float, str], ...]] = {
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")),
    "s": ((1.0, "s"),),
    "bit/s": ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s")),
    "packets/s": ((1e6, "M packets/s"), (1e3, "k packets/s"), (1.0, "packets/s")),
    "ratio": ((0.01, "%"),),
}
_SAME_UNIT = {"bps": "bit/s", "pps": "packets/s", "share": "ratio"}


class Scale(msgspec.Struct, frozen=True):
    """One unit for a set of figures: `value / factor` in `unit`, with fixed decimals."""

    factor: float
    unit: str
    decimals: int

    def number(self, value: float | None) -> str:
        """Returns the bare number in this scale, for a column whose header has the unit."""
        if value is None or not math.isfinite(value):
            return NOT_MEASURED
        return _plain(value / self.factor, self.decimals) if value else "0"


def scale_for(values: Iterable[float | None], unit: str) -> Scale:
    """Returns one scale for all values: the unit fits their middle, with three digits for each."""
    known = _magnitudes(values)
    # The geometric mean of smallest and largest: a long tail must not turn 90 µs into 0.0901 ms.
    middle = math.sqrt(min(known) * max(known)) if known else 0.0
    factor, shown = _step(middle, _SAME_UNIT.get(unit, unit))
    return Scale(factor, shown, _joint_decimals(known, factor))


def column_scale(values: Iterable[float | None], table: Scale) -> Scale:
    """Returns the table's unit with decimals for this column: p50 and p99.9 differ tenfold."""
    decimals = _joint_decimals(_magnitudes(values), table.factor)
    return msgspec.structs.replace(table, decimals=decimals)


def _magnitudes(values: Iterable[float | None]) -> list[float]:
    return [abs(v) for v in values if v is not None and math.isfinite(v) and v != 0]


def _joint_decimals(known: list[float], factor: float) -> int:
    """Three digits of the smallest, two where it is far smaller than the largest.

    At most one decimal more than the largest needs.
    """
    if not known:
        return 0
    small, large = _decimals(min(known) / factor), _decimals(max(known) / factor)
    if max(known) > _FAR * min(known):
        return max(large, min(small - 1, large + 1))
    return min(small, large + 1)


def quantity(value: float | None, unit: str, *, signed: bool = False) -> str:
    """Returns three significant digits with a fitting unit: `12.2 µs`, `9.41 Gbit/s`, `0.021%`."""
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    unit = _SAME_UNIT.get(unit, unit)
    factor, shown = _step(abs(value), unit)
    scaled = value / factor
    text = _plain(scaled, _decimals(abs(scaled)))
    if signed and value > 0:
        text = "+" + text
    return _with_unit(text, shown)


def estimate(value: float, bounds: tuple[float, float] | None, unit: str) -> tuple[str, str]:
    """Returns an estimate and its interval in one unit, as precise as the interval allows.

    `9.9 µs` and `3.8–16.6 µs`: digits follow the largest bound, at least two for the estimate.
    Without an interval the second text is empty.
    """
    if bounds is None or not all(map(math.isfinite, (value, *bounds))):
        return quantity(value, unit), ""
    factor, shown = _step(abs(value), _SAME_UNIT.get(unit, unit))
    largest = max(abs(value), *map(abs, bounds)) / factor
    scale = Scale(factor, shown, _decimals(largest))
    own = max(scale.decimals, _decimals(abs(value) / factor) - 1)
    text = _with_unit(_plain(value / factor, own), shown)
    return text, _with_unit(_range(bounds, scale), shown)


def interval(bounds: tuple[float, float] | None, unit: str) -> str:
    """Returns both bounds in one unit, joined by `to` if one is negative."""
    if bounds is None:
        return NOT_MEASURED
    known = _magnitudes(bounds)
    factor, shown = _step(max(known, default=0.0), _SAME_UNIT.get(unit, unit))
    scale = Scale(factor, shown, _decimals(max(known, default=0.0) / factor))
    if bounds[0] == 0 and scale.decimals > 1:
        # An interval from zero is an upper limit: two digits suffice.
        scale = msgspec.structs.replace(scale, decimals=scale.decimals - 1)
    elif known and min(known) / factor < 10.0 ** (1 - scale.decimals):
        scale = msgspec.structs.replace(scale, decimals=scale.decimals + 1)
    while scale.decimals < 4 and bounds[0] != bounds[1] and len(set(map(scale.number, bounds))) < 2:
        # 99.99 to 100% must not read 100 to 100%.
        scale = msgspec.structs.replace(scale, decimals=scale.decimals + 1)
    return _with_unit(_range(bounds, scale), scale.unit)


def interval_numbers(bounds: tuple[float, float] | None, scale: Scale) -> str:
    """Returns the bounds without their unit, for a column that has it."""
    return "" if bounds is None else _range(bounds, scale)


def percent_change(
    ratio: float | None, bounds: tuple[float, float] | None = None, decimals: int | None = None
) -> str:
    """Returns a ratio as a signed change: `+21.3%` for 1.213, with a true minus.

    It has no more decimals than its interval; `decimals` overrides for a column.
    """
    if ratio is None or not math.isfinite(ratio):
        return NOT_MEASURED
    change = (ratio - 1) * 100
    if decimals is None:
        decimals = _change_decimals(change)
    if bounds is not None and all(map(math.isfinite, bounds)):
        decimals = min(decimals, _interval_decimals(bounds))
    return f"{_signed(change, decimals)}%"


def percent_change_interval(bounds: tuple[float, float] | None) -> str:
    """Returns an interval of ratios as changes: `+18.4 to +24.1%`."""
    if bounds is None or not all(map(math.isfinite, bounds)):
        return NOT_MEASURED
    decimals = _interval_decimals(bounds)
    low, high = (_signed((bound - 1) * 100, decimals) for bound in bounds)
    return f"{low}{NBSP}to{NBSP}{high}%"


def percent_size_interval(bounds: tuple[float, float]) -> str:
    """Returns an interval of ratios on one side of 1 as the size of the change."""
    changes = sorted(abs(bound - 1) * 100 for bound in bounds)
    low, high = (_plain(change, _interval_decimals(bounds)) for change in changes)
    return f"{low}{EN_DASH}{high}%"


def margin(ratio: float) -> str:
    """Returns a margin: `±5%`."""
    return f"±{ratio * 100:.4g}%"


def share(value: float | None) -> str:
    """Returns a share of 0 to 1 in percent, three significant digits."""
    return quantity(value, "ratio")


def cores(value: float | None) -> str:
    """CPU cores: two significant digits, three decimals at most."""
    if value is None:
        return NOT_MEASURED
    text = f"{abs(value):.2g}" if abs(value) >= 0.01 else f"{abs(value):.3f}"
    return f"{MINUS if value < 0 else ''}{text}"


def count(value: int | None) -> str:
    """Returns a count, grouped by thin spaces from 10,000: `1450`, `30 000`."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,}".replace(",", THIN) if abs(value) >= 10_000 else str(value)


def plural(number: int, noun: str) -> str:
    """`1 block`, `5 blocks`."""
    return f"{count(number)}{NBSP}{noun}{'' if number == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """Returns `units.show_duration` with no-break spaces."""
    if seconds is None:
        return NOT_MEASURED
    return units.show_duration(seconds).replace(" ", NBSP)


def moment(iso: str) -> str:
    """`2026-08-14 09:12 UTC` from an ISO time; anything else as it is."""
    if len(iso) >= 16 and iso[10:11] == "T" and iso.endswith(("Z", "+00:00")):
        return f"{iso[:10]} {iso[11:16]} UTC"
    return iso


def _with_unit(text: str, unit: str) -> str:
    """`12.2 µs`, `61%`, or the bare number without a unit."""
    joint = "" if unit in {"", "%"} else NBSP
    return f"{text}{joint}{unit}"


def _step(magnitude: float, unit: str) -> tuple[float, str]:
    steps = _STEPS.get(unit, ((1.0, unit),))
    for factor, shown in steps:
        # 999.7 ns rounds to 1000: use the next unit.
        if magnitude >= factor * 0.9995:
            return factor, shown
    return steps[-1]


def _decimals(magnitude: float) -> int:
    """Decimals that give three significant digits, at most 4 (0.0123%)."""
    if magnitude == 0:
        return 0
    return min(4, max(0, 2 - math.floor(math.log10(magnitude * 1.0005))))


def _change_decimals(change: float) -> int:
    if abs(change) >= 10:
        return 0 if abs(change) >= 100 else 1
    return 1 if abs(change) >= 1 else 2


def _interval_decimals(bounds: tuple[float, float]) -> int:
    return _change_decimals(max(((bound - 1) * 100 for bound in bounds), key=abs))


def _signed(change: float, decimals: int) -> str:
    text = _plain(change, decimals)
    return "+" + text if change > 0 and text.strip("0.") else text


def _plain(value: float, decimals: int) -> str:
    # Thousands need no decimals; group five and more digits.
    text = f"{value:.{0 if abs(value) >= _MANY else decimals}f}"
    if abs(value) >= 10 * _MANY:
        text = f"{value:,.0f}".replace(",", THIN)
    if text.startswith("-"):
        return text[1:] if float(text.replace(THIN, "")) == 0 else MINUS + text[1:]
    return text


def _range(bounds: tuple[float, float], scale: Scale) -> str:
    low, high = (_bound(bound, scale) for bound in bounds)
    joint = f"{NBSP}to{NBSP}" if MINUS in low + high else EN_DASH
    return f"{low}{joint}{high}"


def _bound(bound: float, scale: Scale) -> str:
    """Exactly zero needs no decimals; a bound too small for them is not shown as zero."""
    text = scale.number(bound)
    if bound > 0 and not text.strip("0."):
        return f"<{10.0**-scale.decimals:.{scale.decimals}f}"
    return text


def tick(value: float, unit: str) -> str:
    """Returns a round number for an axis: `20 µs`, `1 ms`."""
    factor, shown = _step(abs(value), _SAME_UNIT.get(unit, unit))
    return _with_unit(f"{value / factor:.4g}".replace("-", MINUS), shown)
