"""Drawings: inline, deterministic, colours by CSS, text as text."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from podbench.analysis.bundle import TimePoint
from podbench_report.plots import canvas, shifts, tails, timeline


def paint(figure: Figure) -> None:
    """A line with a hostile label."""
    ax = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    ax.plot([0, 1], [0, 1], color=canvas.colour("vxlan"))
    ax.text(0.5, 0.5, "<script>$x$ 中", color=canvas.colour("ink"))


def test_the_same_drawing_gives_the_same_bytes() -> None:
    """No date, no random ids."""
    assert canvas.draw("a", (300, 200), paint, "x") == canvas.draw("a", (300, 200), paint, "x")


def test_text_stays_text_and_is_escaped() -> None:
    """No glyph outlines, no mathematics out of dollar signs, no markup out of names."""
    svg = canvas.draw("a", (300, 200), paint, 'alt "text" <b>')

    assert "&lt;script&gt;$x$ 中" in svg
    assert "<script" not in svg
    assert 'aria-label="alt &#34;text&#34; &lt;b&gt;"' in svg


def test_colours_are_variables_only() -> None:
    """Dark mode and print need no second drawing."""
    svg = canvas.draw("a", (300, 200), paint, "x")

    assert "var(--vxlan)" in svg
    assert "var(--ink)" in svg
    assert not re.search(r"#0102", svg)


def test_ids_are_private_to_the_figure() -> None:
    """Two drawings in one page share no id, and every reference has its target."""
    first, second = (canvas.draw(name, (300, 200), paint, "x") for name in ("a", "b"))
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (first, second)]

    assert not ids[0] & ids[1]
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', first))
    assert used <= ids[0]


@given(st.lists(st.floats(0, 500), min_size=1, max_size=8), st.floats(1, 20))
def test_labels_are_moved_apart_in_order(places: list[float], gap: float) -> None:
    """Neighbours keep the gap; who was above stays above."""
    moved = canvas.spread(places, gap)
    order = sorted(range(len(places)), key=lambda i: places[i])

    assert all(moved[b] - moved[a] >= gap - 1e-3 for a, b in pairwise(order))


def line(q: tuple[float, ...], value_ns: tuple[float, ...], label: str = "BGP") -> tails.Line:
    """A tail in the colour of routed modes."""
    return tails.Line(label=label, q=q, value_ns=value_ns, ink="routed", marker="D")


def test_a_narrow_range_still_has_ticks() -> None:
    """A tail from 21 to 23 µs has at least two labels on its axis."""
    svg = tails.tail_plot("kernel", [line((0.5, 0.9), (21e3, 23e3))], "x")

    assert len(re.findall(r">[\d.]+\u00a0µs<", svg)) >= 2


def test_the_percentile_axis_ends_where_the_samples_do() -> None:
    """Its last label is the last percentile; what lies below the median is not drawn."""
    svg = tails.tail_plot("kernel", [line((0.01, 0.5, 0.9, 0.97), (1.0, 2e4, 3e4, 5e4))], "x")

    assert re.findall(r">([\d.]+)</text>", svg) == ["50", "90", "97"]
    assert not re.search(r">1\u00a0ns<", svg)


def test_a_line_that_ends_below_the_median_is_left_out() -> None:
    """It has no tail; the others are drawn."""
    short = line((0.1, 0.4), (1e4, 2e4), "short")
    svg = tails.tail_plot("kernel", [short, line((0.5, 0.9), (2e4, 3e4))], "x")

    assert ">BGP<" in svg
    assert ">short<" not in svg


def test_the_time_line_names_every_quantity() -> None:
    """Each line's name stands beside the drawing, inside of it."""
    points = [
        TimePoint(time_s=float(t), node="n", cpu_busy_ratio=0.5, rtt_kernel_p99_ns=5e4 + t)
        for t in range(3)
    ]
    svg = timeline.timeline_plot([("n", points)], (), "x")
    places = re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>(kernel RTT p99|CPU busy)<', svg)

    assert [name for _, _, name in places] == ["kernel RTT p99", "CPU busy"]
    assert all(0 < float(x) < 1080 and 0 < float(y) < 450 for x, y, _ in places)


@pytest.mark.parametrize(("low", "high"), [(36e3, 105e3), (4.3e3, 95e3), (3e3, 1e6), (48e3, 3.2e6)])
def test_the_low_end_of_a_log_axis_can_be_read(low: float, high: float) -> None:
    """A tick in the lowest quarter, and not so many that they run into one another."""
    ax = Figure().add_subplot()
    ax.set_yscale("log")
    ax.set_ylim(low / 1.08, high * 1.08)
    canvas.log_ticks(ax, low, high, "ns")
    bottom, top = ax.get_ylim()
    seen = [tick for tick in ax.get_yticks() if bottom <= tick <= top]
    assert math.log(seen[0] / low) <= 0.25 * math.log(high / low)
    assert 3 <= len(seen) <= 9


@pytest.mark.parametrize(("high", "cut"), [(2.4, False), (3.0, True)])
def test_a_bar_that_leaves_the_plot_is_known(high: float, cut: bool) -> None:
    """So that the caption can say so: what ends at the edge looks like its end."""
    line = shifts.ShiftLine(
        label="VXLAN", q=(0.5,), ratio=(1.2,), bounds=((1.1, high),), ink="vxlan", marker="o"
    )
    assert shifts.is_cut([line]) is cut
