"""The two headline sentences of a report: latency and goodput of every mode.

Pure functions, like those of `wording`, which has every other sentence.
"""

from collections.abc import Mapping, Sequence

from podbench.analysis.findings import capped
from podbench.model.arms import is_stand_in
from podbench.model.summary import AaCheck, Comparison, OverlayTax
from podbench_report import metrics, names, numbers, wording

_OPEN = {"inconclusive", "not measured"}
_METRICS = ("rtt_kernel_ns.p50", "goodput_bps.tcp.p50")


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
    if c.ci95 is not None:
        sure = f"95% CI {numbers.percent_change_interval(c.ci95)}"
    stand_in = f"stand-in: {how}; " if is_stand_in(how) else ""
    return f"{who} ({stand_in}{sure})"


def _part(c: Comparison, implementations: Mapping[str, str | None]) -> str:
    how = implementations.get(names.mode_of(c.other))
    who = names.mode_label(names.mode_of(c.other))
    sure = "no interval"
    if c.ci95 is not None:
        one_side = c.ci95[0] > 1 or c.ci95[1] < 1
        shown = numbers.percent_size_interval if one_side else numbers.percent_change_interval
        sure = f"95% CI {shown(c.ci95)}"
    if is_stand_in(how):
        sure = f"stand-in: {how}; {sure}"
    if c.verdict == "equivalent":
        return f"equivalent under {who} ({sure})"
    rises = (c.ratio or 1.0) >= 1
    change = "higher" if rises else "lower"
    size = numbers.percent_change(c.ratio, c.ci95).lstrip("+" + numbers.MINUS)
    return f"{size} {change} under {who} ({sure})"
