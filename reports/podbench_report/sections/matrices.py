"""Matrices: every directed pair as a cell, one scale across the modes, nodes in zone order.

Up to 10 nodes the figures stand in the cells. Beyond, cells are colour only and the same table
shows its figures when asked (`details` and CSS: no second copy, no script). Darker is worse.
"""

import math
from collections.abc import Callable

import msgspec
from markupsafe import Markup

from podbench.model.summary import Interval, NodeSummary, Pair
from podbench_report import names, numbers, palette
from podbench_report.view import RunView

ROOMY_NODES = 10
"""So many columns of figures fit three matrices side by side on a page of 1,100 px."""
TITLED_NODES = 24
"""Beyond, a text on every cell would be most of the file: 100 nodes are 89,100 cells."""
_WIDTH_PX = 290
_SHORT_PX = 64
"""Room for the row's short names beside the cells."""
_CHARACTER_PX = 8
_LOG_FROM = 8.0
"""Beyond this largest-to-smallest ratio the scale is logarithmic, lest one pair bleach the rest."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One pair's figure with what it rests on."""

    value: float | None
    ci95: Interval | None = None
    n: int = 0
    n_effective: float | None = None
    coarse: bool = False


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """One mode's matrix. `body` is the table's inside, escaped."""

    mode: str
    label: str
    summary: str
    body: Markup


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over all modes, on one scale."""

    key: str
    title: str
    unit: str
    logarithmic: bool
    ticks: tuple[str, str, str]
    worse: str
    matrices: tuple[Matrix, ...]


class Matrices(msgspec.Struct, frozen=True, kw_only=True):
    """All matrices of a run."""

    compact: bool
    cell_px: int
    tall: bool
    """Whether names stand upright over the columns, being longer than a cell is wide."""
    need_px: int
    """The width one matrix needs, labels included."""
    groups: tuple[Group, ...]
    zones: str
    """Which rows belong to which zone; empty where all nodes share one."""
    key: tuple[tuple[int, str, str, str], ...]
    """Number, short label, full name and zone of every node, in the order of rows and columns."""


def _kernel(quantile: str) -> Callable[[Pair], Value]:
    def pick(pair: Pair) -> Value:
        q = pair.rtt_kernel_ns
        if q is None:
            return Value(value=None)
        return Value(
            value=q.p50 if quantile == "p50" else q.p99,
            ci95=q.ci95.get(quantile),
            n=q.n,
            n_effective=q.n_effective,
            coarse=quantile in q.coarse,
        )

    return pick


def _goodput(pair: Pair) -> Value:
    rate = None if pair.goodput_bps is None else pair.goodput_bps.tcp
    if rate is None:
        return Value(value=None)
    return Value(value=rate.p50, ci95=rate.ci95, n=rate.n)


class _Subject(msgspec.Struct, frozen=True):
    """One metric that is shown as matrices."""

    key: str
    title: str
    unit: str
    flip: bool
    """True where more is better, so that the small figures are the dark ones."""
    pick: Callable[[Pair], Value]


_SUBJECTS = (
    _Subject("p50", "Kernel RTT, median", "ns", flip=False, pick=_kernel("p50")),
    _Subject("p99", "Kernel RTT, p99", "ns", flip=False, pick=_kernel("p99")),
    _Subject("tcp", "TCP goodput, one stream", "bit/s", flip=True, pick=_goodput),
)


class Shade(msgspec.Struct, frozen=True):
    """Maps a figure to its class on the scale; `flip` where more is better."""

    low: float
    high: float
    logarithmic: bool
    flip: bool

    def step(self, value: float) -> int:
        """The class of a value, 0 (light, good) to STEPS-1 (dark, bad)."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low) if high > low else 0.0
        share = 1 - share if self.flip else share
        return min(palette.STEPS - 1, max(0, int(share * palette.STEPS)))

    def middle(self) -> float:
        """The figure in the middle of the scale."""
        if self.logarithmic:
            return math.sqrt(self.low * self.high)
        return (self.low + self.high) / 2


def build(view: RunView) -> Matrices:
    """The matrices of one run."""
    count, longest = len(view.nodes), max((len(name) for name in view.labels.values()), default=0)
    names_px = max(longest * _CHARACTER_PX, _SHORT_PX)
    groups = [_group(view, about) for about in _SUBJECTS]
    return Matrices(
        compact=count > ROOMY_NODES,
        cell_px=_cell_px(count),
        tall=count <= ROOMY_NODES and longest * _CHARACTER_PX > _cell_px(count),
        need_px=min(540, max(240, _cell_px(count) * count + names_px))
        if count <= ROOMY_NODES
        else min(350, _cell_px(count) * count + _SHORT_PX),
        groups=tuple(group for group in groups if group is not None),
        zones=_zones(view),
        key=tuple(
            (i, view.labels[n.name], n.name, n.zone or "") for i, n in enumerate(view.nodes, 1)
        ),
    )


def _zones(view: RunView) -> str:
    if not view.has_zones:
        return ""
    spans: dict[str, list[int]] = {}
    for i, node in enumerate(view.nodes, 1):
        place = " / ".join(part for part in (node.region, node.zone) if part) or "no zone"
        spans.setdefault(place, []).append(i)
    return "; ".join(f"{zone}: {_span(rows)}" for zone, rows in spans.items())


def _span(rows: list[int]) -> str:
    ends = str(rows[0]) if len(rows) == 1 else f"{rows[0]}{numbers.EN_DASH}{rows[-1]}"
    return f"row{'' if len(rows) == 1 else 's'} {ends}"


def _cell_px(count: int) -> int:
    """The width of a cell, so that three matrices stand side by side on a wide page."""
    largest = 64 if count <= ROOMY_NODES else 16
    return max(3, min(largest, _WIDTH_PX // max(count, 1)))


def _group(view: RunView, about: _Subject) -> Group | None:
    """One metric's matrices; null where no pair has a figure."""
    arms = [a for a in view.arms_in_order(repeats=False) if a.path == "pod" and a.arm in view.pairs]
    cells = {
        arm.arm: {ends: about.pick(pair) for ends, pair in view.pairs[arm.arm].items()}
        for arm in arms
    }
    every = [v.value for by in cells.values() for v in by.values() if v.value is not None]
    known = [value for value in every if math.isfinite(value)]
    if not known:
        return None
    low, high = min(known), max(known)
    shade = Shade(low, high, low > 0 and high / low > _LOG_FROM, about.flip)
    scale = numbers.scale_for(known, about.unit)
    return Group(
        key=about.key,
        title=about.title,
        unit=scale.unit,
        logarithmic=shade.logarithmic,
        ticks=_ticks(shade, scale),
        worse="lower" if about.flip else "slower",
        matrices=tuple(
            Matrix(
                mode=arm.mode,
                label=names.mode_label(arm.mode),
                summary=_summary(view, cells[arm.arm]),
                body=_body(view, _Sheet(cells[arm.arm], shade, scale, about.unit)),
            )
            for arm in arms
        ),
    )


def _ticks(shade: Shade, scale: numbers.Scale) -> tuple[str, str, str]:
    """Labels of the scale bar from its light end to its dark end."""
    ends = (scale.number(shade.low), scale.number(shade.middle()), scale.number(shade.high))
    return (ends[2], ends[1], ends[0]) if shade.flip else ends


def _summary(view: RunView, cells: dict[tuple[str, str], Value]) -> str:
    total = len(view.nodes) * (len(view.nodes) - 1)
    seen = sum(v.value is not None for v in cells.values())
    return "" if seen == total else f"{seen} of {numbers.plural(total, 'pair')} measured"


class _Sheet(msgspec.Struct, frozen=True):
    """What one table body needs."""

    cells: dict[tuple[str, str], Value]
    shade: Shade
    scale: numbers.Scale
    unit: str


_NAMED = Markup('<th scope="{}" title="{}"><span>{}</span>')
_NUMBERED = Markup('<th scope="{}"{}><span>{}</span>')


def _body(view: RunView, sheet: _Sheet) -> Markup:
    """Columns and rows, without the end tags HTML may omit: 100 nodes stay under 3 MB."""
    starts = _zone_starts(view.nodes)
    compact = len(view.nodes) > ROOMY_NODES
    columns = Markup("<colgroup><col>") + Markup("").join(
        Markup('<col class="z">') if start else Markup("<col>") for start in starts
    )
    heads = Markup("").join(_head(view, i, "col", compact=compact) for i in range(len(view.nodes)))
    corner = Markup('<thead><tr><th scope="col" class="corner">from \\ to')
    parts = [columns, corner, heads, Markup("<tbody>")]
    titled = len(view.nodes) <= TITLED_NODES
    for i, src in enumerate(view.nodes):
        parts.append(Markup('<tr class="z">') if starts[i] else Markup("<tr>"))
        parts.append(_head(view, i, "row", compact=compact))
        parts.extend(_cell(sheet, (src.name, dst.name), titled=titled) for dst in view.nodes)
    return Markup("").join(parts)


def _zone_starts(nodes: tuple[NodeSummary, ...]) -> list[bool]:
    """True where a node begins another zone than its neighbour before."""
    places = [(node.region, node.zone) for node in nodes]
    return [i > 0 and place != places[i - 1] for i, place in enumerate(places)]


def _head(view: RunView, i: int, scope: str, *, compact: bool) -> Markup:
    name = view.nodes[i].name
    if not compact:
        return _NAMED.format(scope, name, view.labels[name])
    # Every tenth number is printed; the others are there for screen readers and the pointer.
    every = Markup(' class="t"') if (i + 1) % 10 == 0 or i == 0 else Markup("")
    return _NUMBERED.format(scope, every, i + 1)


def _cell(sheet: _Sheet, ends: tuple[str, str], *, titled: bool) -> Markup:
    if ends[0] == ends[1]:
        return Markup('<td class="d">')
    found = sheet.cells.get(ends)
    if found is None or found.value is None or not math.isfinite(found.value):
        return Markup('<td class="na" title="{} to {}: not measured">{}').format(
            *ends, numbers.EN_DASH
        )
    step = sheet.shade.step(found.value)
    text = sheet.scale.number(found.value)
    if not titled:
        return Markup("<td class=h{}>{}").format(step, text)
    title = f"{ends[0]} to {ends[1]}: {_title(found, sheet.unit)}"
    return Markup('<td class="h{}" title="{}">{}').format(step, title, text)


def _title(found: Value, unit: str) -> str:
    text, bounds = numbers.estimate(found.value or 0.0, found.ci95, unit)
    if bounds:
        text += f" (95% CI {bounds})"
    text += f", n = {numbers.count(found.n)}"
    if found.n_effective is not None:
        text += f", effective n = {numbers.count(round(found.n_effective))}"
    return text + (", coarse" if found.coarse else "")
