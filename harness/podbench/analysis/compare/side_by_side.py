"""Runs side by side: which figures may be compared, and what their intervals support.

`comparable` says what is refused, `match` what belongs together, `campaigns` how campaigns are
compared, `holm` what stands on a whole page, `rank` what order that supports, `hosts` what the
machines did. This module assembles. One campaign each has no verdict and no rank.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from podbench.analysis.compare import campaigns, comparable, facts, holm, hosts, tails
from podbench.analysis.compare import standings as compare_standings
from podbench.analysis.compare.bundle import (
    DESCRIPTIVE,
    REFUSED,
    WELCH,
    Contrast,
    LeftOut,
    Line,
    SideBySide,
    Standing,
)
from podbench.analysis.compare.comparable import Finding
from podbench.analysis.compare.match import ArmRow, Matching, arm_rows
from podbench.analysis.compare.standings import Campaign, Place
from podbench.analysis.figures import cap
from podbench.analysis.figures.group_points import ALL
from podbench.analysis.findings import capped
from podbench.analysis.findings.comparisons import HEADLINES, below_floor
from podbench.analysis.samples.metrics import LOSS
from podbench.analysis.stats import effect_size
from podbench.analysis.stats.verdicts import Decision, Word
from podbench.model.summary import Interval

GROUP_METRICS = ("rtt_kernel_ns.p50", "rtt_app_ns.p50", "rtt_app_ns.p99", "goodput_bps.tcp.p50")
"""What is shown group by group: more would bury the answer."""


class _Page:
    """The runs with what holds for every two of them."""

    def __init__(self, runs: Sequence[Campaign]) -> None:
        self.runs = runs
        self.findings: dict[tuple[int, int], tuple[Finding, ...]] = {
            (i, j): _findings(runs[i], runs[j]) for i, j in combinations(range(len(runs)), 2)
        }

    def refusal(self, i: int, j: int, row: ArmRow, metric: str) -> str | None:
        """Why runs i < j may not stand side by side there; null where they may."""
        arms = row.arms[i] or "", row.arms[j] or ""
        return _refusal(self.findings[i, j], arms, metric)


def _findings(base: Campaign, other: Campaign) -> tuple[Finding, ...]:
    """What `comparable` says of any campaign of one side and any of the other."""
    every = (
        finding
        for a in base.sides or (base.side,)
        for b in other.sides or (other.side,)
        for finding in comparable.between(a, b)
    )
    return tuple({(f.what, f.arm, f.series): f for f in every}.values())


def compare(
    title: str, runs: Sequence[Campaign], matching: Matching, left_out: Sequence[LeftOut] = ()
) -> SideBySide:
    """Everything about two or more runs side by side.

    Args:
        title: the page's.
        runs: two or more, labels unique; the first is the base of every contrast it is in.
        matching: how their pairs are grouped; `runs[i].points` holds those groups.
        left_out: runs asked for that cannot be read.
    """
    page = _Page(runs)
    rows = arm_rows([run.card.summary for run in runs])
    places = [Place(metric=metric, row=row, group=ALL) for metric in HEADLINES for row in rows]
    lines = holm.over([line for line in (_line(page, place) for place in places) if line])
    return SideBySide(
        title=title,
        cards=tuple(run.card for run in runs),
        left_out=tuple(left_out),
        facts=facts.facts([run.side for run in runs], [run.card.blocks for run in runs]),
        remarks=(
            *facts.remarks(list(page.findings.values())),
            *facts.flagged([run.card for run in runs]),
        ),
        lines=tuple(hosts.beside(line, lines) for line in lines),
        group_lines=tuple(_group_lines(page, rows, matching)),
        matched_by=matching.how,
        rankings=holm.rankings(lines),
        tails=tails.panels(runs, rows, page.refusal),
        hosts=hosts.shifts(lines, [run.card.summary.noise_floor for run in runs]),
        machines=tuple(hosts.machine(run) for run in runs),
    )


def _group_lines(page: _Page, rows: Sequence[ArmRow], matching: Matching) -> list[Line]:
    places = [
        Place(metric=metric, row=row, group=group)
        for metric in HEADLINES
        if metric.name in GROUP_METRICS
        for row in rows
        if row.path == "pod"
        for group in matching.groups
    ]
    found = (_line(page, place) for place in places)
    return [line for line in found if line is not None]


def _line(page: _Page, place: Place) -> Line | None:
    """One line; None where no run has the figure."""
    union = any(
        run.points.needs_union(arm, place.metric.name, place.group)
        for run, arm in zip(page.runs, place.row.arms, strict=True)
        if arm is not None
    )
    standings = tuple(
        compare_standings.standing(page.runs[i], i, place, union=union)
        for i in range(len(page.runs))
    )
    if all(standing.value is None for standing in standings):
        return None
    contrasts = []
    for i, j in page.findings:
        if place.row.arms[i] is None or place.row.arms[j] is None:
            continue
        if standings[i].value is None and standings[j].value is None:
            continue
        contrasts.append(_contrast(page, (standings[i], standings[j]), place, union=union))
    return Line(
        metric=place.metric.name,
        unit=place.metric.unit,
        row=place.row.label,
        path=place.row.path,
        group=place.group,
        standings=standings,
        contrasts=tuple(contrasts),
    )


def _contrast(
    page: _Page, pair: tuple[Standing, Standing], place: Place, *, union: bool
) -> Contrast:
    base, other = pair
    i, j = base.run, other.run
    arms = place.row.arms[i] or "", place.row.arms[j] or ""
    findings = page.findings[i, j]
    refused = _refusal(findings, arms, place.metric.name)
    if refused is not None:
        decision = _without_figures(f"not comparable: {refused}", Word.INCONCLUSIVE)
    elif base.value is None or other.value is None:
        missing = page.runs[i if base.value is None else j].card.label
        decision = _without_figures(f"not measured in {missing}", Word.NOT_MEASURED)
    else:
        decision = _decision(page, pair, place, union=union)
    said = decision.ratio is not None or (place.metric is LOSS and refused is None)
    shown = said and base.value is not None and other.value is not None
    design = _design(decision, refused=refused is not None)
    within = None
    if design == DESCRIPTIVE and place.metric is not LOSS:
        blocks = [compare_standings.logs(page.runs[s.run], place, s.run, union=union) for s in pair]
        within = campaigns.within_runs(*blocks) if decision.ratio is not None else None
    return Contrast(
        metric=place.metric.name,
        base=f"{page.runs[i].card.label}:{arms[0]}",
        other=f"{page.runs[j].card.label}:{arms[1]}",
        path=place.row.path,
        ratio=decision.ratio,
        ci95=decision.ci95,
        difference=(other.value or 0.0) - (base.value or 0.0) if shown else None,
        difference_ci95=_difference_interval(pair) if design == WELCH else None,
        unit=place.metric.unit,
        blocks=decision.blocks,
        verdict=DESCRIPTIVE if design == DESCRIPTIVE else decision.verdict.value,
        margin=place.metric.margin,
        smallest_detectable_ratio=decision.smallest_detectable_ratio,
        reason=decision.reason,
        disagreement=decision.disagreement,
        p_value=decision.p_value,
        hodges_lehmann_ratio=decision.hodges_lehmann_ratio,
        wilcoxon_p=decision.wilcoxon_p,
        cliffs_delta=_cliffs_delta(pair) if decision.p_value is not None else None,
        blocks_needed=decision.blocks_needed if decision.verdict is Word.INCONCLUSIVE else None,
        further_s=None,
        base_run=i,
        other_run=j,
        row=place.row.label,
        group=place.group,
        design=design,
        flags=_flags(findings, arms, place.metric.name),
        within_runs=within,
    )


def _cliffs_delta(pair: tuple[Standing, Standing]) -> float | None:
    return effect_size.cliffs_delta(*(np.array(standing.points) for standing in pair))


def _design(decision: Decision, *, refused: bool) -> str:
    if refused:
        return REFUSED
    if decision.verdict is Word.NOT_MEASURED:
        return str(Word.NOT_MEASURED)
    return DESCRIPTIVE if decision.p_value is None else WELCH


def _refusal(findings: tuple[Finding, ...], arms: tuple[str, str], metric: str) -> str | None:
    """Arms of two names touch what concerns either."""
    reasons = (comparable.refusal(findings, arm, metric) for arm in dict.fromkeys(arms))
    return next((reason for reason in reasons if reason is not None), None)


def _flags(findings: tuple[Finding, ...], arms: tuple[str, str], metric: str) -> tuple[str, ...]:
    found = [flag for arm in arms for flag in comparable.flags(findings, arm, metric)]
    if arms[0] != arms[1]:
        found.insert(0, f"{arms[0]} beside {arms[1]}: both routed, neither wraps its packets")
    return tuple(dict.fromkeys(found))


def _without_figures(reason: str, verdict: Word) -> Decision:
    return Decision(verdict=verdict, ratio=None, ci95=None, blocks=0, reason=reason)


def _difference_interval(pair: tuple[Standing, Standing]) -> Interval | None:
    """Interval of other - base in the metric's unit, from the campaigns' own figures."""
    found = campaigns.welch(*(np.array(standing.points) for standing in pair))
    return None if found is None else found.interval(0.95)


def _decision(
    page: _Page, pair: tuple[Standing, Standing], place: Place, *, union: bool
) -> Decision:
    base, other = pair
    floor = _floor(page, pair, place.metric.name)
    difference = (other.value or 0.0) - (base.value or 0.0)
    if place.metric is LOSS:
        counts = [
            compare_standings.counts(page.runs[s.run], place, s.run).of(
                page.runs[s.run].card.campaigns
            )
            for s in pair
        ]
        if all(len(one.sent) for one in counts):
            decision = campaigns.decide_loss(counts[0], counts[1], LOSS.margin)
            if decision.ratio is not None and decision.ci95 is not None:
                decision = below_floor(LOSS, decision, difference, floor)
            return decision
    logs = [compare_standings.logs(page.runs[s.run], place, s.run, union=union) for s in pair]
    sizes = [page.runs[s.run].card.campaigns for s in pair]
    if not all(len(one) for one in logs):
        ratio = (other.value or 0.0) / base.value if base.value else None
        return Decision(
            verdict=Word.INCONCLUSIVE,
            ratio=ratio,
            ci95=None,
            blocks=min(base.blocks, other.blocks),
            reason=f"{campaigns.too_few(*sizes)}; no block statistics: samples are missing",
        )
    # Blocks of one run are no observations of campaigns: they come to one.
    single = [
        one if size > 1 else one.mean(keepdims=True) for one, size in zip(logs, sizes, strict=True)
    ]
    decision = campaigns.decide(single[0], single[1], place.metric.margin)
    if decision.ci95 is None:
        return decision
    decision = below_floor(place.metric, decision, difference, floor)
    # Runs with different caps are refused before.
    most_bps = cap.of(page.runs[base.run].card.summary)
    return capped.judged(decision, (base.value, other.value), place.metric.unit, most_bps)


def _floor(page: _Page, pair: tuple[Standing, Standing], metric: str) -> float | None:
    """The larger A/A noise floor of the two, as |log ratio|; null where neither has one."""
    held = [page.runs[s.run].card.summary.noise_floor.get(metric) for s in pair]
    known = [floor for floor in held if floor is not None]
    return math.log1p(max(known)) if known else None
