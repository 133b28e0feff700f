"""The circle method covers the mesh once, in rounds of disjoint pairs."""

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench.campaign import mesh


@given(st.integers(2, 40))
def test_matchings_cover_the_mesh_once(count: int) -> None:
    """Every unordered pair once; no node twice in a round; as few rounds as can be."""
    nodes = [f"n{i}" for i in range(count)]
    rounds = mesh.matchings(nodes)
    pairs = [frozenset(pair) for matching in rounds for pair in matching]
    assert sorted(map(sorted, pairs)) == sorted(map(sorted, itertools.combinations(nodes, 2)))
    assert all(len({n for p in m for n in p}) == 2 * len(m) for m in rounds)
    assert len(rounds) == (count - 1 if count % 2 == 0 else count)


def test_one_node_is_no_mesh() -> None:
    """A mesh takes two nodes."""
    with pytest.raises(ValueError, match="two or more"):
        mesh.matchings(["n1"])


@given(st.integers(2, 12), st.booleans())
def test_directed(count: int, exclusive: bool) -> None:
    """Every ordered pair once; no node twice in a group."""
    nodes = [f"n{i}" for i in range(count)]
    groups = mesh.directed(
        [g for m in mesh.matchings(nodes) for g in mesh.split(m, exclusive=exclusive)]
    )
    assert sorted(p for g in groups for p in g) == sorted(itertools.permutations(nodes, 2))
    assert all(len({n for p in g for n in p}) == 2 * len(g) for g in groups)


@given(st.integers(51, 300), st.integers(0, 1000))
def test_a_large_mesh_is_a_regular_sample(count: int, seed: int) -> None:
    """Every node has max(8, ceil(2 log2 N)) peers, with odd N at most one less; no pair twice."""
    nodes = [f"n{i}" for i in range(count)]
    rounds = mesh.sampled(nodes, random.Random(seed))
    degree = max(8, math.ceil(2 * math.log2(count)))
    pairs = [frozenset(pair) for matching in rounds for pair in matching]
    assert len(rounds) == degree
    assert len(set(pairs)) == len(pairs)
    peers = Counter(node for pair in pairs for node in pair)
    least = degree if count % 2 == 0 else degree - 1
    assert set(peers) == set(nodes)
    assert {*peers.values()} <= {least, degree}
    assert all(len({n for p in m for n in p}) == 2 * len(m) for m in rounds)


def test_a_sample_is_drawn_anew_and_follows_its_seed() -> None:
    """Campaigns cover more of the mesh together; each can be repeated."""
    nodes = [f"n{i}" for i in range(60)]

    def drawn(seed: int) -> set[frozenset[str]]:
        return {frozenset(p) for m in mesh.sampled(nodes, random.Random(seed)) for p in m}

    assert drawn(1) == drawn(1)
    assert len(drawn(1) | drawn(2)) > 1.5 * len(drawn(1))


@given(st.integers(2, 50))
def test_a_mesh_of_fifty_is_whole(count: int) -> None:
    """Up to there every pair is measured."""
    nodes = [f"n{i}" for i in range(count)]
    assert mesh.sampled(nodes, random.Random(0)) == mesh.matchings(nodes)


@given(st.booleans(), st.integers(1, 50))
def test_initiator_alternates(flipped: bool, block: int) -> None:
    """Consecutive blocks probe a pair from opposite ends, whichever way it was named."""
    now = mesh.orient(("n2", "n1"), block, flipped=flipped)
    assert now == mesh.orient(("n1", "n2"), block, flipped=flipped)
    assert now[::-1] == mesh.orient(("n1", "n2"), block + 1, flipped=flipped)


@given(st.integers(2, 6), st.integers(1, 10), st.integers(0, 1000))
def test_rotation_covers_every_directed_pair(count: int, per_visit: int, seed: int) -> None:
    """Over enough blocks each group of directed pairs carries transfers."""
    pairs = mesh.directed(mesh.matchings([f"n{i}" for i in range(count)]))
    blocks = -(-len(pairs) // min(per_visit, len(pairs)))
    seen = {p for b in range(1, blocks + 1) for p in mesh.rotating(pairs, b, per_visit, seed)}
    assert seen == set(pairs)
