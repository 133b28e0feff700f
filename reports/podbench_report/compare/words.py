"""Sentences about two runs: pure functions, each with interval, blocks and verdict.

Runs have the names the user gave them. No sentence is about a provider, because one campaign each
cannot separate the provider from the day.
"""

from collections.abc import Sequence

from podbench.analysis.compare.bundle import DESCRIPTIVE, REFUSED, Contrast, SideBySide
from podbench.analysis.compare.rank import Place, Ranking
from podbench.analysis.stats.verdicts import OPEN
from podbench_report import metrics, names, numbers
from podbench_report.wording import Sentence, listed

CLAIMS = ("different", "small", "equivalent")
LETTERS = "ABCDEFGHIJKL"
_NOTABLE = 0.2
"""Smaller relative changes of the machine are not worth a sentence."""
FEW = 4
"""Up to this many runs get sentences and full names; beyond, only tables."""
CAVEAT = (
    "One campaign each: a difference between two runs may come from the place or from the day. "
    "Three campaigns of each place, interleaved in time, separate the two."
)


def key(page: SideBySide, run: int) -> str:
    """Returns a run's name in sentences: its label, or its letter for more than two runs."""
    return page.cards[run].label if len(page.cards) == 2 else LETTERS[run]


def keys(page: SideBySide, labels: Sequence[str]) -> str:
    """Returns the names of several runs, by their labels."""
    known = [card.label for card in page.cards]
    return listed([key(page, known.index(label)) for label in labels])


def heading(page: SideBySide, run: int) -> str:
    """Returns a run's name in tables: its letter before its label, shortened among many runs."""
    labels = [card.label for card in page.cards]
    if len(labels) == 2:
        return labels[run]
    shown = labels if len(labels) <= FEW else list(names.short_labels(labels).values())
    return f"{LETTERS[run]} · {shown[run]}"


def row_label(row: str) -> str:
    """Returns `VXLAN`, `host path (alongside VXLAN)` or `routed`."""
    return names.arm_label(row)


def verdict(contrast: Contrast) -> str:
    """Returns the verdict, or `one campaign each` or `not compared`."""
    if contrast.design in {REFUSED, DESCRIPTIVE}:
        return contrast.design
    return contrast.verdict


def change(contrast: Contrast) -> str:
    """Returns the change from base to other in percent; for shares in percentage points."""
    if contrast.ratio is None and contrast.difference is None:
        return numbers.NOT_MEASURED
    if contrast.unit == "ratio":
        points = numbers.quantity(contrast.difference, "ratio", signed=True)
        return f"{points.removesuffix('%').rstrip(numbers.NBSP)}{numbers.NBSP}percentage points"
    return numbers.percent_change(contrast.ratio, contrast.ci95)


def bounds(contrast: Contrast) -> str:
    """Returns the interval of the change in percent; for shares as a factor."""
    return _span(contrast, contrast.ci95)


def within_runs(contrast: Contrast) -> str:
    """Returns the change that blocks inside the two runs allow: no interval between campaigns."""
    return _span(contrast, contrast.within_runs)


def _span(contrast: Contrast, found: tuple[float, float] | None) -> str:
    if found is None:
        return ""
    if contrast.unit == "ratio":
        return f"{numbers.interval(found, '')} times"
    return numbers.percent_change_interval(found)


def relative(contrast: Contrast) -> str:
    """Returns the change that remains relative to each run's own host path."""
    ratio = contrast.relative_ratio
    return numbers.percent_change(ratio) if ratio else numbers.EN_DASH


def host_sentences(page: SideBySide) -> tuple[str, ...]:
    """Returns what happened to the machines, for runs whose host paths differ."""
    out = []
    for run in range(1, len(page.cards)):
        moved = [one for one in page.hosts if one.other_run == run and one.moved]
        if not moved:
            continue
        said = [
            f"{metrics.metric_words(one.metric).phrase} {numbers.percent_change(one.ratio)}"
            for one in moved
        ]
        out.append(
            f"The host paths of {key(page, run)} and {key(page, 0)} differ ({listed(said)}). Host "
            "paths have no CNI: the machines or their load differ, so the differences below are "
            "not only the CNI's."
        )
        out += _machine(page, run)
    return tuple(out)


def _machine(page: SideBySide, run: int) -> list[str]:
    """Late probes, own host time, samples in doubt and steal of a run against the first run's."""
    if len(page.machines) <= run:
        return []
    here, there = page.machines[run], page.machines[0]
    parts = []
    for name, now, then, unit in (
        ("probes sent late", here.late_ratio, there.late_ratio, "ratio"),
        ("own host time (median)", here.own_host_ns, there.own_host_ns, "ns"),
        ("invalid samples", here.doubtful_ratio, there.doubtful_ratio, "ratio"),
        ("steal (p99)", here.steal_p99, there.steal_p99, "ratio"),
    ):
        if now is not None and then is not None and abs(now - then) > _NOTABLE * max(now, then):
            shown = numbers.quantity(now, unit), numbers.quantity(then, unit)
            parts.append(f"{name} {shown[0]} against {shown[1]}")
    return [f"On the machine of {key(page, run)}: {listed(parts)}."] if parts else []


def sentence(page: SideBySide, contrast: Contrast) -> Sentence:
    """Returns the sentence for one contrast."""
    words = metrics.metric_words(contrast.metric)
    base, other = (key(page, i) for i in (contrast.base_run, contrast.other_run))
    where = f"{row_label(contrast.row)}: "
    about = f"the {words.phrase}"
    sure = _brackets(_certainty(contrast))
    if contrast.verdict == "equivalent" and contrast.ratio is None:
        text = f"{where}{about} of {other} against {base}, {contrast.reason}"
    elif contrast.verdict not in CLAIMS or (contrast.ratio is None and contrast.difference is None):
        text = f"{where}{about} of {other} against {base}{sure}"
    elif contrast.verdict == "equivalent":
        inside = contrast.reason or f"within the margin of {numbers.margin(contrast.margin)}"
        text = f"{where}{about} of {other} against {base}{sure}, {inside}"
    else:
        size = change(contrast).lstrip("+" + numbers.MINUS)
        text = f"{where}{about} of {other} is {size} {side(contrast)} than that of {base}{sure}"
    note = "Real, but within the margin." if contrast.verdict == "small" else None
    return Sentence(text=text, verdict=verdict(contrast), theme=words.theme, note=note)


def together(page: SideBySide, contrasts: Sequence[Contrast]) -> Sentence:
    """Returns one sentence for several runs against the first: one metric, mode and verdict."""
    first = contrasts[0]
    words = metrics.metric_words(first.metric)
    parts = []
    for contrast in contrasts:
        figures = [change(contrast)] if contrast.ratio is not None else []
        if contrast.ci95 is not None:
            figures.append(f"95% CI {bounds(contrast)}")
        if contrast.reason and contrast.reason != OPEN:
            figures.append(contrast.reason)
        parts.append(key(page, contrast.other_run) + _brackets(figures))
    base = key(page, first.base_run)
    text = f"{row_label(first.row)}: the {words.phrase} against {base}: {listed(parts)}"
    return Sentence(text=text, verdict=verdict(first), theme=words.theme)


def side(contrast: Contrast) -> str:
    """Returns the direction of a change."""
    if contrast.ratio is None:
        return "higher" if (contrast.difference or 0.0) >= 0 else "lower"
    return "higher" if contrast.ratio >= 1 else "lower"


def _certainty(contrast: Contrast) -> list[str]:
    parts = []
    if contrast.ratio is not None and contrast.verdict not in {"different", "small"}:
        parts.append(change(contrast))
    if contrast.ci95 is not None:
        parts.append(f"95% CI {bounds(contrast)}")
        parts.append(f"at least {numbers.plural(contrast.blocks, 'campaign')} each")
    if contrast.reason and contrast.verdict == "inconclusive":
        parts.append(contrast.reason)
    return parts


def _brackets(parts: Sequence[str]) -> str:
    return f" ({'; '.join(parts)})" if parts else ""


def place(page: SideBySide, one: Place) -> str:
    """Returns `A (rank 1)` or `L (ranks 11–12)`."""
    span = f"rank {one.best}"
    if one.best != one.worst:
        span = f"ranks {one.best}{numbers.EN_DASH}{one.worst}"
    return f"{key(page, one.run)} ({span})"


def places(page: SideBySide, ranking: Ranking) -> str:
    """Returns `rank 1: B; ranks 2–3: A, C`; the order of runs that share ranks is inconclusive."""
    shared: dict[tuple[int, int], list[str]] = {}
    for one in ranking.places:
        shared.setdefault((one.best, one.worst), []).append(key(page, one.run))
    return "; ".join(
        f"rank {best}: {', '.join(who)}"
        if best == worst
        else f"ranks {best}{numbers.EN_DASH}{worst}: {', '.join(who)}"
        for (best, worst), who in shared.items()
    )
