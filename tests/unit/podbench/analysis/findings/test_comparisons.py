"""What a comparison claims, and what it withdraws."""

import numpy as np
import pytest

from podbench.analysis.findings import comparisons
from podbench.analysis.samples.metrics import BY_NAME
from podbench.analysis.stats import verdicts
from podbench.analysis.stats.verdicts import Word

P50 = BY_NAME["rtt_kernel_ns.p50"]
CLEAR = verdicts.decide(np.log(1.2) + 0.001 * np.arange(8), P50.margin)


def test_a_difference_inside_the_floor_is_withdrawn_and_says_how_long() -> None:
    """The floor falls with the root of the blocks: half of it takes four times as many."""
    effect = abs(float(np.log(CLEAR.ratio or 0.0)))
    found = comparisons.below_floor(P50, CLEAR, 2_000.0, 2.0 * effect)
    assert found.verdict is Word.INCONCLUSIVE
    assert found.ratio == CLEAR.ratio
    assert found.blocks_needed == 33
    assert found.reason is not None
    assert found.reason.startswith("within this run's noise floor, 4")
    assert found.reason.endswith("about 33 blocks would bring the floor below it")


def test_a_hopeless_floor_promises_nothing() -> None:
    """A hundred times the effect would take ten thousand times the blocks: no advice."""
    found = comparisons.below_floor(P50, CLEAR, 2_000.0, 20.0)
    assert found.verdict is Word.INCONCLUSIVE
    assert "would bring" not in (found.reason or "")


def test_more_blocks_do_not_sharpen_the_instrument() -> None:
    """Below what the stamps can tell apart no number of blocks helps."""
    found = comparisons.below_floor(P50, CLEAR, 300.0, None)
    assert (found.verdict, found.blocks_needed) == (Word.INCONCLUSIVE, None)
    assert "resolution of this measurement" in (found.reason or "")


@pytest.mark.parametrize("floor_log", [None, 0.01])
def test_a_difference_above_both_stands(floor_log: float | None) -> None:
    """Nothing is withdrawn without a cause."""
    assert comparisons.below_floor(P50, CLEAR, 2_000.0, floor_log) is CLEAR


def test_what_claims_no_difference_has_nothing_to_withdraw() -> None:
    """An equivalence inside the floor stays, and so does an open question with its own advice."""
    same = verdicts.decide(np.linspace(-0.004, 0.003, 8), P50.margin)
    loose = verdicts.decide(np.linspace(-0.8, 0.6, 8), P50.margin)
    assert comparisons.below_floor(P50, same, 10.0, 1.0) == same
    assert comparisons.below_floor(P50, loose, 10.0, 1.0) == loose


def test_modes_are_held_against_the_least_encapsulated() -> None:
    """Pod arms only, the A/A repeat is no mode; the repeats are pairs of their own."""
    arms = ("vxlan/pod", "vxlan/host", "ipip/pod", "bgp/pod", "vxlan/pod#2")
    assert comparisons.between_modes_of(arms) == [
        ("bgp/pod", "vxlan/pod"),
        ("bgp/pod", "ipip/pod"),
    ]
    assert comparisons.repeats(arms) == [("vxlan/pod", "vxlan/pod#2")]
    assert comparisons.between_modes_of(("vxlan/host",)) == []
