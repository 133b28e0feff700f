"""IPIP by the kernel's device and by the stand-in: the same bytes on the wire, in both directions.

Pods send packets with every ECN field, several DSCPs, TTLs and sizes, with and without DF. The
frames on the underlay are read by a packet socket, once for each implementation.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support.inlab import in_lab, needs_namespaces, needs_root

from podbench.model.arms import Mode
from podbench.model.errors import LabError
from podbench.target.lab import layout
from podbench.target.lab.inside import inside
from podbench.target.lab.ipip import dataplane
from podbench.target.lab.world import LabWorld
from podbench.wire.outer import ETH_P_ALL, ETH_P_IP, PACKET_OUTGOING

pytestmark = [needs_namespaces(), needs_root("for eBPF"), pytest.mark.lab]

FIRST_IDENTIFICATION = 1000
ECN_CE = 3
WAIT_S = 30.0


class Sent(msgspec.Struct, frozen=True):
    """What one packet of a pod looks like."""

    tos: int
    ttl: int
    df: bool
    payload_bytes: int


PACKETS = [
    *(Sent(dscp << 2 | ecn, 64, True, 64) for dscp in (0, 8, 46) for ecn in range(4)),
    *(Sent(0, ttl, False, 64) for ttl in (3, 17, 255)),
    *(Sent(0xB8, 64, df, size) for df in (True, False) for size in (0, 700, 1452)),
]


class Frames(msgspec.Struct):
    """What was on the underlay, and what arrived: outer packets, inner packets, as hex."""

    implementation: str
    wire: list[str]
    arrived: list[str]


def _checksum(header: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _packet(number: int, sent: Sent, src: str, dst: str) -> bytes:
    """An IPv4 packet with a UDP datagram for the discard port."""
    udp = struct.pack("!HHHH", 40000, 9, 8 + sent.payload_bytes, 0) + bytes(sent.payload_bytes)
    head = struct.pack(
        "!BBHHHBBH4s4s",
        *(0x45, sent.tos, 20 + len(udp), FIRST_IDENTIFICATION + number),
        *(0x4000 * sent.df, sent.ttl, socket.IPPROTO_UDP, 0),
        *(socket.inet_aton(src), socket.inet_aton(dst)),
    )
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + udp


@contextlib.contextmanager
def _listening(netns: str, device: str) -> Iterator[socket.socket]:
    def opened() -> socket.socket:
        # Only those who ask for every protocol see a bridge port's frames before the bridge does.
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        made.bind((device, ETH_P_ALL))
        made.settimeout(1.0)
        return made

    with inside(netns, opened) as listener:
        yield listener


def _read(listener: socket.socket, count: int, protocol: int) -> list[str]:
    """The first `count` IPv4 packets of a protocol that came in, without their Ethernet headers."""
    found: list[str] = []
    end_s = time.monotonic() + WAIT_S
    while len(found) < count and time.monotonic() < end_s:
        with contextlib.suppress(TimeoutError):
            frame, (_, kind, way, *_) = listener.recvfrom(2048)
            if kind == ETH_P_IP and way != PACKET_OUTGOING and frame[14 + 9] == protocol:
                found.append(frame[14 : 14 + int.from_bytes(frame[16:18], "big")].hex())
    return found


def _exchange(world: LabWorld) -> tuple[list[str], list[str]]:
    """Sends all packets from pod 1 to pod 2 and back; wire and arrival, in the order sent."""
    wire: list[str] = []
    arrived: list[str] = []
    ends = [node.pod(Mode.IPIP) for node in world.nodes]
    for src, dst in (ends, ends[::-1]):

        def raw() -> socket.socket:
            return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

        with (
            # What enters the bridge from the sending node, once for each packet.
            _listening(layout.UNDERLAY, src.node) as bridge,
            _listening(dst.name, layout.UPLINK) as pod,
            inside(src.name, raw) as sender,
        ):
            for number, sent in enumerate(PACKETS):
                sender.sendto(_packet(number, sent, src.address, dst.address), (dst.address, 0))
            wire += _read(bridge, len(PACKETS), socket.IPPROTO_IPIP)
            arrived += _read(pod, len(PACKETS), socket.IPPROTO_UDP)
    return wire, arrived


def _frames(monkeypatch: pytest.MonkeyPatch, implementation: str) -> Frames:
    if implementation == dataplane.EBPF:

        def refuse(*_: object) -> None:
            raise LabError("not this time")

        monkeypatch.setattr(dataplane, "_kernel_device", refuse)

    async def scenario(world: LabWorld) -> Frames:
        wire, arrived = await asyncio.to_thread(_exchange, world)
        return Frames(str(world.implementations[Mode.IPIP]), wire, arrived)

    found = in_lab(scenario, Frames, modes=(Mode.IPIP,))
    assert found.implementation == implementation
    return found


def _comparable(packet: str) -> str:
    """An outer packet without its identification, which the sender draws, and its checksum."""
    data = bytes.fromhex(packet)
    assert _checksum(data[:20]) == 0
    return (data[:4] + b"\0\0" + data[6:10] + b"\0\0" + data[12:]).hex()


def test_both_implementations_put_the_same_bytes_on_the_wire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every octet but identification and checksum is equal, outside, inside, and on arrival."""
    device = _frames(monkeypatch, dataplane.KERNEL_DEVICE)
    program = _frames(monkeypatch, dataplane.EBPF)
    _leave_table(device.wire, program.wire)

    assert len(device.wire) == 2 * len(PACKETS)
    assert [_comparable(p) for p in program.wire] == [_comparable(p) for p in device.wire]
    assert len(device.arrived) == len(device.wire)
    assert program.arrived == device.arrived


def test_the_outer_header_is_the_one_that_documentation_promises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DSCP 0, ECN copied but for CE, TTL of the inner packet on the wire, its DF."""
    found = _frames(monkeypatch, dataplane.KERNEL_DEVICE)
    assert len(found.wire) == 2 * len(PACKETS)
    for packet in found.wire:
        data = bytes.fromhex(packet)
        outer, inner = data[:20], data[20:40]
        ecn = inner[1] & 3
        assert outer[1] == (2 if ecn == ECN_CE else ecn)
        assert outer[8] == inner[8]
        assert outer[6] & 0x40 == inner[6] & 0x40


def _leave_table(device: list[str], program: list[str]) -> None:
    """Outer headers side by side, for `python tests/kernels` to show."""
    if not Path("/out").is_dir():
        return
    lines = []
    for one, other in zip(device, program, strict=False):
        headers = [bytes.fromhex(packet)[:20].hex(" ", 2) for packet in (one, other)]
        same = "equal" if _comparable(one) == _comparable(other) else "DIFFERENT"
        lines.append(f"{headers[0]} | {headers[1]} | {same}")
    Path("/out/ipip-bytes.txt").write_text("\n".join(lines) + "\n")
