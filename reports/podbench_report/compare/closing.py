"""Method, limits, the short reading guide and every setting of every run of a comparison."""

import msgspec

from podbench.analysis.compare.bundle import Card, SideBySide
from podbench.analysis.compare.campaigns import MIN_BLOCKS
from podbench_report import tables, wording
from podbench_report.compare import words
from podbench_report.sections.appendix import flat

Note = tuple[str, str]


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """Titled paragraphs, limits, and a table of settings for each run."""

    method: tuple[Note, ...]
    limits: tuple[str, ...]
    reading: tuple[Note, ...]
    matched: str
    settings: tuple[tables.Table, ...]


_METHOD: tuple[Note, ...] = (
    (
        "Two campaigns",
        "Blocks of one run are not blocks of another, so nothing is paired. The logarithms of the "
        "block statistics of two runs are compared by Welch's t, which lets them differ in spread "
        f"and in number; both need {MIN_BLOCKS} blocks. Below that a difference is descriptive.",
    ),
    (
        "What it takes for granted",
        "Blocks of a run are independent of each other and stand for it. What drifted from one day "
        "to another is inside the difference.",
    ),
    (
        "Verdicts",
        "Different: the 95 % interval excludes no change and the effect exceeds the margin, and "
        "the A/A noise floor of both runs. Equivalent: the 90 % interval lies inside the margin. "
        "Small: real, within the margin. Else inconclusive.",
    ),
    (
        "Places",
        "All pairs of runs are tested on one figure, Holm's correction over them. A run's best "
        "place is one after those shown to be better, its worst the one before those shown to be "
        "worse.",
    ),
    (
        "Refused",
        "Probes of another kind, size, rate or time stamp, transfers of another version of iperf3, "
        "a lab beside a cluster, a mode that was not proven, a void run: such figures are not put "
        "beside each other.",
    ),
    (
        "The same statistic",
        "Where one run had too few samples for a quantile of each pair, the quantile of all pairs' "
        "samples together is taken for every run.",
    ),
)
_LIMITS = (
    words.CAVEAT,
    "Figures over all pairs are of each run's own nodes. Clusters of different size or layout "
    "differ in what a typical pair is; the groups of pairs above are the closer comparison.",
    "Kernel time stamps are not taken at the very same place in every CNI: compare different CNIs "
    "by application figures.",
    "Verdicts are made one by one; among many some are wrong. Places are corrected for that.",
)
_READING: tuple[Note, ...] = (
    (
        "From the top",
        "What may be compared comes first: a figure that is refused there has no verdict below. "
        "Then what was found, what stays open, every figure, and the settings of every run.",
    ),
    (
        "Change",
        "Of a run against the first, in percent; loss in percentage points, its interval as a "
        "factor. The interval of a change is not that of the run itself, which stands beneath its "
        "figure.",
    ),
    (
        "The verdict word",
        "Different, equivalent and small are claims; inconclusive and descriptive are the absence "
        "of one, and never mean that there is no difference.",
    ),
    (
        "The strips",
        "All runs of one figure on one axis: small ticks are single blocks, the dot is the figure, "
        "the bar its 95 % interval. An arrow head: the bar goes on past the axis.",
    ),
    (
        "Would have seen",
        "The smallest change that so many blocks could have shown. Where you care about smaller "
        "ones, run more blocks.",
    ),
    (
        "Jitter",
        "PDV p99: by how much round trips were above the quickest of their session, 99 of 100 of "
        "them at most.",
    ),
    (
        "Places",
        "Places 2–3 for a run: one run is shown to be better, and which of two comes second is not "
        "told. A run without an interval has no place.",
    ),
    (
        "Tails",
        "From left to right: from the ordinary probe to the worst, each further nine with the same "
        "room. Lines that part only at the right differ in their worst moments alone. They carry "
        "no intervals: verdicts are made on the figures above.",
    ),
)
_MATCHED = {
    "name": "The runs have the same nodes: pairs are matched by name.",
    "zone": "The runs have the same zones: pairs are matched by the zones at their ends.",
    "role": "Nodes and zones differ: pairs are matched by role, within a zone or between zones.",
    "none": "Pairs cannot be matched one by one: nodes differ, or are too many or too few, and "
    "zones are not known.",
}


def build(page: SideBySide) -> Closing:
    """The closing words of one comparison."""
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
        *((f"version of {name}", version or "not known") for name, version in s.versions.items()),
        *((f"label {key}", value) for key, value in s.labels.items()),
        *flat(s.spec),
    ]
    return tables.Table(
        caption=f"{card.label}: every setting and version",
        columns=(tables.Column("Setting"), tables.Column("Value")),
        rows=tuple(tables.row(key, tables.Cell(value, css="wrap")) for key, value in facts),
        sortable=False,
    )
