"""The ladder's design: the same steps for every arm, each share three times in six blocks."""

from collections import Counter

from support.specs import make_spec

from podbench.campaign import plan
from podbench.campaign.ladder import design

NODES = ("n1", "n2", "n3")


def test_six_blocks_climb_each_share_three_times() -> None:
    """Each block takes two shares of each kind; six blocks take every pair of shares once."""
    for seed in range(5):
        blocks = [design.of_block(seed, block) for block in range(1, 7)]
        assert all(Counter(kind for kind, _ in one) == {"bulk": 2, "small": 2} for one in blocks)
        times = Counter(step for one in blocks for step in one)
        assert set(times.values()) == {3}
        assert len(times) == 2 * len(design.SHARES)
        pairs = {frozenset(s for k, s in one if k == "bulk") for one in blocks}
        assert len(pairs) == 6


def test_every_arm_of_a_block_climbs_the_same_steps_on_the_same_pair() -> None:
    """Arms differ in the order of their steps only; consecutive blocks load other pairs."""
    drawn = plan.draw(make_spec(probes=("latency", "ladder"), blocks=6), NODES, exclusive=True)
    pairs = set()
    orders = set()
    for block in range(1, 7):
        held = [
            tuple(s for r in v.rounds for s in r.steps) for v in drawn.visits if v.block == block
        ]
        assert len(held) == 4
        assert len({frozenset(steps) for steps in held}) == 1
        assert all(len(steps) == 4 for steps in held)
        orders |= {tuple((s.kind, s.share) for s in steps) for steps in held}
        pairs.add((held[0][0].src, held[0][0].dst))
    assert len(pairs) == 6
    assert len(orders) > 6


def test_steps_of_one_kind_and_share_run_together_on_disjoint_pairs() -> None:
    """Where nodes are machines a whole matching climbs at once."""
    nodes = ("n1", "n2", "n3", "n4")
    spec = make_spec(probes=("latency", "ladder"), blocks=6)
    rounds = [r for r in plan.draw(spec, nodes, exclusive=False).visits[0].rounds if r.steps]
    (climbing,) = rounds
    for steps in climbing.climbs:
        ends = [end for step in steps for end in (step.src, step.dst)]
        assert len(steps) == 2
        assert len(set(ends)) == 4
        assert len({(step.kind, step.share) for step in steps}) == 1
