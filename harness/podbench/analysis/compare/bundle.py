"""What a comparison of runs hands to whoever shows it: one immutable bundle, figures and reasons.

Made by `compare`; the page draws from it and computes nothing.
"""

import msgspec

from podbench.analysis.bundle import Damage
from podbench.analysis.compare.rank import Ranking
from podbench.model.summary import Interval, Summary

WELCH = "Welch t on the campaigns' log means"
DESCRIPTIVE = "one campaign each"
"""The design, and the word in place of a verdict: blocks say nothing of the next hour."""
REFUSED = "not compared"


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the comparison. `note`: what was wrong with its directory, null: nothing."""

    label: str
    path: str
    summary: Summary
    blocks: int
    damages: tuple[Damage, ...] = ()
    note: str | None = None
    campaigns: int = 1
    """How many runs stand together here: `blocks` are these where there are several."""
    flags: tuple[str, ...] = ()
    """What is wrong with the run: why it would exit 3, samples in doubt, failed controls."""


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was asked for and cannot be compared at all."""

    path: str
    reason: str


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One fact about all runs, in words; null: not known. `same`: all agree."""

    name: str
    values: tuple[str | None, ...]
    same: bool


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """One reason not to compare (`refused`) or to take care, said once for all pairs of runs."""

    refused: bool
    what: str
    values: tuple[tuple[str, tuple[str, ...]], ...]
    """Each value and the labels of the runs that have it."""
    touches: str
    """What it concerns, in words."""

    @property
    def message(self) -> str:
        """In words, with every run's value."""
        said = "; ".join(f"{value}: {', '.join(who)}" for value, who in self.values)
        return f"{self.what} ({said})" if said else self.what


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One run's figure in one row. `points` are its blocks, in order."""

    run: int
    value: float | None
    ci95: Interval | None
    points: tuple[float, ...] = ()
    blocks: int = 0


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs on one figure, in the form of `comparisons` in summary.json, with both runs named.

    `base` and `other` are `<run>:<arm>`; `ratio` = other/base. `design` says how it was come by.
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
    p_adjusted: float | None = None
    """Holm's over all contrasts of all pairs on the page."""
    within_runs: Interval | None = None
    """One campaign each: what the blocks inside the two runs would allow the ratio to be. No
    interval: it leaves out how campaigns differ."""
    host_ratio: float | None = None
    """The same ratio of the runs' own host paths, without the CNI in it."""
    relative_ratio: float | None = None
    """`ratio` over `host_ratio`: what is left once each run is held against its own host path."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one row of arms and one group of pairs: every run's, and the contrasts."""

    metric: str
    unit: str
    row: str
    path: str
    group: str
    standings: tuple[Standing, ...]
    contrasts: tuple[Contrast, ...]


class TailLine(msgspec.Struct, frozen=True, kw_only=True):
    """One run's tail, from the median to the last quantile supported."""

    run: int
    q: tuple[float, ...]
    value_ns: tuple[float, ...]


class TailPanel(msgspec.Struct, frozen=True, kw_only=True):
    """The tails of all runs in one row of arms. `refused`: runs that may not stand beside them."""

    metric: str
    """`rtt_app_ns` or `rtt_kernel_ns`."""
    row: str
    lines: tuple[TailLine, ...]
    refused: tuple[tuple[int, str], ...] = ()


class HostShift(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of the host path in two runs. `moved`: by more than the margin and the floors."""

    metric: str
    base_run: int
    other_run: int
    ratio: float
    moved: bool


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a run's machine, as its samples show it; null: not known."""

    late_ratio: float | None
    """Probes that left late."""
    own_host_ns: float | None
    """Median of own host time: waking up, scheduling, system calls."""
    doubtful_ratio: float | None
    """Samples that are not valid."""
    steal_p99: float | None


class SideBySide(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a compare page shows."""

    title: str
    cards: tuple[Card, ...]
    left_out: tuple[LeftOut, ...]
    facts: tuple[Fact, ...]
    remarks: tuple[Remark, ...]
    lines: tuple[Line, ...]
    """All pairs together, in the order of metrics and rows."""
    group_lines: tuple[Line, ...]
    matched_by: str
    """`name`, `zone`, `role` or `none`: how `group_lines` came about."""
    rankings: tuple[Ranking, ...]
    tails: tuple[TailPanel, ...] = ()
    hosts: tuple[HostShift, ...] = ()
    """Each run's host path against the first run's."""
    machines: tuple[Machine, ...] = ()
