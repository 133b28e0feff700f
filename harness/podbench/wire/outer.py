"""What packets are wrapped in, read off the frames that leave a node by outer and inner header.

Bytes in, encapsulation out; and what is done with a packet socket that somebody else opened, in
the namespace it wants to know about: the lab enters a node's, an agent is in its own. A packet
counts by what wraps it (VXLAN by UDP port and its header, IPIP by protocol 4, nothing) and by its
inner addresses; all else is ignored. Frames are cut to what the headers need and parsed in Python,
so a window holds some ten thousand packets, not a transfer.
Source: packet(7); RFC 7348 section 5 (VXLAN), RFC 2003 section 3 (IPIP).
"""

import socket
import struct
from collections import Counter

from podbench.model.arms import Mode
from podbench.wire import buffers

ETH_P_IP = 0x0800
ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4
"""sll_pkttype of a packet that leaves; each one is counted once, at its sender."""
SOL_PACKET, PACKET_STATISTICS = 263, 6
BUFFER_BYTES = 8 * 1024 * 1024
"""A cut frame is charged about 1 KB: enough for 8,000 packets that nobody has read yet."""
DRAIN_FRAMES = 32_768
"""More than the buffer holds: who drains it on a busy device comes to an end all the same."""
CUT_BYTES = 128
"""Outer Ethernet, IPv4 with options, UDP and VXLAN headers, inner Ethernet and IPv4 addresses."""
IPPROTO_IPIP, IPPROTO_UDP = 4, 17
VXLAN_PORTS = (4789, 8472)
"""The registered port, which Calico uses, and Linux's own, which Flannel uses."""
VXLAN_VNI_VALID = 0x08
PLAIN = "plain"

Key = tuple[str, str, str, int | None]
"""Inner source, inner destination, encapsulation, VNI."""


def classify(frame: bytes) -> Key | None:
    """What an Ethernet frame carries: inner addresses and their wrapping; null: no pod packet.

    A frame that claims VXLAN or IPIP and holds no IPv4 packet is null, and so is one too short.
    """
    packet = _ipv4_after(frame, 12, 14)
    if packet is None:
        return None
    body = packet[(packet[0] & 0x0F) * 4 :]
    if packet[9] == IPPROTO_IPIP:
        return _key(body, Mode.IPIP, None) if _is_ipv4(body) else None
    if packet[9] == IPPROTO_UDP and len(body) >= 16 and _port(body) in VXLAN_PORTS:
        flags, vni = body[8], int.from_bytes(body[12:15], "big")
        inner = _ipv4_after(body, 28, 30)
        return _key(inner, Mode.VXLAN, vni) if inner and flags & VXLAN_VNI_VALID else None
    return _key(packet, PLAIN, None)


def _port(datagram: bytes) -> int:
    return int.from_bytes(datagram[2:4], "big")


def _ipv4_after(frame: bytes, type_at: int, packet_at: int) -> bytes | None:
    packet = frame[packet_at:]
    ours = frame[type_at:packet_at] == struct.pack("!H", ETH_P_IP) and _is_ipv4(packet)
    return packet if ours else None


def _is_ipv4(packet: bytes) -> bool:
    return len(packet) >= 20 and packet[0] >> 4 == 4


def _key(packet: bytes, encapsulation: str, vni: int | None) -> Key:
    src, dst = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    return src, dst, encapsulation, vni


def listen(opened: socket.socket, device: str) -> None:
    """Has a packet socket receive what passes a device.

    Open it with protocol 0, which receives nothing before: no packet of another device slips in.

    Raises:
        OSError: There is no such device, or no right to it.
    """
    buffers.widen(opened, BUFFER_BYTES)
    opened.bind((device, ETH_P_ALL))


def drain(opened: socket.socket, counts: Counter[Key], ours: frozenset[str] | None = None) -> None:
    """Reads what is there now and counts what leaves; with `ours`, between these addresses only."""
    for _ in range(DRAIN_FRAMES):
        try:
            frame, address = opened.recvfrom(CUT_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if address[2] == PACKET_OUTGOING:
            key = classify(frame)
            if key is not None and (ours is None or {key[0], key[1]} <= ours):
                counts[key] += 1


def dropped(opened: socket.socket) -> int:
    """Packets that the kernel had no room for since the last call."""
    statistics = opened.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
    return int(struct.unpack("=II", statistics)[1])
