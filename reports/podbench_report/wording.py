"""Turns results into sentences: pure functions, one verdict each, always with the interval.

A sentence states the effect, its size, its interval and the number of blocks. It never says "no
difference": the result is either `equivalent` or `inconclusive`. Text only; templates escape it.
"""

from collections.abc import Mapping, Sequence

import msgspec

from podbench.model.arms import is_stand_in
from podbench.model.summary import (
    AaCheck,
    Blame,
    Comparison,
    Control,
    LossSummary,
    OverlayTax,
)
from podbench_report import metrics, names, numbers

LAB_HEADING = "network namespaces on one machine, not your cluster"


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """One statement. `text` ends before the verdict, so that the page can highlight that word."""

    text: str
    verdict: str
    theme: str = ""
    note: str | None = None

    def __str__(self) -> str:
        """Returns the whole sentence as plain text."""
        note = f" {self.note}" if self.note else ""
        return f"{self.text}: {self.verdict}.{note}"


def subject(arm: str, implementations: Mapping[str, str | None]) -> str:
    """Returns `VXLAN`, or `IPIP (stand-in: eBPF at tc)` where the kernel lacks the mode."""
    how = implementations.get(names.mode_of(arm))
    label = names.arm_label(arm)
    return f"{label} (stand-in: {how})" if is_stand_in(how) else label


def comparison(c: Comparison, implementations: Mapping[str, str | None]) -> Sentence:
    """Returns the sentence for one comparison, whatever its verdict."""
    words = metrics.metric_words(c.metric)
    other, base = subject(c.other, implementations), subject(c.base, implementations)
    if c.verdict in {"different", "small"} and c.ratio is not None:
        text = f"{other} {_effect(c, words)} compared with {base}"
    elif c.verdict == "equivalent" and c.ratio is None:
        because = f" ({c.reason})" if c.reason else ""
        text = f"{other} against {base}, {words.phrase}{because}"
    elif c.verdict == "equivalent":
        change = numbers.percent_change(c.ratio, c.ci95)
        text = (
            f"{other} changes the {words.phrase} by {change} compared with {base} "
            f"({_certainty(c)}), "
            f"{c.reason or f'within the margin of {numbers.margin(c.margin)}'}"
        )
    elif c.verdict == "not measured":
        because = f" ({c.reason})" if c.reason else ""
        text = f"{other} against {base}, {words.phrase}{because}"
    else:
        text = _open_question(c, f"{other} against {base}, {words.phrase}")
    return Sentence(text=text, verdict=c.verdict, theme=words.theme, note=_note(c))


def _effect(c: Comparison, words: metrics.Metric) -> str:
    rises = (c.ratio or 1.0) >= 1
    bare = c.unit == "ratio" or c.difference is None
    size, bounds = abs(c.difference or 0.0), c.difference_ci95
    if bounds is not None:
        bounds = _outward(bounds, c.difference)
    amount = _times(c.ratio) if bare else numbers.estimate(size, bounds, c.unit)[0]
    sure = _certainty(c)
    if c.difference_ci95 is not None and not bare:
        sure = f"{sure}; {numbers.percent_change(c.ratio, c.ci95)}"
    if bare:
        return f"multiplies the {words.phrase} by {amount} ({sure})"
    if words.more_is_better:
        verb = "raises" if rises else "lowers"
        return f"{verb} the {words.phrase} by {amount} ({sure})"
    verb, joint = ("adds", "to") if rises else ("removes", "from")
    return f"{verb} {amount} ({sure}) {joint} the {words.phrase}"


def _times(ratio: float | None) -> str:
    return numbers.NOT_MEASURED if ratio is None else numbers.quantity(ratio, "")


def _certainty(c: Comparison) -> str:
    """Returns the interval (in units if known, else in percent) and the number of blocks."""
    blocks = numbers.plural(c.blocks, "block")
    if c.difference_ci95 is not None and c.verdict in {"different", "small"}:
        size, bounds = abs(c.difference or 0.0), _outward(c.difference_ci95, c.difference)
        return f"95% CI {numbers.estimate(size, bounds, c.unit)[1]}, {blocks}"
    if c.ci95 is None:
        return f"no interval from {blocks}"
    bounds_text = numbers.percent_change_interval(c.ci95)
    if c.verdict == "equivalent":
        return f"95% CI {bounds_text}, {blocks}"
    change = numbers.percent_change(c.ratio, c.ci95)
    return f"{change}, 95% CI {bounds_text}, {blocks}"


def _outward(bounds: tuple[float, float], sign: float | None) -> tuple[float, float]:
    """Bounds of the size of a change: swapped for a reduction, because its sign is dropped."""
    return (-bounds[1], -bounds[0]) if sign is not None and sign < 0 else bounds


def _open_question(c: Comparison, question: str) -> str:
    blocks = numbers.plural(c.blocks, "block")
    if c.ci95 is None:
        because = f"; {c.reason}" if c.reason else ""
        return f"{question} (no interval from {blocks}{because})"
    facts = [f"95% CI {numbers.percent_change_interval(c.ci95)}, {blocks}"]
    if c.reason:
        facts.append(c.reason)
    if c.smallest_detectable_ratio is not None:
        smallest = numbers.percent_change(c.smallest_detectable_ratio).lstrip("+")
        facts.append(f"smallest detectable change {smallest}")
    return f"{question} {numbers.percent_change(c.ratio, c.ci95)} ({'; '.join(facts)})"


def _note(c: Comparison) -> str | None:
    notes = []
    if c.verdict == "small":
        notes.append(f"Real, but within the margin of {numbers.margin(c.margin)}.")
    if c.disagreement:
        notes.append("The robust estimate (Hodges-Lehmann) disagrees: treat with caution.")
    return " ".join(notes) or None


def not_measured(
    comparisons: Sequence[Comparison], implementations: Mapping[str, str | None]
) -> tuple[Sentence, ...]:
    """Returns one sentence for each pair of arms and reason; it names all their metrics."""
    gone = [c for c in comparisons if c.verdict == "not measured"]
    out = []
    for (other, base, reason), shorts in _by_arms(gone, implementations).items():
        because = f" ({reason})" if reason else ""
        text = f"{other} against {base} in {listed(shorts)}{because}"
        out.append(Sentence(text=text, verdict="not measured", theme="Not measured"))
    return tuple(out)


def open_questions(
    comparisons: Sequence[Comparison], implementations: Mapping[str, str | None]
) -> tuple[Sentence, ...]:
    """Returns a sentence for each inconclusive comparison; those without an interval share one."""
    unclear = [c for c in comparisons if c.verdict == "inconclusive"]
    out = [comparison(c, implementations) for c in unclear if c.ci95 is not None]
    rest = [c for c in unclear if c.ci95 is None]
    for (other, base, reason), shorts in _by_arms(rest, implementations).items():
        because = reason or "too few blocks for an interval"
        text = f"{other} against {base} in {listed(shorts)} ({because})"
        out.append(Sentence(text=text, verdict="inconclusive"))
    return tuple(out)


def _by_arms(
    comparisons: Sequence[Comparison], implementations: Mapping[str, str | None]
) -> dict[tuple[str, str, str], list[str]]:
    """Short names of the metrics by (other, base, reason)."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for c in comparisons:
        other, base = subject(c.other, implementations), subject(c.base, implementations)
        groups.setdefault((other, base, c.reason or ""), []).append(
            metrics.metric_words(c.metric).short
        )
    return groups


def overlay_tax(tax: OverlayTax, implementations: Mapping[str, str | None]) -> Sentence:
    """Returns the sentence for the pod path against the host path of the same node pairs."""
    words = metrics.metric_words(tax.metric)
    who = subject(tax.mode, implementations)
    if tax.difference is None:
        text = f"{who} against the host path, {words.phrase}"
        return Sentence(text=text, verdict="not measured", theme="Pod-network cost")
    bounds = None if tax.ci95 is None else _outward(tax.ci95, tax.difference)
    size, within = numbers.estimate(abs(tax.difference), bounds, tax.unit)
    sure = f"95% CI {within}" if within else "no interval"
    rises = tax.difference >= 0
    if words.more_is_better:
        effect = f"{'raises' if rises else 'lowers'} the {words.phrase} by {size} ({sure})"
    else:
        verb, joint = ("adds", "to") if rises else ("removes", "from")
        effect = f"{verb} {size} ({sure}) {joint} the {words.phrase}"
    text = f"Compared with the host path of the same node pairs, {who} {effect}"
    return Sentence(text=text, verdict=tax.verdict, theme="Pod-network cost")


def loss(arm: str, losses: LossSummary, implementations: Mapping[str, str | None]) -> Sentence:
    """Returns the sentence for one arm's lost probes, by direction."""
    who = subject(arm, implementations)
    if losses.sent == 0:
        return Sentence(text=f"Loss on {who}", verdict="not measured", theme="Loss")
    sure = "" if losses.ci95 is None else f" (95% CI {numbers.interval(losses.ci95, 'ratio')})"
    lost = losses.lost_forward + losses.lost_backward + losses.lost_unknown
    if lost == 0:
        text = f"{who} lost none of {numbers.count(losses.sent)} probes{sure}"
        return Sentence(text=text, verdict="no loss observed", theme="Loss")
    text = (
        f"{who} lost {numbers.count(lost)} of {numbers.count(losses.sent)} probes, "
        f"{numbers.share(losses.ratio)}{sure}: {numbers.count(losses.lost_forward)} in the request "
        f"direction, {numbers.count(losses.lost_backward)} in the reply direction, "
        f"{numbers.count(losses.lost_unknown)} unknown, "
        f"in {numbers.plural(losses.episodes, 'burst')}"
    )
    verdict = "all lost" if lost >= losses.sent else "loss"
    return Sentence(text=text, verdict=verdict, theme="Loss")


FEW_BEYOND = (
    "A quantile needs at least ten samples beyond it in each block; else it is not measured."
)
"""For captions of quantile tables; a plot pools all blocks and may reach further."""


def aa_check(check: AaCheck | None, floor: Mapping[str, float], alone: int = 0) -> Sentence:
    """Returns the sentence for the A/A check: one mode measured twice.

    Args:
        check: The check; null if no mode was measured twice.
        floor: The noise floor by metric, 0.018 for 1.8%.
        alone: The number of comparisons that are `different` before Holm's correction.
    """
    if check is None or check.passed is None:
        text = "A/A check (the same mode measured twice)"
        return Sentence(text=text, verdict="not measured", theme="Noise floor")
    compared = numbers.plural(check.comparisons, "comparison")
    if check.passed:
        text = f"One mode measured twice: none of {compared} is different{_floor(floor)}"
        if alone:
            text += (
                f"; before Holm's correction {alone} of {check.comparisons} "
                f"{'is' if alone == 1 else 'are'} different, as expected by chance"
            )
        return Sentence(text=text, verdict="A/A check passed", theme="Noise floor")
    text = (
        f"One mode measured twice: different in {check.false_alarms} of {compared}"
        f"{_floor(floor)}; do not trust the verdicts of this run"
    )
    return Sentence(text=text, verdict="A/A check failed", theme="Noise floor")


def host_controls(held: Sequence[Control]) -> Sentence:
    """What the host paths, which have no CNI in them, say about the run."""
    gone = [c for c in held if c.passed is False]
    compared = numbers.plural(len(held), "comparison")
    if not gone:
        text = f"Host paths (no CNI in them) agree between the modes in {compared}"
        return Sentence(text=text, verdict="controls passed", theme="Noise floor")
    said = [
        f"{metrics.metric_words(c.metric).short} {numbers.percent_change(c.ratio)} beside "
        f"{names.mode_label(names.mode_of(c.other))}"
        for c in gone
    ]
    text = (
        f"Host paths (no CNI in them) differ in {len(gone)} of {compared} ({listed(said)}): the "
        "machine moved between the modes"
    )
    return Sentence(text=text, verdict="control failed", theme="Noise floor")


def _floor(floor: Mapping[str, float]) -> str:
    reported = [
        f"{floor_percent(floor[m])} in {metrics.metric_words(m).short}"
        for m in metrics.HEADLINES
        if m in floor
    ][:4]
    return f"; differences below {listed(reported)} are noise" if reported else ""


WORDS: tuple[tuple[str, str], ...] = (
    (
        "Kernel and app RTT; warm, idle, under load",
        "RTT is the round-trip time. Kernel RTT is measured between kernel timestamps and excludes "
        "the reflector's residence time. App RTT is measured in the program, system calls and "
        "scheduling included. Warm: at the full probe rate. Idle: at 20 probes per second, with "
        "cold caches. Under load: during a TCP transfer. p50 is the median; 99 of 100 probes are "
        "at or below p99.",
    ),
    (
        "Arms and paths",
        "An arm is a mode on a path. Pod path: pod to pod. Host path: node to node, without an "
        "overlay. In files and caveats, vxlan/pod is VXLAN on the pod path and vxlan/pod#2 is its "
        "repeat. The repeat is the A/A check; the difference it shows is the noise floor.",
    ),
    (
        "Stand-in",
        "The kernel lacks the mode, so podbench reproduces it with the same bytes on the wire. "
        "Its CPU cost may differ from the original's.",
    ),
    (
        "Sessions and samples",
        "A session is one stream of probes from one node to another. n is the number of samples; "
        "effective n is the number of independent samples with the same information. SD is the "
        "standard deviation.",
    ),
    (
        "CPU and goodput",
        "Steal: CPU time the hypervisor gave to other guests. Softirq: CPU time the kernel spent "
        "on packets. Goodput: bytes delivered to the receiving program, without headers and "
        "retransmissions.",
    ),
)
"""Definitions of the terms in tables and plots, for the reading guide of every page."""


def floor_percent(ratio: float) -> str:
    """Returns the noise floor in percent: `1.8%` for 0.018."""
    return numbers.percent_change(1 + ratio).lstrip("+")


def blame(found: Blame, labels: Mapping[str, str]) -> Sentence:
    """Returns the sentence for one outlier: its size and the evidence."""
    words = metrics.metric_words(found.metric)
    kinds = {
        "node": "Node",
        "pair": "Pair",
        "host_cpu": "Host CPU of",
        "reflector": "Reflector on",
    }
    who = f"{kinds[found.kind]} {_ends(found.subject, labels)}"
    size = numbers.percent_change(found.effect_ratio).lstrip("+" + numbers.MINUS)
    side = "above" if found.effect_ratio >= 1 else "below"
    text = f"{who}: {words.phrase} is {size} {side} the others ({_sure(found)})"
    note = f"Evidence: {found.evidence}."
    return Sentence(text=text, verdict="outlier", note=note)


def _ends(subject: str, labels: Mapping[str, str]) -> str:
    """Short names of a node, or of both ends of a pair `a > b`."""
    for arrow, said in ((" > ", " to "), (" - ", " and ")):
        if arrow in subject:
            return said.join(labels.get(name, name) for name in subject.split(arrow))
    return labels.get(subject, subject)


def _sure(found: Blame) -> str:
    """Interval over blocks, and the adjusted p among all nodes or pairs."""
    parts = []
    if found.ci95 is not None:
        parts.append(f"95% CI {numbers.percent_change_interval(found.ci95)}")
    if found.p_adjusted is not None:
        p = "< 0.001" if found.p_adjusted < 0.001 else f"= {found.p_adjusted:.2g}"
        parts.append(f"adjusted p {p}")
    return ", ".join(parts) or f"z = {numbers.quantity(found.z, '')}"


def full_stop(text: str) -> str:
    """Returns a message as a sentence: capitalised if it starts with a word, with a full stop."""
    text = text.strip()
    first = text.partition(" ")[0]
    if first.isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    return stop(text)


def stop(text: str) -> str:
    """Returns the text with one full stop at its end."""
    return text if text.endswith((".", "!", "?")) else text + "."


def listed(items: Sequence[str]) -> str:
    """`a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
