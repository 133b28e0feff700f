"""Time line: round trips above, the host's CPU below, the arm measured in between.

Stolen time has an axis of its own: 2 % of it matter, and would not be seen beside 80 % busy.
"""

from collections.abc import Callable, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from podbench.analysis.bundle import TimePoint, Visit
from podbench_report import names, numbers, palette
from podbench_report.plots import canvas

_SIZE = (1080, 450)
_STEAL_AXIS = 0.02
"""The least top of the axis of stolen time: below, it is of no account."""

Pick = Callable[[TimePoint], float | None]


def timeline_plot(
    nodes: Sequence[tuple[str, Sequence[TimePoint]]], visits: Sequence[Visit], label: str
) -> Markup:
    """The run second by second.

    Args:
        nodes: (label, points in time order) of each host to draw.
        visits: Which arm was measured when.
        label: Text alternative.
    """

    def paint(figure: Figure) -> None:
        above = figure.add_axes((0.055, 0.555, 0.82, 0.43))
        arms = figure.add_axes((0.055, 0.50, 0.82, 0.035))
        below = figure.add_axes((0.055, 0.275, 0.82, 0.205))
        stolen = figure.add_axes((0.055, 0.09, 0.82, 0.15))
        for ax in (above, below, stolen):
            canvas.quiet_axes(ax)
        _round_trips(above, nodes)
        _visits(arms, visits)
        _cpu(below, nodes)
        _steal(stolen, nodes)
        ends = [p.time_s for _, points in nodes for p in points] or [0.0, 1.0]
        for ax in (above, arms, below, stolen):
            ax.set_xlim(min(0.0, *ends), max(ends))
        for ax in (above, below):
            ax.tick_params(axis="x", labelbottom=False, length=0)
        stolen.set_xlabel("seconds since the first visit")

    return canvas.draw("timeline", _SIZE, paint, label)


def _round_trips(ax: Axes, nodes: Sequence[tuple[str, Sequence[TimePoint]]]) -> None:
    picks: tuple[tuple[str, Pick, str], ...] = (
        ("app RTT p99", lambda p: p.rtt_app_p99_ns, "ink"),
        ("kernel RTT p99", lambda p: p.rtt_kernel_p99_ns, "routed"),
    )
    values = [v for _, points in nodes for p in points for _, pick, _ in picks if (v := pick(p))]
    if not values:
        _say(ax, "round trips: not measured")
        return
    ax.set_yscale("log")
    labels = _lines(ax, nodes, picks)
    canvas.log_ticks(ax, min(values), max(values), "ns")
    ax.set_ylim(min(values) / 1.15, max(values) * 1.15)
    _edge_labels(ax, labels)


def _cpu(ax: Axes, nodes: Sequence[tuple[str, Sequence[TimePoint]]]) -> None:
    picks: tuple[tuple[str, Pick, str], ...] = (
        ("CPU busy", lambda p: p.cpu_busy_ratio, "muted"),
        ("softirq", lambda p: p.cpu_softirq_ratio, "ipip"),
    )
    labels = _lines(ax, nodes, picks)
    if not labels:
        _say(ax, "CPU: not measured")
        return
    ax.set_ylim(0, 1)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=2))
    ax.yaxis.set_major_formatter(FuncFormatter(_percent))
    _edge_labels(ax, labels)


def _steal(ax: Axes, nodes: Sequence[tuple[str, Sequence[TimePoint]]]) -> None:
    picks: tuple[tuple[str, Pick, str], ...] = (("stolen", lambda p: p.cpu_steal_ratio, "vxlan"),)
    labels = _lines(ax, nodes, picks)
    if not labels:
        _say(ax, "stolen time: not measured")
        return
    most = max(p.cpu_steal_ratio or 0.0 for _, points in nodes for p in points)
    ax.set_ylim(0, max(_STEAL_AXIS, most * 1.1))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=2))
    ax.yaxis.set_major_formatter(FuncFormatter(_percent))
    _edge_labels(ax, labels)


def _percent(value: float, _: int) -> str:
    return f"{value * 100:.3g}{numbers.NBSP}%"


def _say(ax: Axes, text: str) -> None:
    ax.set_yticks([])
    ax.text(0.0, 0.5, text, transform=ax.transAxes, color=canvas.colour("muted"), style="italic")


def _lines(
    ax: Axes,
    nodes: Sequence[tuple[str, Sequence[TimePoint]]],
    picks: Sequence[tuple[str, Pick, str]],
) -> list[tuple[str, float, str]]:
    """Draws each quantity of each node; gaps stay gaps. Gives name, last value and ink of each."""
    labels = []
    for title, pick, ink in picks:
        last = None
        for _, points in nodes:
            values = [pick(p) for p in points]
            if all(v is None for v in values):
                continue
            shown = [float("nan") if v is None else v for v in values]
            width = 1.4 if len(nodes) == 1 else 0.9
            times = [p.time_s for p in points]
            (line,) = ax.plot(times, shown, color=canvas.colour(ink), linewidth=width, alpha=0.9)
            line.set_marker(".")
            line.set_markersize(3.0)
            line.set_markevery(_alone(values))
            last = next(v for v in reversed(values) if v is not None)
        if last is not None:
            labels.append((title, last, ink))
    return labels


def _alone(values: Sequence[float | None]) -> list[int]:
    """Indices of seconds between two without a figure: a line alone would not show them."""
    gaps = [True, *(value is None for value in values), True]
    return [i for i in range(len(values)) if not gaps[i + 1] and gaps[i] and gaps[i + 2]]


def _edge_labels(ax: Axes, labels: Sequence[tuple[str, float, str]]) -> None:
    """Each quantity's name once, at the right edge, in its colour."""
    ax.get_ylim()  # until somebody asks, limits that follow from the data are not made
    inverse = ax.transAxes.inverted()
    places = [float(inverse.transform(ax.transData.transform((0, v)))[1]) for _, v, _ in labels]
    height = ax.get_position().height * _SIZE[1]
    for (title, _, ink), place in zip(
        labels, canvas.spread(places, canvas.LABEL_GAP_PX / height), strict=True
    ):
        ax.text(
            1.008,
            place,
            title,
            transform=ax.transAxes,
            va="center",
            color=canvas.colour(ink),
            fontsize=11.5,
        )


def _visits(ax: Axes, visits: Sequence[Visit]) -> None:
    """A ribbon in the modes' colours; blocks are parted by a gap in the paper's colour."""
    for visit in visits:
        ink = palette.ink_of_mode(names.mode_of(visit.arm))
        ax.axvspan(visit.start_s, visit.end_s, color=canvas.colour(ink), linewidth=0)
    ax.set_axis_off()
    place = 1.008
    for mode in names.mode_order([names.mode_of(visit.arm) for visit in visits]):
        label = names.mode_label(mode)
        ax.text(
            place,
            0.5,
            label,
            transform=ax.transAxes,
            va="center",
            color=canvas.colour(palette.ink_of_mode(mode)),
            fontsize=10.5,
        )
        place += (8.0 * len(label) + 8) / (_SIZE[0] * 0.82)
