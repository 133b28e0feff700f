"""The family of verdicts: what the first screen can say, fixed before anybody looks.

A few questions for each mode (`MEMBERS`). The chance that a run of equal arms prints one
`different` or more among them is at most 5% (Holm, `stats.family`), also where another arm truly
differs. Every other comparison is exploratory: adjusted by Benjamini-Hochberg, and marked.

A run that ended at an early look is judged at that look's level, because the look decided when to
stop.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from podbench.analysis.findings.comparisons import Compared
from podbench.analysis.samples.metrics import LOSS
from podbench.analysis.stats import family, intervals, multiple, verdicts
from podbench.analysis.stats.verdicts import Decision, Word, unresolved
from podbench.model.summary import Comparison, Family, Interval

MEMBERS: tuple[str, ...] = (
    "rtt_app_ns.p50",
    "rtt_app_ns.p99",
    "rtt_kernel_ns.p50",
    "pdv_p99_ns",
    LOSS.name,
    "goodput_bps.tcp.p50",
)
"""Questions to each mode. Adding one costs all of them certainty."""


def _places(
    tested: Sequence[Compared], prices: Mapping[str, float], alpha: float
) -> list[family.Held]:
    """Every member's place: of the comparisons, then of the prices."""
    p_values = [one.decision.p_value or 0.0 for one in tested]
    return family.holm([*p_values, *prices.values()], alpha)


def _tested(found: Sequence[Compared]) -> list[Compared]:
    inside = [one for one in found if one.comparison.metric in MEMBERS]
    return [one for one in inside if one.decision.p_value is not None]


def prices(
    found: Sequence[Compared], asked: Mapping[str, float], alpha: float = family.ALPHA
) -> dict[str, family.Held]:
    """The CPU prices' places in the same family, by name.

    Args:
        found: the comparisons of the run.
        asked: p of no difference by name, `cpu_price.bulk/vxlan`.
        alpha: as in `judge`.
    """
    tested = _tested(found)
    return dict(zip(asked, _places(tested, asked, alpha)[len(tested) :], strict=True))


def judge(
    found: Sequence[Compared],
    alpha: float = family.ALPHA,
    priced: Mapping[str, float] = MappingProxyType({}),
) -> tuple[tuple[Comparison, ...], Family]:
    """All comparisons between modes, judged as a family and as exploration.

    Args:
        found: what each says alone.
        alpha: chance of one false `different` or more in the family.
        priced: members that are no comparison: p of no difference by name (`prices`).
    """
    inside = [one for one in found if one.comparison.metric in MEMBERS]
    tested = _tested(found)
    held = _places(tested, priced, alpha)
    by_id = {id(one): place for one, place in zip(tested, held[: len(tested)], strict=True)}
    outside = [
        one
        for one in found
        if one.comparison.metric not in MEMBERS and one.decision.p_value is not None
    ]
    q = multiple.benjamini_hochberg([one.decision.p_value or 0.0 for one in outside]).tolist()
    explored = {id(one): p for one, p in zip(outside, q, strict=True)}
    judged = []
    for one in found:
        if one.comparison.metric in MEMBERS:
            judged.append(_member(one, by_id.get(id(one)), alpha, len(held)))
        else:
            judged.append(_explored(one, explored.get(id(one)), alpha))
    return tuple(judged), Family(
        control="holm",
        alpha=alpha,
        members=(*(f"{c.comparison.metric}/{c.comparison.other}" for c in inside), *priced),
        first_screen=tuple(
            f"{one.metric}/{one.other}"
            for one in judged
            if one.in_family and one.verdict == Word.DIFFERENT
        ),
    )


def _member(one: Compared, place: family.Held | None, alpha: float, size: int) -> Comparison:
    if place is None:
        return msgspec.structs.replace(one.comparison, in_family=True)
    decision = one.decision
    if not place.rejected(alpha):
        decision = unresolved(
            decision,
            f"not clear among the {size} comparisons of the first screen "
            f"(adjusted p = {_p(place.p_adjusted)}){_patience(decision)}",
            decision.blocks_needed,
        )
    return msgspec.structs.replace(
        _said(one.comparison, decision),
        p_adjusted=place.p_adjusted,
        in_family=True,
        family_ci=_interval(one, place.level),
    )


def _explored(one: Compared, p_adjusted: float | None, alpha: float) -> Comparison:
    decision = one.decision
    if p_adjusted is not None and p_adjusted > alpha:
        decision = unresolved(
            decision,
            f"exploratory, and not clear among so many (adjusted p = {_p(p_adjusted)})"
            f"{_patience(decision)}",
            decision.blocks_needed,
        )
    return msgspec.structs.replace(
        _said(one.comparison, decision), p_adjusted=p_adjusted, in_family=False
    )


def _said(comparison: Comparison, decision: Decision) -> Comparison:
    """The comparison with a decision's verdict and reason."""
    return msgspec.structs.replace(
        comparison,
        verdict=decision.verdict.value,
        reason=decision.reason,
        blocks_needed=decision.blocks_needed if decision.verdict is Word.INCONCLUSIVE else None,
    )


def _interval(one: Compared, level: float) -> Interval | None:
    """The ratio's interval at the level of its place in the family."""
    ratio, blocks = one.comparison.ratio, one.comparison.blocks
    if one.spread is None or ratio is None:
        return None
    return intervals.scaled(ratio, one.spread.interval(0.0, blocks, level))


def _patience(decision: Decision) -> str:
    return verdicts.patience(decision.blocks, decision.blocks_needed)


def _p(p: float) -> str:
    return f"{p:.2g}"


def early(found: Sequence[Compared], alpha: float) -> list[Compared]:
    """At a look: the members that it leaves open, judged as a family at the look's level.

    Args:
        found: comparisons between modes, judged alone at the levels of the look.
        alpha: of the look.
    """
    judged, _ = judge(found, alpha)
    return [
        one
        for one, said in zip(found, judged, strict=True)
        if said.in_family and said.metric != LOSS.name and not _settled(said)
    ]


def _settled(said: Comparison) -> bool:
    """Different, equivalent, or beyond the instrument: more blocks change nothing."""
    if said.verdict in {Word.DIFFERENT, Word.EQUIVALENT, Word.NOT_MEASURED}:
        return True
    return (said.reason or "").startswith(
        ("below resolution", "both are limited by", "limited by the CPUs")
    )
