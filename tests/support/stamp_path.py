"""A simulated path with known faults, for tests of the estimators: the truth is known per packet.

Probes go through a list of fates; the simulated reflector counts as the real one does. Times are
plain numbers: kernel RTT 10 us, residence 20 us, own host 30 us.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from podbench.wire import ntp, replies, stamp, stamp_tlv
from podbench.wire.columns import Table

WALL_0 = 1_790_000_000_123_456_789
MONO_0 = 5_000_000_000
PERIOD_NS = 1_000_000
THERE_NS, RESIDENCE_NS, BACK_NS = 4_000, 20_000, 6_000
SEND_NS, RECEIVE_NS = 10_000, 20_000


@dataclass
class Fate:
    """What the path does to one probe; delays in ns."""

    lost_forward: bool = False
    lost_backward: bool = False
    copies_forward: int = 0
    copies_backward: int = 0
    delay_forward: int = 0
    delay_backward: int = 0
    corrupt: bool = False


@dataclass
class Walk:
    """What both ends noted."""

    sent: replies.Sent
    arrivals: replies.Arrivals
    log: Table


@dataclass
class _Reflector:
    counter: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    untold: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    log: list[tuple[int, int, int, int, int]] = field(default_factory=list)


def walk(
    fates: list[Fate], *, ports: int = 2, key: bytes | None = None, follow_up: bool = True
) -> Walk:
    """Sends len(fates) probes, one per ms, rotating over the ports, and one flush per port."""
    n = len(fates)
    total = n + ports
    everything = [*fates, *(Fate() for _ in range(ports))]
    rows = np.arange(total)
    left = MONO_0 + rows * PERIOD_NS
    wall = WALL_0 + rows * PERIOD_NS
    per_port = [len(range(p, n, ports)) for p in range(ports)]
    flow = np.where(rows < n, rows % ports, rows - n)
    seq = [k // ports if k < n else per_port[k - n] for k in range(total)]
    reflector = _Reflector()
    requests = _requests(everything, wall)
    heard: list[tuple[int, int, int, bytes]] = []
    for t2, k in sorted(requests):
        octets, t3 = _reflect(reflector, int(flow[k]), seq[k], int(wall[k]), t2, (key, follow_up))
        fate = everything[k]
        if fate.corrupt:
            octets = bytes([*octets[:30], octets[30] ^ 1, *octets[31:]])
        if not fate.lost_backward:
            t4 = t3 + BACK_NS + fate.delay_backward
            heard += [
                (t4 + 100 * c, int(flow[k]), k, octets) for c in range(1 + fate.copies_backward)
            ]
    heard.sort()
    sent = replies.Sent(
        session_id=100,
        src_ports=np.arange(40_000, 40_000 + ports),
        intended_mono_ns=left - 5_000,
        sent_mono_ns=left,
        sent_wall_ns=wall,
        t1_ns=wall + SEND_NS,
        clock_step=np.zeros(total, dtype=bool),
        waited=np.zeros(total, dtype=bool),
        throttled=np.zeros(total, dtype=bool),
        stamp_code=0,
        rx_drops=np.zeros(ports, dtype=np.int64),
        period_ns=PERIOD_NS,
        timeout_ns=2_000_000_000,
    )
    return Walk(sent, _arrivals(heard, key), _log(reflector))


def _requests(everything: list[Fate], wall: np.ndarray) -> list[tuple[int, int]]:
    arriving = []
    for k, fate in enumerate(everything):
        if not fate.lost_forward:
            t2 = int(wall[k]) + SEND_NS + THERE_NS + fate.delay_forward
            arriving += [(t2 + c, k) for c in range(1 + fate.copies_forward)]
    return arriving


def _reflect(
    reflector: _Reflector,
    flow: int,
    seq: int,
    t1: int,
    t2: int,
    mode: tuple[bytes | None, bool],
) -> tuple[bytes, int]:
    key, follow_up = mode
    number = reflector.counter[flow]
    reflector.counter[flow] += 1
    t3 = t2 + RESIDENCE_NS
    untold = reflector.untold[flow]
    told = untold.pop(0) if untold and follow_up else None
    reflector.untold[flow].append((number, t3))
    reflector.log.append((flow, seq, number, t2, t3))
    request = stamp_tlv.request_tail(20 if key is None else 40, sequence=seq, key=key)
    tail = stamp_tlv.answer(
        request,
        lambda: stamp_tlv.FollowUp(told[0], ntp.ns_to_ntp(told[1])) if told else None,
        sequences=(seq, number),
        key=key,
    )
    packet = stamp.ReflectorPacket(
        sequence=number,
        timestamp=ntp.ns_to_ntp(t3 - 3_000),
        session_id=100 + flow,
        receive_timestamp=ntp.ns_to_ntp(t2),
        sender_sequence=seq,
        sender_timestamp=ntp.ns_to_ntp(t1),
        sender_ttl=63,
        tail=tail,
    )
    return stamp.encode_reflector(packet, key), t3


def _arrivals(heard: list[tuple[int, int, int, bytes]], key: bytes | None) -> replies.Arrivals:
    width = replies.OPEN_STORED_BYTES if key is None else replies.AUTH_STORED_BYTES
    octets = np.zeros((len(heard), width), dtype=np.uint8)
    for i, (_, _, _, data) in enumerate(heard):
        octets[i] = np.frombuffer(data[:width].ljust(width, b"\0"), dtype=np.uint8)
    t4 = np.array([t for t, _, _, _ in heard], dtype=np.int64)
    return replies.Arrivals(
        flow=np.array([f for _, f, _, _ in heard], dtype=np.int64),
        octets=octets,
        length=np.array([len(d) for _, _, _, d in heard], dtype=np.int64),
        t4_ns=t4,
        received_mono_ns=t4 - WALL_0 + MONO_0 + RECEIVE_NS,
    )


def _log(reflector: _Reflector) -> Table:
    rows = reflector.log
    flow, seq, number, t2, t3 = (np.array([r[i] for r in rows], dtype=np.int64) for i in range(5))
    return {
        "session_id": (100 + flow).astype(np.int32),
        "src_port": (40_000 + flow).astype(np.int32),
        "seq": seq,
        "reflector_seq": number,
        "t2_ns": t2,
        "t3_ns": t3,
        "ttl": np.full(len(rows), 63, dtype=np.int16),
        "stamp_code": np.zeros(len(rows), dtype=np.uint8),
        "clock_step": np.zeros(len(rows), dtype=bool),
    }
