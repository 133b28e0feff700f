"""Proves each kind of probe by its own packets: tunnel counters against what a load moved.

A proof window speaks for latency probes only: a rule may send TCP elsewhere than UDP. So counters
are read before and after each load (a transfer, a step of a ladder), and held against the bytes or
packets that both of its ends counted. `campaign` measures and calls this; `evidence` has the rules.
"""

import asyncio
from collections.abc import Sequence

from podbench.cni.base import Load, Pool, World
from podbench.cni.proof.evidence import (
    TOO_FEW,
    UNBOUNDED,
    Expected,
    Unit,
    amounts,
    counted,
    moved,
    underlay,
)
from podbench.cni.proof.routes import Counter, Way, leaves_by
from podbench.cni.proof.verdict import Sight, directed, sight
from podbench.cni.proof.walk import UNANSWERED, Reading, read
from podbench.model.facts import Method, PairProof
from podbench.model.nodes import Node

HEADERS_SHARE = 0.15
"""What headers add to TCP's payload at most: 52 octets inside and 36 outside of a segment of 600.
Retransmissions are in what the sender counts."""
CONTROL_PACKETS = 200
"""iperf3's own connection, address resolution, agents' keep-alives: they send fewer in a load."""
STAMP_BYTES = 150
"""A latency probe that runs beside a load, with headers and VXLAN's."""
SILENCE_S = 0.5
"""A silent stretch after a load, where other traffic left by the underlay meanwhile."""
RETURN_LEAST = 5
"""TCP's acknowledgements come back by the thousand; fewer in the tunnel came another way."""


class Meter:
    """Reads the nodes around loads of one mode and judges what they took.

    Args:
        world: Where.
        pool: The pool of the mode asked for.
        pools: All pools of the CNI.
    """

    def __init__(self, world: World, pool: Pool, pools: Sequence[Pool]) -> None:
        self._world = world
        self._pool = pool
        self._pools = tuple(pools)

    async def read(self, names: Sequence[str]) -> Reading | None:
        """These nodes' counters now; null where one of them cannot be read."""
        nodes = [node for node in self._world.nodes if node.name in names]
        try:
            return await read(self._world, self._pools, nodes)
        except UNANSWERED:
            return None

    async def judge(
        self, loads: Sequence[Load], before: Reading | None, after: Reading | None
    ) -> list[tuple[str, PairProof]]:
        """(kind, proof) of each load whose two nodes were read."""
        if before is None or after is None:
            return []
        nodes = {node.name: node for node in self._world.nodes}
        known = [
            (load, (nodes[load.src], nodes[load.dst]))
            for load in loads
            if {load.src, load.dst} <= set(after.facts) & set(before.facts)
        ]
        rose = moved(before.counters, after.counters)
        found = [judge(self._pool, pair, load, rose, after) for load, pair in known]
        if any(UNBOUNDED in each.warnings for each in found):
            silence = await self._silence(after, after.mono_s - before.mono_s)
            found = [judge(self._pool, pair, load, rose, after, silence) for load, pair in known]
        return [(load.kind, each) for (load, _), each in zip(known, found, strict=True)]

    async def _silence(self, after: Reading, load_s: float) -> tuple[Counter, ...]:
        """What the same counters rise by without the load, in as long a time."""
        await asyncio.sleep(min(load_s, SILENCE_S))
        still = await self.read(list(after.facts))
        if still is None:
            return after.counters  # as if all that they ever counted were foreign
        took_s = max(still.mono_s - after.mono_s, 1e-3)
        return moved(after.counters, still.counters, max(load_s / took_s, 1.0))


def judge(
    pool: Pool,
    pair: tuple[Node, Node],
    load: Load,
    rose: Sequence[Counter],
    reading: Reading,
    silence: Sequence[Counter] | None = None,
) -> PairProof:
    """The proof of one load's direction, by count alone.

    Args:
        pool: The pool of the mode asked for.
        pair: The node that sent and the one that received.
        load: What the load's ends counted.
        rose: What the counters rose by meanwhile.
        reading: The nodes as they are now.
        silence: What the counters rise by in as long a time without it; null: not looked at.
    """
    out, back = _way(pool, pair, reading), _way(pool, (pair[1], pair[0]), reading)
    unit, expected = _expected(load)
    found = counted(out, rose, expected, unit=unit, silence=silence)
    there = sight(out, found, Method.COUNTED)
    here = Sight(there.seen, Method.COUNTED)
    if load.protocol == "tcp" and there.seen is not None:
        here = _acknowledged(back, rose, there)
    evidence = _evidence(out, rose, load, expected, unit)
    return directed(pool, out, there, here, dead=False, evidence=evidence)


def _expected(load: Load) -> tuple[Unit, Expected]:
    """What the load must have moved.

    Packets of UDP; bytes of TCP, as a packet of a tunnel device is a number of segments there.
    """
    if load.protocol == "udp" and load.sent_packets is not None:
        received = load.received_packets or 0
        most = load.sent_packets + load.beside_packets + CONTROL_PACKETS
        return Unit.PACKETS, Expected(tx_least=received, rx_least=received, most=most)
    most = round(load.sent_bytes * (1 + HEADERS_SHARE)) + load.beside_packets * STAMP_BYTES
    received = load.received_bytes
    return Unit.BYTES, Expected(tx_least=received, rx_least=received, most=most)


def _acknowledged(back: Way, rose: Sequence[Counter], there: Sight) -> Sight:
    """What the acknowledgements took: that data crossed a tunnel does not say that they did."""
    tx = {name: both[0] for name, both in amounts(back, rose).items()}
    left = underlay(back, rose) or 0
    if there.seen in tx and tx[there.seen or ""] < RETURN_LEAST:
        return Sight("plain", Method.COUNTED, (TOO_FEW,))
    if there.seen not in tx:
        wrapped = max(tx.items(), key=lambda item: item[1], default=("", 0))
        if wrapped[1] > left / 2 and wrapped[1] > CONTROL_PACKETS:
            return Sight(wrapped[0], Method.COUNTED)
    return Sight(there.seen, Method.COUNTED)


def _way(pool: Pool, pair: tuple[Node, Node], reading: Reading) -> Way:
    src, dst = pair
    return Way(
        src=src.name,
        dst=dst.name,
        src_address=src.pod(pool.mode).address,
        dst_address=dst.pod(pool.mode).address,
        own=src.address,
        peer=dst.address,
        route=None,
        device=leaves_by(None, reading.facts[src.name], src.address),
        via=None,
    )


def _evidence(
    way: Way, rose: Sequence[Counter], load: Load, expected: Expected, unit: Unit
) -> dict[str, str | int | float | None]:
    found: dict[str, str | int | float | None] = {
        "protocol": load.protocol,
        f"received_{unit}": expected.tx_least,
        f"most_{unit}": expected.most,
        f"underlay_tx_{unit}": underlay(way, rose, unit),
    }
    for name, (tx, rx) in sorted(amounts(way, rose, unit).items()):
        found |= {f"{name}_tx_{unit}": tx, f"{name}_rx_{unit}": rx}
    return found
