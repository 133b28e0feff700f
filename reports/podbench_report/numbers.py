"""Numbers as people read them: three digits, one unit a column, a true minus, no-break spaces.

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
        """The bare number in this scale, for a column whose header names the unit."""
        if value is None or not math.isfinite(value):
            return NOT_MEASURED
        return _plain(value / self.factor, self.decimals) if value else "0"


def scale_for(values: Iterable[float | None], unit: str) -> Scale:
    """One scale for all of these: the unit of their middle, decimals for three digits of each."""
    known = _magnitudes(values)
    # Between the smallest and the largest: medians of 90 µs do not become 0.0901 ms by their tails.
    middle = math.sqrt(min(known) * max(known)) if known else 0.0
    factor, shown = _step(middle, _SAME_UNIT.get(unit, unit))
    return Scale(factor, shown, _joint_decimals(known, factor))


def column_scale(values: Iterable[float | None], table: Scale) -> Scale:
    """The table's unit with decimals for this column: p50 and p99.9 differ tenfold."""
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
    """Three significant digits with a fitting unit: `12.2 µs`, `9.41 Gbit/s`, `0.021 %`."""
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    unit = _SAME_UNIT.get(unit, unit)
    factor, shown = _step(abs(value), unit)
    scaled = value / factor
    text = _plain(scaled, _decimals(abs(scaled)))
    if signed and value > 0:
        text = "+" + text
    return f"{text}{NBSP}{shown}".rstrip(NBSP)


def estimate(value: float, bounds: tuple[float, float] | None, unit: str) -> tuple[str, str]:
    """A figure and its interval in one unit, as exact as the interval allows.

    `9.9 µs` and `3.8–16.6 µs`: the digits are those of the largest bound, and at least two of the
    figure. Without an interval the second text is empty.
    """
    if bounds is None or not all(map(math.isfinite, (value, *bounds))):
        return quantity(value, unit), ""
    factor, shown = _step(abs(value), _SAME_UNIT.get(unit, unit))
    largest = max(abs(value), *map(abs, bounds)) / factor
    scale = Scale(factor, shown, _decimals(largest))
    own = max(scale.decimals, _decimals(abs(value) / factor) - 1)
    text = f"{_plain(value / factor, own)}{NBSP}{shown}".rstrip(NBSP)
    return text, f"{_range(bounds, scale)}{NBSP}{shown}".rstrip(NBSP)


def interval(bounds: tuple[float, float] | None, unit: str) -> str:
    """Both bounds in one unit; `to` in place of the dash where one is negative; null is said."""
    if bounds is None:
        return NOT_MEASURED
    known = _magnitudes(bounds)
    factor, shown = _step(max(known, default=0.0), _SAME_UNIT.get(unit, unit))
    scale = Scale(factor, shown, _decimals(max(known, default=0.0) / factor))
    if bounds[0] == 0 and scale.decimals > 1:
        # What begins at nothing is an upper limit: two digits of it are all there is to know.
        scale = msgspec.structs.replace(scale, decimals=scale.decimals - 1)
    elif known and min(known) / factor < 10.0 ** (1 - scale.decimals):
        scale = msgspec.structs.replace(scale, decimals=scale.decimals + 1)
    while scale.decimals < 4 and bounds[0] != bounds[1] and len(set(map(scale.number, bounds))) < 2:
        # 99.99 to 100 % must not read 100 to 100 %.
        scale = msgspec.structs.replace(scale, decimals=scale.decimals + 1)
    return f"{_range(bounds, scale)}{NBSP}{scale.unit}".rstrip(NBSP)


def interval_numbers(bounds: tuple[float, float] | None, scale: Scale) -> str:
    """The bounds without their unit, for a column that names it."""
    return "" if bounds is None else _range(bounds, scale)


def percent_change(
    ratio: float | None, bounds: tuple[float, float] | None = None, decimals: int | None = None
) -> str:
    """A ratio as a signed change: 1.213 is `+21.3 %`; a fall has a true minus.

    Beside its interval it has no more decimals than that; `decimals` are those of a column.
    """
    if ratio is None or not math.isfinite(ratio):
        return NOT_MEASURED
    change = (ratio - 1) * 100
    if decimals is None:
        decimals = _change_decimals(change)
    if bounds is not None and all(map(math.isfinite, bounds)):
        decimals = min(decimals, _interval_decimals(bounds))
    return f"{_signed(change, decimals)}{NBSP}%"


def percent_change_interval(bounds: tuple[float, float] | None) -> str:
    """An interval of ratios as changes: `+18.4 to +24.1 %`."""
    if bounds is None or not all(map(math.isfinite, bounds)):
        return NOT_MEASURED
    decimals = _interval_decimals(bounds)
    low, high = (_signed((bound - 1) * 100, decimals) for bound in bounds)
    return f"{low}{NBSP}to{NBSP}{high}{NBSP}%"


def percent_size_interval(bounds: tuple[float, float]) -> str:
    """An interval of ratios that all lie on one side of 1, as the change's size."""
    changes = sorted(abs(bound - 1) * 100 for bound in bounds)
    low, high = (_plain(change, _interval_decimals(bounds)) for change in changes)
    return f"{low}{EN_DASH}{high}{NBSP}%"


def margin(ratio: float) -> str:
    """A margin as people say it: `±5 %`."""
    return f"±{ratio * 100:.4g}{NBSP}%"


def share(value: float | None) -> str:
    """A share of 0 to 1 in percent, three significant digits."""
    return quantity(value, "ratio")


def count(value: int | None) -> str:
    """A count, from 10,000 in thin groups of three: `1450`, `30 000`."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,}".replace(",", THIN) if abs(value) >= 10_000 else str(value)


def plural(number: int, noun: str) -> str:
    """`1 block`, `5 blocks`."""
    return f"{count(number)}{NBSP}{noun}{'' if number == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """As `units.show_duration` has it, without a break in it."""
    if seconds is None:
        return NOT_MEASURED
    return units.show_duration(seconds).replace(" ", NBSP)


def moment(iso: str) -> str:
    """`2026-08-14 09:12 UTC` from an ISO time; anything else as it is."""
    if len(iso) >= 16 and iso[10:11] == "T" and iso.endswith(("Z", "+00:00")):
        return f"{iso[:10]} {iso[11:16]} UTC"
    return iso


def _step(magnitude: float, unit: str) -> tuple[float, str]:
    steps = _STEPS.get(unit, ((1.0, unit),))
    for factor, shown in steps:
        # 999.7 ns would round to 1000: it is shown in the next unit.
        if magnitude >= factor * 0.9995:
            return factor, shown
    return steps[-1]


def _decimals(magnitude: float) -> int:
    """Decimals that give three significant digits, at most 4 (0.0123 %)."""
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
    # Decimals of thousands tell nothing, and five figures in a row want a gap.
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
    """A bound of exactly nothing needs no decimals; one too small for them is not nothing."""
    text = scale.number(bound)
    if bound > 0 and not text.strip("0."):
        return f"<{10.0**-scale.decimals:.{scale.decimals}f}"
    return text


def tick(value: float, unit: str) -> str:
    """A round number on an axis: `20 µs`, `1 ms`."""
    factor, shown = _step(abs(value), _SAME_UNIT.get(unit, unit))
    return f"{value / factor:.4g}{NBSP}{shown}".replace("-", MINUS)
