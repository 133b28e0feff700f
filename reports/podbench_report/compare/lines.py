"""Side by side: value, blocks and interval of every run, and the change from the first run."""

from collections.abc import Sequence

import msgspec

from podbench.analysis.compare.bundle import Contrast, Line, SideBySide, Standing
from podbench_report import metrics, names, numbers, palette, strips, tables
from podbench_report.compare import strips as compare_strips
from podbench_report.compare import words as compare_words
from podbench_report.compare.words import verdict

EVERY_TWO = 800
"""Maximum number of rows in the table of all pairs of runs."""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One metric: all arms and runs on one axis."""

    title: str
    table: tables.Table


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """All panels, and the contrasts of all pairs of runs if there are more than two."""

    panels: tuple[Panel, ...]
    every_two: tables.Table | None


def build(page: SideBySide) -> Lines:
    """Builds the side-by-side tables of one comparison."""
    by_metric: dict[str, list[Line]] = {}
    for line in page.lines:
        by_metric.setdefault(line.metric, []).append(line)
    order = [m for m in metrics.HEADLINES if m in by_metric]
    order += [m for m in by_metric if m not in order]
    panels = tuple(_panel(page, metric, by_metric[metric]) for metric in order)
    return Lines(panels=panels, every_two=_every_two(page) if len(page.cards) > 2 else None)


def _panel(page: SideBySide, metric: str, lines: Sequence[Line]) -> Panel:
    words = metrics.metric_words(metric)
    standings = [s for line in lines for s in line.standings]
    known = [s.value for s in standings if s.value] or [s.ci95[1] for s in standings if s.ci95]
    scale = numbers.scale_for(known, words.unit)
    ends = [v for s in standings for v in (*s.points, *((s.value,) if s.value is not None else ()))]
    if not any(ends):
        ends += known
    axis = strips.nice_axis(ends, zero=False, unit_factor=scale.factor)
    rows = [row for line in lines for row in _rows(page, line, scale, axis)]
    title = words.short[0].upper() + words.short[1:]
    return Panel(
        title=title,
        table=tables.Table(
            caption=f"{title} over all pairs, by mode and run; change against the first run.",
            columns=(
                tables.Column("Run"),
                tables.Column("Value", "number", scale.unit),
                tables.Column("Blocks", "number"),
                tables.Column(f"Blocks in {scale.unit}", "strip", header=strips.axis_row(axis)),
                *_change_columns(page),
            ),
            rows=tuple(rows),
            sortable=False,
        ),
    )


def _rows(
    page: SideBySide, line: Line, scale: numbers.Scale, axis: strips.Axis
) -> list[tables.Row]:
    against = {c.other_run: c for c in line.contrasts if c.base_run == 0}
    heading = names.arm_label(line.row)
    rows = []
    for standing in line.standings:
        contrast = against.get(standing.run)
        rows.append(
            tables.row(
                tables.Cell(
                    compare_words.heading(page, standing.run),
                    css="wrap",
                    title=page.cards[standing.run].label,
                ),
                tables.figure_cell(standing.value, scale, standing.ci95),
                tables.Cell(str(standing.blocks) if standing.blocks else "–", sort=standing.blocks),
                tables.Cell(_strip(standing, line, axis)),
                *_change(contrast, first=standing.run == 0),
                group=heading,
            )
        )
        heading = ""
    return rows


def _strip(standing: Standing, line: Line, axis: strips.Axis) -> str:
    ink = palette.ink_of_mode(names.mode_of(line.row))
    if line.row.startswith("routed"):
        ink = palette.ink_of_mode("bgp")
    if line.path != "pod":
        ink = "muted"
    return compare_strips.blocks(axis, standing.points, standing.value, standing.ci95, ink=ink)


def _change_columns(page: SideBySide) -> tuple[tables.Column, ...]:
    """Columns of a change. The second says what its bounds are."""
    several = any(card.campaigns > 1 for card in page.cards)
    return (
        tables.Column("Change", "number"),
        tables.Column("95% CI" if several else "Spread inside the runs", "number"),
        tables.Column("Relative to host path", "number"),
        tables.Column("Verdict"),
    )


def _change(contrast: Contrast | None, *, first: bool) -> tuple[tables.Cell, ...]:
    if contrast is None:
        word = "base" if first else "–"
        return tables.Cell(""), tables.Cell(""), tables.Cell(""), tables.Cell(word, css="null")
    word = verdict(contrast)
    return (
        tables.Cell(
            compare_words.change(contrast) if contrast.ratio is not None else "–",
            sort=contrast.ratio,
        ),
        tables.Cell(
            compare_words.bounds(contrast) or compare_words.within_runs(contrast) or "–",
            css="" if contrast.ci95 is not None else "null",
        ),
        tables.Cell(compare_words.relative(contrast), sort=contrast.relative_ratio),
        tables.Cell(word, css="v-" + contrast.verdict.replace(" ", "-"), title=_title(contrast)),
    )


def _title(contrast: Contrast) -> str:
    """Tooltip: the reason for the verdict and its caveats."""
    return "; ".join(part for part in (contrast.reason, *contrast.flags) if part)


def _every_two(page: SideBySide) -> tables.Table:
    """Returns all pairs of runs on the headline metrics, pod path."""
    every = [c for line in page.lines if line.path == "pod" for c in line.contrasts]
    rank = {metric: i for i, metric in enumerate(metrics.HEADLINES)}
    every = sorted((c for c in every if c.metric in rank), key=lambda c: rank[c.metric])
    rows, last = [], ""
    for c in every[:EVERY_TWO]:
        short = metrics.metric_words(c.metric).short
        who = (
            f"{compare_words.key(page, c.other_run)} against {compare_words.key(page, c.base_run)}"
        )
        rows.append(
            tables.row(
                tables.Cell(who, css="wrap"),
                names.arm_label(c.row),
                *_change(c, first=False),
                group="" if short == last else short,
            )
        )
        last = short
    left = len(every) - len(rows)
    more = f" {left} more in the output of --json." if left > 0 else ""
    return tables.Table(
        caption=f"All pairs of runs, pod path.{more}",
        columns=(
            tables.Column("Runs"),
            tables.Column("Mode"),
            *_change_columns(page),
        ),
        rows=tuple(rows),
        sortable=False,
    )


def groups(page: SideBySide) -> tables.Table:
    """Returns the matched groups of pairs, by metric, mode and group."""
    rows = []
    last = ""
    for line in page.group_lines:
        words = metrics.metric_words(line.metric)
        heading = f"{words.short}, {names.arm_label(line.row)}"
        against = {c.other_run: c for c in line.contrasts if c.base_run == 0}
        for standing in line.standings:
            if standing.value is None and standing.run not in against:
                continue
            rows.append(
                tables.row(
                    tables.Cell(line.group, css="wrap"),
                    tables.Cell(compare_words.key(page, standing.run), css="wrap"),
                    tables.quantity_cell(standing.value, line.unit),
                    *_change(against.get(standing.run), first=standing.run == 0),
                    group="" if heading == last else heading,
                )
            )
            last = heading
    return tables.Table(
        caption="Matched pairs, both directions pooled; change against the first run.",
        columns=(
            tables.Column("Pairs"),
            tables.Column("Run"),
            tables.Column("Value", "number"),
            *_change_columns(page),
        ),
        rows=tuple(rows),
        sortable=False,
    )
