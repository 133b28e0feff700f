"""What the comparison found: sentences, the rankings that intervals support, what stays open."""

from collections import Counter

import msgspec

from podbench.analysis.compare.bundle import REFUSED, Contrast, SideBySide
from podbench.analysis.compare.rank import Ranking
from podbench.analysis.findings import capped
from podbench_report import metrics, names, numbers, tables
from podbench_report.compare import words as compare_words
from podbench_report.compare.words import CLAIMS, verdict
from podbench_report.wording import Sentence, listed

SPOKEN = 40
"""Sentences beyond this many are in the tables only."""
MOST_OPEN = 60
"""Rows of the table of open questions."""
_LEDE = ("rtt_app_ns.p50", "goodput_bps.tcp.p50")


class Theme(msgspec.Struct, frozen=True):
    """Sentences under one heading."""

    title: str
    sentences: tuple[Sentence, ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The findings."""

    lede: tuple[str, ...]
    themes: tuple[Theme, ...]
    more: int
    """Findings that only the tables tell."""
    silent: bool
    """True where there are too many runs for sentences."""
    ranking: tables.Table
    no_ranking: str
    open: tables.Table
    """Contrasts with the first run that are not decided."""
    still_more: int
    """Open ones beyond those of the table."""
    counted: str


def build(page: SideBySide) -> Found:
    """The findings of one comparison."""
    chosen = [c for c in _contrasts(page) if c.path == "pod" and c.base_run == 0]
    claims = [c for c in chosen if c.verdict in CLAIMS]
    # What is refused is said at the top of the page; it is no question that blocks could settle.
    still_open = [c for c in chosen if c.verdict == "inconclusive" and c.design != REFUSED]
    silent = len(page.cards) > compare_words.FEW
    told = [] if silent else _sentences(page, claims)
    themes = [
        Theme(title, tuple(s for s in told[:SPOKEN] if s.theme == title))
        for title in metrics.THEMES
    ]
    return Found(
        lede=_lede(page),
        themes=tuple(theme for theme in themes if theme.sentences),
        silent=silent and bool(claims),
        more=max(0, len(told) - SPOKEN),
        ranking=_ranking(page),
        no_ranking=_no_ranking(page),
        open=_open(page, still_open[:MOST_OPEN]),
        still_more=max(0, len(still_open) - MOST_OPEN),
        counted=_counted(page),
    )


def _sentences(page: SideBySide, contrasts: list[Contrast]) -> list[Sentence]:
    """Two runs: a sentence each. More: one for each figure and mode, against the first run."""
    if len(page.cards) == 2:
        return [compare_words.sentence(page, c) for c in contrasts]
    held: dict[tuple[str, str, str], list[Contrast]] = {}
    for contrast in contrasts:
        held.setdefault((contrast.metric, contrast.row, verdict(contrast)), []).append(contrast)
    return [compare_words.together(page, group) for group in held.values()]


def _contrasts(page: SideBySide) -> list[Contrast]:
    rank = {metric: i for i, metric in enumerate(metrics.HEADLINES)}
    every = [c for line in page.lines for c in line.contrasts if c.metric in rank]
    return sorted(every, key=lambda c: rank[c.metric])


def _lede(page: SideBySide) -> tuple[str, ...]:
    """Two runs: what a hurried reader takes away. More runs: whether an order can be told."""
    if len(page.cards) > 2:
        return _order(page)
    out = []
    for metric in _LEDE:
        found = [c for c in _contrasts(page) if c.metric == metric and c.path == "pod"]
        found = [c for c in found if c.ratio is not None]
        if found:
            out.append(_between(page, metric, found))
    return tuple(out) or ("No figure was measured in both runs and may be compared.",)


def _between(page: SideBySide, metric: str, found: list[Contrast]) -> str:
    words = metrics.metric_words(metric)
    base, other = compare_words.key(page, 0), compare_words.key(page, 1)
    told = [c for c in found if c.verdict in CLAIMS]
    said = [f"is {listed([_part(c) for c in told])}"] if told else []
    said += [_untold_part(c) for c in found if c not in told]
    return f"Compared with {base}, the {words.phrase} of {other} {'; it '.join(said)}."


def _part(contrast: Contrast) -> str:
    who = compare_words.row_label(contrast.row)
    bounds = f"95{numbers.NBSP}% CI {compare_words.bounds(contrast)}"
    if contrast.verdict == "equivalent":
        return f"equivalent on {who} ({bounds})"
    size = compare_words.change(contrast).lstrip("+" + numbers.MINUS)
    return f"{size} {compare_words.side(contrast)} on {who} ({bounds})"


def _untold_part(contrast: Contrast) -> str:
    who = compare_words.row_label(contrast.row)
    change = compare_words.change(contrast)
    if contrast.ci95 is None:
        return f"is {change} on {who} (descriptive: one campaign each)"
    bounds = f"95{numbers.NBSP}% CI {compare_words.bounds(contrast)}"
    if capped.holds(contrast.reason):
        return f"was not found out on {who} ({bounds}): transfers reached a run's own cap"
    return f"cannot be told yet on {who} ({bounds})"


def _order(page: SideBySide) -> tuple[str, ...]:
    if not page.rankings:
        return ("No order of these runs can be told: no two of them are told apart.",)
    out = []
    for metric in _LEDE:
        words = metrics.metric_words(metric)
        told = [r for r in page.rankings if r.metric == metric and names.path_of(r.row) == "pod"]
        what = f"{words.phrase[0].upper()}{words.phrase[1:]}"
        if not told:
            out.append(f"{what}: no two runs are told apart.")
        out += [f"{what} on {names.arm_label(r.row)}: {_ends(page, r)}" for r in told]
    return tuple(out)


def _ends(page: SideBySide, ranking: Ranking) -> str:
    """Who is best and who is worst, and how much of the order between them is settled."""
    best = compare_words.place(page, ranking.places[0])
    worst = compare_words.place(page, ranking.places[-1])
    whole = len(ranking.places) == len(page.cards)
    settled = (
        "every two runs are told apart"
        if whole and ranking.told_apart == ranking.pairs
        else f"{ranking.told_apart} of {numbers.plural(ranking.pairs, 'pair')} of runs "
        f"{'is' if ranking.told_apart == 1 else 'are'} told apart"
    )
    placed = {one.run for one in ranking.places}
    others = [compare_words.key(page, r) for r in range(len(page.cards)) if r not in placed]
    left = f"; without a place, as without an interval: {listed(others)}" if others else ""
    return f"best is {best}, worst {worst}; {settled}{left}."


def _open(page: SideBySide, found: list[Contrast]) -> tables.Table:
    rows, last = [], ""
    for c in found:
        words = metrics.metric_words(c.metric)
        who = (
            f"{compare_words.key(page, c.other_run)} against {compare_words.key(page, c.base_run)}"
        )
        seen = c.smallest_detectable_ratio
        rows.append(
            tables.row(
                tables.Cell(who, css="wrap"),
                compare_words.row_label(c.row),
                tables.Cell(numbers.EN_DASH if c.ratio is None else compare_words.change(c)),
                tables.Cell(compare_words.bounds(c) or "no interval"),
                tables.Cell(numbers.percent_change(seen).lstrip("+") if seen else numbers.EN_DASH),
                tables.Cell(
                    "not known" if c.blocks_needed is None else numbers.count(c.blocks_needed),
                    css="null" if c.blocks_needed is None else "",
                ),
                tables.Cell(c.reason or "the interval leaves both sides open", css="wrap"),
                group="" if words.phrase == last else f"Does the {words.phrase} differ?",
            )
        )
        last = words.phrase
    return tables.Table(
        caption="Open questions of the pod path, each run against the first: what was seen, what "
        "else fits, and what an answer would take.",
        columns=(
            tables.Column("Runs"),
            tables.Column("Mode"),
            tables.Column("Seen", "number"),
            tables.Column("What fits (95 % CI)", "number"),
            tables.Column("Would have seen", "number"),
            tables.Column("Blocks of each for an answer", "number"),
            tables.Column("Why it is open"),
        ),
        rows=tuple(rows),
        sortable=False,
    )


def _ranking(page: SideBySide) -> tables.Table:
    rows, last = [], ""
    for ranking in page.rankings:
        words = metrics.metric_words(ranking.metric)
        group = "" if words.short == last else words.short
        last = words.short
        rows.append(
            tables.row(
                names.arm_label(ranking.row),
                tables.Cell(compare_words.places(page, ranking), css="wrap"),
                tables.Cell(f"{ranking.told_apart} of {ranking.pairs}"),
                group=group,
            )
        )
    return tables.Table(
        caption="Places of these campaigns, 1 the best, as far as intervals support them (Holm's "
        "correction over all pairs of runs). Runs that share places are not told apart; a run "
        "without an interval has no place.",
        columns=(
            tables.Column("Mode"),
            tables.Column("Places"),
            tables.Column("Pairs told apart"),
        ),
        rows=tuple(rows),
        sortable=False,
    )


def _no_ranking(page: SideBySide) -> str:
    if all(c.design == REFUSED for c in _contrasts(page)):
        return "No ranking: no figure of these runs may be compared."
    if any(c.ci95 is not None for c in _contrasts(page)):
        return "No ranking: no figure's intervals tell two of these runs apart."
    return "No ranking: no figure has an interval between runs (descriptive: one campaign each)."


def _counted(page: SideBySide) -> str:
    """How many contrasts came to which word."""
    counted = Counter(verdict(c) for line in page.lines for c in line.contrasts)
    order = (*CLAIMS, "inconclusive", "descriptive", "not compared", "not measured")
    said = [f"{numbers.count(counted[word])} {word}" for word in order if counted[word]]
    return f"All figures, paths and pairs of runs: {listed(said)}." if said else ""
