"""Loss: episodes, intervals that know about bursts, exact comparison."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from support import synthetic

from podbench.analysis.samples import loss, loss_table, streams


def _lossy(truth: synthetic.Truth) -> streams.Streams:
    made = synthetic.run(5, synthetic.Shape(blocks=3, throughput=False, host=False), truth)
    return streams.read(made.latency)


def test_injected_forward_loss_comes_back() -> None:
    """1 % forward loss is found, forward only, inside its interval."""
    held = _lossy(synthetic.Truth(loss_forward={"vxlan/pod": 0.01}))
    found = loss_table.of_arm(loss_table.table(held), "vxlan/pod")
    assert found is not None
    assert found.ci95 is not None
    assert found.ci95[0] <= 0.01 <= found.ci95[1]
    assert found.lost_forward > 0
    assert (found.lost_backward, found.lost_unknown) == (0, 0)


def test_directions_are_told_apart() -> None:
    """Forward and backward losses stay in their own columns."""
    held = _lossy(synthetic.Truth(loss_forward={"bgp/pod": 0.02}, loss_backward={"bgp/pod": 0.05}))
    found = loss_table.of_arm(loss_table.table(held), "bgp/pod")
    assert found is not None
    assert found.lost_forward / found.sent == pytest.approx(0.02, abs=0.005)
    assert found.lost_backward / found.sent == pytest.approx(0.05, abs=0.007)


def test_runs_end_with_their_stream() -> None:
    """Adjacent losses in two streams are two episodes."""
    lost = np.array([False, True, True, True, True, False, True])
    first, length = loss._run_bounds(lost, np.array([0, 3, 7]))
    assert list(first) == [1, 3, 6]
    assert list(length) == [2, 2, 1]


def test_runs_of_nothing() -> None:
    """No rows, no runs."""
    first, length = loss._run_bounds(np.empty(0, dtype=bool), np.array([0]))
    assert len(first) == len(length) == 0
    assert loss.pairs_of_losses(np.empty(0, dtype=bool), np.array([0])) == (0, 0)


def test_conditional_loss_counts_followers() -> None:
    """P(lost | previous lost): three had a lost one before them, two of these were lost."""
    lost = np.array([True, True, True, False, True])
    assert loss.pairs_of_losses(lost, np.array([0, 5])) == (3, 2)


@pytest.mark.parametrize(("gone", "sent"), [(0, 100), (3, 100), (9, 1000), (97, 100), (100, 100)])
def test_few_losses_get_clopper_pearson(gone: int, sent: int) -> None:
    """The exact interval is scipy's."""
    theirs = stats.binomtest(gone, sent).proportion_ci(method="exact")
    assert loss.binomial_interval(gone, sent) == pytest.approx((theirs.low, theirs.high))


def test_more_losses_get_wilson() -> None:
    """From ten on the Wilson interval is scipy's."""
    theirs = stats.binomtest(40, 3000).proportion_ci(method="wilson")
    assert loss.binomial_interval(40, 3000) == pytest.approx((theirs.low, theirs.high))


@given(st.integers(1, 5000), st.floats(0, 1))
def test_interval_holds_its_ratio(sent: int, share: float) -> None:
    """Whatever the counts, the interval contains the ratio and stays in 0..1."""
    gone = round(share * sent)
    low, high = loss.binomial_interval(gone, sent)
    assert 0.0 <= low <= gone / sent + 1e-12
    assert gone / sent - 1e-12 <= high <= 1.0


def test_independent_losses_look_isolated() -> None:
    """Binomial losses pass in nearly all of 100 draws; ten-packet bursts never do."""
    rng = np.random.default_rng(8)
    starts = np.arange(0, 5001, 1000)
    passed = burst_passed = 0
    for _ in range(100):
        lost = rng.random(5000) < 0.01
        bursts = np.repeat(rng.random(500) < 0.01, 10)
        bursts[100:120] = True
        for pattern, kind in ((lost, "single"), (bursts, "burst")):
            after, again = loss.pairs_of_losses(pattern, starts)
            by_block = pattern.reshape(5, 1000).sum(axis=1)
            fine = loss.isolated(by_block, np.full(5, 1000), after, again)
            passed += fine and kind == "single"
            burst_passed += fine and kind == "burst"
    assert passed >= 93
    assert burst_passed == 0


def test_uneven_blocks_are_not_isolated() -> None:
    """All losses in one block of five are not five thousand coin tosses."""
    sent = np.full(5, 1000)
    assert not loss.isolated(np.array([50, 0, 0, 0, 0]), sent, 50, 0)
    wide = loss.ratio_interval(np.array([50, 0, 0, 0, 0]), sent, independent=False)
    narrow = loss.ratio_interval(np.array([50, 0, 0, 0, 0]), sent, independent=True)
    assert wide is not None
    assert narrow is not None
    assert wide[0] < narrow[0]
    assert wide[1] > narrow[1]


def test_one_block_of_bursts_has_no_interval() -> None:
    """Without a second block nothing is known about how bursts vary."""
    one = np.array([30]), np.array([1000])
    assert loss.ratio_interval(*one, independent=False) is None
    assert loss.ratio_interval(np.array([0]), np.array([0]), independent=True) is None


def test_few_losses_prove_nothing() -> None:
    """Five against none is what chance gives one time in sixteen."""
    assert loss.exact_p((0, 5), (15_000, 15_000)) == pytest.approx(2 / 32)
    assert loss.exact_p((0, 0), (10, 10)) == 1.0
    assert loss.exact_p((0, 60), (15_000, 15_000)) < 1e-6


def test_late_and_corrupted_count_as_lost() -> None:
    """Both are in the ratio, with no direction; rows not valid are in nothing."""
    made = synthetic.run(5, synthetic.Shape(nodes=2, blocks=1, throughput=False, host=False))
    assert made.latency is not None
    rows = made.latency[(made.latency["arm"] == "bgp/pod") & (made.latency["phase"] == "warm")]
    rows = rows.reset_index(drop=True)
    rows.loc[3, "status"], rows.loc[7, "status"] = "late", "corrupted"
    rows.loc[9, "status"], rows.loc[9, "valid"] = "lost_forward", False
    found = loss_table.of_arm(loss_table.table(streams.read(rows)), "bgp/pod")
    assert found is not None
    assert (found.sent, found.lost_unknown, found.lost_forward) == (999, 2, 0)
    assert found.episodes == 2


def test_episodes_name_their_direction() -> None:
    """A run of losses in both directions is mixed."""
    made = synthetic.run(5, synthetic.Shape(nodes=2, blocks=1, throughput=False, host=False))
    assert made.latency is not None
    rows = made.latency[(made.latency["arm"] == "bgp/pod") & (made.latency["phase"] == "warm")]
    rows = rows.reset_index(drop=True)
    rows.loc[3:5, "status"] = "lost_backward"
    rows.loc[10, "status"], rows.loc[11, "status"] = "lost_forward", "lost_backward"
    found = [(e.start, e.length, e.direction) for e in loss.episodes(streams.read(rows))]
    assert found == [(3, 3, "backward"), (10, 2, "mixed")]
