"""Loss episodes: when, on which arm, how many probes in a row."""

import math
from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.figure import Figure

from podbench.analysis.bundle import LossEpisode
from podbench_report import names, palette
from podbench_report.plots import canvas


def episode_plot(
    arms: Sequence[str], episodes: Sequence[LossEpisode], span_s: float, label: str
) -> Markup:
    """A row for each arm, a ring for each episode; its area grows with the log of its length."""
    height = 60 + 34 * len(arms)

    def paint(figure: Figure) -> None:
        ax = figure.add_axes((0.2, 48 / height, 0.78, 1 - 58 / height))
        canvas.quiet_axes(ax, grid="x")
        for place, arm in enumerate(reversed(arms)):
            shade = canvas.colour(palette.ink_of_mode(names.mode_of(arm)))
            own = [e for e in episodes if e.arm == arm]
            ax.scatter(
                [e.time_s for e in own],
                [place] * len(own),
                s=[18 + 30 * math.log10(max(e.length, 1)) for e in own],
                facecolors="none",
                edgecolors=shade,
                linewidths=1.3,
            )
        ax.set_yticks(range(len(arms)), [names.arm_label(a) for a in reversed(arms)])
        ax.set_ylim(-0.6, len(arms) - 0.4)
        ax.set_xlim(0, max(span_s, *(e.time_s for e in episodes)) * 1.01)
        ax.tick_params(axis="y", length=0, labelcolor=canvas.colour("ink"))
        ax.set_xlabel("seconds since the first visit")

    return canvas.draw("episodes", (1080, height), paint, label)
