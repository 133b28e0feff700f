"""Tail plots: latency against its percentile, each further nine with the same room."""

import math
from collections.abc import Sequence

import msgspec
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from podbench_report.plots import canvas

_SIZE = (520, 370)
_FIRST = 0.5
"""The axis begins at the median: below it there is little to see, and no tail."""
_TICKS = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_CLEAR = 0.13
"""Share of the axis between the last labelled percentile and a label for the axis' own end."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One tail: its name at its end, its points, and how it is told from the others."""

    label: str
    q: tuple[float, ...]
    value_ns: tuple[float, ...]
    ink: str
    dash: tuple[float, ...] = ()
    marker: str = ""
    """A matplotlib name; empty: a thin line without marks."""

    @property
    def shown(self) -> tuple[tuple[float, float], ...]:
        """(percentile, value) of the points on the axis."""
        found = zip(self.q, self.value_ns, strict=True)
        return tuple((q, value) for q, value in found if q >= _FIRST)


def tail_plot(key: str, lines: Sequence[Line], label: str) -> Markup:
    """Tails on shared axes, each labelled at its end; lines without points above it are left out.

    Args:
        key: Unique among the tail plots of the page.
        lines: At least one with a point at or above the median.
        label: Text alternative.
    """
    drawn = [line for line in lines if line.shown]

    def paint(figure: Figure) -> None:
        ax = canvas.panel(figure, [line.label for line in drawn])
        canvas.quiet_axes(ax)
        for line in drawn:
            _line(ax, line)
        last = max(line.shown[-1][0] for line in drawn)
        ax.set_yscale("log")
        ax.set_xlim(nines(_FIRST), max(nines(last), nines(0.75)) * 1.02)
        _axes(ax, last)
        values = [value for line in drawn for _, value in line.shown]
        canvas.log_ticks(ax, min(values), max(values), "ns")
        ax.set_ylim(min(values) / 1.08, max(values) * 1.08)
        canvas.end_labels(
            ax, [(nines(line.shown[-1][0]), line.shown[-1][1]) for line in drawn], drawn_as(drawn)
        )

    return canvas.draw(f"tail-{key}", _SIZE, paint, label)


def drawn_as(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """(name, ink) of each line."""
    return [(line.label, line.ink) for line in lines]


def nines(q: float) -> float:
    """Where a percentile lies on a stretched axis: the number of its nines."""
    return -math.log10(1 - q)


def _line(ax: Axes, line: Line) -> None:
    points = line.shown
    (drawn,) = ax.plot(
        [nines(q) for q, _ in points],
        [value for _, value in points],
        color=canvas.colour(line.ink),
        linewidth=1.9 if line.marker else 1.0,
        clip_on=False,
    )
    if line.dash:
        drawn.set_dashes(list(line.dash))
    if line.marker:
        drawn.set_marker(line.marker)
        drawn.set_markersize(4.5)
        # Marks at the labelled percentiles only: they tell lines apart, they are not the data.
        drawn.set_markevery(_nearest([q for q, _ in points]))


def _nearest(q: Sequence[float]) -> list[int]:
    """Indices of the points closest to the ticks."""
    ticks = [tick for tick in _TICKS if tick <= q[-1] + 1e-9]
    return sorted({min(range(len(q)), key=lambda i: abs(q[i] - tick)) for tick in ticks})


def _axes(ax: Axes, last: float) -> None:
    ticks = [q for q in _TICKS if q <= last + 1e-9]
    if nines(last) - nines(ticks[-1]) > _CLEAR * (nines(last) - nines(_FIRST)):
        ticks.append(last)
    ax.set_xticks([nines(q) for q in ticks], [f"{q * 100:.7g}" for q in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.tick_params(axis="x", pad=6)
    ax.set_xlabel("percentile")
