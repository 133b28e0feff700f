"""TCP request and response: one octet there, one octet back, on an open connection (as TCP_RR).

The next request leaves when the response is here: a closed loop, so its round trips say what an
application with one request under way sees, and its rate is their inverse.
"""

import socket
import time
from collections.abc import Callable

from podbench_agent.probes.pairwise import Settings

PATIENCE_S = 2.0
"""A response that takes longer ends the probe: TCP has then retransmitted several times."""


def serve(settings: Settings, ready: Callable[[dict[str, int]], None]) -> None:
    """Answers each octet with it until the connection closes.

    Args:
        settings: `bind_address`; `lifetime_s`, after which nobody is waited for any more.
        ready: Called with the port once it listens.
    """
    address = str(settings["bind_address"])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family, backlog=1) as listener:
        listener.settimeout(float(settings["lifetime_s"]))
        ready({"port": listener.getsockname()[1]})
        connection, _ = listener.accept()
    with connection:
        _without_delay(connection)
        while octet := connection.recv(1):
            connection.sendall(octet)


def run(settings: Settings) -> dict[str, list[int]]:
    """Asks `count` times; one element per answered request.

    Args:
        settings: `peer_address`, `peer_port`, `bind_address`, `count`, `duration_s` at most.
    """
    started: list[int] = []
    took: list[int] = []
    peer = (str(settings["peer_address"]), int(settings["peer_port"]))
    source = (str(settings["bind_address"]), 0)
    with socket.create_connection(peer, PATIENCE_S, source) as connection:
        _without_delay(connection)
        until = time.monotonic() + float(settings["duration_s"])
        while len(took) < int(settings["count"]) and time.monotonic() < until:
            before = time.monotonic_ns()
            connection.sendall(b"\0")
            if not connection.recv(1):
                raise ConnectionResetError("the far end closed the connection")
            took.append(time.monotonic_ns() - before)
            started.append(before)
    return {"start_mono_ns": started, "rtt_ns": took}


def _without_delay(connection: socket.socket) -> None:
    connection.settimeout(PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
