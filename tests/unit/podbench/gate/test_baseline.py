"""A pair held against an earlier run whose transfers were capped."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from support import results

from podbench.analysis.figures import dotted, group_points
from podbench.analysis.figures.group_points import BlockStat, GroupPoints
from podbench.gate import baseline
from podbench.gate.evidence import Evidence
from podbench.gate.slo import Selection, Slo

TCP = "goodput_bps.tcp.p50"
CAP_BPS = 500_000_000


def _evidence(rate: float) -> Evidence:
    """What `gate_baseline` asks of a run: eight blocks at this rate, under the cap."""
    rng = np.random.default_rng(3)
    stats = [
        BlockStat(block=b, mean_log=log, union_log=log, pairs=1, n=7)
        for b, log in enumerate(np.log(rate) + rng.normal(0.0, 0.002, 8), 1)
    ]
    made = results.summary(results.pair(), spec={"transfer_most_bps": CAP_BPS})
    points = GroupPoints(
        stats={("vxlan/pod", TCP, group_points.pair_group("n1", "n2")): stats}, losses={}
    )
    return cast("Evidence", SimpleNamespace(summary=made, points=points))


@pytest.mark.parametrize(
    ("then", "now", "worse"),
    [
        (CAP_BPS, CAP_BPS, None),
        (CAP_BPS, 0.6 * CAP_BPS, True),
        (0.6 * CAP_BPS, 0.6 * CAP_BPS, False),
        (0.6 * CAP_BPS, CAP_BPS, False),
    ],
)
def test_a_baseline_at_its_cap_passes_nothing(then: float, now: float, worse: bool | None) -> None:
    """It could do more then; that it is worse now stands, that it is not was never seen."""
    slo = Slo(
        line=1,
        figure=dotted.FIGURES[TCP],
        selection=Selection(path="pod"),
        baseline=Path("runs/then"),
        worse_by=0.05,
        written="at most 5% worse than runs/then",
    )
    found = baseline._estimate(slo, results.pair(), _evidence(now), _evidence(then))
    assert found.worse is worse
    assert ("held by its own cap" in found.reason) is (worse is None)
