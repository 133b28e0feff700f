"""Campaigns of two places against each other, with a campaign effect of 5%."""

import numpy as np
from bench.statistics.tables import Row, Table

from podbench.analysis.compare import campaigns
from podbench.analysis.stats import multiple
from podbench.analysis.stats.verdicts import Word

FIGURES, MARGIN, SPREAD = 12, 0.05, 0.05


def table(into: Table, runs: int, seed: int) -> None:
    """Adds the rows: equal places on a page of 12 figures, and a true difference."""
    for number, before in ((1, "36-45% of figures ranked"), (3, ""), (5, "")):
        rng = np.random.default_rng((seed, number))
        alarms = found = 0
        for _ in range(runs):
            equal = rng.normal(0.0, SPREAD, (FIGURES, 2, number))
            alarms += bool(_different(equal).any())
            equal[0, 1] += np.log1p(0.30)
            found += bool(_different(equal)[0])
        into.add(
            Row(
                claim="campaigns, equal",
                setting=f"{number} a side, page of {FIGURES} figures",
                nominal=0.05,
                side="at most",
                reached=alarms / runs,
                runs=runs,
                before=before,
            )
        )
        into.add(
            Row(
                claim="campaigns, power",
                setting=f"30% apart, {number} a side",
                nominal=None,
                side="shown",
                reached=found / runs,
                runs=runs,
            )
        )


def _different(values: np.ndarray) -> np.ndarray:
    decisions = [campaigns.decide(base, other, MARGIN) for base, other in values]
    p = [1.0 if one.p_value is None else one.p_value for one in decisions]
    words = np.array([one.verdict is Word.DIFFERENT for one in decisions])
    return words & (multiple.holm(p) <= 0.05)
