"""How much a socket may hold until somebody reads it: asked for, and what the kernel granted."""

import socket

SO_RCVBUFFORCE = 33
"""As SO_RCVBUF, but beyond net.core.rmem_max: for root of the machine (CAP_NET_ADMIN in the first
user namespace, net/core/sock.c). Python's socket module lacks it."""

PROBE_BYTES = 4 << 20
"""What a probe asks for. Root of the machine gets it; everybody else gets what net.core.rmem_max
allows, 208 KiB by default: some 500 probes, as the kernel charges 832 octets for each of twice
that. At 20,000 pps that is 25 ms without a CPU."""


def widen(opened: socket.socket, octets: int) -> int:
    """Asks for a receive buffer, beyond net.core.rmem_max where we may.

    Returns:
        What was granted, in the terms of the request; the kernel doubles both for its own use.
    """
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, octets)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)
    return opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
