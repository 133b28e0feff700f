"""Time line: round trips above, the host's CPU below, the arm measured in between.

Stolen time has an axis of its own: 2% of it matter, and would not be seen beside 80% busy.
"""

from collections.abc import Callable, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from podbench.analysis.bundle import TimePoint, Visit
from podbench_report import names, palette
from podbench_report.plots import canvas

_WIDE_PX = 1080
_LEFT_PX, _TOP_PX, _BOTTOM_PX = 68, 24, 48
_LANE_PX = 17
_ROUND_TRIPS_PX, _CPU_PX, _STEAL_PX, _GAP_PX = 200, 95, 70, 14
_STEAL_AXIS = 0.02
"""The least top of the axis of stolen time: below, it is of no account."""

_TITLES = ("app RTT p99", "kernel RTT p99", "CPU busy", "softirq", "stolen")
_DASHES: dict[str, tuple[float, ...]] = {"kernel RTT p99": (4.0, 1.5), "softirq": (4.0, 1.5)}
"""Of two quantities on one axis one is dashed: colour alone does not tell them apart."""

Pick = Callable[[TimePoint], float | None]
_Named = tuple[str, float, str]


def timeline_plot(
    nodes: Sequence[tuple[str, Sequence[TimePoint]]], visits: Sequence[Visit], label: str
) -> Markup:
    """The run second by second.

    Args:
        nodes: (label, points in time order) of each host to draw.
        visits: Which arm was measured when.
        label: Text alternative.
    """
    modes = names.mode_order([names.mode_of(visit.arm) for visit in visits])
    parts_px = (_ROUND_TRIPS_PX, _LANE_PX * max(len(modes), 1), _CPU_PX, _STEAL_PX)
    high_px = _TOP_PX + sum(parts_px) + _GAP_PX * (len(parts_px) - 1) + _BOTTOM_PX
    right_px = canvas.gutter_px([*_TITLES, *map(names.mode_label, modes)])

    def paint(figure: Figure) -> None:
        axes, top = [], high_px - _TOP_PX
        for part in parts_px:
            wide = 1 - (_LEFT_PX + right_px) / _WIDE_PX
            low = top - part
            axes.append(figure.add_axes((_LEFT_PX / _WIDE_PX, low / high_px, wide, part / high_px)))
            top = low - _GAP_PX
        above, arms, below, stolen = axes
        for ax in (above, below, stolen):
            canvas.quiet_axes(ax)
        ends = [p.time_s for _, points in nodes for p in points] or [0.0, 1.0]
        for ax in axes:
            ax.set_xlim(min(0.0, *ends), max(ends))
        _round_trips(above, nodes)
        _visits(arms, visits, modes)
        _cpu(below, nodes)
        _steal(stolen, nodes)
        for ax in (above, below):
            ax.tick_params(axis="x", labelbottom=False, length=0)
        stolen.set_xlabel("seconds since the first visit")

    return canvas.draw("timeline", (_WIDE_PX, high_px), paint, label)


def _round_trips(ax: Axes, nodes: Sequence[tuple[str, Sequence[TimePoint]]]) -> None:
    picks: tuple[tuple[str, Pick, str], ...] = (
        ("app RTT p99", lambda p: p.rtt_app_p99_ns, "ink"),
        ("kernel RTT p99", lambda p: p.rtt_kernel_p99_ns, "routed"),
    )
    values = [v for _, points in nodes for p in points for _, pick, _ in picks if (v := pick(p))]
    if not values:
        _say(ax, "RTT: not measured")
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
    picks: tuple[tuple[str, Pick, str], ...] = (("steal", lambda p: p.cpu_steal_ratio, "vxlan"),)
    labels = _lines(ax, nodes, picks)
    if not labels:
        _say(ax, "steal: not measured")
        return
    most = max(p.cpu_steal_ratio or 0.0 for _, points in nodes for p in points)
    ax.set_ylim(0, max(_STEAL_AXIS, most * 1.1))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=2))
    ax.yaxis.set_major_formatter(FuncFormatter(_percent))
    _edge_labels(ax, labels)


def _percent(value: float, _: int) -> str:
    return f"{value * 100:.3g}%"


def _say(ax: Axes, text: str) -> None:
    ax.set_yticks([])
    ax.text(0.0, 0.5, text, transform=ax.transAxes, color=canvas.colour("muted"), style="italic")


def _lines(
    ax: Axes,
    nodes: Sequence[tuple[str, Sequence[TimePoint]]],
    picks: Sequence[tuple[str, Pick, str]],
) -> list[_Named]:
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
            if title in _DASHES:
                line.set_dashes(list(_DASHES[title]))
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


def _edge_labels(ax: Axes, labels: Sequence[_Named]) -> None:
    """Each quantity's name once, at the right edge, in its colour."""
    edge = ax.get_xlim()[1]
    canvas.end_labels(
        ax,
        [(edge, value) for _, value, _ in labels],
        [(title, ink) for title, _, ink in labels],
    )


def _visits(ax: Axes, visits: Sequence[Visit], modes: Sequence[str]) -> None:
    """A lane for each mode: which was measured when can be told by place, not by colour alone."""
    for visit in visits:
        mode = names.mode_of(visit.arm)
        lane = len(modes) - 1 - modes.index(mode)
        ax.broken_barh(
            [(visit.start_s, visit.end_s - visit.start_s)],
            (lane + 0.2, 0.6),
            color=canvas.colour(palette.ink_of_mode(mode)),
            linewidth=0,
        )
    ax.set_ylim(0, max(len(modes), 1))
    ax.set_axis_off()
    canvas.end_labels(
        ax,
        [(ax.get_xlim()[1], len(modes) - 0.5 - i) for i in range(len(modes))],
        [(names.mode_label(mode), palette.ink_of_mode(mode)) for mode in modes],
    )
