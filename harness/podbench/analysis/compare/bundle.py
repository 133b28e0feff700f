"""Result of a comparison of runs: one immutable bundle of values and reasons.

`side_by_side` builds it; the page renders it and computes nothing.
"""

import msgspec

from podbench.analysis.bundle import Damage
from podbench.analysis.compare.rank import Ranking
from podbench.model.summary import Interval, Summary

WELCH = "Welch t on log block statistics, campaigns assumed independent"
DESCRIPTIVE = "descriptive: one campaign each"
REFUSED = "not compared"


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the comparison. `note`: a problem with its directory, or null."""

    label: str
    path: str
    summary: Summary
    blocks: int
    damages: tuple[Damage, ...] = ()
    note: str | None = None


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A requested run that cannot be compared."""

    path: str
    reason: str


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One fact about all runs; null: unknown. `same`: all runs agree."""

    name: str
    values: tuple[str | None, ...]
    same: bool


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """One refusal (`refused`) or caveat, stated once for all pairs of runs."""

    refused: bool
    what: str
    values: tuple[tuple[str, tuple[str, ...]], ...]
    """Each value and the labels of the runs that have it."""
    touches: str
    """The results it affects, in words."""

    @property
    def message(self) -> str:
        """Message with the values of all runs."""
        said = "; ".join(f"{value}: {', '.join(who)}" for value, who in self.values)
        return f"{self.what} ({said})" if said else self.what


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One run's value in one row. `points` are its blocks, in order."""

    run: int
    value: float | None
    ci95: Interval | None
    points: tuple[float, ...] = ()
    blocks: int = 0


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs on one metric, in the form of `comparisons` in summary.json, with both runs named.

    `base` and `other` are `<run>:<arm>`; `ratio` = other/base. `design` is the method.
    """

    metric: str
    base: str
    other: str
    path: str
    ratio: float | None
    ci95: Interval | None
    difference: float | None
    difference_ci95: Interval | None
    unit: str
    blocks: int
    verdict: str
    margin: float
    smallest_detectable_ratio: float | None
    reason: str | None
    disagreement: bool
    p_value: float | None
    hodges_lehmann_ratio: float | None
    wilcoxon_p: float | None
    cliffs_delta: float | None
    blocks_needed: int | None
    further_s: float | None
    base_run: int
    other_run: int
    row: str
    group: str
    design: str
    flags: tuple[str, ...] = ()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one row of arms and one group of pairs: all runs, and their contrasts."""

    metric: str
    unit: str
    row: str
    path: str
    group: str
    standings: tuple[Standing, ...]
    contrasts: tuple[Contrast, ...]


class TailLine(msgspec.Struct, frozen=True, kw_only=True):
    """One run's tail, from the median to the highest supported quantile."""

    run: int
    q: tuple[float, ...]
    value_ns: tuple[float, ...]


class TailPanel(msgspec.Struct, frozen=True, kw_only=True):
    """Tails of all runs in one row of arms. `refused`: runs that are not comparable."""

    metric: str
    """`rtt_app_ns` or `rtt_kernel_ns`."""
    row: str
    lines: tuple[TailLine, ...]
    refused: tuple[tuple[int, str], ...] = ()


class SideBySide(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the compare page shows."""

    title: str
    cards: tuple[Card, ...]
    left_out: tuple[LeftOut, ...]
    facts: tuple[Fact, ...]
    remarks: tuple[Remark, ...]
    lines: tuple[Line, ...]
    """All pairs pooled, in the order of metrics and rows."""
    group_lines: tuple[Line, ...]
    matched_by: str
    """`name`, `zone`, `role` or `none`: how pairs in `group_lines` are matched."""
    rankings: tuple[Ranking, ...]
    tails: tuple[TailPanel, ...] = ()
