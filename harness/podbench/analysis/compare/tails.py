"""Tails of several runs for one plot: by arm and latency series, from merged log histograms.

A run that is not comparable with the first run of the series is named, not drawn.
`sketch` states the precision of such a quantile (0.5%).
"""

from collections.abc import Callable, Sequence

from podbench.analysis.compare.bundle import TailLine, TailPanel
from podbench.analysis.compare.match import ArmRow
from podbench.analysis.compare.standings import Campaign
from podbench.analysis.figures.shapes import TAIL_GRID
from podbench.analysis.stats.sketch import LogHistogram

SERIES = ("rtt_app_ns", "rtt_kernel_ns")
"""Application RTT first: it is comparable between CNIs."""

Refusal = Callable[[int, int, ArmRow, str], str | None]
"""Reason not to compare two runs on a row and metric; null: comparable."""


def panels(
    runs: Sequence[Campaign], rows: Sequence[ArmRow], refusal: Refusal
) -> tuple[TailPanel, ...]:
    """Returns one panel for each series and row of pod arms with at least one tail."""
    found = (
        _panel(runs, row, series, refusal) for series in SERIES for row in rows if row.path == "pod"
    )
    return tuple(panel for panel in found if panel is not None)


def _panel(
    runs: Sequence[Campaign], row: ArmRow, series: str, refusal: Refusal
) -> TailPanel | None:
    lines: list[TailLine] = []
    refused: list[tuple[int, str]] = []
    for number, (run, arm) in enumerate(zip(runs, row.arms, strict=True)):
        held = run.points.tails.get((arm or "", series))
        line = None if held is None else _line(number, held)
        if line is None:
            continue
        why = refusal(lines[0].run, number, row, f"{series}.p50") if lines else None
        if why is None:
            lines.append(line)
        else:
            refused.append((number, why))
    if not lines:
        return None
    return TailPanel(metric=series, row=row.label, lines=tuple(lines), refused=tuple(refused))


def _line(number: int, held: LogHistogram) -> TailLine | None:
    points = [(q, held.quantile_ns(q)) for q in TAIL_GRID]
    known = [(q, value) for q, value in points if value is not None]
    if not known:
        return None
    return TailLine(
        run=number, q=tuple(q for q, _ in known), value_ns=tuple(value for _, value in known)
    )
