"""Curves against load: one line a mode with a band, all modes on shared axes."""

from collections.abc import Sequence

import msgspec
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from podbench_report import numbers
from podbench_report.plots import canvas

_SIZE = (520, 340)
_BAND_MOST = 4.0
"""A band is drawn to this many times the figure: wider ones would take the plot from the lines."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One step."""

    x: float
    y: float
    ci95: tuple[float, float] | None = None
    reached: bool = True


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One mode."""

    label: str
    ink: str
    points: tuple[Point, ...]


def plot(key: str, lines: Sequence[Line], units: tuple[str, str], label: str) -> Markup:
    """Curves with bands, labelled at their ends.

    Args:
        key: unique in the page.
        lines: at least one with a point above zero.
        units: of x and y.
        label: text alternative.
    """
    values = [p.y for line in lines for p in line.points if p.y > 0]

    def paint(figure: Figure) -> None:
        ax = canvas.panel(figure, [line.label for line in lines])
        canvas.quiet_axes(ax)
        for line in lines:
            _line(ax, line)
        ax.set_yscale("log")
        low, high = min(values), max(values)
        canvas.log_ticks(ax, low, high, units[1])
        ax.set_ylim(low / 1.15, high * 1.15)
        ax.set_xlim(0, max(p.x for line in lines for p in line.points) * 1.02)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: numbers.tick(v, units[0])))
        ax.set_xlabel("offered load")
        ends = [(line.points[-1].x, line.points[-1].y) for line in lines]
        canvas.end_labels(ax, ends, [(line.label, line.ink) for line in lines])

    return canvas.draw(f"curve-{key}", _SIZE, paint, label)


def _line(ax: Axes, line: Line) -> None:
    ink = canvas.colour(line.ink)
    ax.plot([p.x for p in line.points], [p.y for p in line.points], color=ink, linewidth=1.9)
    banded = [(p.x, p.ci95, p.y) for p in line.points if p.ci95 is not None]
    if len(banded) > 1:
        ax.fill_between(
            [x for x, _, _ in banded],
            [max(ci[0], y / _BAND_MOST) for _, ci, y in banded],
            [min(ci[1], y * _BAND_MOST) for _, ci, y in banded],
            color=ink,
            alpha=0.13,
            linewidth=0,
        )
    for reached in (True, False):
        held = [p for p in line.points if p.reached is reached]
        ax.plot(
            [p.x for p in held],
            [p.y for p in held],
            linestyle="none",
            marker="o",
            markersize=5.5,
            markeredgecolor=ink,
            markerfacecolor=ink if reached else "none",
        )
