"""From figures to sentences: pure functions, one verdict each, always with the interval.

A sentence says what was found, by how much, how surely and from how many blocks. It never says "no
difference": either `equivalent` was shown, or it could not be told. Text only; templates escape it.
"""

from collections.abc import Mapping, Sequence

import msgspec

from podbench.model.arms import is_stand_in
from podbench.model.summary import (
    AaCheck,
    Blame,
    Comparison,
    LossSummary,
    OverlayTax,
)
from podbench_report import metrics, names, numbers

LAB_HEADING = "network namespaces on one machine, not your cluster"


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """One statement. `text` ends before the verdict, so that the page can set that word apart."""

    text: str
    verdict: str
    theme: str = ""
    note: str | None = None

    def __str__(self) -> str:
        """The whole sentence as plain text."""
        note = f" {self.note}" if self.note else ""
        return f"{self.text}: {self.verdict}.{note}"


def subject(arm: str, implementations: Mapping[str, str | None]) -> str:
    """`VXLAN`; `IPIP (stand-in: eBPF at tc)` where the mode was not the kernel's own."""
    how = implementations.get(names.mode_of(arm))
    label = names.arm_label(arm)
    return f"{label} (stand-in: {how})" if is_stand_in(how) else label


def comparison(c: Comparison, implementations: Mapping[str, str | None]) -> Sentence:
    """The sentence for one comparison, whatever its verdict."""
    words = metrics.metric_words(c.metric)
    other, base = subject(c.other, implementations), subject(c.base, implementations)
    if c.verdict in {"different", "small"} and c.ratio is not None:
        text = f"{other} {_effect(c, words)} compared with {base}"
    elif c.verdict == "equivalent" and c.ratio is None:
        because = f" ({c.reason})" if c.reason else ""
        text = f"{other} and {base} in the {words.phrase}{because}"
    elif c.verdict == "equivalent":
        change = numbers.percent_change(c.ratio, c.ci95)
        text = (
            f"{other} changes the {words.phrase} by {change} compared with {base} "
            f"({_certainty(c)}), "
            f"{c.reason or f'inside the margin of {numbers.margin(c.margin)}'}"
        )
    elif c.verdict == "not measured":
        because = f" ({c.reason})" if c.reason else ""
        text = f"{other} against {base}, {words.phrase}{because}"
    else:
        text = _open_question(c, f"Whether {other} and {base} differ in the {words.phrase}")
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
        return f"{'multiplies' if rises else 'lowers'} the {words.phrase} {amount} ({sure})"
    if words.more_is_better:
        verb = "raises" if rises else "lowers"
        return f"{verb} the {words.phrase} by {amount} ({sure})"
    verb, joint = ("adds", "to") if rises else ("takes", "off")
    return f"{verb} {amount} ({sure}) {joint} the {words.phrase}"


def _times(ratio: float | None) -> str:
    return (
        numbers.NOT_MEASURED if ratio is None else f"by a factor of {numbers.quantity(ratio, '')}"
    )


def _certainty(c: Comparison) -> str:
    """What stands in brackets: the interval in units if known, else in percent, and the blocks."""
    blocks = numbers.plural(c.blocks, "block")
    if c.difference_ci95 is not None and c.verdict in {"different", "small"}:
        size, bounds = abs(c.difference or 0.0), _outward(c.difference_ci95, c.difference)
        return f"95{numbers.NBSP}% CI {numbers.estimate(size, bounds, c.unit)[1]}, {blocks}"
    if c.ci95 is None:
        return f"no interval from {blocks}"
    bounds_text = numbers.percent_change_interval(c.ci95)
    if c.verdict == "equivalent":
        return f"95{numbers.NBSP}% CI {bounds_text}, {blocks}"
    change = numbers.percent_change(c.ratio, c.ci95)
    return f"{change}, 95{numbers.NBSP}% CI {bounds_text}, {blocks}"


def _outward(bounds: tuple[float, float], sign: float | None) -> tuple[float, float]:
    """Bounds of a change's size: those of a reduction turn round, as its amount is shown bare."""
    return (-bounds[1], -bounds[0]) if sign is not None and sign < 0 else bounds


def _open_question(c: Comparison, question: str) -> str:
    if c.ci95 is None:
        gives = "gives" if c.blocks == 1 else "give"
        because = f" ({c.reason})" if c.reason else ""
        return f"{question}: {numbers.plural(c.blocks, 'block')} {gives} no interval{because}"
    text = (
        f"{question}: {numbers.percent_change(c.ratio, c.ci95)}, but anything from "
        f"{numbers.percent_change_interval(c.ci95)} fits "
        f"(95{numbers.NBSP}% CI, {numbers.plural(c.blocks, 'block')})"
    )
    if c.reason:
        text += f"; {c.reason}"
    if c.smallest_detectable_ratio is not None:
        smallest = numbers.percent_change(c.smallest_detectable_ratio).lstrip("+")
        text += f"; a change of {smallest} or more would have been seen"
    return text


def _note(c: Comparison) -> str | None:
    notes = []
    if c.verdict == "small":
        notes.append(f"Real, but within the margin of {numbers.margin(c.margin)}.")
    if c.disagreement:
        notes.append("The robust twin of this interval (Hodges-Lehmann) disagrees: take care.")
    return " ".join(notes) or None


def not_measured(
    comparisons: Sequence[Comparison], implementations: Mapping[str, str | None]
) -> tuple[Sentence, ...]:
    """One sentence for each pair of arms and reason, naming all its metrics."""
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
    """One sentence for each inconclusive comparison; those without an interval share one."""
    unclear = [c for c in comparisons if c.verdict == "inconclusive"]
    out = [comparison(c, implementations) for c in unclear if c.ci95 is not None]
    rest = [c for c in unclear if c.ci95 is None]
    for (other, base, reason), shorts in _by_arms(rest, implementations).items():
        because = reason or "too few blocks for an interval"
        text = f"Whether {other} and {base} differ in {listed(shorts)} ({because})"
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
    """The sentence for what a mode's pods pay over the host path of the same node pairs."""
    words = metrics.metric_words(tax.metric)
    who = subject(tax.mode, implementations)
    if tax.difference is None:
        text = f"{who} against the host path, {words.phrase}"
        return Sentence(text=text, verdict="not measured", theme="Overlay tax")
    bounds = None if tax.ci95 is None else _outward(tax.ci95, tax.difference)
    size, within = numbers.estimate(abs(tax.difference), bounds, tax.unit)
    sure = f"95{numbers.NBSP}% CI {within}" if within else "no interval"
    rises = tax.difference >= 0
    if words.more_is_better:
        effect = f"{'raises' if rises else 'lowers'} the {words.phrase} by {size} ({sure})"
    else:
        verb, joint = ("adds", "to") if rises else ("takes", "off")
        effect = f"{verb} {size} ({sure}) {joint} the {words.phrase}"
    text = f"Over the host path of the same node pairs, {who} {effect}"
    return Sentence(text=text, verdict=tax.verdict, theme="Overlay tax")


def loss(arm: str, losses: LossSummary, implementations: Mapping[str, str | None]) -> Sentence:
    """The sentence for one arm's lost probes, with direction."""
    who = subject(arm, implementations)
    if losses.sent == 0:
        return Sentence(text=f"Loss on {who}", verdict="not measured", theme="Loss")
    sure = (
        ""
        if losses.ci95 is None
        else f" (95{numbers.NBSP}% CI {numbers.interval(losses.ci95, 'ratio')})"
    )
    lost = losses.lost_forward + losses.lost_backward + losses.lost_unknown
    if lost == 0:
        text = f"{who} lost none of {numbers.count(losses.sent)} probes{sure}"
        return Sentence(text=text, verdict="no loss seen", theme="Loss")
    text = (
        f"{who} lost {numbers.count(lost)} of {numbers.count(losses.sent)} probes, "
        f"{numbers.share(losses.ratio)}{sure}: {numbers.count(losses.lost_forward)} on the way "
        f"there, {numbers.count(losses.lost_backward)} on the way back, "
        f"{numbers.count(losses.lost_unknown)} unknown, in {numbers.plural(losses.episodes, 'run')}"
    )
    verdict = "all lost" if lost >= losses.sent else "loss"
    return Sentence(text=text, verdict=verdict, theme="Loss")


FEW_BEYOND = "A quantile with fewer than ten samples beyond it in a block is not measured."
"""For captions of tables of quantiles: a plot of all blocks together may reach further."""


def aa_check(check: AaCheck | None, floor: Mapping[str, float], alone: int = 0) -> Sentence:
    """What the same mode measured twice says about the run itself.

    Args:
        check: The check, null where no mode was measured twice.
        floor: The noise floor by metric, 0.018 for 1.8 %.
        alone: Its comparisons that are `different` before the correction for their number.
    """
    if check is None or check.passed is None:
        text = "A/A check (the same mode measured twice)"
        return Sentence(text=text, verdict="not measured", theme="Noise floor")
    compared = numbers.plural(check.comparisons, "comparison")
    if check.passed:
        text = (
            f"The same mode measured twice came out different in none of {compared}{_floor(floor)}"
        )
        if alone:
            looks = "looks different by itself" if alone == 1 else "look different by themselves"
            text += (
                f"; {alone} of the {check.comparisons} {looks}, as chance allows "
                "in that many (Holm's correction)"
            )
        return Sentence(text=text, verdict="A/A check passed", theme="Noise floor")
    text = (
        f"The same mode measured twice came out different in {check.false_alarms} of {compared}"
        f"{_floor(floor)}; do not trust the verdicts of this run"
    )
    return Sentence(text=text, verdict="A/A check failed", theme="Noise floor")


def _floor(floor: Mapping[str, float]) -> str:
    told = [
        f"{floor_percent(floor[m])} in {metrics.metric_words(m).short}"
        for m in metrics.HEADLINES
        if m in floor
    ][:4]
    return f"; differences below {listed(told)} are noise here" if told else ""


WORDS: tuple[tuple[str, str], ...] = (
    (
        "Kernel, app; warm, idle, loaded",
        "RTT is the round trip. Kernel RTT: between kernel time stamps, the reflector's own time "
        "taken out. App RTT: what a program feels. Warm: at the full rate of probes; idle: at 20 a "
        "second, caches cold; loaded: beside a transfer. p50 is the median; of 100 probes 99 are "
        "within p99.",
    ),
    (
        "Arms and paths",
        "An arm is a mode on a path. Pod path: from pod to pod; host path: from node to node, "
        "without an overlay. In files and doubts vxlan/pod is VXLAN on the pod path, vxlan/pod#2 "
        "the same once more. That repeat is the A/A check; what it differs by is the noise floor.",
    ),
    (
        "Stand-in",
        "A mode that this kernel lacks, made in another way with the same bytes on the wire: its "
        "CPU cost need not be the original's.",
    ),
    (
        "Sessions and samples",
        "A session is one stream of probes from one node to one other. n counts samples; effective "
        "n is how many independent ones they are worth. SD is the standard deviation.",
    ),
    (
        "CPU words",
        "Stolen: time the hypervisor gave to others. Softirq: time the kernel spent on packets. "
        "Goodput: what the receiving program got, headers and resent bytes not counted.",
    ),
)
"""The words of tables and plots, for the reading guide of every page."""


def floor_percent(ratio: float) -> str:
    """The noise floor, 0.018 for 1.8 %, in percent."""
    return numbers.percent_change(1 + ratio).lstrip("+")


def blame(found: Blame, labels: Mapping[str, str]) -> Sentence:
    """Who stands out, by how much, and on what evidence."""
    words = metrics.metric_words(found.metric)
    kinds = {
        "node": "Node",
        "pair": "Pair",
        "host_cpu": "The CPU of host",
        "reflector": "The reflector of",
    }
    who = f"{kinds[found.kind]} {_ends(found.subject, labels)}"
    size = numbers.percent_change(found.effect_ratio).lstrip("+" + numbers.MINUS)
    side = "above" if found.effect_ratio >= 1 else "below"
    text = (
        f"{who}: the {words.phrase} is {size} {side} that of the others "
        f"(robust z = {numbers.quantity(found.z, '')})"
    )
    note = f"Evidence: {found.evidence}."
    return Sentence(text=text, verdict="stands out", note=note)


def _ends(subject: str, labels: Mapping[str, str]) -> str:
    """A node, or the two of a pair `a > b`, by their short names."""
    ends = [labels.get(name, name) for name in subject.split(" > ")]
    return " to ".join(ends)


def full_stop(text: str) -> str:
    """A message as a sentence: a capital where it starts with a word, a full stop at its end."""
    text = text.strip()
    first = text.partition(" ")[0]
    if first.isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    return stop(text)


def stop(text: str) -> str:
    """The text with one full stop at its end."""
    return text if text.endswith((".", "!", "?")) else text + "."


def listed(items: Sequence[str]) -> str:
    """`a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
