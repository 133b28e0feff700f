"""Figures as inline SVG: text stays text, colours are CSS variables, same input gives same bytes.

Plots draw with the stand-in colours of `palette.INKS`; here each becomes `var(--name)`, so that one
drawing serves light, dark and print. Only this module knows matplotlib's SVG output.
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from podbench_report import numbers, palette, strips

PX = 1 / 72
"""One CSS pixel at full size, in matplotlib's inches (an SVG user unit is 1/72 inch there)."""

FONT_PX = 13.0
"""All text at full size; on a telephone, at three quarters of that size, still above 9 px."""
LABEL_GAP_PX = 15.5
"""Between the middles of two labels at the ends of lines: a line of their text."""

_LEFT_PX, _TOP_PX, _BOTTOM_PX = 68.0, 24.0, 48.0
_LABEL_AWAY_PX = 8.0
"""Between the data's edge and the labels beside it."""
_ROOM = 1.15
"""Paper writes drawings with 14 px (style.css), and no browser's font is quite the one measured."""
_LED_PX = 14.0
"""A label further from its line's end than this is led to."""

# matplotlib types its settings by a literal of 300 names; Any is the way in.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a `$` in a node's name is a dollar
    "font.family": "sans-serif",
    "font.size": FONT_PX,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
    "axes.unicode_minus": True,
}


def colour(ink: str) -> str:
    """The stand-in to draw with; it becomes `var(--<ink>)` in the page."""
    return palette.INKS[ink].stand_in


def draw(
    name: str, size_px: tuple[int, int], paint: Callable[[Figure], None], label: str
) -> Markup:
    """Paints a figure and returns it as an `<svg>` element with a text alternative.

    Args:
        name: Unique in the page; ids inside the drawing start with it.
        size_px: Width and height at full size, CSS pixels.
        paint: Fills the empty figure.
        label: What the figure shows, for those who cannot see it.
    """
    ink: dict[Any, Any] = {
        "text.color": colour("ink"),
        "axes.edgecolor": colour("muted"),
        "axes.labelcolor": colour("muted"),
        "xtick.color": colour("muted"),
        "ytick.color": colour("muted"),
        "svg.hashsalt": name,
    }
    with warnings.catch_warnings(), rc_context({**_STYLE, **ink}):
        # Glyphs are the browser's job: matplotlib only measures them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(size_px[0] * PX, size_px[1] * PX), facecolor="none", dpi=72)
        paint(figure)
        for ax in figure.axes:
            _say_scale(ax)
        out = io.StringIO()
        FigureCanvasSVG(figure)
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(out.getvalue(), name, size_px, label)


def quiet_axes(ax: Axes, *, grid: Literal["x", "y"] = "y") -> None:
    """A faint grid, no box: the data are the darkest thing in the picture."""
    ax.set_facecolor("none")
    ax.grid(visible=True, axis=grid, color=colour("rule"), linewidth=0.7)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left" if grid == "y" else "bottom"):
        ax.spines[side].set_visible(False)


_BARE = 0.25
"""The most of an axis that may lie below its lowest tick: there nothing could be read off."""


def log_ticks(ax: Axes, low: float, high: float, unit: str) -> None:
    """Round ticks with units on a logarithmic y axis, closer where the data span little."""
    for per_decade in ((1, 10), (1, 2, 5, 10), (1, 1.5, 2, 3, 5, 7, 10)):
        ticks = _between(low, high, per_decade)
        if len(ticks) >= 3 and math.log(ticks[0] / low) <= _BARE * math.log(high / low):
            break
    else:
        step = strips.nice_step(max(high - low, high * 1e-3) / 4)
        ticks = [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: numbers.tick(v, unit)))


def panel(figure: Figure, labels: Sequence[str]) -> Axes:
    """Axes that fill a figure but for ticks and, right of all data, the lines' labels."""
    wide, high = (float(inches) / PX for inches in figure.get_size_inches())
    right = gutter_px(labels)
    return figure.add_axes(
        (
            _LEFT_PX / wide,
            _BOTTOM_PX / high,
            1 - (_LEFT_PX + right) / wide,
            1 - (_TOP_PX + _BOTTOM_PX) / high,
        )
    )


def gutter_px(labels: Sequence[str]) -> float:
    """The room that labels right of the data need, on the screen and on paper."""
    paths = [TextPath((0, 0), text, size=FONT_PX) for text in labels]
    widest = max((float(path.get_extents().x1) for path in paths), default=0.0)
    return widest * _ROOM + _LABEL_AWAY_PX + 2.0


def end_labels(
    ax: Axes, ends: Sequence[tuple[float, float]], named: Sequence[tuple[str, str]]
) -> None:
    """Names of lines in their colours, beside the axes: a label never stands on data.

    All stand right of the axes, at the height of their line's end, moved apart where lines end
    together; a hair line leads to a line that ends elsewhere.

    Args:
        ax: Axes whose limits are set; right of them there is `gutter_px` of room.
        ends: (x, y) of each line's last point.
        named: (name, ink) of each line.
    """
    ax.get_ylim()  # until somebody asks, limits that follow from the data are not made
    seen = [ax.transData.transform(end) for end in ends]
    edge = float(ax.transAxes.transform((1, 0))[0])
    low, high = (float(ax.transAxes.transform((0, y))[1]) for y in (0, 1))
    places = spread([min(max(float(y), low), high) for _, y in seen], LABEL_GAP_PX)
    to_axes = ax.transAxes.inverted()
    for (x, y), place, (name, ink) in zip(seen, places, named, strict=True):
        right, height = to_axes.transform((edge + _LABEL_AWAY_PX, place))
        ax.text(right, height, name, transform=ax.transAxes, va="center", color=colour(ink))
        if math.hypot(edge - x, place - y) > _LED_PX:
            start, end = (to_axes.transform(p) for p in ((x + 4, y), (edge + 4, place)))
            ax.plot(
                *zip(start, end, strict=True),
                transform=ax.transAxes,
                color=colour(ink),
                linewidth=0.6,
                alpha=0.6,
                clip_on=False,
                gid=LEADER,
            )


LEADER = "leader"
"""The name of a hair line from a line's end to its label."""


def value_limits(ax: Axes, values: Sequence[float]) -> None:
    """A linear y axis from zero, unless that took more than half its height from the data."""
    low, high = min(values), max(values)
    if 0 <= low <= high / 2:
        ax.set_ylim(0, high * 1.05 or 1.0)
    else:
        margin = (high - low or abs(high) or 1.0) * 0.06
        ax.set_ylim(low - margin, high + margin)


def _say_scale(ax: Axes) -> None:
    """Says at the top of a y axis what a reader would else take for an axis from zero."""
    if not ax.axison or not ax.yaxis.get_visible() or not len(ax.get_yticks()):
        return
    if ax.get_yscale() == "log":
        said = "logarithmic axis"
    elif ax.get_ylim()[0] > 0:
        said = "axis not from zero"
    else:
        return
    ax.annotate(
        said,
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(-_LEFT_PX + 4, 8),
        textcoords="offset points",
        color=colour("muted"),
        style="italic",
    )


def _between(low: float, high: float, per_decade: Sequence[float]) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    places = sorted({m * 10.0**decade for decade in decades for m in per_decade})
    return [place for place in places if low * 0.9 <= place <= high * 1.1]


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Moves label places apart until neighbours are at least `gap` apart; order is kept."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = [places[i] for i in order]
    for _ in range(200):
        clash = False
        for k in range(len(moved) - 1):
            short = gap - (moved[k + 1] - moved[k])
            if short > 1e-9:
                moved[k] -= short / 2
                moved[k + 1] += short / 2
                clash = True
        if not clash:
            break
    out = [0.0] * len(places)
    for k, i in enumerate(order):
        out[i] = moved[k]
    return out


def _inline(svg: str, name: str, size_px: tuple[int, int], label: str) -> Markup:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = body[body.index(">") + 1 :]
    for ink, shades in palette.INKS.items():
        body = body.replace(shades.stand_in, f"var(--{ink})")
    # One font for all, by the style sheet; matplotlib's versions write it in two ways.
    body = re.sub(r"font: (?:\w+ )*([0-9.]+)px [^;\"]*", r"font-size: \1px", body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = _private_ids(body, name).replace("xlink:href", "href")
    body = re.sub(r">\s+<", "><", body)
    frame = Markup(
        '<svg class="plot" role="img" aria-label="{}" viewBox="0 0 {} {}" '
        'style="max-width:{}px" xmlns="http://www.w3.org/2000/svg">'
    ).format(label, *size_px, size_px[0])
    # matplotlib escaped every text when it wrote the SVG.
    return frame + Markup(body.rstrip())  # noqa: S704


def _private_ids(body: str, name: str) -> str:
    """Ids that are referred to get the figure's name in front; all others go."""
    used = set(re.findall(r"url\(#([^)]+)\)", body)) | set(re.findall(r'href="#([^"]+)"', body))

    def rename(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    body = re.sub(r' id="([^"]+)"', rename, body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    return re.sub(r'href="#', f'href="#{name}-', body)
