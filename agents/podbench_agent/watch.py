"""When a path that is watched is in trouble: a pure account of probes and answers, and its rules.

Loss: of the probes that a window holds, a share went unanswered. Delay: half of the latest answers
took the network longer than a bound and than a multiple of what the path itself had at first. Both
bounds are far beyond what a capped transfer beside it does, and both are seen within seconds.

A starved CPU is never the network. What an answer waited for the reflector's CPU, and for ours, is
taken off by the kernel's stamps at both ends; answers that come late for that are no losses, and
while half of them wait so, losses are not judged: a full receive buffer drops too. A stretch in
which the sender itself stood still, or was told to hold, is not judged either. `canary` sends.
"""

from array import array
from typing import NamedTuple

import numpy as np

from podbench.wire import messages

BASELINE_ANSWERS = 30
"""The path as it was at first: three seconds at the canary's ten a second."""
LATEST_NS = 2_000_000_000
"""Delay is judged by the answers to what was sent this long ago at most."""
LEAST_ANSWERS = 10
LATE_NS = 30_000_000_000
"""An answer is still told from a loss this long after its probe."""
STALL_NS = 500_000_000
"""A sender that is late by this was not scheduled; its answers were not read either."""


STARVED_NS = 20_000_000
"""An answer that waited so long for a CPU says that this one is starved."""


class Shares(NamedTuple):
    """Where a round trip's time went, by the kernel's stamps, in ns."""

    network: int
    reflector: int
    """From the request's arrival to the answer's departure, on the far node."""
    own: int
    """From the answer's arrival to our reading it."""


class _Answer(NamedTuple):
    sent_ns: int
    rtt_ns: int | None
    """The network's share; null: never answered."""
    starved: str | None
    """Whose CPU it waited for, `sender` or `reflector`; null: for neither's."""


class Watch:
    """Keeps account of one path. Times are one monotonic clock's, in ns."""

    def __init__(self, order: messages.WatchPath) -> None:
        self._order = order
        self._waiting: dict[int, int] = {}
        self._recent: list[_Answer] = []
        self._first: list[int] = []
        self._rtts = array("q")
        self._networks = array("q")
        self._waits = {"sender": 0, "reflector": 0}
        self._given_up: dict[int, int] = {}
        self._sent = self._lost = self._unjudged = self._stalls = 0

    def sent(self, number: int, now_ns: int) -> None:
        """A probe left."""
        self._sent += 1
        self._waiting[number] = now_ns

    def answered(self, number: int, now_ns: int, shares: Shares | None = None) -> None:
        """A probe's answer came; one that came twice counts once.

        Args:
            number: The probe's.
            now_ns: When it was read.
            shares: By the kernel's stamps; null: without them all of it is the network's.
        """
        sent_ns = self._waiting.pop(number, None)
        late = sent_ns is None
        if sent_ns is None:
            sent_ns = self._given_up.pop(number, None)
        if sent_ns is None:
            return
        rtt_ns = now_ns - sent_ns
        # Never more than all of it, whatever was done to the clock meanwhile.
        network_ns = rtt_ns if shares is None else min(max(0, shares.network), rtt_ns)
        if network_ns > self._order.answer_s * 1e9:
            self._lost += not late
            if not late:
                self._recent.append(_Answer(sent_ns, None, None))
            return
        if late:
            # Given up for lost, and it was a CPU that kept it.
            self._lost -= 1
            self._recent = [
                each for each in self._recent if (each.sent_ns, each.rtt_ns) != (sent_ns, None)
            ]
        starved = self._note_waits(shares)
        self._rtts.append(rtt_ns)
        self._networks.append(network_ns)
        self._recent.append(_Answer(sent_ns, network_ns, starved))
        if len(self._first) < BASELINE_ANSWERS:
            self._first.append(network_ns)

    def _note_waits(self, shares: Shares | None) -> str | None:
        if shares is None:
            return None
        waits = {"sender": shares.own, "reflector": shares.reflector}
        for who, wait_ns in waits.items():
            self._waits[who] = max(self._waits[who], wait_ns)
        longest = max(waits, key=lambda who: waits[who])
        return longest if waits[longest] > STARVED_NS else None

    def stalled(self) -> None:
        """The sender stood still."""
        self._stalls += 1
        self.forget()

    def forget(self) -> None:
        """Judges nothing that was sent before."""
        self._unjudged += len(self._waiting)
        self._waiting.clear()
        self._given_up.clear()
        self._recent.clear()

    def trouble(self, now_ns: int) -> str | None:
        """What is wrong with the path now; null: nothing."""
        self._give_up(now_ns)
        return self._loss() or self._delay(now_ns)

    def _give_up(self, now_ns: int) -> None:
        """Counts what was never answered, and drops what lies before the window."""
        patience_ns = self._order.answer_s * 1e9
        for number, sent_ns in list(self._waiting.items()):
            if now_ns - sent_ns > patience_ns:
                del self._waiting[number]
                self._given_up[number] = sent_ns
                self._lost += 1
                self._recent.append(_Answer(sent_ns, None, None))
        begin_ns = now_ns - patience_ns - self._order.window_s * 1e9
        # Not in the order sent: what was given up comes after what was answered meanwhile.
        self._recent = [each for each in self._recent if each.sent_ns >= begin_ns]
        oldest_ns = now_ns - LATE_NS
        for number, sent_ns in list(self._given_up.items()):
            if sent_ns < oldest_ns:
                del self._given_up[number]

    def _loss(self) -> str | None:
        lost = sum(each.rtt_ns is None for each in self._recent)
        whole = self._order.window_s * self._order.rate_pps
        if lost < self._order.lost_ratio * whole or self._starved():
            return None
        if not self._rtts:
            return f"none of {self._sent} probes was ever answered"
        return f"{lost} of {len(self._recent)} probes in {self._order.window_s:g} s were lost"

    def _starved(self) -> bool:
        """Whether half of the answers in the window waited for a CPU."""
        answers = [each for each in self._recent if each.rtt_ns is not None]
        waited = sum(each.starved is not None for each in answers)
        return bool(answers) and 2 * waited >= len(answers)

    def _delay(self, now_ns: int) -> str | None:
        latest = [
            each.rtt_ns
            for each in self._recent
            if each.rtt_ns is not None and now_ns - each.sent_ns <= LATEST_NS
        ]
        if self._order.delay_s is None or len(latest) < LEAST_ANSWERS:
            return None
        if len(self._first) < BASELINE_ANSWERS:
            return None
        baseline_ns, now = float(np.median(self._first)), float(np.median(latest))
        if now <= max(self._order.delay_s * 1e9, self._order.times * baseline_ns):
            return None
        return f"round trips take {now / 1e6:.0f} ms, at first {baseline_ns / 1e6:.2f} ms"

    def report(self, trouble: str | None) -> messages.Watched:
        """The whole account."""
        rtts = np.frombuffer(self._rtts, dtype=np.int64)
        known = len(rtts) > 0
        return messages.Watched(
            trouble=trouble,
            sent=self._sent,
            lost=self._lost,
            unjudged=self._unjudged + len(self._waiting),
            stalls=self._stalls,
            baseline_ns=int(np.median(self._first)) if self._first else None,
            p50_ns=int(np.quantile(rtts, 0.5)) if known else None,
            p99_ns=int(np.quantile(rtts, 0.99)) if known else None,
            max_ns=int(rtts.max()) if known else None,
            network_p50_ns=int(np.median(np.frombuffer(self._networks, dtype=np.int64)))
            if known
            else None,
            own_wait_max_ns=self._waits["sender"] if known else None,
            reflector_wait_max_ns=self._waits["reflector"] if known else None,
        )
