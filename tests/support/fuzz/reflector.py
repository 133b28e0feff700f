"""Hostile datagrams for the reflector and the STAMP codec.

Each input is random octets, or a good request with octets changed, cut or added; it goes through
the reflector as if received (in turns open and authenticated, provisioned and not), and every
hundredth through the decoders too. Fails on any exception but ProtocolError, on a reply longer than
its request, and on sessions beyond the table's bound.
"""

import contextlib
import random
import socket
import struct

from podbench.model.errors import ProtocolError
from podbench.wire import stamp, stamp_tlv
from podbench_agent.probes.reflector.loop import Reflector
from podbench_agent.probes.reflector.rules import Rules
from podbench_agent.probes.reflector.sessions import MAX_SESSIONS
from podbench_agent.timestamping import IP_TTL, SO_TIMESTAMPING

KEY = b"a key of sixteen"
POOL = 4096
"""Random choices drawn beforehand per batch: drawing costs more than the reflector."""


class Wire:
    """Takes the place of the reflector's socket."""

    def __init__(self) -> None:
        self._real = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.reply_bytes = 0

    def sendto(self, data: memoryview, _peer: tuple[str, int]) -> int:
        """Notes how long the reply is."""
        self.reply_bytes = len(data)
        return len(data)

    def setsockopt(self, *options: int) -> None:
        """Takes any option."""

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """The real socket's own counters."""
        return self._real.getsockopt(level, option, size)

    def getsockname(self) -> tuple[str, int]:
        """Where the reflector listens."""
        return ("10.0.0.2", 9000)

    def fileno(self) -> int:
        """A real socket's, whose error queue stays empty."""
        return self._real.fileno()


def _seeds() -> list[bytes]:
    tails = [b"", stamp_tlv.request_tail(20), stamp_tlv.request_tail(80), bytes(40)]
    seeds = [
        stamp.encode_sender(stamp.SenderPacket(sequence=1, timestamp=2, session_id=3, tail=t))
        for t in tails
    ]
    for length in (40, 60):
        tail = stamp_tlv.request_tail(length, sequence=1, key=KEY)
        packet = stamp.SenderPacket(sequence=1, timestamp=2, session_id=3, tail=tail)
        seeds.append(stamp.encode_sender(packet, KEY))
    return [*seeds, bytes(200)]


def _mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(6)):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)
    match rng.randrange(4):
        case 0:
            del data[rng.randrange(len(data) + 1) :]
        case 1:
            data += rng.randbytes(rng.randrange(64))
        case 2 if rng.random() < 0.2:
            data = bytearray(rng.randbytes(rng.randrange(300)))
    return bytes(data)


def fuzz(inputs: int, seed: int) -> dict[str, int]:
    """Feeds the inputs; what became of them, by counter."""
    rng = random.Random(seed)
    seeds = _seeds()
    reflectors = []
    for key in (None, KEY):
        for provisioned in (False, True):
            rules = Rules(key=key, provisioned_only=provisioned, max_pps=1 << 30)
            wire = Wire()
            reflector = Reflector(wire, rules, 0)  # type: ignore[arg-type]  # stands in for a socket
            reflector.gate.admitted.update(range(0, 65_536, 2))
            reflectors.append((wire, reflector))
    ancillary = [(1, SO_TIMESTAMPING, b""), (0, IP_TTL, b"\x40\0\0\0")]
    for start in range(0, inputs, POOL):
        batch = [_mutated(rng, seeds) for _ in range(min(POOL, inputs - start))]
        peers = [(f"10.0.{i % 3}.1", rng.randrange(1, 65_536)) for i in range(16)]
        for i, data in enumerate(batch):
            wire, reflector = reflectors[i & 3]
            wire.reply_bytes = 0
            reflector._buffer[: len(data)] = data
            ancillary[0] = (1, SO_TIMESTAMPING, struct.pack("=qq32x", 1_790_000_000 + start, i))
            reflector.take(len(data), ancillary, peers[i & 15])
            assert wire.reply_bytes in {0, len(data)}, data.hex()
            if i % 100 == 0:
                for decode in (stamp.decode_sender, stamp.decode_reflector):
                    with contextlib.suppress(ProtocolError):
                        decode(data, KEY if i & 1 else None)
        for _, reflector in reflectors:
            assert len(reflector.sessions) <= MAX_SESSIONS
            reflector.sessions.clear()
    total: dict[str, int] = {}
    for _, reflector in reflectors:
        for name in reflector.counters.__struct_fields__:
            total[name] = total.get(name, 0) + getattr(reflector.counters, name)
    return total
