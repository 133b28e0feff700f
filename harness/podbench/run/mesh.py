"""Which pairs measure when: the circle method, and who initiates.

The circle method fixes one node and rotates the rest: N-1 rounds for even N, N rounds (one node
idle) for odd N, each a perfect matching, every unordered pair exactly once. That is the lower bound
for one session per node. Source: Kirkman 1847.
"""

import itertools
import random
from collections.abc import Sequence

Pair = tuple[str, str]
"""A directed pair: the first initiates (latency) or sends (throughput)."""


def matchings(nodes: Sequence[str]) -> list[list[Pair]]:
    """Rounds of disjoint unordered pairs that cover the full mesh once.

    Raises:
        ValueError: Fewer than two nodes, or a name twice.
    """
    if len(nodes) < 2 or len(set(nodes)) != len(nodes):
        raise ValueError("a mesh takes two or more different nodes")
    ring: list[str | None] = [*nodes] if len(nodes) % 2 == 0 else [*nodes, None]
    rounds = []
    for _ in range(len(ring) - 1):
        half = len(ring) // 2
        facing = zip(ring[:half], reversed(ring[half:]), strict=True)
        rounds.append([(a, b) for a, b in facing if a is not None and b is not None])
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return rounds


def directed_pairs(nodes: Sequence[str]) -> list[Pair]:
    """Every ordered pair, in an order in which consecutive ones rarely share a node."""
    forth = [pair for matching in matchings(nodes) for pair in matching]
    return [*forth, *((b, a) for a, b in forth)]


def orient(pair: Pair, block: int, *, flipped: bool) -> Pair:
    """Who initiates in this block: it alternates, so each directed pair gets rows of its own."""
    a, b = sorted(pair)
    return (b, a) if (block % 2 == 1) == flipped else (a, b)


def rotating(pairs: Sequence[Pair], block: int, count: int, seed: int) -> list[Pair]:
    """The `count` directed pairs that carry transfers in a block; consecutive blocks cover all."""
    order = list(pairs)
    random.Random(seed).shuffle(order)  # noqa: S311 - a schedule, not a secret
    start = (block - 1) * count
    return list(itertools.islice(itertools.cycle(order), start, start + min(count, len(order))))


def split(matching: Sequence[Pair], *, exclusive: bool) -> list[list[Pair]]:
    """A matching as rounds: whole where nodes are machines, pair by pair where they share one."""
    return [[pair] for pair in matching] if exclusive else [list(matching)]
