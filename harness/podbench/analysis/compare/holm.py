"""Holm over a whole page: every contrast of all pairs, every figure, every two sides.

`different` and `small` stand only where the page's adjusted p says so too, and rankings rest on
what then stands.
"""

from collections.abc import Sequence

import msgspec

from podbench.analysis.compare import rank
from podbench.analysis.compare.bundle import WELCH, Contrast, Line
from podbench.analysis.findings import aa
from podbench.analysis.stats import multiple
from podbench.analysis.stats.verdicts import Decision, Word

_CLAIMS = {str(Word.DIFFERENT), str(Word.SMALL)}


def over(lines: Sequence[Line]) -> list[Line]:
    """The lines with adjusted p values; what chance allows on such a page is withdrawn."""
    tested = [c.p_value for line in lines for c in line.contrasts if c.p_value is not None]
    adjusted = iter(multiple.holm(tested).tolist())
    size = len(tested)
    return [
        msgspec.structs.replace(
            line,
            contrasts=tuple(
                c if c.p_value is None else _adjusted(c, next(adjusted), size)
                for c in line.contrasts
            ),
        )
        for line in lines
    ]


def _adjusted(contrast: Contrast, p: float, size: int) -> Contrast:
    if contrast.verdict not in _CLAIMS or p <= aa.SIGNIFICANCE:
        return msgspec.structs.replace(contrast, p_adjusted=p)
    return msgspec.structs.replace(
        contrast,
        p_adjusted=p,
        verdict=str(Word.INCONCLUSIVE),
        reason=f"not clear among the {size} comparisons of this page (adjusted p = {p:.2g})",
    )


def rankings(lines: Sequence[Line]) -> tuple[rank.Ranking, ...]:
    """Every ranking that the page's verdicts support."""
    found = []
    for line in lines:
        decisions = {
            (c.base_run, c.other_run): Decision(
                verdict=Word(c.verdict),
                ratio=c.ratio,
                ci95=c.ci95,
                blocks=c.blocks,
                p_value=c.p_adjusted,
            )
            for c in line.contrasts
            if c.design == WELCH
        }
        better = line.metric.startswith(("goodput_bps", "small_packets_pps"))
        one = rank.rank(line.metric, line.row, decisions, more_is_better=better)
        if one is not None:
            found.append(one)
    return tuple(found)
