"""Transmit stamps from a socket's error queue, a batch per system call (recvmmsg by ctypes).

One recvmsg per stamp costs as much as receiving a packet, a batch of 16 a third of that. Undrained
stamps are charged to the socket's receive buffer (255 fit the default), so loops drain often.

mmsghdr on 64-bit Linux, 64 octets: name ptr@0, namelen u32@8, iov ptr@16, iovlen u64@24,
control ptr@32, controllen u64@40, flags i32@48, msg_len u32@56.
"""

import ctypes
import errno
import os
import struct

from podbench.model.errors import ProbeError

BATCH = 64
"""Stamps per call."""

_CONTROL_BYTES = 128
"""Stamp (64 octets) and extended error with its address (48, IPv6: 64)."""
_MSG_ERRQUEUE, _MSG_DONTWAIT = 0x2000, 0x40
_ORIGIN_TIMESTAMPING = 4

_MMSGHDR = struct.Struct("=32xQQ16x")
"""The two fields that matter: control, controllen."""
# cmsg header of 16 octets, s64 sec, s64 nsec, 32 octets of hardware stamps; cmsg header, u32 errno,
# u8 origin, u8 type, u8 code, u8 pad, u32 info, u32 data. The stamp comes first
# (net/ipv4/ip_sockglue.c, ip_recv_error).
_STAMP_AND_ERROR = struct.Struct("=16xqq52xB7xI32x")


class ErrorQueue:
    """Preallocated buffers for draining error queues; one per process serves all its sockets."""

    def __init__(self) -> None:
        self._control = bytearray(BATCH * _CONTROL_BYTES)
        self._view = memoryview(self._control)
        base = ctypes.addressof((ctypes.c_char * len(self._control)).from_buffer(self._control))
        self._fresh = memoryview(
            b"".join(_MMSGHDR.pack(base + i * _CONTROL_BYTES, _CONTROL_BYTES) for i in range(BATCH))
        )
        headers = bytearray(self._fresh)
        self._pointer = ctypes.addressof((ctypes.c_char * len(headers)).from_buffer(headers))
        self._headers = memoryview(headers)
        libc = ctypes.CDLL(None, use_errno=True)
        self._recvmmsg = libc.recvmmsg
        self._recvmmsg.argtypes = [
            ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p,
        ]  # fmt: skip

    def collect(self, fd: int) -> list[tuple[int, int]]:
        """Takes at most BATCH stamps.

        Returns:
            (OPT_ID counter, stamp in ns) each, in the order the kernel queued them.

        Raises:
            ProbeError: The socket has failed.
        """
        got = self._recvmmsg(fd, self._pointer, BATCH, _MSG_ERRQUEUE | _MSG_DONTWAIT, None)
        if got < 0:
            code = ctypes.get_errno()
            if code in {errno.EAGAIN, errno.EINTR, errno.ECONNREFUSED, errno.EHOSTUNREACH}:
                return []
            raise ProbeError(f"error queue: {os.strerror(code)}")
        used = got * _MMSGHDR.size
        self._headers[:used] = self._fresh[:used]  # the kernel wrote into them what it used
        return [
            (key, seconds * 1_000_000_000 + rest)
            for seconds, rest, origin, key in _STAMP_AND_ERROR.iter_unpack(
                self._view[: got * _CONTROL_BYTES]
            )
            if origin == _ORIGIN_TIMESTAMPING
        ]
