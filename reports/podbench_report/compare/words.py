"""Sentences about two runs: pure functions, each with its interval, its blocks and its verdict.

Runs are named as the user named them; nothing is said of providers, because one campaign each
cannot tell a provider from the day it was measured on.
"""

from collections.abc import Sequence

from podbench.analysis.compare.bundle import DESCRIPTIVE, REFUSED, Contrast, SideBySide
from podbench.analysis.compare.rank import Place, Ranking
from podbench.analysis.stats.verdicts import OPEN
from podbench_report import metrics, names, numbers
from podbench_report.wording import Sentence, listed

CLAIMS = ("different", "small", "equivalent")
LETTERS = "ABCDEFGHIJKL"
FEW = 4
"""Up to this many runs are told in sentences and named in full; beyond, tables speak."""
CAVEAT = (
    "One campaign each: a difference between two runs may be the place, or the day it was measured "
    "on. Only several campaigns of each place, on different days, tell the two apart."
)


def key(page: SideBySide, run: int) -> str:
    """What a run is called in sentences: its name, or its letter where there are more than two."""
    return page.cards[run].label if len(page.cards) == 2 else LETTERS[run]


def keys(page: SideBySide, labels: Sequence[str]) -> str:
    """Several runs, by their labels."""
    known = [card.label for card in page.cards]
    return listed([key(page, known.index(label)) for label in labels])


def heading(page: SideBySide, run: int) -> str:
    """What a run is called at the head of a row: its letter before its name, short among many."""
    labels = [card.label for card in page.cards]
    if len(labels) == 2:
        return labels[run]
    shown = labels if len(labels) <= FEW else list(names.short_labels(labels).values())
    return f"{LETTERS[run]} · {shown[run]}"


def row_label(row: str) -> str:
    """`VXLAN`, `VXLAN, host path`, `routed`."""
    return names.arm_label(row)


def verdict(contrast: Contrast) -> str:
    """The verdict's word; a descriptive or refused contrast says so instead."""
    if contrast.design == REFUSED:
        return REFUSED
    if contrast.design == DESCRIPTIVE and contrast.verdict == "inconclusive":
        return "descriptive"
    return contrast.verdict


def change(contrast: Contrast) -> str:
    """The change from base to other: in percent, for shares in points (0.1 to 0.5 % is +0.4)."""
    if contrast.ratio is None and contrast.difference is None:
        return numbers.NOT_MEASURED
    if contrast.unit == "ratio":
        points = numbers.quantity(contrast.difference, "ratio", signed=True)
        return f"{points.removesuffix('%')}percentage points"
    return numbers.percent_change(contrast.ratio, contrast.ci95)


def bounds(contrast: Contrast) -> str:
    """The interval of the change: in percent, for shares as a factor."""
    if contrast.ci95 is None:
        return ""
    if contrast.unit == "ratio":
        return f"{numbers.interval(contrast.ci95, '')} times as much"
    return numbers.percent_change_interval(contrast.ci95)


def sentence(page: SideBySide, contrast: Contrast) -> Sentence:
    """One contrast in words."""
    words = metrics.metric_words(contrast.metric)
    base, other = (key(page, i) for i in (contrast.base_run, contrast.other_run))
    where = f"{row_label(contrast.row)}: "
    about = f"the {words.phrase}"
    sure = _brackets(_certainty(contrast))
    if contrast.verdict == "equivalent" and contrast.ratio is None:
        text = f"{where}{about} of {other} and {base}, {contrast.reason}"
    elif contrast.ratio is None or contrast.verdict not in CLAIMS:
        text = f"{where}whether {about} differs between {other} and {base}{sure}"
    elif contrast.verdict == "equivalent":
        inside = contrast.reason or f"inside the margin of {numbers.margin(contrast.margin)}"
        text = f"{where}{about} of {other} beside that of {base}{sure}, {inside}"
    else:
        size = change(contrast).lstrip("+" + numbers.MINUS)
        text = f"{where}{about} of {other} is {size} {side(contrast)} than that of {base}{sure}"
    note = "Real, but within the margin." if contrast.verdict == "small" else None
    return Sentence(text=text, verdict=verdict(contrast), theme=words.theme, note=note)


def together(page: SideBySide, contrasts: Sequence[Contrast]) -> Sentence:
    """Several runs against the first on one figure and mode, all of one verdict."""
    first = contrasts[0]
    words = metrics.metric_words(first.metric)
    parts = []
    for contrast in contrasts:
        figures = [change(contrast)] if contrast.ratio is not None else []
        if contrast.ci95 is not None:
            figures.append(f"95{numbers.NBSP}% CI {bounds(contrast)}")
        if contrast.reason and contrast.reason != OPEN:
            figures.append(contrast.reason)
        parts.append(key(page, contrast.other_run) + _brackets(figures))
    base = key(page, first.base_run)
    text = f"{row_label(first.row)}: the {words.phrase} against {base}: {listed(parts)}"
    return Sentence(text=text, verdict=verdict(first), theme=words.theme)


def side(contrast: Contrast) -> str:
    """Which way: a time is longer or shorter, a rate or a share higher or lower."""
    up = (contrast.ratio or 1.0) >= 1
    if contrast.unit == "ns":
        return "longer" if up else "shorter"
    return "higher" if up else "lower"


def _certainty(contrast: Contrast) -> list[str]:
    parts = []
    if contrast.ratio is not None and contrast.verdict not in {"different", "small"}:
        parts.append(change(contrast))
    if contrast.ci95 is not None:
        parts.append(f"95{numbers.NBSP}% CI {bounds(contrast)}")
        parts.append(f"at least {numbers.plural(contrast.blocks, 'block')} each")
    if contrast.reason and contrast.verdict == "inconclusive":
        parts.append(contrast.reason)
    return parts


def _brackets(parts: Sequence[str]) -> str:
    return f" ({'; '.join(parts)})" if parts else ""


def place(page: SideBySide, one: Place) -> str:
    """`A (place 1)`, `L (places 11–12)`."""
    span = f"place {one.best}"
    if one.best != one.worst:
        span = f"places {one.best}{numbers.EN_DASH}{one.worst}"
    return f"{key(page, one.run)} ({span})"


def places(page: SideBySide, ranking: Ranking) -> str:
    """`place 1: B; places 2–3: A, C`: what shares places is not told apart."""
    told: dict[tuple[int, int], list[str]] = {}
    for one in ranking.places:
        told.setdefault((one.best, one.worst), []).append(key(page, one.run))
    return "; ".join(
        f"place {best}: {', '.join(who)}"
        if best == worst
        else f"places {best}{numbers.EN_DASH}{worst}: {', '.join(who)}"
        for (best, worst), who in told.items()
    )
