"""Which pairs measure when: the circle method, a sample of it, and who initiates.

The circle method fixes one node and rotates the rest: N-1 rounds for even N, N rounds (one node
idle) for odd N, each a perfect matching, every unordered pair exactly once. That is the lower bound
for one session per node. Source: Kirkman 1847.
"""

import itertools
import math
import random
from collections.abc import Sequence

Pair = tuple[str, str]
"""A directed pair: the first initiates (latency) or sends (throughput)."""
WHOLE_MESH_NODES = 50
"""Up to here every pair is measured: 49 rounds. Beyond, a visit would last hours."""
FEWEST_ROUNDS = 8
"""Of a sampled mesh: a node's effect is then known to about a third of what pairs vary by."""


def matchings(nodes: Sequence[str]) -> list[list[Pair]]:
    """Rounds of disjoint unordered pairs that cover the full mesh once.

    Raises:
        ValueError: Fewer than two nodes, or a name twice.
    """
    if len(nodes) < 2 or len(set(nodes)) != len(nodes):
        raise ValueError("a mesh needs two or more different nodes")
    ring: list[str | None] = [*nodes] if len(nodes) % 2 == 0 else [*nodes, None]
    rounds = []
    for _ in range(len(ring) - 1):
        half = len(ring) // 2
        facing = zip(ring[:half], reversed(ring[half:]), strict=True)
        rounds.append([(a, b) for a, b in facing if a is not None and b is not None])
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return rounds


def sampled(nodes: Sequence[str], rng: random.Random) -> list[list[Pair]]:
    """Rounds of disjoint pairs: the full mesh, or of a large one a random regular part.

    Beyond `WHOLE_MESH_NODES`, max(8, ceil(2 log2 N)) random rounds of a circle schedule whose nodes
    were put in random order: with even N every node has that many peers, with odd N at most one
    less. Pairs were as likely drawn as any others.

    Raises:
        ValueError: Fewer than two nodes, or a name twice.
    """
    if len(nodes) <= WHOLE_MESH_NODES:
        return matchings(nodes)
    ring = list(nodes)
    rng.shuffle(ring)
    count = max(FEWEST_ROUNDS, math.ceil(2 * math.log2(len(nodes))))
    return rng.sample(matchings(ring), count)


def directed(groups: Sequence[Sequence[Pair]]) -> list[tuple[Pair, ...]]:
    """Groups of pairs in one direction, then all of them in the other.

    So consecutive groups rarely share a node.
    """
    forth = [tuple(group) for group in groups]
    return [*forth, *(tuple((b, a) for a, b in group) for group in forth)]


def orient(pair: Pair, block: int, *, flipped: bool) -> Pair:
    """Who initiates in this block: it alternates, so each directed pair gets rows of its own."""
    a, b = sorted(pair)
    return (b, a) if (block % 2 == 1) == flipped else (a, b)


def without(groups: Sequence[Sequence[Pair]], nodes: Sequence[str]) -> list[list[Pair]]:
    """The groups' pairs that have none of these nodes; groups that are left empty go."""
    kept = [[pair for pair in group if not set(pair) & set(nodes)] for group in groups]
    return [group for group in kept if group]


def rotating(
    groups: Sequence[tuple[Pair, ...]], block: int, count: int, seed: int
) -> list[tuple[Pair, ...]]:
    """The `count` groups of directed pairs that carry transfers in a block.

    Consecutive blocks cover all of them.
    """
    order = list(groups)
    random.Random(seed).shuffle(order)  # noqa: S311 - a schedule, not a secret
    start = (block - 1) * count
    return list(itertools.islice(itertools.cycle(order), start, start + min(count, len(order))))


def split(matching: Sequence[Pair], *, exclusive: bool) -> list[list[Pair]]:
    """A matching as rounds: whole where nodes are machines, pair by pair where they share one."""
    return [[pair] for pair in matching] if exclusive else [list(matching)]
