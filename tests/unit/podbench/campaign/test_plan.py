"""A plan holds every arm once per block, follows from its seed, and fits its budget."""

import msgspec
import pytest
from support.specs import MODES, make_spec

from podbench.campaign import cost, plan
from podbench.campaign.spec import DEFAULT_BLOCKS, RunSpec
from podbench.model.arms import Mode, Path
from podbench.model.errors import ConfigError
from podbench.model.nodes import AgentId, Node

NODES = ("n1", "n2", "n3")


def test_every_block_has_every_arm_and_one_twice() -> None:
    """Each block is every mode once and the first once more."""
    drawn = plan.draw(make_spec(), NODES, exclusive=True)
    for block in range(1, 6):
        arms = sorted(v.arm.name for v in drawn.visits if v.block == block)
        assert arms == ["bgp/pod", "ipip/pod", "vxlan/pod", "vxlan/pod#2"]


def test_order_is_random_but_follows_the_seed() -> None:
    """The same seed draws the same plan; blocks differ in their order."""
    drawn = plan.draw(make_spec(), NODES, exclusive=True)
    assert drawn == plan.draw(make_spec(), NODES, exclusive=True)
    assert drawn != plan.draw(make_spec(seed=8), NODES, exclusive=True)
    orders = {tuple(v.arm.name for v in drawn.visits if v.block == b) for b in range(1, 6)}
    assert len(orders) > 1


def test_modes_that_are_switched_are_mirrored_from_block_to_block() -> None:
    """ABBA: drift is shared, and the repeat of the A/A check lies beyond a change of mode."""
    spec = msgspec.structs.replace(make_spec(blocks=6), method="switch")
    drawn = plan.draw(spec, NODES, exclusive=False)
    orders = [[v.arm.name for v in drawn.visits if v.block == block] for block in range(1, 7)]
    assert [one[::-1] for one in orders[::2]] == orders[1::2]
    assert all({one[0], one[-1]} == {"vxlan/pod", "vxlan/pod#2"} for one in orders)
    assert len({tuple(one) for one in orders[::2]}) > 1


def test_one_pair_at_a_time_where_nodes_share_a_machine() -> None:
    """On the lab a warm round is one pair; elsewhere a round is a whole matching."""
    nodes = ("n1", "n2", "n3", "n4")
    alone = plan.draw(make_spec(), nodes, exclusive=True).visits[0]
    assert [len(r.pairs) for r in alone.rounds] == [1] * 6 + [6]
    parallel = plan.draw(make_spec(), nodes, exclusive=False).visits[0]
    assert [len(r.pairs) for r in parallel.rounds] == [2] * 3 + [6]


def test_arms_of_a_block_carry_the_same_transfers() -> None:
    """Transfers rotate over blocks, so that all directed pairs are covered, and never over arms."""
    drawn = plan.draw(make_spec(), NODES, exclusive=True)
    covered: set[tuple[str, str]] = set()
    for block in range(1, 6):
        per_arm = {
            frozenset((t.src, t.dst) for r in v.rounds for t in r.transfers if t.path is Path.POD)
            for v in drawn.visits
            if v.block == block
        }
        assert len(per_arm) == 1
        covered |= per_arm.pop()
    assert len(covered) == 6


def test_initiators_are_the_same_in_every_arm_of_a_block() -> None:
    """Arms of a block are compared, so they probe in the same directions."""
    drawn = plan.draw(make_spec(), NODES, exclusive=True)
    for block in range(1, 6):
        directions = {
            frozenset(p for r in v.rounds for p in r.pairs)
            for v in drawn.visits
            if v.block == block
        }
        assert len(directions) == 1


def test_budget_decides_the_blocks() -> None:
    """As many blocks as fit, never more than the time given."""
    drawn = plan.draw(make_spec(blocks=None, budget_s=300), NODES, exclusive=True)
    assert drawn.total_s <= 300
    assert drawn.blocks >= 5


def test_a_minute_is_enough_for_two_nodes() -> None:
    """`--budget 60s` with two nodes is at least one block (contract)."""
    drawn = plan.draw(make_spec(blocks=None, budget_s=60), ("n1", "n2"), exclusive=True)
    assert drawn.blocks >= 1


def test_budget_too_short_says_what_is_needed() -> None:
    """A budget below one block names the time a block takes."""
    with pytest.raises(ConfigError, match="a block takes"):
        plan.draw(make_spec(blocks=None, budget_s=5), NODES, exclusive=True)


def test_throughput_alone_has_no_idle_round() -> None:
    """Without the latency probe only rounds with transfers remain."""
    drawn = plan.draw(make_spec(probes=("throughput",)), NODES, exclusive=True)
    assert all(r.transfers for v in drawn.visits for r in v.rounds)


def test_more_blocks_tell_smaller_differences() -> None:
    """One block has no interval; more blocks narrow it."""
    assert plan.smallest_detectable_ratio("rtt_kernel_ns.p50", 1) is None
    five = plan.smallest_detectable_ratio("rtt_kernel_ns.p50", 5)
    ten = plan.smallest_detectable_ratio("rtt_kernel_ns.p50", 10)
    assert five is not None
    assert ten is not None
    assert 1 < ten < five


def on_a_cluster(**changes: object) -> RunSpec:
    """The same specification for a cluster."""
    return msgspec.structs.replace(make_spec(), target="kubernetes", **changes)


def test_transfers_of_disjoint_pairs_run_together() -> None:
    """In a batch no node is twice; together the batches are the round's transfers."""
    nodes = tuple(f"n{i}" for i in range(1, 9))
    drawn = plan.draw(on_a_cluster(), nodes, exclusive=False)
    sizes = set()
    for planned in drawn.visits[0].rounds:
        for batch in planned.batches:
            names = [name for each in batch for name in (each.src, each.dst)]
            assert len(names) == len(set(names))
            assert len({(each.probe, each.path) for each in batch}) == 1
            sizes.add(len(batch))
        assert [each for batch in planned.batches for each in batch] == list(planned.transfers)
    assert sizes == {4}


def test_where_nodes_share_a_machine_a_transfer_is_alone() -> None:
    """One after the other, as the latency."""
    drawn = plan.draw(make_spec(), ("n1", "n2", "n3", "n4"), exclusive=True)
    rounds = [r for visit in drawn.visits for r in visit.rounds]
    assert all(len(batch) == 1 for planned in rounds for batch in planned.batches)


def test_a_cluster_s_transfers_are_long_where_the_budget_allows() -> None:
    """12 s; a budget too short for enough blocks of these makes them shorter, not fewer."""
    full = plan.draw(on_a_cluster(blocks=DEFAULT_BLOCKS), NODES, exclusive=False)
    assert full.pace.transfer_s == 12
    assert full.blocks == DEFAULT_BLOCKS
    tight = on_a_cluster(blocks=None, budget_s=0.6 * full.total_s)
    short = plan.draw(tight, NODES, exclusive=False)
    assert short.pace.transfer_s < 12
    assert short.blocks >= DEFAULT_BLOCKS
    assert short.total_s <= 0.6 * full.total_s


def test_a_refused_mode_takes_no_time() -> None:
    """It is in no block, and another is the one that is measured twice."""
    drawn = plan.draw(on_a_cluster(refused={Mode.VXLAN: "why not"}), NODES, exclusive=False)
    assert drawn.modes == (Mode.IPIP, Mode.BGP)
    assert drawn.aa_mode == Mode.IPIP
    with pytest.raises(ConfigError, match="none of them is possible here"):
        plan.draw(on_a_cluster(refused=dict.fromkeys(MODES, "no")), NODES, exclusive=False)


def test_a_large_mesh_is_sampled_and_every_arm_sees_the_same_pairs() -> None:
    """Pairs are compared between arms: so all visits have the same."""
    nodes = tuple(f"n{i}" for i in range(60))
    drawn = plan.draw(on_a_cluster(blocks=2), nodes, exclusive=False)
    meshes = {
        frozenset(frozenset(p) for r in visit.rounds for p in r.pairs) for visit in drawn.visits
    }
    assert meshes == {frozenset(frozenset(p) for group in drawn.groups for p in group)}
    assert len(drawn.groups) == 12


def test_bytes_are_counted_and_those_across_zones() -> None:
    """A capped transfer is its rate by its time; without a cap nobody knows."""
    drawn = plan.draw(on_a_cluster(blocks=1), ("n1", "n2"), exclusive=False)
    same = cost.expect(drawn, cost.on_cluster(80_000_000, {"n1": "a", "n2": "a"}))
    apart = cost.expect(drawn, cost.on_cluster(80_000_000, {"n1": "a", "n2": "b"}))
    assert same.sent_bytes is not None
    assert same.sent_bytes > same.transfers * 12 * 10_000_000
    assert (same.cross_zone_bytes, apart.cross_zone_bytes) == (0, same.sent_bytes)
    unknown = cost.expect(drawn, cost.on_cluster(80_000_000, {"n1": "a", "n2": None}))
    assert unknown.cross_zone_bytes is None
    assert cost.expect(drawn, cost.on_cluster(None, {"n1": "a", "n2": "a"})).sent_bytes is None


def test_once_nics_are_read_the_bytes_are_those_of_their_cap() -> None:
    """What was assumed before is said as it is; who tells no speed is counted."""
    drawn = plan.draw(on_a_cluster(blocks=1), ("n1", "n2"), exclusive=False)

    def nodes(*speeds: int | None) -> list[Node]:
        return [
            Node(f"n{number}", "192.0.2.1", AgentId(f"n{number}-host"), 1500, nic_bps=speed)
            for number, speed in enumerate(speeds, 1)
        ]

    fast = cost.expect(drawn, cost.on_cluster(1_000_000_000, {})).sent_bytes
    assert fast is not None
    told = cost.once_known(drawn, nodes(10_000_000_000, 25_000_000_000), 1_000_000_000)
    assert told is not None
    assert "at most 1 Gbit/s (the slowest NIC reports 10 Gbit/s)" in told
    assert f"about {fast / 1e9:.2f} GB for the whole plan" in told
    some = cost.once_known(drawn, nodes(10_000_000_000, None), 500_000_000)
    assert "10 Gbit/s, 1 of 2 report none" in str(some)
    assert "no NIC reports its speed" in str(cost.once_known(drawn, nodes(None, None), 500_000_000))
    assert "is unknown" in str(cost.once_known(drawn, nodes(None, None), None))
