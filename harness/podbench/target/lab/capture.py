"""Captures our own probes on the nodes' underlay devices and counts them by outer header.

The strongest proof of a mode (`captured`): the packets themselves, read from packet sockets while
they leave a node. A packet counts by what wraps it (VXLAN by UDP port and its header, IPIP by
protocol 4, nothing) and by its inner addresses; all else is ignored. Frames are cut to what the
headers need and parsed in Python, so a window holds some ten thousand packets, not a transfer.
Source: packet(7); RFC 7348 section 5 (VXLAN), RFC 2003 section 3 (IPIP).
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Mapping

from podbench.cni.base import Seen
from podbench.model.arms import Mode
from podbench.model.errors import LabError
from podbench.target.lab.inside import inside

ETH_P_IP = 0x0800
ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4
"""sll_pkttype of a packet that leaves; each one is counted once, at its sender."""
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
BUFFER_BYTES = 8 * 1024 * 1024
"""A cut frame is charged about 1 KB: enough for 8,000 packets that nobody has read yet."""
CUT_BYTES = 128
"""Outer Ethernet, IPv4 with options, UDP and VXLAN headers, inner Ethernet and IPv4 addresses."""
IPPROTO_IPIP, IPPROTO_UDP = 4, 17
VXLAN_PORTS = (4789, 8472)
"""The registered port, which Calico uses, and Linux's own, which Flannel uses."""
VXLAN_VNI_VALID = 0x08
UNDERLAY_DEVICE = "eth0"

Key = tuple[str, str, str, int | None]
"""Inner source, inner destination, encapsulation, VNI."""


class LabCapture:
    """A running capture; `cni.base.Capture`."""

    def __init__(self, sockets: Mapping[str, socket.socket]) -> None:
        self._sockets = sockets
        self._counts: dict[str, Counter[Key]] = {node: Counter() for node in sockets}

    async def seen(self) -> tuple[Seen, ...]:
        """Stops and counts.

        Raises:
            LabError: The kernel dropped packets before they were read.
        """
        loop = asyncio.get_running_loop()
        for node, each in self._sockets.items():
            loop.remove_reader(each)
            self.drain(node)
        dropped = {node: _dropped(each) for node, each in self._sockets.items()}
        self.close()
        if any(dropped.values()):
            raise LabError(
                f"the capture lost packets ({dropped}), so it proves nothing",
                advice="leave --proof capture out, or ask again on an idle machine",
            )
        return tuple(
            Seen(node=node, src=src, dst=dst, encapsulation=name, packets=packets, vni=vni)
            for node, counts in self._counts.items()
            for (src, dst, name, vni), packets in counts.items()
        )

    def drain(self, node: str) -> None:
        """Reads what is there now."""
        each = self._sockets[node]
        while True:
            try:
                frame, address = each.recvfrom(CUT_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if address[2] == PACKET_OUTGOING:
                key = classify(frame)
                if key is not None:
                    self._counts[node][key] += 1

    def close(self) -> None:
        """Closes the sockets; idempotent."""
        for each in self._sockets.values():
            each.close()


async def start(netns: Mapping[str, str | None], device: str = UNDERLAY_DEVICE) -> LabCapture:
    """Starts capturing on these nodes' underlay devices.

    Args:
        netns: Node's name -> its network namespace.
        device: The underlay device's name on each.

    Raises:
        LabError: A socket cannot be opened there.
    """
    sockets: dict[str, socket.socket] = {}
    capture = LabCapture(sockets)
    try:
        for node, name in netns.items():
            sockets[node] = inside(name, lambda: _open(device))
    except BaseException:
        capture.close()
        raise
    capture = LabCapture(sockets)
    loop = asyncio.get_running_loop()
    for node, each in sockets.items():
        loop.add_reader(each, capture.drain, node)
    return capture


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
    return _key(packet, "plain", None)


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


def _open(device: str) -> socket.socket:
    try:
        # Protocol 0 receives nothing until the bind: no packet of another device slips in.
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    except OSError as error:
        raise LabError(f"cannot open a capture socket: {error.strerror}") from error
    try:
        _widen(opened)
        opened.bind((device, ETH_P_ALL))
    except OSError as error:
        opened.close()
        raise LabError(f"cannot capture on {device}: {error.strerror}") from error
    return opened


def _widen(opened: socket.socket) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    except PermissionError:  # not real root: up to net.core.rmem_max
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)


def _dropped(opened: socket.socket) -> int:
    statistics = opened.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
    return int(struct.unpack("=II", statistics)[1])
