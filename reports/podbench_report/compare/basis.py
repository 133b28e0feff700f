"""Comparability of the runs: what they share, which comparisons are refused or flagged."""

import msgspec

from podbench.analysis.compare.bundle import Card, Fact, Remark, SideBySide
from podbench_report import numbers, tables, wording
from podbench_report.compare import words
from podbench_report.wording import listed

SHOWN_DAMAGES = 5
_IN_RUNS = {"started", "blocks", "status"}
"""Facts that the table of runs already shows."""


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """The head of the page and its first section."""

    title: str
    line: str
    lab: str | None
    runs: tables.Table
    sentence: str
    caveat: str
    refused: tuple[tuple[str, str], ...]
    """Each reason with its values, and the results it affects."""
    flagged: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    damaged: tuple[str, ...]
    differing: tables.Table
    same: tables.Table


def build(page: SideBySide) -> Basis:
    """Builds the first section."""
    refused = tuple(remark for remark in page.remarks if remark.refused)
    flagged = tuple(remark for remark in page.remarks if not remark.refused)
    in_lab = [i for i, card in enumerate(page.cards) if card.summary.target == "lab"]
    days = sorted({card.summary.started[:10] for card in page.cards})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return Basis(
        title=page.title,
        line=f"{numbers.plural(len(page.cards), 'run')} · {span}",
        lab=_lab(page, in_lab) if in_lab else None,
        runs=_runs(page),
        sentence=_sentence(page, refused, flagged),
        caveat=words.CAVEAT,
        refused=tuple((_said(page, remark), remark.touches) for remark in refused),
        flagged=tuple((_said(page, remark), remark.touches) for remark in flagged),
        left_out=tuple(f"{one.path}: {one.reason}" for one in page.left_out),
        damaged=tuple(text for card in page.cards for text in _damage(card)),
        differing=_differing(page),
        same=_same(page),
    )


def _lab(page: SideBySide, runs: list[int]) -> str:
    """Returns the lab heading; it names the lab runs if only some are."""
    if len(runs) == len(page.cards):
        return wording.LAB_HEADING
    return f"{listed([words.key(page, i) for i in runs])}: {wording.LAB_HEADING}"


def _said(page: SideBySide, remark: Remark) -> str:
    values = "; ".join(f"{v}: {words.keys(page, who)}" for v, who in remark.values)
    return f"{remark.what} ({values})" if values else remark.what


def _sentence(page: SideBySide, refused: tuple[Remark, ...], flagged: tuple[Remark, ...]) -> str:
    left = ""
    if page.left_out:
        gone = numbers.plural(len(page.left_out), "run")
        left = (
            f" {gone} could not be read and {'is' if len(page.left_out) == 1 else 'are'} skipped."
        )
    if not refused and not flagged:
        everyone = "both" if len(page.cards) == 2 else "all"
        return (
            f"For everything that {everyone} runs measured, they agree in what makes results "
            "comparable: probe type, rate and timestamps, versions, MTU and method. "
            f"No comparison is refused.{left}"
        )
    said = []
    if refused:
        said.append(f"{numbers.plural(len(refused), 'reason')} to refuse a comparison")
    if flagged:
        said.append(numbers.plural(len(flagged), "caveat"))
    opening = "Some comparisons are not like for like: "
    return f"{opening}{listed(said)}. Everything else is comparable.{left}"


def _runs(page: SideBySide) -> tables.Table:
    rows = []
    for run, card in enumerate(page.cards):
        s = card.summary
        cni = s.cni.name + (f" {s.cni.version}" if s.cni.version else "")
        places = sorted({n.provider for n in s.nodes if n.provider})
        places += sorted({n.region for n in s.nodes if n.region})
        rows.append(
            tables.row(
                tables.Cell(_named(page, run), css="wrap"),
                tables.Cell(numbers.moment(s.started), css="keep"),
                tables.Cell(", ".join([s.target, *places]), css="wrap"),
                tables.Cell(cni, css="wrap"),
                tables.count_cell(len(s.nodes)),
                tables.count_cell(card.blocks),
                tables.Cell(s.status, css="bad" if s.status == "invalid" else ""),
                tables.Cell(s.run_id, css="wrap", title=card.path),
            )
        )
    titles = (("Run", ""), ("Started", ""), ("Where", ""), ("CNI", ""))
    return tables.Table(
        caption="Runs. The first is the base of all differences below"
        + ("; below, letters stand for runs." if len(page.cards) > 2 else "."),
        columns=(
            *(tables.Column(title) for title, _ in titles),
            tables.Column("Nodes", "number"),
            tables.Column("Blocks", "number"),
            tables.Column("Status"),
            tables.Column("Run ID"),
        ),
        rows=tuple(rows),
        sortable=False,
    )


def _named(page: SideBySide, run: int) -> str:
    """Returns the run's full name, after its letter if letters are used."""
    label = page.cards[run].label
    return label if len(page.cards) == 2 else f"{words.LETTERS[run]} · {label}"


def _damage(card: Card) -> list[str]:
    said = [f"{card.label}: {card.note}"] if card.note else []
    said += [
        f"{card.label}: {damage.file} could not be read ({damage.reason})"
        for damage in card.damages[:SHOWN_DAMAGES]
    ]
    more = len(card.damages) - SHOWN_DAMAGES
    return (
        [*said, f"{card.label}: {numbers.plural(more, 'more damaged file')}"] if more > 0 else said
    )


def _differing(page: SideBySide) -> tables.Table:
    """Returns one row for each value, so that twelve runs still fit on paper."""
    rows = []
    for fact in page.facts:
        if fact.same or fact.name in _IN_RUNS:
            continue
        for value, who in _by_value(page, fact):
            rows.append(
                tables.row(
                    tables.Cell(fact.name),
                    tables.Cell(
                        value or "unknown", css="wrap" if value is not None else "wrap null"
                    ),
                    tables.Cell(who, css="wrap"),
                )
            )
    return tables.Table(
        caption="Differences between the runs. Some may be the subject of the comparison; caveats "
        "above explain their effect.",
        columns=(tables.Column("Fact"), tables.Column("Value"), tables.Column("Runs")),
        rows=tuple(rows),
        sortable=False,
    )


def _by_value(page: SideBySide, fact: Fact) -> list[tuple[str | None, str]]:
    held: dict[str | None, list[str]] = {}
    for run, value in enumerate(fact.values):
        held.setdefault(value, []).append(words.key(page, run))
    return [(value, listed(who)) for value, who in held.items()]


def _same(page: SideBySide) -> tables.Table:
    rows = [
        tables.row(
            fact.name,
            tables.Cell(fact.values[0] or "unknown", css="wrap" if fact.values[0] else "wrap null"),
        )
        for fact in page.facts
        if fact.same
    ]
    return tables.Table(
        caption="Common to all runs",
        columns=(tables.Column("Fact"), tables.Column("Value")),
        rows=tuple(rows),
        sortable=False,
    )
