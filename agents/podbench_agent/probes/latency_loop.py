"""The sender's loop: several STAMP sessions on one merged, open-loop schedule, in one thread.

It sleeps until a probe is due or a reply is there. It never waits for a reply before it sends, and
never moves the schedule: what is late is sent at once and its lateness kept. Nothing is parsed,
logged or averaged here beyond what the end of the drain needs. latency.py runs it in a process of
its own; latency_notes.py holds what it writes down.
"""

import gc
import select
import time

import numpy as np

from podbench.wire import ntp
from podbench.wire.columns import Table
from podbench.wire.messages import LatencySession
from podbench_agent import timestamping
from podbench_agent.errqueue import BATCH, ErrorQueue
from podbench_agent.probes import latency_schedule
from podbench_agent.probes.alarm import Alarm
from podbench_agent.probes.clockwatch import ClockWatch
from podbench_agent.probes.latency_flows import Flow, Flows
from podbench_agent.probes.latency_notes import Notes

LEAD_NS = 2_000_000
"""From set-up to the first possible probe: sockets are open and stamps switched on by then."""
SPIN_NS = 150_000
"""With `spin` this last stretch is waited for awake: most wake-ups are late by less."""
DRAIN_AT = 16
"""Transmit stamps are collected in batches of this, right after a reply was taken in."""
DRAIN_MUST = 64
"""No more uncollected stamps than this per flow; about 255 fit the default receive buffer."""
FLUSH_WAIT_NS = 250_000_000
"""The flush probe's reply is welcome (it tells the last egress stamps), not waited for long."""
CLOCK_NOTE_NS = 100_000_000
_BEHIND_POLL = 16
"""Far behind schedule, replies are still taken in after so many sends."""


class Sender:
    """Runs sessions one measurement at a time.

    Args:
        key: HMAC key: with it all packets are authenticated.
        stamp_code: Where transmit stamps are taken (index into STAMP_SOURCES).
    """

    def __init__(self, key: bytes | None, stamp_code: int) -> None:
        self._key = key
        self._stamp_code = stamp_code
        self._queue = ErrorQueue()
        self._rng = np.random.default_rng()
        self.cpu_ns_per_probe = 0
        self.send_errors = 0
        self.refused = 0

    def run(self, sessions: tuple[LatencySession, ...]) -> dict[int, Table]:
        """Measures, drains, and gives each session's sender table by its `session_id`.

        Raises:
            ProbeError: A session cannot be carried out; names what and the limit.
        """
        opened: list[Flows] = []
        try:
            for s in sessions:
                latency_schedule.count(s)
                opened.append(Flows(s, authenticated=self._key is not None))
            start = time.monotonic_ns() + LEAD_NS
            notes = [
                Notes(s, o.flows, latency_schedule.due_times(s, start, self._rng), self._key)
                for s, o in zip(sessions, opened, strict=True)
            ]
            return self._measure(notes)
        finally:
            for flows in opened:
                flows.close()

    def _measure(self, notes: list[Notes]) -> dict[int, Table]:
        measurement = _Measurement(notes, self._queue, self._stamp_code)
        gc.disable()
        try:
            cpu = time.process_time_ns()
            measurement.send_all()
            measurement.drain()
            measurement.flush()
            self.cpu_ns_per_probe = (time.process_time_ns() - cpu) // max(1, measurement.sent)
        finally:
            gc.enable()
            measurement.close()
        self.send_errors = measurement.send_errors
        self.refused = measurement.refused
        return measurement.tables()


class _Measurement:
    """One merged schedule being carried out."""

    def __init__(self, notes: list[Notes], queue: ErrorQueue, stamp_code: int) -> None:
        self._notes = notes
        self._queue = queue
        self._stamp_code = stamp_code
        self._spin_ns = SPIN_NS if any(n.session.spin for n in notes) else 0
        self._clock = ClockWatch()
        self._by_fd: dict[int, tuple[Notes, Flow]] = {}
        self._epoll = select.epoll()
        self._alarm = Alarm()
        self._epoll.register(self._alarm.fd, select.EPOLLIN | select.EPOLLET)
        self.sent = 0
        self.send_errors = 0
        self.refused = 0
        for note in notes:
            for flow in note.flows:
                flow.stamp_from_here(stamp_code)
                self._epoll.register(flow.rx.fileno(), select.EPOLLIN)
                self._by_fd[flow.rx.fileno()] = (note, flow)

    def send_all(self) -> None:
        """Sends every probe when it is due, taking replies in between."""
        due = np.concatenate([note.due_ns[: note.n] for note in self._notes])
        which = np.repeat(np.arange(len(self._notes)), [note.n for note in self._notes])
        row = np.concatenate([np.arange(note.n) for note in self._notes])
        order = np.argsort(due, kind="stable")
        columns = (column[order].data for column in (due, which, row))
        behind = 0
        for due_ns, index, at in zip(*columns, strict=True):
            if self._wait_until(due_ns):
                behind = 0
            elif (behind := behind + 1) % _BEHIND_POLL == 0:
                self._take_ready(0)
            note = self._notes[index]
            self._send(note, note.flows[at % note.ports], at)

    def _wait_until(self, due_ns: int) -> bool:
        """Sleeps until then, taking replies in; false if it is past already."""
        monotonic_ns = time.monotonic_ns
        awake_from = due_ns - self._spin_ns
        if monotonic_ns() >= due_ns:
            return False
        self._alarm.set(awake_from)
        while monotonic_ns() < awake_from:
            self._take_ready(-1)
        while monotonic_ns() < due_ns:
            self._take_ready(0)
        return True

    def _send(self, note: Notes, flow: Flow, row: int) -> None:
        wall_ns = time.time_ns()
        packet = note.fill(flow, ntp.ns_to_ntp(wall_ns))
        mono_ns = time.monotonic_ns()
        try:
            flow.tx.sendto(packet, flow.peer)
        except OSError:
            self._resume_after_error(note, flow)
            return
        note.sent_mono[row] = mono_ns
        note.sent_wall[row] = wall_ns
        flow.sent_seq += 1
        flow.unstamped += 1
        self.sent += 1
        if flow.unstamped >= DRAIN_MUST:
            self._collect(note, flow)

    def _resume_after_error(self, note: Notes, flow: Flow) -> None:
        """A failed send may or may not have used up an OPT_ID: start its counter anew."""
        self._collect(note, flow)
        flow.sent_seq += 1
        flow.stamp_from_here(self._stamp_code)
        self.send_errors += 1

    def _take_ready(self, timeout_s: float) -> None:
        """Takes in one reply of every socket that has one; waits for the first (-1: for ever)."""
        for fd, _ in self._epoll.poll(timeout_s):
            if fd == self._alarm.fd:
                continue
            note, flow = self._by_fd[fd]
            try:
                received_ns = note.receive(flow)
            except BlockingIOError:
                continue
            except OSError:  # an ICMP error: nobody listens there, or no way
                self.refused += 1
                continue
            if flow.unstamped >= DRAIN_AT:
                self._collect(note, flow)
            if received_ns - self._clock.last_ns > CLOCK_NOTE_NS:
                self._clock.note()

    def _collect(self, note: Notes, flow: Flow) -> None:
        """Empties a flow's error queue into the notes."""
        more = flow.unstamped > 0
        while more:
            stamps = self._queue.collect(flow.tx.fileno())
            for key, stamp_ns in stamps:
                note.t1[note.row(flow, flow.key_base + key)] = stamp_ns
            flow.unstamped -= len(stamps)
            more = len(stamps) == BATCH

    def _wait_for_replies(self, until_ns: int, *, flush: bool) -> None:
        self._alarm.set(until_ns)
        while time.monotonic_ns() < until_ns and any(
            note.outstanding(note.n if flush else 0) for note in self._notes
        ):
            self._take_ready(-1)

    def drain(self) -> None:
        """Waits for the last reply, at most until the longest timeout after the last probe."""
        timeout_ns = max(round(note.session.timeout_s * 1e9) for note in self._notes)
        self._wait_for_replies(time.monotonic_ns() + timeout_ns, flush=False)

    def flush(self) -> None:
        """Sends one more probe on every flow: its reply tells the egress stamp of the last one."""
        for note in self._notes:
            for flow in note.flows:
                self._send(note, flow, note.n + flow.index)
        self._wait_for_replies(time.monotonic_ns() + FLUSH_WAIT_NS, flush=True)
        for note in self._notes:
            for flow in note.flows:
                self._collect(note, flow)
        self._clock.note()

    def tables(self) -> dict[int, Table]:
        """Every session's sender table."""
        tables = {}
        for note in self._notes:
            leaving = np.asarray(note.sent_mono)
            timeout_ns = round(note.session.timeout_s * 1e9)
            stepped = self._clock.stepped(leaving, leaving + timeout_ns)
            drops = [timestamping.drops(flow.rx) for flow in note.flows]
            tables[note.session.session_id] = note.table(stepped, self._stamp_code, drops)
        return tables

    def close(self) -> None:
        """Closes what it waits with; the sockets belong to the caller."""
        self._epoll.close()
        self._alarm.close()
