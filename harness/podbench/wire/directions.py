"""The direction of each loss from the reflector's counter alone (RFC 8762 section 4.3).

Used if the reflector's log is unavailable (`bench agent probe` against any reflector). Unknown is
better than wrong: a direction is reported only if the counter provably belongs to this session.

- A stateless reflector copies the sender's sequence number (RFC 8762 section 4.2): a loss then
  leaves the same trace whichever way it went. The counter is taken for one only if the reflector
  reports egress times (Follow-Up Telemetry is zero when stateless, RFC 8972 section 4.7), or if it
  was once seen to lag behind.
- A counter shared by several ports or senders rises by more than this session sent; then no
  direction of the session is known. Copies that were seen are taken off before (wire/copies.py).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from podbench.wire.copies import Bools, Ints

OK, FORWARD, BACKWARD, UNKNOWN = range(4)


class Flow:
    """One 4-tuple: probes sent, replies received, and the reflector's counter.

    Args:
        sent: Probes sent, sequence numbers 0 to sent - 1.
        seq: (m,) sequence numbers answered, ascending.
        counter: (m,) the reflector's number of each, copies taken off.
        final: Requests the reflector had received after the last probe; null if not known.
    """

    def __init__(self, sent: int, seq: Ints, counter: Ints, final: int | None) -> None:
        self.sent = sent
        self.final = final
        end = -1 if final is None else final
        self.s = np.concatenate([[-1], seq, [sent]])
        self.counter = np.concatenate([[-1], counter, [end]])
        self.clean = _clean(self.counter, ended=final is not None)

    def own(self) -> bool:
        """False if the counter rose by more than was sent between two replies that came in order.

        The first reply is left out: a counter may begin anywhere.
        """
        rose, sent = np.diff(self.counter), np.diff(self.s)
        surplus = self.clean[:-1] & self.clean[1:] & (rose > sent)
        return not surplus[1:].any()

    def fates(self) -> npt.NDArray[np.int8]:
        """(sent,) OK, FORWARD, BACKWARD or UNKNOWN."""
        fate = np.full(self.sent, UNKNOWN, dtype=np.int8)
        for i in np.flatnonzero(np.diff(self.s) > 1):
            missing = slice(int(self.s[i]) + 1, int(self.s[i + 1]))
            if not (self.clean[i] and self.clean[i + 1]):
                continue
            arrived = int(self.counter[i + 1] - self.counter[i] - 1)
            if arrived == 0:
                fate[missing] = FORWARD
            elif arrived == missing.stop - missing.start:
                fate[missing] = BACKWARD
        fate[self.s[1:-1]] = OK
        return fate


def _clean(counter: Ints, *, ended: bool) -> Bools:
    """Where no reordering crosses: every earlier number is lower, every later one higher."""
    inner = counter if ended else counter[:-1]
    low = np.minimum.accumulate(inner[::-1])[::-1]
    clean: Bools = (np.maximum.accumulate(inner) == inner) & (low == inner)
    return clean if ended else np.append(clean, False)


def of_session(flows: Sequence[Flow], *, stateful: bool) -> list[npt.NDArray[np.int8]]:
    """Returns the fates of the probes of each flow, in flow order.

    Args:
        flows: All flows of one session: they share a reflector.
        stateful: Whether the reflector was seen to count (module docstring).
    """
    trusted = stateful and all(flow.own() for flow in flows)
    found = []
    for flow in flows:
        fate = flow.fates()
        if not trusted:
            fate[fate != OK] = UNKNOWN
        found.append(fate)
    return found
