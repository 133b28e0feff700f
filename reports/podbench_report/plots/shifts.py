"""Change by percentile: where in their distributions two modes differ, each point with interval."""

from collections.abc import Sequence

import msgspec
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from podbench_report import numbers
from podbench_report.plots import canvas
from podbench_report.plots.tails import nines

_SIZE = (520, 320)
_TICKS = (0.1, 0.5, 0.9, 0.95, 0.99)
_MOST = 2.5
"""The axis ends at a ratio of 2.5: one wild interval must not flatten all others."""

SHOWN_MOST = f"+{100 * (_MOST - 1):.0f}%"


class ShiftLine(msgspec.Struct, frozen=True, kw_only=True):
    """One mode against the base: ratios by percentile; null bounds: no interval there."""

    label: str
    q: tuple[float, ...]
    ratio: tuple[float, ...]
    bounds: tuple[tuple[float, float] | None, ...]
    ink: str
    marker: str


def is_cut(lines: Sequence[ShiftLine]) -> bool:
    """Whether something is larger than what is drawn."""
    return any(end > _MOST for line in lines for end in _ends(line))


def shift_plot(key: str, lines: Sequence[ShiftLine], label: str) -> Markup:
    """Changes in percent on shared axes; a bar through each point is its 95% interval."""
    ends = [_percent(min(end, _MOST)) for line in lines for end in _ends(line)]
    low, high = min(-2.0, *ends), max(2.0, *ends)

    def paint(figure: Figure) -> None:
        ax = canvas.panel(figure, [line.label for line in lines])
        canvas.quiet_axes(ax)
        ax.axhline(0.0, color=canvas.colour("muted"), linewidth=0.9)
        for number, line in enumerate(lines):
            _line(ax, line, number)
        margin = (high - low) * 0.05
        ax.set_ylim(low - margin, high + margin)
        ax.set_xticks([nines(q) for q in _TICKS], [f"{q * 100:g}" for q in _TICKS])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_locator(MaxNLocator(nbins=6))
        ax.yaxis.set_major_formatter(FuncFormatter(_tick))
        ax.tick_params(axis="x", pad=6)
        ax.set_xlabel("percentile")
        lasts = [(nines(line.q[-1]) + 0.03, min(_percent(line.ratio[-1]), high)) for line in lines]
        canvas.end_labels(ax, lasts, [(line.label, line.ink) for line in lines])

    return canvas.draw(f"shift-{key}", _SIZE, paint, label)


def _line(ax: Axes, line: ShiftLine, number: int) -> None:
    # A little aside of each other, or one mode's bars would hide the next one's.
    places = [nines(q) + 0.018 * number for q in line.q]
    changes = [_percent(ratio) for ratio in line.ratio]
    shade = canvas.colour(line.ink)
    ax.plot(places, changes, color=shade, linewidth=1.2, marker=line.marker, markersize=4)
    for place, bounds in zip(places, line.bounds, strict=True):
        if bounds is not None:
            ends = [_percent(bound) for bound in bounds]
            ax.plot((place, place), ends, color=shade, linewidth=1.0)


def _ends(line: ShiftLine) -> list[float]:
    return [*line.ratio, *(end for bounds in line.bounds if bounds for end in bounds)]


def _percent(ratio: float) -> float:
    return (ratio - 1.0) * 100.0


def _tick(change: float, _: int) -> str:
    sign = "+" if change > 0 else ""
    return f"{sign}{change:.3g}%".replace("-", numbers.MINUS)
