"""Drawings: inline, deterministic, colours by CSS, text as text."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from podbench.analysis.bundle import TailCurve
from podbench_report.plots import canvas, tails


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


def test_a_narrow_range_still_has_ticks() -> None:
    """A tail from 21 to 23 µs has at least two labels on its axis."""
    curve = TailCurve(arm="bgp/pod", metric="m", q=(0.5, 0.9), value_ns=(21e3, 23e3))
    svg = tails.tail_plot("kernel", [curve], "x")

    assert len(re.findall(r">[\d.]+\u00a0µs<", svg)) >= 2
