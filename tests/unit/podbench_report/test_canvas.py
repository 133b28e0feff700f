"""Drawings: inline, deterministic, colours by CSS, text as text."""

import math
import re
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from podbench.analysis.bundle import BlockPoint, TimePoint, Visit
from podbench_report.plots import canvas, points, shifts, tails, timeline


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


def figures() -> Iterator[tuple[str, str]]:
    """One of each kind of drawing with labels, lines ending early, late, together and crossing."""
    q = (0.5, 0.9, 0.99, 0.999, 0.9999)
    early = tails.Line(label="BGP, host path", q=q[:2], value_ns=(1e4, 9e4), ink="muted")
    late = [line(q, (2e4, 5e4, 7e4, 8e4, 9e4 + i), f"late {i}") for i in range(3)]
    yield "tails", tails.tail_plot("kernel", [early, *late], "x")
    changes = shifts.ShiftLine(
        label="VXLAN again", q=(0.1, 0.99), ratio=(1.1, 1.4), bounds=((1.0, 1.2), (1.1, 2.4)),
        ink="vxlan", marker="o",
    )  # fmt: skip
    yield "shifts", shifts.shift_plot("kernel", [changes, changes], "x")
    ends = {"vxlan/pod": 9, "vxlan/pod#2": 5, "ipip/pod": 7}
    blocks = [
        BlockPoint(arm=arm, metric="rtt_kernel_ns.p50", block=b, order=1, value=1e4 * b)
        for arm, last in ends.items()
        for b in range(1, last)
    ]
    yield "blocks", points.block_plot("kernel", blocks, 1e3, "x")
    seconds = [
        TimePoint(
            time_s=float(t), node="n", cpu_busy_ratio=0.5, cpu_softirq_ratio=0.5,
            cpu_steal_ratio=0.0, rtt_kernel_p99_ns=5e4, rtt_app_p99_ns=5.1e4,
        )
        for t in range(9)
    ]  # fmt: skip
    visits = [Visit(arm=a, block=1, start_s=0.0, end_s=4.0) for a in ends]
    yield "timeline", timeline.timeline_plot([("n", seconds)], visits, "x")


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures behind the drawings made from here on."""
    kept: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: Any, **options: Any) -> None:
        kept.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def test_no_label_stands_on_data(painted: list[Figure]) -> None:
    """No text's box is crossed by a line or a bar, touches another text, or leaves the drawing."""
    assert [kind for kind, _ in figures()] == ["tails", "shifts", "blocks", "timeline"]
    for figure in painted:
        drawn = [line for ax in figure.axes for line in ax.lines if line.get_gid() != canvas.LEADER]
        paths = [line.get_transform().transform_path(line.get_path()) for line in drawn]
        paths += [
            bars.get_transform().transform_path(path)
            for ax in figure.axes
            for bars in ax.collections
            for path in bars.get_paths()
        ]
        texts = [text for ax in figure.axes for text in ax.texts]
        boxes = [text.get_window_extent() for text in texts]

        assert len(texts) >= 2
        assert len(paths) >= 2
        for text, box in zip(texts, boxes, strict=True):
            assert not any(path.intersects_bbox(box, filled=False) for path in paths), text
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
        # Boxes have room above and below their letters.
        tight = [box.shrunk(1.0, 0.8) for box in boxes]
        assert not [1 for one, two in combinations(tight, 2) if one.overlaps(two)]


@pytest.mark.parametrize(
    ("values", "said", "zero"),
    [
        ((10.0, 30.0), "", True),
        ((80.0, 100.0), "axis not from zero", False),
        ((0.0, 0.0), "", True),
    ],
)
def test_an_axis_that_does_not_begin_at_zero_says_so(
    values: tuple[float, float], said: str, *, zero: bool
) -> None:
    """From zero where that leaves the data half the height; else the page says that it is not."""
    blocks = [
        BlockPoint(arm="bgp/pod", metric="m", block=i, order=1, value=v)
        for i, v in enumerate(values, 1)
    ]
    svg = points.block_plot("m", blocks, 1.0, "x")

    assert re.findall(r">([a-z ]*axis[a-z ]*)<", svg) == ([said] if said else [])
    assert (">0<" in svg) == zero


def test_a_logarithmic_axis_says_so() -> None:
    """It has no zero; heights on it are not amounts."""
    assert ">logarithmic axis<" in tails.tail_plot("kernel", [line((0.5, 0.9), (1e4, 9e4))], "x")
