"""Strips: a dot with its whisker in one table cell, all rows of a table on one axis.

A strip replaces a separate plot and its legend: the figure stands beside its number. Drawn as plain
inline SVG; positions are linear in the domain given, nothing is computed but places.
"""

import math

import msgspec
from markupsafe import Markup

_WIDTH = 220
_HEIGHT = 18
_PAD = 8


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """The common axis of a table's strips. `ticks` are (value, label)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()

    def place(self, value: float) -> float:
        """The horizontal place of a value, cut at the ends."""
        span = (self.high - self.low) or 1.0
        share = (min(max(value, self.low), self.high) - self.low) / span
        return round(_PAD + share * (_WIDTH - 2 * _PAD), 1)

    def beyond(self, value: float) -> bool:
        """True where a value lies off the axis."""
        return value < self.low or value > self.high


def nice_axis(values: list[float], *, zero: bool = True, unit_factor: float = 1.0) -> Axis:
    """An axis round all values, with a few ticks at round numbers of `value / unit_factor`."""
    known = [v / unit_factor for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        high = low + 1.0
    step = nice_step((high - low) / 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    decimals = next(d for d in range(12) if abs(round(step, d) - step) < step * 1e-9)
    ticks = tuple(
        (i * step * unit_factor, f"{i * step:.{decimals}f}".replace("-", "\u2212"))
        for i in range(first, last + 1)
    )
    return Axis(low=first * step * unit_factor, high=last * step * unit_factor, ticks=ticks)


def axis_row(axis: Axis) -> Markup:
    """The tick labels, for the column's header."""
    labels = Markup("").join(
        Markup('<text x="{}" y="11" text-anchor="middle">{}</text>').format(axis.place(v), label)
        for v, label in axis.ticks
    )
    return _svg(labels, 14)


def whisker(
    axis: Axis,
    value: float | None,
    bounds: tuple[float, float] | None,
    *,
    ink: str,
    band: tuple[float, float] | None = None,
) -> Markup:
    """A dot with its interval; `band` shades what is too small to matter. Null draws nothing."""
    middle = _HEIGHT / 2
    parts = []
    if band is not None:
        left, right = axis.place(band[0]), axis.place(band[1])
        parts.append(
            Markup('<rect class="band" x="{}" y="0" width="{}" height="{}"/>').format(
                left, round(right - left, 1), _HEIGHT
            )
        )
    if axis.low <= 0 <= axis.high:
        parts.append(_line("zero", axis.place(0), 0, axis.place(0), _HEIGHT))
    if bounds is not None:
        left, right = axis.place(bounds[0]), axis.place(bounds[1])
        parts.append(_line(f"whisk s-{ink}", left, middle, right, middle))
    if value is not None:
        parts.append(_dot(axis, value, ink))
    return _svg(Markup("").join(parts), _HEIGHT)


def _dot(axis: Axis, value: float, ink: str) -> Markup:
    """The figure's mark; an arrow head where it lies further out than the axis goes."""
    place, middle = axis.place(value), _HEIGHT / 2
    if not axis.beyond(value):
        return Markup('<circle class="f-{}" cx="{}" cy="{}" r="4"/>').format(ink, place, middle)
    tip = 5 if value > axis.high else -5
    points = f"{place - tip},{middle - 5} {place},{middle} {place - tip},{middle + 5}"
    return Markup('<polygon class="f-{}" points="{}"/>').format(ink, points)


def dumbbell(axis: Axis, start: float | None, end: float | None, *, ink: str) -> Markup:
    """From a hollow dot (`start`) to a full one (`end`)."""
    middle = _HEIGHT / 2
    parts = []
    if start is not None and end is not None:
        parts.append(_line(f"whisk s-{ink}", axis.place(start), middle, axis.place(end), middle))
    if start is not None:
        parts.append(
            Markup('<circle class="hollow s-{}" cx="{}" cy="{}" r="3.5"/>').format(
                ink, axis.place(start), middle
            )
        )
    if end is not None:
        parts.append(_dot(axis, end, ink))
    return _svg(Markup("").join(parts), _HEIGHT)


def bullet(axis: Axis, value: float | None, target: float | None, *, ink: str) -> Markup:
    """A bar from zero with a tick where it should end."""
    parts = []
    if value is not None:
        width = max(0.5, axis.place(value) - axis.place(0))
        parts.append(
            Markup('<rect class="f-{}" x="{}" y="5" width="{}" height="8"/>').format(
                ink, axis.place(0), round(width, 1)
            )
        )
    if target is not None:
        parts.append(_line("target", axis.place(target), 1, axis.place(target), _HEIGHT - 1))
    return _svg(Markup("").join(parts), _HEIGHT)


def _line(css: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(css, x1, y1, x2, y2)


def _svg(inner: Markup, height: int) -> Markup:
    # The numbers stand in the row itself: to a screen reader the strip adds nothing.
    return Markup(
        '<svg class="strip" viewBox="0 0 {} {}" width="{}" height="{}" aria-hidden="true">{}</svg>'
    ).format(_WIDTH, height, _WIDTH, height, inner)


def nice_step(rough: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten: a step between ticks."""
    power = 10.0 ** math.floor(math.log10(rough))
    for nice in (1.0, 2.0, 2.5, 5.0, 10.0):
        if rough <= nice * power:
            return nice * power
    return 10.0 * power
