"""Collects the evidence for an arm from a world, pair by pair, and has it judged.

Every driver verifies the same way: pairs that share no node at the same time, so that nothing but
one pair's probes crosses a node's tunnel while its counters are read. What differs between CNIs,
their pools, is passed in. `evidence` reads meaning into facts, `proof` decides.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from itertools import combinations

import msgspec

from podbench.cni.base import Capturing, Groups, Pool, ProbeWindow, World
from podbench.cni.proof.evidence import Window, counters, moved
from podbench.cni.proof.routes import Counter, Way, leaves_by, others, resolve, session_up
from podbench.cni.proof.verdict import decided, needs_silence, prove_arm, prove_pair
from podbench.model.errors import ProbeError, TransportError
from podbench.model.facts import ArmProof, Flow, Method, NodeFacts, PairProof, Verdict
from podbench.model.nodes import Node

NOT_PROBED = "proof_window_failed"
"""Warning: the pair's proof window could not be had; the reason follows."""
UNANSWERED = (ProbeError, TransportError)
"""An agent is gone or cannot: that costs its own pairs only."""
SILENCE_MOST_S = 1.0
"""A silent stretch is as long as the window, at most this; longer windows are scaled up to."""
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


class Reading(msgspec.Struct, frozen=True):
    """Some nodes' facts at one moment, and all their counters."""

    facts: dict[str, NodeFacts]
    counters: tuple[Counter, ...]
    mono_s: float
    """When it was taken, CLOCK_MONOTONIC."""


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


async def _standing(world: World, inquiry: Inquiry, nodes: Sequence[Node]) -> Reading:
    """What all nodes say that can be read."""
    facts: dict[str, NodeFacts] = {}
    counts: list[Counter] = []
    for node in nodes:
        try:
            one = await read(world, inquiry.pools, [node])
        except UNANSWERED:
            continue
        facts |= one.facts
        counts += one.counters
    return Reading(facts, tuple(counts), time.monotonic())


async def _routed(
    world: World, inquiry: Inquiry, pair: tuple[Node, Node], reading: Reading
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
    return [_without_packets(each, why) for each in routed]


def _without_packets(routed: PairProof, why: str) -> PairProof:
    """A route's word where packets were to decide: no proof of where they went."""
    matched = routed.verdict is Verdict.MATCH
    return msgspec.structs.replace(
        routed,
        verdict=Verdict.UNPROVEN if matched else routed.verdict,
        warnings=(*routed.warnings, why),
    )


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
            began_s = time.monotonic()
            before = await read(world, inquiry.pools, pair)
            window, flow = await _probe(inquiry, pair)
            after = await read(world, inquiry.pools, pair)
            took_s = time.monotonic() - began_s
            window = msgspec.structs.replace(window, moved=moved(before.counters, after.counters))
            proofs = await _judge(world, inquiry, pair, after, window, flow)
            if needs_silence(proofs):
                silence = await _silence(world, inquiry, pair, took_s)
                window = msgspec.structs.replace(window, silence=silence)
                proofs = await _judge(world, inquiry, pair, after, window, flow)
        if decided(proofs):
            break
    return proofs


async def _silence(
    world: World, inquiry: Inquiry, pair: tuple[Node, Node], window_s: float
) -> tuple[Counter, ...]:
    """What the counters rise by without probes, in as long a time as the window took."""
    began_s = time.monotonic()
    before = await read(world, inquiry.pools, pair)
    await asyncio.sleep(min(window_s, SILENCE_MOST_S))
    after = await read(world, inquiry.pools, pair)
    took_s = max(time.monotonic() - began_s, 1e-3)
    return moved(before.counters, after.counters, max(window_s / took_s, 1.0))


async def _probe(inquiry: Inquiry, pair: tuple[Node, Node]) -> tuple[Window, Flow | None]:
    assert inquiry.probe is not None
    mode = inquiry.pool.mode
    capture = None
    if inquiry.capture is not None:
        capture = await inquiry.capture([node.name for node in pair])
    try:
        probed = await inquiry.probe(pair[0].pod(mode), pair[1].pod(mode), inquiry.probes)
    finally:
        seen = await capture.seen() if capture is not None else None
    window = Window(sent=inquiry.probes, answered=probed.answered, moved=(), seen=seen)
    return window, probed.flow


async def _judge(
    world: World,
    inquiry: Inquiry,
    pair: tuple[Node, Node],
    reading: Reading,
    window: Window | None,
    flow: Flow | None = None,
) -> Proofs:
    out = await _way(world, inquiry, pair, reading, flow)
    replies = None if flow is None else flow.back()
    back = await _way(world, inquiry, (pair[1], pair[0]), reading, replies)
    return prove_pair(inquiry.pool, out, back, window)


async def _way(
    world: World,
    inquiry: Inquiry,
    pair: tuple[Node, Node],
    reading: Reading,
    flow: Flow | None,
) -> Way:
    src, dst = pair
    mode = inquiry.pool.mode
    route = await world.lookup(src.name, dst.pod(mode).address, flow)
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


async def read(world: World, pools: Sequence[Pool], nodes: Sequence[Node]) -> Reading:
    """Reads some nodes, with the counters of these pools' tunnels.

    Raises:
        ProbeError, TransportError: A node cannot be read.
    """
    facts: dict[str, NodeFacts] = {}
    counts: list[Counter] = []
    for node in nodes:
        facts[node.name] = await world.facts(node.name)
        extra = [
            (str(pool.mode), count)
            for pool in pools
            if pool.device is not None
            for count in await world.tunnel_counts(node.name, pool)
        ]
        counts.extend(counters(facts[node.name], extra))
    return Reading(facts, tuple(counts), time.monotonic())


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
