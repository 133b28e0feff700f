"""The circle method covers the mesh once, in rounds of disjoint pairs."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench.run import mesh


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


@given(st.integers(2, 12))
def test_directed_pairs(count: int) -> None:
    """Every ordered pair once."""
    nodes = [f"n{i}" for i in range(count)]
    assert sorted(mesh.directed_pairs(nodes)) == sorted(itertools.permutations(nodes, 2))


@given(st.booleans(), st.integers(1, 50))
def test_initiator_alternates(flipped: bool, block: int) -> None:
    """Consecutive blocks probe a pair from opposite ends, whichever way it was named."""
    now = mesh.orient(("n2", "n1"), block, flipped=flipped)
    assert now == mesh.orient(("n1", "n2"), block, flipped=flipped)
    assert now[::-1] == mesh.orient(("n1", "n2"), block + 1, flipped=flipped)


@given(st.integers(2, 6), st.integers(1, 10), st.integers(0, 1000))
def test_rotation_covers_every_directed_pair(count: int, per_visit: int, seed: int) -> None:
    """Over enough blocks each directed pair carries transfers."""
    pairs = mesh.directed_pairs([f"n{i}" for i in range(count)])
    blocks = -(-len(pairs) // min(per_visit, len(pairs)))
    seen = {p for b in range(1, blocks + 1) for p in mesh.rotating(pairs, b, per_visit, seed)}
    assert seen == set(pairs)
