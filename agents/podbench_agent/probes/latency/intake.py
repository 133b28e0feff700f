"""The sender's receiving half: replies and transmit stamps into the notes, in a thread of its own.

Why a thread: a process that wakes for a reply shortly after it sent has used up its share of the
CPU for that moment, so on a busy machine the scheduler leaves it waiting until the next tick
(EEVDF: not eligible, so no wake-up preemption); a probe that falls due meanwhile leaves late. The
thread that sends wakes for its timer only. Both are bound by one interpreter lock, held for some
30 us a reply.

latency/loop.py starts it, stops it and, when everything is sent, waits here for what is still out.
"""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable

from podbench_agent import timestamping
from podbench_agent.errqueue import BATCH, ErrorQueue
from podbench_agent.probes.alarm import Alarm
from podbench_agent.probes.clockwatch import ClockWatch
from podbench_agent.probes.latency.flows import Flow
from podbench_agent.probes.latency.notes import Notes
from podbench_agent.probes.ownwatch import OwnWatch

DRAIN_AT = 32
"""Transmit stamps are collected in batches of this, right after a reply was taken in; those of a
flow that gets no replies are by the sending thread, at DRAIN_MUST (latency/loop.py)."""
NOTE_NS = 100_000_000
EVENTS_MOST = 32
"""Per wait: room for them is made anew each time, by default for 1,023."""


class Intake:
    """Takes in what comes back to some sessions' flows; close it.

    Args:
        notes: The sessions.
        queue: Buffers to drain error queues with.
    """

    def __init__(self, notes: list[Notes], queue: ErrorQueue) -> None:
        self._queue = queue
        self.clock = ClockWatch()
        self.own = OwnWatch()
        self.own.watch_this_thread()
        self.refused = 0
        self._lock = threading.Lock()
        """Over error queues: the sending thread drains one too when a flow has too much waiting."""
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._alarm = Alarm()
        self._enough = os.eventfd(0, os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        self._epoll.register(self._alarm.fd, select.EPOLLIN | select.EPOLLET)
        self._epoll.register(self._enough, select.EPOLLIN)
        self._by_fd = {flow.rx.fileno(): (note, flow) for note in notes for flow in note.flows}
        for fd in self._by_fd:
            self._epoll.register(fd, select.EPOLLIN)
        self._most = min(len(self._by_fd) + 2, EVENTS_MOST)

    def start(self) -> None:
        """Begins to take in, beside the caller."""
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends that.

        Raises:
            ProbeError: A socket has failed meanwhile.
        """
        if self._thread is None:
            return
        os.eventfd_write(self._enough, 1)
        self._thread.join()
        self._thread = None
        os.eventfd_read(self._enough)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            timestamping.sharpen_timers()
            timestamping.shorten_slice()
            self.own.watch_this_thread()
            while self._take_ready():
                pass
        except Exception as error:  # noqa: BLE001  the edge of a thread: `stop` raises it
            self._failure = error

    def wait(self, until_ns: int, more: Callable[[], bool]) -> None:
        """Takes in, in the caller's thread, as long as `more`, at most until then (monotonic)."""
        self._alarm.set(until_ns)
        while time.monotonic_ns() < until_ns and more():
            self._take_ready()

    def _take_ready(self) -> bool:
        """Waits; takes in one reply of every socket that has one. False: told to stop."""
        go_on = True
        for fd, _ in self._epoll.poll(-1, self._most):
            known = self._by_fd.get(fd)
            if known is None:
                go_on &= fd != self._enough
                continue
            note, flow = known
            try:
                received_ns = note.receive(flow)
            except BlockingIOError:
                continue
            except OSError:  # an ICMP error: nobody listens there, or no way
                self.refused += 1
                continue
            if flow.sent - flow.stamped >= DRAIN_AT:
                self.collect(note, flow)
            if received_ns - self.clock.last_ns > NOTE_NS:
                self.note()
        return go_on

    def note(self) -> None:
        """Reads clocks and own counters, so that what happens between two readings is known."""
        self.clock.note()
        self.own.note()

    def collect(self, note: Notes, flow: Flow) -> None:
        """Empties a flow's error queue into the notes."""
        with self._lock:
            self._empty(note, flow)

    def restart(self, note: Notes, flow: Flow, stamp_code: int) -> None:
        """Starts a flow's transmit stamps anew after a send that failed."""
        with self._lock:
            self._empty(note, flow)
            flow.sent += 1
            flow.stamp_from_here(stamp_code)

    def _empty(self, note: Notes, flow: Flow) -> None:
        more = flow.sent > flow.stamped
        while more:
            stamps = self._queue.collect(flow.tx.fileno())
            for key, stamp_ns in stamps:
                note.t1[note.row(flow, flow.key_base + key)] = stamp_ns
            if stamps:  # those before it come no more: their packets were dropped in this host
                # A stray one of before a restart counts on from elsewhere.
                flow.stamped = min(stamps[-1][0], flow.sent) + 1
            more = len(stamps) == BATCH

    def close(self) -> None:
        """Closes what it waits with; the sockets belong to the caller."""
        with contextlib.suppress(Exception):  # what it failed with was told, or another failure is
            self.stop()
        self._epoll.close()
        self._alarm.close()
        self.own.close()
        os.close(self._enough)
