"""Collects the evidence for an arm from a world, pair by pair, and has it judged.

Every driver verifies the same way: pairs that share no node at the same time, so that nothing but
one pair's probes crosses a node's tunnel while its counters are read. What differs between CNIs,
their pools, is passed in. `evidence` reads meaning into facts, `proof` decides.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from itertools import combinations

import msgspec

from podbench.cni.base import Capturing, Groups, Pool, ProbeWindow, World
from podbench.cni.proof.evidence import Window, counters, moved
from podbench.cni.proof.routes import Counter, Way, leaves_by, others, resolve, session_up
from podbench.cni.proof.verdict import decided, prove_arm, prove_pair
from podbench.model.errors import ProbeError, TransportError
from podbench.model.facts import ArmProof, Method, NodeFacts, PairProof, Verdict
from podbench.model.nodes import Node

NOT_PROBED = "proof_window_failed"
"""Warning: the pair's proof window could not be had; the reason follows."""
UNANSWERED = (ProbeError, TransportError)
"""An agent is gone or cannot: that costs its own pairs only."""
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
    groups: Groups | None
    """The pairs to prove, in groups without a node in common; null: all, one after the other."""


Proofs = Sequence[PairProof]


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
        standing = await _standing(world, inquiry, nodes)
    for group in _groups(inquiry, nodes):
        if standing is not None:
            found = [_routed(world, inquiry, pair, standing) for pair in group]
        else:
            found = [_proven(world, inquiry, pair) for pair in group]
        for proofs in await _all(found):
            pairs.extend(proofs)
    return prove_arm(inquiry.pool.mode, pairs)


async def _standing(world: World, inquiry: Inquiry, nodes: Sequence[Node]) -> _Reading:
    """What all nodes say that can be read."""
    facts: dict[str, NodeFacts] = {}
    counts: list[Counter] = []
    for node in nodes:
        try:
            one = await _read(world, inquiry, [node])
        except UNANSWERED:
            continue
        facts |= one.facts
        counts += one.counters
    return _Reading(facts, tuple(counts))


async def _routed(
    world: World, inquiry: Inquiry, pair: tuple[Node, Node], reading: _Reading
) -> Proofs:
    """The proof by routes alone; where a node cannot be asked, that."""
    missing = [node.name for node in pair if node.name not in reading.facts]
    if missing:
        return _unread(inquiry, pair, f"{', '.join(missing)} could not be read")
    try:
        return await _judge(world, inquiry, pair, reading, None)
    except UNANSWERED as error:
        return _unread(inquiry, pair, str(error))


async def _proven(world: World, inquiry: Inquiry, pair: tuple[Node, Node]) -> Proofs:
    """The proof by packets; where an agent is gone the routes still tell something."""
    try:
        return await _prove(world, inquiry, pair)
    except UNANSWERED as error:
        why = f"{NOT_PROBED}: {error}"
    routed = await _routed(world, inquiry, pair, await _standing(world, inquiry, pair))
    return [msgspec.structs.replace(p, warnings=(*p.warnings, why)) for p in routed]


def _unread(inquiry: Inquiry, pair: tuple[Node, Node], why: str) -> Proofs:
    """Nothing can be said of a pair."""
    return [
        PairProof(
            src=src.name,
            dst=dst.name,
            mode=inquiry.pool.mode,
            verdict=Verdict.UNPROVEN,
            method=Method.CONFIGURED,
            observed=None,
            evidence={"unread": why},
        )
        for src, dst in (pair, pair[::-1])
    ]


def _groups(inquiry: Inquiry, nodes: Sequence[Node]) -> list[list[tuple[Node, Node]]]:
    if inquiry.groups is None:
        return [[pair] for pair in combinations(nodes, 2)]
    by_name = {node.name: node for node in nodes}
    return [
        [(by_name[a], by_name[b]) for a, b in group if a in by_name and b in by_name]
        for group in inquiry.groups
    ]


async def _all(asked: Sequence[Coroutine[None, None, Proofs]]) -> list[Proofs]:
    """What all give, once all have ended.

    Raises:
        PodbenchError: The first that did not come to its end.
    """
    found: list[Proofs] = []
    for each in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(each, BaseException):
            raise each
        found.append(each)
    return found


async def _prove(world: World, inquiry: Inquiry, pair: tuple[Node, Node]) -> Proofs:
    proofs: Proofs = ()
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
) -> Proofs:
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
    also = others(reading.facts[dst.name], reading.facts[src.name])
    via, note = resolve(route, reading.facts[src.name], dst.address, per_peer, also)
    return Way(
        src=src.name,
        dst=dst.name,
        src_address=src.pod(mode).address,
        dst_address=dst.pod(mode).address,
        own=src.address,
        peer=dst.address,
        route=route,
        device=leaves_by(route, reading.facts[src.name], src.address),
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
        session_up(facts[src.name].bgp, dst.address, others(facts[dst.name], facts[src.name])),
        session_up(facts[dst.name].bgp, src.address, others(facts[src.name], facts[dst.name])),
    )
    if False in ends:
        return False
    return True if True in ends else None


def _has_pod(node: Node, pool: Pool) -> bool:
    return any(pod.mode == pool.mode for pod in node.pods)
