"""Watches the measuring process: run-queue waits, throttling, datagrams dropped unread.

Used by latency/intake.py and reflector.py, beside clockwatch.py. All of it comes from the kernel's
counters, so what is known is how much in a stretch of time, not which packet.

Sources: proc(5) schedstat, Documentation/admin-guide/cgroup-v2.rst cpu.stat, net/ipv4/udp.c.
"""

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from podbench.wire.copies import Bools, Ints
from podbench.wire.fates import WAIT_SHARE_LIMIT
from podbench_agent import host, procfs


class _Reading:
    """One number from a kernel text file, kept open: a read takes 3 us."""

    def __init__(self, path: str | None, meaning: Callable[[str], int | None]) -> None:
        self._meaning = meaning
        self._last = 0
        try:
            self._fd = None if path is None else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = None

    def value(self) -> int:
        """Returns the current number, or the last known one (after the thread ended)."""
        if self._fd is not None:
            try:
                text = os.pread(self._fd, 4096, 0).decode("ascii", "replace")
            except OSError:
                text = ""
            found = self._meaning(text)
            self._last = self._last if found is None else found
        return self._last

    def close(self) -> None:
        """Closes the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class OwnWatch:
    """Run-queue waits of some threads of this process, and throttling of its cgroup."""

    def __init__(self) -> None:
        self._waits: list[_Reading] = []
        self._group = _Reading(host.cpu_stat_path(), procfs.throttled_ns)
        self._mono_ns: list[int] = []
        self._waited_ns: list[tuple[int, ...]] = []
        """One per watched thread."""
        self._throttled_ns: list[int] = []

    def watch_this_thread(self) -> None:
        """Starts watching the calling thread."""
        # Opened from within: the numbers of threads that /proc shows may be another namespace's.
        self._waits.append(_Reading("/proc/thread-self/schedstat", procfs.run_queue_wait_ns))
        self.note()

    def note(self) -> None:
        """Takes one reading of each counter."""
        self._mono_ns.append(time.monotonic_ns())
        self._waited_ns.append(tuple(reading.value() for reading in self._waits))
        self._throttled_ns.append(self._group.value())

    def thin(self) -> None:
        """Drops all readings except the first and the last, if only totals matter."""
        del self._mono_ns[1:-1], self._waited_ns[1:-1], self._throttled_ns[1:-1]

    def totals(self) -> tuple[int, int, int]:
        """(time, waited, throttled) in ns from the first reading to the last."""
        if not self._mono_ns:
            return 0, 0, 0
        whole, throttled = (x[-1] - x[0] for x in (self._mono_ns, self._throttled_ns))
        return whole, _longest_wait(self._waited_ns[0], self._waited_ns[-1]), throttled

    def starved(self, mono_ns: Ints) -> tuple[Bools, Bools]:
        """(n,) (waited too much, throttled) in the stretch between readings each time lies in."""
        if len(self._mono_ns) < 2:
            return np.zeros(len(mono_ns), dtype=bool), np.zeros(len(mono_ns), dtype=bool)
        at = np.array(self._mono_ns, dtype=np.int64)
        waited = [_longest_wait(*pair) for pair in itertools.pairwise(self._waited_ns)]
        share = np.array(waited) / np.maximum(1, np.diff(at))
        throttled = np.diff(self._throttled_ns) > 0
        stretch = np.clip(np.searchsorted(at, mono_ns, side="right") - 1, 0, len(share) - 1)
        return (share > WAIT_SHARE_LIMIT)[stretch], throttled[stretch]

    def close(self) -> None:
        """Closes the files."""
        for reading in (self._group, *self._waits):
            reading.close()


def _longest_wait(before: tuple[int, ...], now: tuple[int, ...]) -> int:
    """Of the thread that waited most: two that wait at once have not waited twice as long.

    One that is watched only since brings a wait of before it was, some microseconds.
    """
    pairs = itertools.zip_longest(before, now, fillvalue=0)
    return max((after - then for then, after in pairs), default=0)


class Unread(msgspec.Struct, frozen=True):
    """Datagrams dropped by the kernel before any program saw them."""

    checksum: int
    """Wrong UDP checksum (InCsumErrors), of the whole network namespace."""
    buffer: int
    """No room in a receive buffer (RcvbufErrors), of the whole network namespace."""

    def since(self, before: "Unread") -> "Unread":
        """Returns the difference to an earlier reading."""
        return Unread(self.checksum - before.checksum, self.buffer - before.buffer)


def unread() -> Unread:
    """Reads both counters, IPv4 plus IPv6."""
    four = procfs.snmp(_file("snmp"))
    six = procfs.snmp6(_file("snmp6"))
    names = ("InCsumErrors", "RcvbufErrors")
    checksum, buffer = (four.get(f"Udp.{n}", 0) + six.get(f"Udp6{n}", 0) for n in names)
    return Unread(checksum, buffer)


def _file(name: str) -> str:
    try:
        return Path(f"/proc/thread-self/net/{name}").read_text("ascii", "replace")
    except OSError:
        return ""


def buffer_drops(socket_drops: int, counted: Unread) -> int:
    """Returns how many of a socket's drops (SO_MEMINFO) came from a full buffer.

    The kernel counts a wrong checksum among a socket's drops too. The namespace's counters are of
    all its sockets, so they bound the socket's own from both sides.
    """
    return max(socket_drops - counted.checksum, min(socket_drops, counted.buffer))
