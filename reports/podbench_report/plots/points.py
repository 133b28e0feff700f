"""Block points: each arm's statistic in each block, so that one sees what an interval rests on."""

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from podbench.analysis.bundle import BlockPoint
from podbench_report import names, palette
from podbench_report.plots import canvas

_SIZE = (520, 320)
_EVERY = 12
"""Up to this many blocks each has its label."""


def block_plot(key: str, points: Sequence[BlockPoint], factor: float, label: str) -> Markup:
    """One metric over the blocks, values divided by `factor`; hollow marks for the A/A repeat."""
    arms = tuple(dict.fromkeys(point.arm for point in points))

    def paint(figure: Figure) -> None:
        ax = canvas.panel(figure, [names.plot_label(arm) for arm in arms])
        canvas.quiet_axes(ax)
        for arm in arms:
            _series(ax, arm, [p for p in points if p.arm == arm])
        blocks = sorted({p.block for p in points})
        ax.set_xlim(blocks[0] - 0.3, blocks[-1] + 0.1 * max(1.0, (blocks[-1] - blocks[0]) / 5))
        if len(blocks) <= _EVERY:
            ax.set_xticks(blocks)
        else:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=_EVERY))
        canvas.value_limits(ax, [p.value for p in points])
        ax.yaxis.set_major_locator(MaxNLocator(nbins=6))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v / factor:.4g}"))
        ax.set_xlabel("block")
        _labels(ax, arms, points)

    return canvas.draw(f"blocks-{key}", _SIZE, paint, label)


def _series(ax: Axes, arm: str, points: Sequence[BlockPoint]) -> None:
    mode = names.mode_of(arm)
    shade = canvas.colour(palette.ink_of_mode(mode))
    repeat = names.is_repeat(arm)
    ax.plot(
        [p.block for p in points],
        [p.value for p in points],
        color=shade,
        linewidth=0.8,
        alpha=0.7,
        marker=palette.marker_of_mode(mode),
        markersize=5.5,
        markerfacecolor=canvas.colour("paper") if repeat else shade,
        markeredgecolor=shade,
        markeredgewidth=1.2,
    )


def _labels(ax: Axes, arms: Sequence[str], points: Sequence[BlockPoint]) -> None:
    lasts = [[p for p in points if p.arm == arm][-1] for arm in arms]
    canvas.end_labels(
        ax,
        [(p.block, p.value) for p in lasts],
        [(names.plot_label(p.arm), palette.ink_of_mode(names.mode_of(p.arm))) for p in lasts],
    )
