"""Strips of block statistics: a tick for each block, a dot for the estimate, a bar for its CI.

They show the spread behind each interval without a plot and a legend. `strips` has the axis; only
positions are computed here.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from podbench_report.strips import Axis

_HEIGHT = 20


def blocks(
    axis: Axis,
    points: Sequence[float],
    value: float | None,
    bounds: tuple[float, float] | None,
    *,
    ink: str,
) -> Markup:
    """Draws the strip of one run; an interval beyond the axis ends in an arrow."""
    width = axis.place(axis.low) + axis.place(axis.high)
    parts = [
        Markup('<line class="tickmark" x1="{0}" x2="{0}" y1="2" y2="8"/>').format(axis.place(p))
        for p in points
        if math.isfinite(p)
    ]
    if bounds is not None:
        parts.append(
            Markup('<line class="whisk s-{}" x1="{}" x2="{}" y1="13" y2="13"/>').format(
                ink, axis.place(bounds[0]), axis.place(bounds[1])
            )
        )
        parts += [_beyond(axis, bound, ink) for bound in bounds if axis.beyond(bound)]
    if value is not None:
        parts.append(
            Markup('<circle class="f-{}" cx="{}" cy="13" r="4"/>').format(ink, axis.place(value))
        )
    # The row has the numbers as text; screen readers skip the strip.
    return Markup(
        '<svg class="strip" viewBox="0 0 {0} {1}" width="{0}" height="{1}" aria-hidden="true">'
        "{2}</svg>"
    ).format(round(width, 1), _HEIGHT, Markup("").join(parts))


def _beyond(axis: Axis, bound: float, ink: str) -> Markup:
    """Draws an arrow head where a bound is beyond the axis."""
    place = axis.place(bound)
    tip = 6 if bound > axis.high else -6
    points = f"{place},9 {place + tip},13 {place},17"
    return Markup('<polygon class="f-{}" points="{}"/>').format(ink, points)
