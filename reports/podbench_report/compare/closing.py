"""Method, limits, reading guide, and the settings of every run of a comparison."""

import msgspec

from podbench.analysis.compare.bundle import Card, SideBySide
from podbench.analysis.compare.campaigns import MIN_CAMPAIGNS
from podbench_report import tables, wording
from podbench_report.compare import words
from podbench_report.sections.appendix import flat

Note = tuple[str, str]


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """Titled paragraphs, limits, and a settings table for each run."""

    method: tuple[Note, ...]
    limits: tuple[str, ...]
    reading: tuple[Note, ...]
    matched: str
    settings: tuple[tables.Table, ...]


_METHOD: tuple[Note, ...] = (
    (
        "Comparing campaigns",
        "A run is one observation: its blocks say nothing about the next hour. One run on each "
        "side: differences and the spread inside the runs, without a verdict. From "
        f"{MIN_CAMPAIGNS} runs on each side (A=RUN,RUN,RUN B=RUN,RUN,RUN), Welch's t test compares "
        "the log means of the campaigns.",
    ),
    (
        "Assumptions",
        "Campaigns of a place are independent and represent it. Host paths have no CNI: where they "
        "differ, the machines or their load do. The change relative to the host path is beside "
        "each change.",
    ),
    (
        "Verdicts",
        "Different: the p value, adjusted by Holm over the whole page, is at most 5%, and the "
        "effect exceeds the margin and the noise floor of both sides. Equivalent: the 90% interval "
        "lies inside the margin. Small: a real effect within the margin. Anything else is "
        "inconclusive.",
    ),
    (
        "Ranking",
        "For each metric, all pairs are tested, with Holm's correction over the page. A run ranks "
        "below the runs shown to be better and above the runs shown to be worse; undecided runs "
        "share ranks.",
    ),
    (
        "Refused comparisons",
        "Results are not compared if probes differ in type, size, rate or timestamps, iperf3 "
        "versions differ, one run is a lab and the other a cluster, a mode is not proven, or a run "
        "is invalid.",
    ),
    (
        "Same statistic for all runs",
        "If one run has too few samples for a quantile of each pair, the pooled quantile over all "
        "pairs is used for every run.",
    ),
)
_LIMITS = (
    words.CAVEAT,
    "Results over all pairs cover each run's own nodes. If clusters differ in size or layout, the "
    "matched pairs above are the better comparison.",
    "Kernel timestamps are taken at different points in different CNIs: compare different CNIs by "
    "application RTT.",
)
_READING: tuple[Note, ...] = (
    (
        "Order of this page",
        "Comparability comes first: refused comparisons have no verdict below. Then findings, open "
        "questions, all results, and the settings of every run.",
    ),
    (
        "Change",
        "A run against the first run, in percent; loss in percentage points, with its interval as "
        "a factor. The interval of a change differs from the interval of the run itself, which is "
        "below its value.",
    ),
    (
        "Verdicts",
        "Different, equivalent and small are claims; inconclusive and one campaign each make none, "
        "and never mean no difference.",
    ),
    (
        "Strips",
        "All runs of one metric on one axis. Small ticks: single blocks; dot: estimate; bar: 95% "
        "CI; arrow head: the bar continues beyond the axis.",
    ),
    (
        "Smallest detectable change",
        "These runs detect a change of this size with 80% probability. To detect smaller changes, "
        "run more campaigns.",
    ),
    (
        "Jitter",
        "PDV p99: 99 of 100 RTTs are at most this much above the minimum of their session.",
    ),
    (
        "Ranks",
        "Rank 2–3: one run is shown to be better, and the order of the next two is inconclusive. A "
        "run without an interval has no rank.",
    ),
    (
        "Tails",
        "The slowest probes are at the right; each additional nine takes the same width. Lines "
        "that separate only there differ only in their worst cases. The plots have no intervals: "
        "verdicts rest on the tables above.",
    ),
)
_MATCHED = {
    "name": "The runs have the same nodes: pairs are matched by node name.",
    "zone": "The runs have the same zones: pairs are matched by zone.",
    "role": "Nodes and zones differ: pairs are matched by role (within a zone or between zones).",
    "none": "Pairs cannot be matched: nodes differ, or are too many or too few, and zones are "
    "unknown.",
}


def build(page: SideBySide) -> Closing:
    """Builds the closing sections of one comparison."""
    return Closing(
        method=_METHOD,
        limits=_LIMITS,
        reading=(*_READING, *wording.WORDS),
        matched=_MATCHED[page.matched_by],
        settings=tuple(_settings(card) for card in page.cards),
    )


def _settings(card: Card) -> tables.Table:
    s = card.summary
    facts = [
        ("directory", card.path),
        ("run_id", s.run_id),
        ("started", s.started),
        ("ended", s.ended or "not ended"),
        ("seed", str(s.seed)),
        *((f"version of {name}", version or "unknown") for name, version in s.versions.items()),
        *((f"label {key}", value) for key, value in s.labels.items()),
        *flat(s.spec),
    ]
    return tables.Table(
        caption=f"{card.label}: settings and versions",
        columns=(tables.Column("Setting"), tables.Column("Value")),
        rows=tuple(tables.row(key, tables.Cell(value, css="wrap")) for key, value in facts),
        sortable=False,
    )
