"""Kernel timestamps of datagrams: switch them on, read them, choose their source by trying.

Used by the probes' loops. Software stamps only: they are CLOCK_REALTIME. Draining many transmit
stamps at once is errqueue.py's.

Source: Linux Documentation/networking/timestamping.rst, include/uapi/linux/net_tstamp.h.
"""

import ctypes
import os
import platform
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path

from podbench.model.errors import ProbeError
from podbench.wire import buffers
from podbench.wire.replies import USER_CLOCK
from podbench_agent.errqueue import ErrorQueue

SO_TIMESTAMPING = 65
"""SO_TIMESTAMPING_NEW; the control message has the same number. Python's socket module lacks it."""
TX_SOFTWARE = 1 << 1
RX_SOFTWARE = 1 << 3
REPORT_SOFTWARE = 1 << 4
OPT_ID = 1 << 7
TX_SCHED = 1 << 8
OPT_TSONLY = 1 << 11

SO_ATTACH_FILTER = 26
SO_MEMINFO = 55
_MEMINFO_DROPS = 8
IP_RECVTTL, IP_TTL = 12, 2
IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT = 51, 52
IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_MTU = 10, 2, 14
IPV6_MTU_DISCOVER, IPV6_MTU = 23, 24

ANCILLARY_BYTES = 128
"""Receive stamp (64) and TTL (24) with room to spare."""

RECEIVE_BUFFER_BYTES = buffers.PROBE_BYTES

STAMP = struct.Struct("=qq")
"""Beginning of a receive stamp's control message: seconds, ns."""

_TX_FLAG = {0: TX_SOFTWARE, 1: TX_SCHED, 2: 0}
_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""The system call's number; the C library has no wrapper before 2.41."""
SLICE_NS = 100_000
"""The least the kernel accepts."""
_SELF_TESTS = 3
_DISCARD_PORT = 9


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise ProbeError(f"prctl({option}): {os.strerror(ctypes.get_errno())}")


def sharpen_timers() -> None:
    """Sets the calling thread's timer slack to 1 ns; the default 50 us delays every wake-up."""
    _prctl(_PR_SET_TIMERSLACK, 1)


def shorten_slice() -> bool:
    """Asks for the shortest scheduling slice, so that others' longer ones are cut when we wake.

    Takes no privilege and gives no larger share of the CPU: a task of short slices is only served
    sooner (EEVDF, kernel/sched/fair.c, PREEMPT_SHORT; Linux 6.12). Kernels without it refuse or
    ignore the request; then probes leave late more often on a busy machine, and are counted late.

    Returns:
        Whether the kernel took the request.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None:
        return False
    # struct sched_attr, version 1: size, policy SCHED_OTHER, flags, nice, priority, runtime ...
    attributes = struct.pack("=IIQiIQQQII", 56, 0, 0, 0, 0, SLICE_NS, 0, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(number, 0, attributes, 0) == 0)


def die_with_parent(signal_number: int) -> None:
    """The kernel sends this process the signal when the thread that started it ends."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)


def enable(sock: socket.socket, *, stamp_code: int | None, receive: bool) -> None:
    """Asks for software stamps. The counter of OPT_ID starts at 0 with this call.

    Args:
        sock: A UDP socket.
        stamp_code: Where to stamp what is sent (index into STAMP_SOURCES); null or `user`: nowhere.
        receive: Whether to stamp what is received.

    Raises:
        ProbeError: The kernel refuses.
    """
    transmit = 0 if stamp_code is None else _TX_FLAG[stamp_code]
    flags = REPORT_SOFTWARE | transmit | (RX_SOFTWARE if receive else 0)
    try:
        if transmit:  # OPT_ID must go from off to on for its counter to start anew
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, flags)
            flags |= OPT_ID | OPT_TSONLY
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, flags)
    except OSError as error:
        raise ProbeError(f"the kernel refuses timestamps: {error.strerror}") from error


def receive_ttl(sock: socket.socket) -> None:
    """Asks for the TTL or hop limit of every datagram received."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)


def forbid_fragments(sock: socket.socket) -> None:
    """Sets DF: a datagram beyond the path MTU is an error at the send call, not two packets."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)


def largest_payload(connected: socket.socket) -> int:
    """Octets of UDP payload that fit the path MTU as the kernel knows it."""
    if connected.family == socket.AF_INET6:
        return connected.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU) - 48
    return connected.getsockopt(socket.IPPROTO_IP, IP_MTU) - 28


def refuse_everything(sock: socket.socket) -> None:
    """Lets a socket that only sends receive nothing: a filter `return 0` on it."""
    program = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))
    header = struct.pack("@HxxxxxxP", 1, ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, header)


def drops(sock: socket.socket) -> int:
    """Datagrams this socket's receive buffer refused (SO_MEMINFO)."""
    info = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36)
    values = struct.unpack(f"={len(info) // 4}I", info)
    return int(values[_MEMINFO_DROPS])


def read_ancillary(ancillary: Sequence[tuple[int, int, bytes]]) -> tuple[int, int | None]:
    """(kernel receive stamp in ns, 0 where missing; TTL or hop limit, null where missing)."""
    stamp_ns, ttl = 0, None
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPING:
            seconds, rest = STAMP.unpack_from(data)
            stamp_ns = seconds * 1_000_000_000 + rest
        elif (level, kind) in {(0, IP_TTL), (41, IPV6_HOPLIMIT)}:
            ttl = data[0]
    return stamp_ns, ttl


def default_gateway() -> str | None:
    """IPv4 gateway of the default route, null if there is none (/proc/net/route)."""
    for line in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000" and int(fields[3], 16) & 2:
            return socket.inet_ntoa(struct.pack("=I", int(fields[2], 16)))
    return None


def choose_source(destination: str | None = None) -> int:
    """Sends datagrams that die at the first hop and sees who stamps them.

    Devices differ in what they stamp: so the way to `destination` is tried, by default that to the
    default gateway, else loopback.

    Returns:
        Index into STAMP_SOURCES: driver, else scheduler, else user clock.
    """
    destination = destination or default_gateway() or "127.0.0.1"
    for code in (0, 1):
        if _stamped(destination, code):
            return code
    return USER_CLOCK


def _stamped(destination: str, code: int) -> bool:
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        try:
            enable(sock, stamp_code=code, receive=True)
            for _ in range(_SELF_TESTS):
                sock.sendto(b"", (destination, _DISCARD_PORT))
        except (OSError, ProbeError):
            return False
        queue = ErrorQueue()
        deadline = time.monotonic() + 0.005
        found = len(queue.collect(sock.fileno()))
        while found < _SELF_TESTS and time.monotonic() < deadline:
            time.sleep(0.0005)
            found += len(queue.collect(sock.fileno()))
        return found == _SELF_TESTS
