"""Loss: what is counted, episodes, exact comparison."""

import numpy as np
import pytest
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
    assert loss.runs(np.empty(0, dtype=bool), np.array([0])) == loss.Runs(0, 0, 0)


def test_runs_are_counted_with_their_lengths() -> None:
    """Two episodes of three and one; their squares say how clustered the losses are."""
    lost = np.array([True, True, True, False, True])
    assert loss.runs(lost, np.array([0, 5])) == loss.Runs(2, 10, 3)


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
