"""A run's pairs as one tidy CSV: a row for each directed pair and metric, with its interval.

`metric` is the dotted place in summary.json, whose name carries the unit; `unit` says it again for
programs. A figure that is null is an empty cell. A quantity that no pair of the run has (a probe
that was not asked for) has no rows. Text that a spreadsheet would take for a formula gets an
apostrophe in front, as spreadsheets themselves mark text; figures stay figures.
"""

import csv
import io
from collections.abc import Iterator

from podbench.analysis.figures import dotted
from podbench.analysis.figures.dotted import FIGURES, Figure
from podbench.model import plain
from podbench.model.summary import Pair, Summary

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets begin a formula with (OWASP, CSV injection)."""
HEAD = (
    "run_id",
    "arm",
    "mode",
    "path",
    "src",
    "dst",
    "src_zone",
    "dst_zone",
    "family",
    "proof",
    "metric",
    "unit",
    "value",
    "ci95_low",
    "ci95_high",
    "n",
    "coarse",
)


def render(summary: Summary) -> str:
    """The whole table as text, one line a row, quoted where RFC 4180 asks for it."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows([_cell(each) for each in row] for row in rows(summary))
    return sink.getvalue()


def _cell(value: object) -> object:
    """A cell as it is written: text on one line, and no formula."""
    if not isinstance(value, str):
        return value
    shown = plain.line(value)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


def rows(summary: Summary) -> Iterator[tuple[object, ...]]:
    """The rows below `HEAD`; null is an empty cell."""
    zones = {node.name: node.zone for node in summary.nodes}
    shown = [figure for figure in FIGURES.values() if _has(summary, figure)]
    for pair in summary.pairs:
        mode, _, path = pair.arm.partition("#")[0].partition("/")
        ends = (pair.src, pair.dst, zones.get(pair.src), zones.get(pair.dst))
        proof = pair.proof.verdict if pair.proof else None
        place = (summary.run_id, pair.arm, mode, path, *ends, pair.family, proof)
        for figure in shown:
            yield (*place, figure.name, figure.unit, *_figures(pair, figure))


def _has(summary: Summary, figure: Figure) -> bool:
    return any(dotted.read(pair, figure).measured for pair in summary.pairs)


def _figures(pair: Pair, figure: Figure) -> tuple[object, ...]:
    reading = dotted.read(pair, figure)
    low, high = reading.ci95 or (None, None)
    coarse = "true" if reading.coarse else "false"
    return (reading.value, low, high, reading.n, coarse if reading.value is not None else None)
