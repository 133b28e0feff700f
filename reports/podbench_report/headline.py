"""The two headline sentences of a report: latency and goodput of every mode.

Pure functions, like those of `wording`, which has every other sentence.
"""

from collections.abc import Mapping, Sequence

import msgspec

from podbench.analysis.findings import capped
from podbench.model.arms import is_stand_in
from podbench.model.summary import (
    AaCheck,
    AtTraffic,
    Comparison,
    OverlayTax,
    Recommendation,
)
from podbench_report import metrics, names, numbers, wording

_OPEN = {"inconclusive", "not measured"}
_METRICS = ("rtt_app_ns.p50", "rtt_kernel_ns.p50", "goodput_bps.tcp.p50")


def sentences(
    comparisons: Sequence[Comparison],
    implementations: Mapping[str, str | None],
    *,
    on_lab: bool,
    all_lost: bool = False,
    check: AaCheck | None = None,
    taxes: Sequence[OverlayTax] = (),
) -> tuple[str, ...]:
    """Returns the headline: every mode's median RTT, then its goodput.

    If the A/A check failed, the headline says only that. With a single mode it gives the cost of
    that mode against the host path.
    """
    if check is not None and check.passed is False:
        compared = numbers.plural(check.comparisons, "comparison")
        return (
            f"The A/A check failed: one mode measured twice is different in {check.false_alarms} "
            f"of {compared}. Do not trust the verdicts of this run.",
        )
    if all_lost:
        return ("No probe came back in any mode: there is nothing to compare.",)
    out: list[str] = []
    for metric in _METRICS:
        found = [c for c in comparisons if c.metric == metric and c.path == "pod"]
        found = [c for c in found if not names.is_repeat(c.other) and not names.is_repeat(c.base)]
        if any(c.ratio is not None for c in found):
            out.append(_sentence(found, implementations, on_lab=on_lab and not out))
    if not out:
        out = [
            str(wording.overlay_tax(tax, implementations))
            for metric in _METRICS
            for tax in taxes
            if tax.metric == metric and tax.difference is not None
        ]
    return tuple(out) or ("Nothing to compare: no two modes have results for the same metric.",)


def _sentence(
    found: Sequence[Comparison], implementations: Mapping[str, str | None], *, on_lab: bool
) -> str:
    words = metrics.metric_words(found[0].metric)
    base = names.mode_label(names.mode_of(found[0].base))
    place = " in the lab" if on_lab else ""
    decided = [c for c in found if c.verdict not in _OPEN and c.ratio is not None]
    absent = [c for c in found if c not in decided and _is_absent(c)]
    rest = [c for c in found if c not in decided and not _is_absent(c)]
    limited = [c for c in rest if capped.holds(c.reason)]
    unsure = [c for c in rest if c not in limited]
    said = []
    if unsure:
        who = wording.listed([_open(c, implementations) for c in unsure])
        said.append(f"is inconclusive for {who}")
    if limited:
        who = wording.listed([_open(c, implementations) for c in limited])
        said.append(f"is unknown for {who}: transfers reached this run's bandwidth cap")
    if absent:
        who = wording.listed([names.mode_label(names.mode_of(c.other)) for c in absent])
        said.append(f"was not measured under {who}")
    if decided:
        said.insert(0, f"is {wording.listed([_part(c, implementations) for c in decided])}")
    return f"Compared with {base}{place}, the {words.phrase} {'; it '.join(said)}."


def _is_absent(c: Comparison) -> bool:
    return c.verdict == "not measured" or c.ratio is None


def _open(c: Comparison, implementations: Mapping[str, str | None]) -> str:
    how = implementations.get(names.mode_of(c.other))
    who = names.mode_label(names.mode_of(c.other))
    sure = f"{numbers.percent_change(c.ratio)}, no interval"
    bounds = c.family_ci or c.ci95
    if bounds is not None:
        sure = f"95% CI {numbers.percent_change_interval(bounds)}"
    stand_in = f"stand-in: {how}; " if is_stand_in(how) else ""
    return f"{who} ({stand_in}{sure})"


def _part(c: Comparison, implementations: Mapping[str, str | None]) -> str:
    how = implementations.get(names.mode_of(c.other))
    who = names.mode_label(names.mode_of(c.other))
    sure = "no interval"
    bounds = c.family_ci or c.ci95
    if bounds is not None:
        one_side = bounds[0] > 1 or bounds[1] < 1
        shown = numbers.percent_size_interval if one_side else numbers.percent_change_interval
        sure = f"95% CI {shown(bounds)}"
    if is_stand_in(how):
        sure = f"stand-in: {how}; {sure}"
    if c.verdict == "equivalent":
        return f"equivalent under {who} ({sure})"
    rises = (c.ratio or 1.0) >= 1
    change = "higher" if rises else "lower"
    size = numbers.percent_change(c.ratio, c.ci95).lstrip("+" + numbers.MINUS)
    return f"{size} {change} under {who} ({sure})"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The decision in words: one sentence, then reasons, exceptions, certainty, what to do."""

    sentence: str
    because: tuple[str, ...]
    unless: tuple[str, ...]
    confidence: str
    next_step: str


def decision(found: Recommendation | None, traffic: Sequence[AtTraffic]) -> Decision | None:
    """The decision, with what the others cost at the traffic asked for; None: nothing to decide."""
    if found is None:
        return None
    if found.mode is None:
        sentence = f"No mode can be recommended: {wording.listed(found.because)}."
        because: tuple[str, ...] = ()
    else:
        sentence = f"Use {names.mode_label(found.mode)}.{_costs(found.mode, traffic)}"
        because = found.because
    why = "" if found.confidence_reason is None else f": {found.confidence_reason}"
    return Decision(
        sentence=sentence,
        because=because,
        unless=found.unless,
        confidence=f"{found.confidence}{why}",
        next_step=found.next_step or "",
    )


def _costs(mode: str, traffic: Sequence[AtTraffic]) -> str:
    """What the other modes take more than this one, for the first traffic that has an answer."""
    for name in dict.fromkeys(one.name for one in traffic):
        here = {one.mode: one for one in traffic if one.name == name}
        chosen = here.get(mode)
        if chosen is None or chosen.cores_per_node is None or chosen.verdict != "base":
            continue
        told = [
            f"{names.mode_label(one.mode)} {numbers.cores(one.extra_cores_per_node)}"
            f" (95%{numbers.NBSP}CI {_bounds(one)})"
            for one in here.values()
            if one.verdict == "different" and one.extra_cores_per_node is not None
        ]
        if told:
            return f" At {name} a node, {wording.listed(told)} more CPU cores a node."
        return f" At {name} a node no other mode was shown to take more CPU."
    return ""


def _bounds(one: AtTraffic) -> str:
    if one.extra_ci95 is None:
        return "none"
    return " to ".join(numbers.cores(bound) for bound in one.extra_ci95)
