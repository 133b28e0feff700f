"""Findings of a comparison: sentences, rankings that the intervals support, open questions."""

from collections import Counter

import msgspec

from podbench.analysis.compare.bundle import DESCRIPTIVE, REFUSED, Contrast, SideBySide
from podbench.analysis.compare.rank import Ranking
from podbench.analysis.findings import capped
from podbench_report import metrics, names, numbers, tables
from podbench_report.compare import words as compare_words
from podbench_report.compare.words import CLAIMS, verdict
from podbench_report.wording import Sentence, listed

SPOKEN = 40
"""Maximum number of sentences; the tables have the rest."""
MOST_OPEN = 60
"""Maximum number of rows in the table of open questions."""
_HEADLINE = ("rtt_app_ns.p50", "goodput_bps.tcp.p50")


class Theme(msgspec.Struct, frozen=True):
    """Sentences under one heading."""

    title: str
    sentences: tuple[Sentence, ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The findings."""

    headline: tuple[str, ...]
    themes: tuple[Theme, ...]
    more: int
    """Findings shown only in the tables."""
    silent: bool
    """True if there are too many runs for sentences."""
    ranking: tables.Table
    no_ranking: str
    open: tables.Table
    """Undecided contrasts with the first run."""
    still_more: int
    """Undecided contrasts beyond those in the table."""
    counted: str


def build(page: SideBySide) -> Found:
    """Builds the findings of one comparison."""
    chosen = [c for c in _contrasts(page) if c.path == "pod" and c.base_run == 0]
    claims = [c for c in chosen if c.verdict in CLAIMS]
    # Refused contrasts are listed at the top of the page; more blocks cannot settle them.
    still_open = [c for c in chosen if c.verdict == "inconclusive" and c.design != REFUSED]
    silent = len(page.cards) > compare_words.FEW
    spoken = [] if silent else _sentences(page, claims)
    themes = [
        Theme(title, tuple(s for s in spoken[:SPOKEN] if s.theme == title))
        for title in metrics.THEMES
    ]
    return Found(
        headline=_headline(page),
        themes=tuple(theme for theme in themes if theme.sentences),
        silent=silent and bool(claims),
        more=max(0, len(spoken) - SPOKEN),
        ranking=_ranking(page),
        no_ranking=_no_ranking(page),
        open=_open(page, still_open[:MOST_OPEN]),
        still_more=max(0, len(still_open) - MOST_OPEN),
        counted=_counted(page),
    )


def _sentences(page: SideBySide, contrasts: list[Contrast]) -> list[Sentence]:
    """Two runs: one sentence per contrast. More: one per metric and mode, against the first run."""
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


def _headline(page: SideBySide) -> tuple[str, ...]:
    """Returns the headline: host paths, then two runs compared, or the order of more runs."""
    out = list(compare_words.host_sentences(page))
    if len(page.cards) > 2:
        return (*out, *_order(page))
    for metric in _HEADLINE:
        found = [c for c in _contrasts(page) if c.metric == metric and c.path == "pod"]
        found = [c for c in found if c.ratio is not None]
        if found:
            out.append(_between(page, metric, found))
    return tuple(out) or (
        "Nothing to compare: no metric was measured in both runs and is comparable.",
    )


def _between(page: SideBySide, metric: str, found: list[Contrast]) -> str:
    words = metrics.metric_words(metric)
    base, other = compare_words.key(page, 0), compare_words.key(page, 1)
    decided = [c for c in found if c.verdict in CLAIMS]
    said = [f"is {listed([_part(c) for c in decided])}"] if decided else []
    said += [_open_part(c) for c in found if c not in decided]
    return f"Compared with {base}, the {words.phrase} of {other} {'; it '.join(said)}."


def _part(contrast: Contrast) -> str:
    who = compare_words.row_label(contrast.row)
    bounds = f"95% CI {compare_words.bounds(contrast)}"
    if contrast.verdict == "equivalent":
        return f"equivalent for {who} ({bounds})"
    size = compare_words.change(contrast).lstrip("+" + numbers.MINUS)
    return f"{size} {compare_words.side(contrast)} for {who} ({bounds})"


def _open_part(contrast: Contrast) -> str:
    who = compare_words.row_label(contrast.row)
    change = compare_words.change(contrast)
    if contrast.ci95 is None:
        return f"is {change} for {who} ({'; '.join(_beside(contrast))})"
    bounds = f"95% CI {compare_words.bounds(contrast)}"
    if capped.holds(contrast.reason):
        return f"is unknown for {who} ({bounds}): transfers reached a run's bandwidth cap"
    return f"is inconclusive for {who} ({bounds})"


def _beside(contrast: Contrast) -> list[str]:
    """One campaign each: the spread inside the runs, and the change relative to the host paths."""
    notes = ["one campaign each"]
    within = compare_words.within_runs(contrast)
    if within:
        notes.append(f"spread inside the runs {within}")
    if contrast.relative_ratio is not None:
        notes.append(f"{compare_words.relative(contrast)} relative to the host paths")
    return notes


def _order(page: SideBySide) -> tuple[str, ...]:
    every = [c for c in _contrasts(page) if c.path == "pod"]
    if every and all(c.design in {DESCRIPTIVE, REFUSED, "not measured"} for c in every):
        return ("One campaign each: differences without verdicts, and no ranking.",)
    out = []
    for metric in _HEADLINE:
        words = metrics.metric_words(metric)
        ranked = [r for r in page.rankings if r.metric == metric and names.path_of(r.row) == "pod"]
        what = f"{words.phrase[0].upper()}{words.phrase[1:]}"
        held = [c for c in every if c.metric == metric and c.verdict != "not measured"]
        if not held:
            out.append(f"{what}: not measured.")
        elif not ranked:
            out.append(f"{what}: no two runs differ significantly.")
        out += [f"{what}, {names.arm_label(r.row)}: {_order_of(page, r)}" for r in ranked]
    return tuple(out)


def _order_of(page: SideBySide, ranking: Ranking) -> str:
    """Returns `A > B > C, all differences significant`, or the best and the worst run."""
    placed = {one.run for one in ranking.places}
    others = [compare_words.key(page, r) for r in range(len(page.cards)) if r not in placed]
    left = f"; no rank without an interval: {listed(others)}" if others else ""
    if ranking.told_apart == ranking.pairs:
        order = " > ".join(compare_words.key(page, one.run) for one in ranking.places)
        return f"{order}, all differences significant{left}."
    best = compare_words.place(page, ranking.places[0])
    worst = compare_words.place(page, ranking.places[-1])
    decided = (
        f"{ranking.told_apart} of {numbers.plural(ranking.pairs, 'pairwise difference')} "
        f"{'is' if ranking.told_apart == 1 else 'are'} significant"
    )
    return f"best {best}, worst {worst}; {decided}{left}."


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
                    "unknown" if c.blocks_needed is None else numbers.count(c.blocks_needed),
                    css="null" if c.blocks_needed is None else "",
                ),
                tables.Cell(c.reason or "the interval includes both faster and slower", css="wrap"),
                group="" if words.phrase == last else f"Does the {words.phrase} differ?",
            )
        )
        last = words.phrase
    return tables.Table(
        caption="Open questions on the pod path, each run against the first: estimate, interval, "
        "and the campaigns needed for an answer.",
        columns=(
            tables.Column("Runs"),
            tables.Column("Mode"),
            tables.Column("Estimate", "number"),
            tables.Column("95% CI", "number"),
            tables.Column("Smallest detectable change", "number"),
            tables.Column("Campaigns needed of each", "number"),
            tables.Column("Reason"),
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
        caption="Ranking of these campaigns, 1 is best, as far as the intervals support it (Holm's "
        "correction over the page). The order of runs that share ranks is inconclusive; a "
        "run without an interval has no rank.",
        columns=(
            tables.Column("Mode"),
            tables.Column("Ranks"),
            tables.Column("Significant differences"),
        ),
        rows=tuple(rows),
        sortable=False,
    )


def _no_ranking(page: SideBySide) -> str:
    if all(c.design == REFUSED for c in _contrasts(page)):
        return "No ranking: no results of these runs are comparable."
    if any(c.ci95 is not None for c in _contrasts(page)):
        return "No ranking: no two runs differ significantly in any metric."
    return "No ranking: one campaign each."


def _counted(page: SideBySide) -> str:
    """Returns the number of contrasts by verdict."""
    counted = Counter(verdict(c) for line in page.lines for c in line.contrasts)
    order = (*CLAIMS, "inconclusive", DESCRIPTIVE, REFUSED, "not measured")
    said = [f"{numbers.count(counted[word])} {word}" for word in order if counted[word]]
    return f"All metrics, paths and pairs of runs: {listed(said)}." if said else ""
