"""Proof of every load by its own packets: counters around it, and what its two ends counted.

A latency window proves latency probes; a rule may send transfers elsewhere. Around each batch of
transfers and each set of ladder steps the nodes' counters are read, in the quiet time before and
after it, and held against what iperf3 moved. Above: rounds.py. Below: cni/proof/loads.py.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable

import numpy as np

from podbench.campaign.agents import Outcome
from podbench.campaign.journal import KindProof
from podbench.cni.base import Load, LoadMeter
from podbench.wire import iperf3
from podbench.wire.columns import Table


def of_transfer(
    kind: str, pair: tuple[str, str], client: str | None, server: str | None, beside_packets: int
) -> Load | None:
    """What one iperf3 transfer moved, warm-up included; null where it failed.

    Args:
        kind: The probe's name.
        pair: Sending and receiving node.
        client: The sender's JSON.
        server: The receiver's JSON.
        beside_packets: Latency probes sent beside it.
    """
    rows = iperf3.rows(client or "", server)
    if iperf3.failure(rows) is not None:
        return None
    protocol = str(np.ma.filled(rows["protocol"], "")[0])
    sent, received = (_moved(rows, direction) for direction in ("sender", "receiver"))
    udp = protocol == "udp"
    return Load(
        kind=kind,
        src=pair[0],
        dst=pair[1],
        protocol=protocol,
        sent_bytes=sent[0],
        received_bytes=received[0],
        sent_packets=sent[1] if udp else None,
        received_packets=received[1] - _lost(rows) if udp else None,
        beside_packets=beside_packets,
    )


def _moved(rows: Table, direction: str) -> tuple[int, int]:
    """Octets of payload and datagrams, as one end counted them."""
    mine = rows["direction"] == direction
    bits = rows["bits_per_second"][mine] * rows["interval_s"][mine]
    packets = np.ma.filled(rows["packets"][mine], 0)
    return round(float(np.ma.filled(bits, 0.0).sum()) / 8), int(packets.sum())


def _lost(rows: Table) -> int:
    """Datagrams the receiver missed: it counts them among the interval's packets."""
    mine = rows["direction"] == "receiver"
    return int(np.ma.filled(rows["lost_packets"][mine], 0).sum())


@contextlib.asynccontextmanager
async def proven(
    meter: LoadMeter | None, nodes: Iterable[str], outcome: Outcome
) -> AsyncIterator[None]:
    """Proves the loads that are added to the outcome meanwhile.

    Args:
        meter: Reads counters of the mode's tunnels; null: nothing is proven.
        nodes: Those the loads run on.
        outcome: Gets a proof for each.
    """
    names = sorted(set(nodes))
    if meter is None or not names:
        yield
        return
    known = len(outcome.loads)
    before = await meter.read(names)
    yield
    after = await meter.read(names)
    for kind, proof in await meter.judge(outcome.loads[known:], before, after):
        outcome.proofs.append(KindProof(kind=kind, proof=proof))
