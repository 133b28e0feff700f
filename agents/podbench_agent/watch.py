"""When a path that is watched is in trouble: a pure account of probes and answers, and its rules.

Loss: of the probes that a window holds, a share went unanswered. Delay: half of the latest answers
are slower than a bound and than a multiple of what the path itself had at first. Both bounds are
far beyond what a capped transfer beside it does, and both are seen within seconds. A stretch in
which the sender itself stood still, or was told to hold, is not judged: it says nothing about the
path. `canary` sends.
"""

from array import array

import numpy as np

from podbench.wire import messages

BASELINE_ANSWERS = 30
"""The path as it was at first: three seconds at the canary's ten a second."""
LATEST_NS = 2_000_000_000
"""Delay is judged by the answers to what was sent this long ago at most."""
LEAST_ANSWERS = 10
STALL_NS = 500_000_000
"""A sender that is late by this was not scheduled; its answers were not read either."""


class Watch:
    """Keeps account of one path. Times are one monotonic clock's, in ns."""

    def __init__(self, order: messages.WatchPath) -> None:
        self._order = order
        self._waiting: dict[int, int] = {}
        self._recent: list[tuple[int, int | None]] = []
        self._first: list[int] = []
        self._rtts = array("q")
        self._sent = self._lost = self._unjudged = self._stalls = 0

    def sent(self, number: int, now_ns: int) -> None:
        """A probe left."""
        self._sent += 1
        self._waiting[number] = now_ns

    def answered(self, number: int, now_ns: int) -> None:
        """A probe's answer came; one that came too late, or twice, counts no more."""
        sent_ns = self._waiting.get(number)
        if sent_ns is None or now_ns - sent_ns > self._order.answer_s * 1e9:
            return
        del self._waiting[number]
        rtt_ns = now_ns - sent_ns
        self._rtts.append(rtt_ns)
        self._recent.append((sent_ns, rtt_ns))
        if len(self._first) < BASELINE_ANSWERS:
            self._first.append(rtt_ns)

    def stalled(self) -> None:
        """The sender stood still."""
        self._stalls += 1
        self.forget()

    def forget(self) -> None:
        """Judges nothing that was sent before."""
        self._unjudged += len(self._waiting)
        self._waiting.clear()
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
                self._lost += 1
                self._recent.append((sent_ns, None))
        begin_ns = now_ns - patience_ns - self._order.window_s * 1e9
        # Not in the order sent: what was given up comes after what was answered meanwhile.
        self._recent = [each for each in self._recent if each[0] >= begin_ns]

    def _loss(self) -> str | None:
        lost = sum(rtt_ns is None for _, rtt_ns in self._recent)
        whole = self._order.window_s * self._order.rate_pps
        if lost < self._order.lost_ratio * whole:
            return None
        if not self._rtts:
            return f"none of {self._sent} probes was ever answered"
        return f"{lost} of {len(self._recent)} probes in {self._order.window_s:g} s were lost"

    def _delay(self, now_ns: int) -> str | None:
        latest = [
            rtt_ns
            for sent_ns, rtt_ns in self._recent
            if rtt_ns is not None and now_ns - sent_ns <= LATEST_NS
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
        )
