"""One pair held against the same pair of an earlier run: worse by more than allowed?

Two runs are two independent campaigns (`analysis.compare.campaigns`): a Welch interval of the
ratio of their block statistics. It cannot tell the network from the day. What
`analysis.compare.comparable` refuses is not judged; a difference inside the A/A noise floor of
either run is no failure.
"""

import functools
import math

import msgspec
import numpy as np

from podbench.analysis.compare import comparable
from podbench.analysis.compare.campaigns import Counts, welch
from podbench.analysis.figures import cap, group_points
from podbench.analysis.samples.loss import NEGLIGIBLE_RATIO, exact_p
from podbench.analysis.samples.metrics import BY_NAME, LOSS
from podbench.analysis.stats import intervals
from podbench.gate.evidence import Evidence
from podbench.gate.slo import Slo
from podbench.gate.words import change, change_span, confidence
from podbench.model.summary import Interval, Pair
from podbench.model.units import show_ratio

CHANCE = 0.05


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """`worse`: true, false, null: cannot be told. `ratio`: this run over the baseline."""

    worse: bool | None
    ratio: float | None = None
    interval: Interval | None = None
    reason: str


class Baseline:
    """An earlier run beside this one: what both have, and what keeps their figures apart."""

    def __init__(self, here: Evidence, there: Evidence) -> None:
        self.here = here
        self.there = there
        self._pairs = {(pair.arm, pair.src, pair.dst) for pair in there.summary.pairs}

    @functools.cached_property
    def findings(self) -> tuple[comparable.Finding, ...]:
        """What `comparable` has to say of the two."""
        return comparable.between(self.there.side(), self.here.side())

    def has(self, pair: Pair) -> bool:
        """Whether the earlier run has the same pair of the same arm."""
        return (pair.arm, pair.src, pair.dst) in self._pairs


def against(slo: Slo, pair: Pair, baseline: Baseline) -> Against:
    """Decides one pair."""
    here, there = baseline.here, baseline.there
    for run in (here, there):
        if run.trouble is not None:
            return Against(worse=None, reason=run.trouble)
    if not baseline.has(pair):
        return Against(
            worse=None,
            reason=f"not measured: the baseline has no {pair.arm} {pair.src} > {pair.dst}",
        )
    refused = comparable.refusal(baseline.findings, pair.arm, slo.figure.name)
    if refused is not None:
        return Against(worse=None, reason=f"not comparable: {refused}")
    if slo.figure.name == LOSS.name:
        return _loss(slo, pair, here, there)
    if slo.figure.name not in BY_NAME:
        return Against(worse=None, reason=f"no interval is made for {slo.figure.name}")
    return _estimate(slo, pair, here, there)


def _estimate(slo: Slo, pair: Pair, here: Evidence, there: Evidence) -> Against:
    group = group_points.pair_group(pair.src, pair.dst)
    base, other = (
        run.points.logs(pair.arm, slo.figure.name, group, union=False) for run in (there, here)
    )
    found = welch(base, other)
    if found is None:
        return Against(
            worse=None,
            reason=f"{len(base)} and {len(other)} blocks of this pair hold this "
            "figure, and an interval takes two of each",
        )
    decided = _decided(
        slo, found.log_ratio, found.interval(slo.confidence), _floor(slo, here, there)
    )
    most_bps = cap.of(there.summary)
    at_base = math.exp(float(base.mean()))
    if decided.worse is False and cap.reached(at_base, slo.figure.unit, most_bps):
        # It could do more then; how much more, the cap of both runs does not let one see.
        return msgspec.structs.replace(
            decided, worse=None, reason=f"{decided.reason}; the baseline is held by its own cap"
        )
    return decided


def _floor(slo: Slo, here: Evidence, there: Evidence) -> float:
    """The larger A/A noise floor of the two runs, as |log ratio|."""
    floors = [run.summary.noise_floor.get(slo.figure.name, 0.0) for run in (here, there)]
    return math.log1p(max(0.0, *floors))


def _decided(slo: Slo, log_ratio: float, span: Interval, floor: float) -> Against:
    ratio = intervals.scaled(1.0, (log_ratio, log_ratio))[1]
    interval = intervals.scaled(1.0, span)
    allowed = slo.worse_by or 0.0
    text = f"{change(ratio)} ({confidence(slo.confidence)} {change_span(interval)})"
    if slo.figure.more_is_better:
        limit = 1.0 - allowed
        worse = True if interval[1] < limit else False if interval[0] >= limit else None
    else:
        limit = 1.0 + allowed
        worse = True if interval[0] > limit else False if interval[1] <= limit else None
    if worse and abs(log_ratio) <= floor:
        worse, text = None, f"{text}, within the A/A noise floor of {show_ratio(math.expm1(floor))}"
    say = {True: "breaks", False: "keeps", None: "against"}[worse]
    return Against(
        worse=worse,
        ratio=ratio,
        interval=interval,
        reason=f"{text} {say} the limit of {change(limit)}; one campaign each",
    )


def _counts(pair: Pair, run: Evidence) -> Counts:
    group = group_points.pair_group(pair.src, pair.dst)
    held = run.points.losses.get((pair.arm, group), [])
    return Counts(
        np.array([one.sent for one in held], dtype=np.int64),
        np.array([one.lost for one in held], dtype=np.int64),
        episodes=sum(one.episodes for one in held),
        sessions=tuple(session for one in held for session in one.sessions),
    )


def _after_none(base: Counts, other: Counts, counts: str) -> Against:
    """No ratio starts at zero: more bursts than chance allows fail, none bounds nothing."""
    (lost, sent), (_, sent_then) = other.total, base.total
    p = exact_p((base.episodes, other.episodes), (sent_then, sent))
    if lost and p < CHANCE:
        return Against(worse=True, reason=f"{counts}: more than chance gives (p = {p:.2g})")
    return Against(
        worse=None,
        reason=f"{counts}: a baseline without a loss makes no ratio; set `max` instead",
    )


def _loss(slo: Slo, pair: Pair, here: Evidence, there: Evidence) -> Against:
    base, other = _counts(pair, there), _counts(pair, here)
    if not len(base.sent) or not len(other.sent):
        return Against(worse=None, reason="not measured: no valid probe in one of the runs")
    upper = other.certainly_below(slo.confidence)
    (lost_then, sent_then), (lost_now, sent_now) = base.total, other.total
    counts = f"{lost_now} of {sent_now} probes lost, {lost_then} of {sent_then} in the baseline"
    if upper < NEGLIGIBLE_RATIO:
        return Against(
            worse=False,
            reason=f"{counts}: below {show_ratio(NEGLIGIBLE_RATIO)} "
            f"({confidence(slo.confidence)}), whatever the baseline lost",
        )
    if not lost_then:
        return _after_none(base, other, counts)
    found = welch(base.logs, other.logs)
    if found is None:
        return Against(worse=None, reason=f"{counts}, in too few blocks for an interval")
    decided = _decided(
        slo, found.log_ratio, found.interval(slo.confidence), _floor(slo, here, there)
    )
    p = exact_p((base.episodes, other.episodes), (sent_then, sent_now))
    if decided.worse and p >= CHANCE:
        return Against(
            worse=None,
            ratio=decided.ratio,
            interval=decided.interval,
            reason=f"{counts}: what chance alone gives (p = {p:.2f})",
        )
    return msgspec.structs.replace(decided, reason=f"{counts}: {decided.reason}")
