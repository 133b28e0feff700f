"""What the reflector itself did not answer, for the sender that asks (wire/stamp_tlv.py, type 252).

A sender without access to the reflector's log takes such requests for losses of the network; the
counts tell them apart. loop.py keeps a reading per session and answers with the difference.
"""

import socket
import time

from podbench.wire.stamp_tlv import OwnDrops
from podbench_agent import timestamping
from podbench_agent.probes import ownwatch
from podbench_agent.probes.reflector.sessions import Counters, Reading

_FRESH_NS = 1_000_000_000
"""A reading of the namespace's counters serves this long: sessions begin at anybody's rate, and
each reading of /proc takes some 100 us."""

_AT_ONCE_NS = 5_000_000
"""A request answered within this time did not wait behind a full buffer."""


class Dropped:
    """Reads what one reflector dropped.

    Args:
        sock: Its socket.
        counters: What its rules refused and what it could not send.
    """

    def __init__(self, sock: socket.socket, counters: Counters) -> None:
        self._sock = sock
        self._counters = counters
        self._unread = ownwatch.unread()
        self._read_ns = time.monotonic_ns()
        self._settled = self._now()

    def begin(self, t2_ns: int) -> Reading:
        """The reading a session begins with, whose first request came at this time (wall clock).

        A request that waited in the receive buffer may have been followed by some that found it
        full: then the last reading from before it counts.
        """
        if time.time_ns() - t2_ns < _AT_ONCE_NS:
            self._settled = self._now()
        return self._settled

    def _now(self) -> Reading:
        if time.monotonic_ns() - self._read_ns > _FRESH_NS:
            self._unread = ownwatch.unread()
            self._read_ns = time.monotonic_ns()
        counters = self._counters
        return Reading(
            socket=timestamping.drops(self._sock),
            unread=self._unread,
            refused=counters.rate_limited + counters.table_full,
            unsent=counters.send_failed,
        )

    def since(self, before: Reading | None) -> OwnDrops:
        """What came on top of an earlier reading; nothing without one."""
        now = self._now()
        if before is None:
            return OwnDrops(0, 0, 0)
        thrown = now.unread.since(before.unread)
        return OwnDrops(
            buffer=max(0, ownwatch.buffer_drops(now.socket - before.socket, thrown)),
            refused=now.refused - before.refused,
            unsent=now.unsent - before.unsent,
        )
