"""Collects the evidence for an arm from a world, pair by pair, and has it judged.

Every driver verifies the same way: unordered pairs one at a time, so that nothing but one pair's
probes crosses a tunnel while its counters are read. What differs between CNIs, their pools, is
passed in. `evidence` reads meaning into facts, `proof` decides.
"""

from collections.abc import Sequence
from itertools import combinations

import msgspec

from podbench.cni.base import Capturing, Pool, ProbeWindow, World
from podbench.cni.evidence import Window, counters, moved
from podbench.cni.proof import decided, prove_arm, prove_pair
from podbench.cni.routes import Counter, Way, resolve, session_up
from podbench.model.facts import ArmProof, NodeFacts, PairProof
from podbench.model.nodes import Node

ATTEMPTS = 2
"""Proof windows a pair: a second when stray packets kept the first from deciding."""


class Inquiry(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be proven, and how."""

    pool: Pool
    """The pool of the mode asked for."""
    pools: tuple[Pool, ...]
    """All pools of the CNI: their tunnels' counters are read, too."""
    probe: ProbeWindow | None
    probes: int
    capture: Capturing | None


class _Reading(msgspec.Struct, frozen=True):
    facts: dict[str, NodeFacts]
    counters: tuple[Counter, ...]


async def walk(world: World, inquiry: Inquiry) -> ArmProof:
    """Proves every directed pair of the asked pool's arm.

    Raises:
        PodbenchError: The world could not be asked; an unreachable pair is an answer, not an error.
    """
    pairs: list[PairProof] = []
    nodes = [node for node in world.nodes if _has_pod(node, inquiry.pool)]
    standing = None
    if inquiry.probe is None:
        standing = await _read(world, inquiry, nodes)
    for first, second in combinations(nodes, 2):
        if standing is not None:
            pairs.extend(await _judge(world, inquiry, (first, second), standing, None))
        else:
            pairs.extend(await _prove(world, inquiry, (first, second)))
    return prove_arm(inquiry.pool.mode, pairs)


async def _prove(world: World, inquiry: Inquiry, pair: tuple[Node, Node]) -> Sequence[PairProof]:
    proofs: Sequence[PairProof] = ()
    for _ in range(ATTEMPTS):
        async with world.quiet([node.name for node in pair]):
            before = await _read(world, inquiry, pair)
            window = await _probe(inquiry, pair)
            after = await _read(world, inquiry, pair)
        window = msgspec.structs.replace(window, moved=moved(before.counters, after.counters))
        proofs = await _judge(world, inquiry, pair, after, window)
        if decided(proofs):
            break
    return proofs


async def _probe(inquiry: Inquiry, pair: tuple[Node, Node]) -> Window:
    assert inquiry.probe is not None
    mode = inquiry.pool.mode
    capture = None
    if inquiry.capture is not None:
        capture = await inquiry.capture([node.name for node in pair])
    try:
        answered = await inquiry.probe(pair[0].pod(mode), pair[1].pod(mode), inquiry.probes)
    finally:
        seen = await capture.seen() if capture is not None else None
    return Window(sent=inquiry.probes, answered=answered, moved=(), seen=seen)


async def _judge(
    world: World,
    inquiry: Inquiry,
    pair: tuple[Node, Node],
    reading: _Reading,
    window: Window | None,
) -> tuple[PairProof, PairProof]:
    out = await _way(world, inquiry, pair, reading)
    back = await _way(world, inquiry, (pair[1], pair[0]), reading)
    return prove_pair(inquiry.pool, out, back, window)


async def _way(world: World, inquiry: Inquiry, pair: tuple[Node, Node], reading: _Reading) -> Way:
    src, dst = pair
    mode = inquiry.pool.mode
    route = await world.lookup(src.name, dst.pod(mode).address)
    per_peer = [
        each
        for each in reading.counters
        if each.encapsulation == mode
        and (each.node, each.peer) in ((src.name, dst.address), (dst.name, src.address))
    ]
    via, note = resolve(route, reading.facts[src.name], dst.address, per_peer)
    return Way(
        src=src.name,
        dst=dst.name,
        src_address=src.pod(mode).address,
        dst_address=dst.pod(mode).address,
        own=src.address,
        peer=dst.address,
        route=route,
        via=via,
        note=note,
        session_up=_session(reading.facts, src, dst),
    )


async def _read(world: World, inquiry: Inquiry, nodes: Sequence[Node]) -> _Reading:
    facts: dict[str, NodeFacts] = {}
    counts: list[Counter] = []
    for node in nodes:
        facts[node.name] = await world.facts(node.name)
        extra = [
            (str(pool.mode), count)
            for pool in inquiry.pools
            if pool.device is not None
            for count in await world.tunnel_counts(node.name, pool)
        ]
        counts.extend(counters(facts[node.name], extra))
    return _Reading(facts, tuple(counts))


def _session(facts: dict[str, NodeFacts], src: Node, dst: Node) -> bool | None:
    """BGP between two nodes as both ends tell it: down when either end says so."""
    ends = (
        session_up(facts[src.name].bgp, dst.address),
        session_up(facts[dst.name].bgp, src.address),
    )
    if False in ends:
        return False
    return True if True in ends else None


def _has_pod(node: Node, pool: Pool) -> bool:
    return any(pod.mode == pool.mode for pod in node.pods)
