"""STAMP reflectors with other people's habits, in a thread: what they did is known per request."""

import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import time_ns

_NTP = 2_208_988_800
Peer = tuple[str, int]


@dataclass
class Habit:
    """How a reflector differs from RFC 8762's stateful one; each function sees the n-th request."""

    number: Callable[[int, int, int], int] = lambda own, _every, _seq: own
    """The reply's sequence number, of (own count, count over all ports, the sender's number)."""
    lose_forward: Callable[[int], bool] = lambda _n: False
    """Requests that are lost before the reflector counts them."""
    lose_backward: Callable[[int], bool] = lambda _n: False
    step_ns: Callable[[int], int] = lambda _n: 0
    """How far its clock steps between receive and send."""
    error: int = 1
    """Error Estimate."""
    echo: bool = False
    """Sends the request back as it came: no reflector at all."""
    delay_port: int | None = None
    """Replies to this source port (its place among the ports) wait for the next request."""


@dataclass
class Truth:
    """What became of the requests."""

    port: int = 0
    done: Counter[str] = field(default_factory=Counter)


def _ntp(at_ns: int) -> bytes:
    return struct.pack(">II", at_ns // 10**9 + _NTP, ((at_ns % 10**9) << 32) // 10**9)


@contextlib.contextmanager
def reflecting(habit: Habit) -> Iterator[Truth]:
    """A reflector on a port of its own, on the loopback."""
    truth = Truth()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.2)
        truth.port = sock.getsockname()[1]
        enough = threading.Event()
        thread = threading.Thread(target=_serve, args=(sock, habit, truth, enough))
        thread.start()
        try:
            yield truth
        finally:
            enough.set()
            thread.join()


def _serve(sock: socket.socket, habit: Habit, truth: Truth, enough: threading.Event) -> None:
    own: Counter[Peer] = Counter()
    every, n = 0, -1
    ports: list[Peer] = []
    held: list[tuple[bytes, Peer]] = []
    while not enough.is_set():
        try:
            data, peer = sock.recvfrom(4096)
        except TimeoutError:
            continue
        n += 1
        t2 = time_ns()
        if habit.echo:
            sock.sendto(data, peer)
            continue
        if habit.lose_forward(n):
            truth.done["forward"] += 1
            continue
        (seq,) = struct.unpack(">I", data[:4])
        number = habit.number(own[peer], every, seq)
        own[peer] += 1
        every += 1
        if habit.lose_backward(n):
            truth.done["backward"] += 1
            continue
        t3 = time_ns() + habit.step_ns(n)
        reply = (
            struct.pack(">I", number) + _ntp(t3) + struct.pack(">H", habit.error) + data[14:16]
            + _ntp(t2) + data[:14] + b"\0\0" + b"\x40\0\0\0" + data[44:]
        )  # fmt: skip
        if peer not in ports:
            ports.append(peer)
        if habit.delay_port is not None and ports.index(peer) == habit.delay_port:
            held.append((reply, peer))
            continue
        sock.sendto(reply, peer)
        for late in held:
            sock.sendto(*late)
            truth.done["overtaken"] += 1
        held.clear()
