"""The sender's loop: several STAMP sessions on one merged, open-loop schedule, in one thread.

It sleeps until a probe is due. It never waits for a reply before it sends, and never moves the
schedule: what is late is sent at once and its lateness kept. Nothing is parsed, logged or averaged
here beyond what the end of the drain needs. latency.py runs it in a process of its own,
latency/intake.py takes in what comes back, latency/notes.py holds what both write down.
"""

import contextlib
import gc
import time

import numpy as np

from podbench.wire import ntp
from podbench.wire.columns import Table
from podbench.wire.messages import LatencySession
from podbench_agent import timestamping
from podbench_agent.errqueue import ErrorQueue
from podbench_agent.probes import ownwatch
from podbench_agent.probes.alarm import Wakeups
from podbench_agent.probes.latency import schedule
from podbench_agent.probes.latency.flows import Flow, Flows
from podbench_agent.probes.latency.intake import Intake
from podbench_agent.probes.latency.notes import Notes, Suffered

LEAD_NS = 5_000_000
"""From set-up to the first possible probe: sockets are open and stamps switched on by then."""
SPIN_NS = 100_000
"""With `spin` this last stretch is waited for awake: most wake-ups are late by less. Not longer
than the scheduling slice: who uses that up is made to wait, and is later than a sleeper."""
DRAIN_MUST = 64
"""No more uncollected stamps than this per flow; about 255 fit the default receive buffer."""
FLUSH_WAIT_NS = 250_000_000
"""The flush probe's reply is welcome (it tells the last egress stamps), not waited for long."""


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
        self.facts: dict[str, int | float] = {}
        """Of the last measurement; names as latency.py tells them."""

    def run(self, sessions: tuple[LatencySession, ...]) -> dict[int, Table]:
        """Measures, drains, and gives each session's sender table by its `session_id`.

        Raises:
            ProbeError: A session cannot be carried out; names what and the limit.
        """
        schedule.check_together(sessions)
        opened: list[Flows] = []
        try:
            for s in sessions:
                schedule.check(s)
                opened.append(Flows(s, authenticated=self._key is not None))
            start = time.monotonic_ns() + LEAD_NS
            notes = [
                Notes(s, o.flows, schedule.due_times(s, start, self._rng), self._key)
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
            cpu_ns = time.process_time_ns() - cpu
        finally:
            gc.enable()
            measurement.close()
        tables = measurement.tables()
        self.facts = measurement.facts() | {
            "cpu_us_per_probe": cpu_ns // max(1, sum(note.sent for note in notes)) / 1000
        }
        return tables


class _Measurement:
    """One merged schedule being carried out."""

    def __init__(self, notes: list[Notes], queue: ErrorQueue, stamp_code: int) -> None:
        self._notes = notes
        self._stamp_code = stamp_code
        self._spin_ns = SPIN_NS if any(n.session.spin for n in notes) else 0
        self._send_errors = 0
        for note in notes:
            for flow in note.flows:
                flow.stamp_from_here(stamp_code)
        self._intake = Intake(notes, queue)
        self._unread_before = ownwatch.unread()
        self._unread = ownwatch.Unread(0, 0)
        """What this end's kernel threw away until the flush."""
        self._rx_drops = 0
        self._replies = 0
        self._strange = 0

    def facts(self) -> dict[str, int | float]:
        """What could not be sent, what came back as an error, what was thrown away unread."""
        return {
            "send_errors": self._send_errors,
            "refused": self._intake.refused,
            "csum_errors": self._unread.checksum,
            "rx_drops": self._rx_drops,
            "replies": self._replies,
            "strange_replies": self._strange,
        }

    def send_all(self) -> None:
        """Sends every probe when it is due, while replies are taken in beside it."""
        due = np.concatenate([note.due_ns[: note.n] for note in self._notes])
        which = np.repeat(np.arange(len(self._notes)), [note.n for note in self._notes])
        row = np.concatenate([np.arange(note.n) for note in self._notes])
        order = np.argsort(due, kind="stable")
        due = due[order]
        columns = (due.data, which[order].data, row[order].data)
        with contextlib.closing(Wakeups(due - self._spin_ns)) as wakeups:
            self._intake.start()
            for n, (due_ns, index, at) in enumerate(zip(*columns, strict=True)):
                wakeups.wait(n)
                while self._spin_ns and time.monotonic_ns() < due_ns:
                    pass
                note = self._notes[index]
                self._send(note, note.flows[at % note.ports], at)
            self._intake.stop()

    def _send(self, note: Notes, flow: Flow, row: int) -> None:
        wall_ns = time.time_ns()
        packet = note.fill(flow, ntp.ns_to_ntp(wall_ns), flush=row >= note.n)
        mono_ns = time.monotonic_ns()
        try:
            flow.tx.sendto(packet, flow.peer)
        except OSError as error:
            # A failed send may or may not have used up an OPT_ID: its counter starts anew.
            self._intake.restart(note, flow, self._stamp_code)
            if row < note.n:
                self._send_errors += 1
                note.send_errno[row] = error.errno or 0
            return
        note.sent_mono[row] = mono_ns
        note.sent_wall[row] = wall_ns
        flow.sent += 1
        if flow.sent - flow.stamped >= DRAIN_MUST:
            self._intake.collect(note, flow)

    def _wait_for_replies(self, until_ns: int, *, flush: bool) -> None:
        self._intake.wait(
            until_ns,
            lambda: any(note.outstanding(note.n if flush else 0) for note in self._notes),
        )

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
                self._intake.collect(note, flow)
        self._intake.note()
        self._unread = ownwatch.unread().since(self._unread_before)

    def tables(self) -> dict[int, Table]:
        """Every session's sender table."""
        tables = {}
        for note in self._notes:
            leaving = np.asarray(note.sent_mono)
            timeout_ns = round(note.session.timeout_s * 1e9)
            drops = [
                ownwatch.buffer_drops(timestamping.drops(flow.rx), self._unread)
                for flow in note.flows
            ]
            self._rx_drops += sum(drops)
            waited, throttled = self._intake.own.starved(leaving)
            suffered = Suffered(
                clock_step=self._intake.clock.stepped(leaving, leaving + timeout_ns),
                waited=waited,
                throttled=throttled,
                rx_drops=drops,
            )
            tables[note.session.session_id] = note.table(suffered, self._stamp_code)
            self._replies += note.arrived
            self._strange += note.strange
        return tables

    def close(self) -> None:
        """Closes what it waits with; the sockets belong to the caller."""
        self._intake.close()
