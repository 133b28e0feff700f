"""RTM_GETROUTE with everything that policy rules select a packet by: protocol, ports, mark, uid.

pyroute2 (0.9) has no names for these attributes, so the question is built here and its answer
decoded by pyroute2's own message. One socket, one question; in the caller's network namespace.
Source: linux/rtnetlink.h, net/ipv4/route.c (inet_rtm_getroute).
"""

import socket
import struct
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from podbench.model.facts import Flow

RTM_F_FIB_MATCH = 0x2000
"""Makes RTM_GETROUTE answer with the table's entry that won, its protocol included."""
RTM_GETROUTE = 26
NLM_F_REQUEST = 1
NLMSG_ERROR = 2
RTA_DST, RTA_SRC, RTA_IIF, RTA_MARK = 1, 2, 3, 16
RTA_UID, RTA_IP_PROTO, RTA_SPORT, RTA_DPORT = 25, 27, 28, 29
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ANSWER_BYTES = 65_536
_TIMEOUT_S = 5.0
_PROTOCOLS = {"udp": socket.IPPROTO_UDP, "tcp": socket.IPPROTO_TCP}


def question(
    dst: str, flow: Flow | None = None, src: str | None = None, iif: int | None = None
) -> bytes:
    """The octets of one question about IPv4.

    Args:
        dst: Where the packet goes.
        flow: Protocol, ports, mark and uid; null: not said.
        src: Where it comes from; null: not said.
        iif: Index of the device it comes in by; null: it is the node's own.
    """
    tail = _attribute(RTA_DST, socket.inet_aton(dst))
    if src is not None:
        tail += _attribute(RTA_SRC, socket.inet_aton(src))
    if iif is not None:
        tail += _attribute(RTA_IIF, struct.pack("=I", iif))
    if flow is not None:
        tail += _of_flow(flow)
    source_bits = 0 if src is None else 32
    route = _ROUTE.pack(socket.AF_INET, 32, source_bits, 0, 0, 0, 0, 0, RTM_F_FIB_MATCH)
    length = _HEADER.size + len(route) + len(tail)
    return _HEADER.pack(length, RTM_GETROUTE, NLM_F_REQUEST, 1, 0) + route + tail


def _of_flow(flow: Flow) -> bytes:
    tail = _attribute(RTA_IP_PROTO, bytes([_PROTOCOLS[flow.protocol]]))
    for kind, port in ((RTA_SPORT, flow.sport), (RTA_DPORT, flow.dport)):
        if port is not None:
            tail += _attribute(kind, port.to_bytes(2, "big"))
    if flow.mark:
        tail += _attribute(RTA_MARK, struct.pack("=I", flow.mark))
    if flow.uid is not None:
        tail += _attribute(RTA_UID, struct.pack("=I", flow.uid))
    return tail


def _attribute(kind: int, value: bytes) -> bytes:
    padding = -len(value) % 4
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(padding)


def ask(dst: str, flow: Flow | None = None, src: str | None = None, iif: int | None = None) -> Any:
    """Asks this network namespace's kernel; the answer as pyroute2's rtmsg.

    Raises:
        pyroute2's NetlinkError: The kernel refuses; its `code` is the error number.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(_TIMEOUT_S)
        sock.bind((0, 0))
        sock.send(question(dst, flow, src, iif))
        data = sock.recv(_ANSWER_BYTES)
    _, kind, _, _, _ = _HEADER.unpack_from(data)
    if kind == NLMSG_ERROR:
        (code,) = struct.unpack_from("=i", data, _HEADER.size)
        raise NetlinkError(-code)
    answer = rtmsg(data)
    answer.decode()
    return answer
