"""Tail plots: latency against its percentile, each further nine with the same room."""

import math
from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from podbench.analysis.bundle import TailCurve
from podbench_report import names, palette
from podbench_report.plots import canvas

_SIZE = (520, 350)
_TICKS = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


def tail_plot(key: str, curves: Sequence[TailCurve], label: str) -> Markup:
    """All arms' tails of one metric on shared axes, each labelled at its end."""

    def paint(figure: Figure) -> None:
        ax = figure.add_axes((0.095, 0.125, 0.70, 0.84))
        canvas.quiet_axes(ax)
        for curve in curves:
            _line(ax, curve)
        last = max(q for curve in curves for q in curve.q)
        ax.set_yscale("log")
        ax.set_xlim(_place(0.5), _place(last) * 1.02)
        _axes(ax, last)
        values = [value for curve in curves for value in curve.value_ns]
        canvas.log_ticks(ax, min(values), max(values), "ns")
        _end_labels(ax, curves)

    return canvas.draw(f"tail-{key}", _SIZE, paint, label)


def _place(q: float) -> float:
    """Where a percentile lies: the number of its nines."""
    return -math.log10(1 - q)


def _line(ax: Axes, curve: TailCurve) -> None:
    mode, host = names.mode_of(curve.arm), names.path_of(curve.arm) != "pod"
    ink = palette.ink_of_mode(mode)
    (line,) = ax.plot(
        [_place(q) for q in curve.q],
        curve.value_ns,
        color=canvas.colour("muted" if host else ink),
        linewidth=1.0 if host else 1.9,
    )
    if not host and palette.dash_of_mode(mode):
        line.set_dashes(list(palette.dash_of_mode(mode)))
    if not host:
        line.set_marker(palette.marker_of_mode(mode))
        line.set_markersize(4.5)
        # Marks at the labelled percentiles only: they tell lines apart, they are not the data.
        line.set_markevery(_nearest(curve.q))


def _nearest(q: Sequence[float]) -> list[int]:
    """Indices of the points closest to the ticks."""
    ticks = [tick for tick in _TICKS if tick <= q[-1] + 1e-9]
    return sorted({min(range(len(q)), key=lambda i: abs(q[i] - tick)) for tick in ticks})


def _axes(ax: Axes, last: float) -> None:
    ticks = [q for q in _TICKS if q <= last + 1e-9]
    ax.set_xticks([_place(q) for q in ticks], [f"{q * 100:.10g}" for q in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("percentile")


def _end_labels(ax: Axes, curves: Sequence[TailCurve]) -> None:
    """Names at the lines' ends, moved apart where lines end together."""
    ends = [(curve, curve.value_ns[-1]) for curve in curves if curve.value_ns]
    ax.figure.canvas.draw_idle()
    to_px = ax.transData.transform
    places = [float(to_px((0, value))[1]) for _, value in ends]
    moved = canvas.spread(places, 14.0)
    for (curve, value), was, now in zip(ends, places, moved, strict=True):
        host = names.path_of(curve.arm) != "pod"
        ink = "muted" if host else palette.ink_of_mode(names.mode_of(curve.arm))
        ax.annotate(
            names.arm_label(curve.arm),
            xy=(_place(curve.q[-1]), value),
            xytext=(8, now - was),
            textcoords="offset points",
            va="center",
            color=canvas.colour(ink),
            fontsize=11.5,
            annotation_clip=False,
        )
