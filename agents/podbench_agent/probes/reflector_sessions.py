"""What the reflector remembers: one state per STAMP session, its counters, and the log of a run.

A session is a 4-tuple plus SSID (RFC 8972 section 3). reflector_loop.py feeds this, reflector.py
hands the log over. No sockets here.
"""

from array import array
from collections import deque
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.wire.columns import Table

FOLLOW_UPS_KEPT = 1024
"""Unreported egress stamps per session; a sender that never asks for them fills it."""
MAX_SESSIONS = 65_536
IDLE_NS = 60_000_000_000
"""A session unheard of for so long makes room when the table is full."""


class Session:
    """State of one session.

    Attributes:
        answered: Requests answered: the next reply's sequence number (RFC 8762, stateful).
        waiting: An egress stamp of this session was not collected yet.
        follow_ups: (reflector sequence, kernel egress stamp) not told yet, oldest first.
        seqs, t2s, t3s, ttls: The log, one entry per reply; kept in a run only.
    """

    __slots__ = (
        "answered", "follow_ups", "last_ns", "logged", "peer", "seqs", "ssid", "t2s", "t3s",
        "ttls", "waiting",
    )  # fmt: skip

    def __init__(self, peer: tuple[str, int], ssid: int, *, logged: bool) -> None:
        self.peer = peer
        self.ssid = ssid
        self.logged = logged
        self.answered = 0
        self.waiting = False
        self.last_ns = 0
        self.follow_ups: deque[tuple[int, int]] = deque(maxlen=FOLLOW_UPS_KEPT)
        self.seqs, self.t2s, self.t3s, self.ttls = array("q"), array("q"), array("q"), array("h")

    def log(self, seq: int, t2_ns: int, ttl: int | None) -> None:
        """Notes one request; its egress stamp comes later (`stamped`)."""
        self.seqs.append(seq)
        self.t2s.append(t2_ns)
        self.t3s.append(0)
        self.ttls.append(-1 if ttl is None else ttl)

    def stamped(self, number: int, t3_ns: int) -> None:
        """Books the kernel egress stamp of reply `number`."""
        self.waiting = number != self.answered - 1
        self.follow_ups.append((number, t3_ns))
        if self.logged:
            self.t3s[number] = t3_ns


class Counters(msgspec.Struct):
    """What was answered, what was dropped and why. Names as printed by `bench agent reflect`."""

    answered: int = 0
    short: int = 0
    from_reflector: int = 0
    unprovisioned: int = 0
    not_allowed: int = 0
    rate_limited: int = 0
    unauthenticated: int = 0
    corrupt: int = 0
    table_full: int = 0
    send_failed: int = 0
    unstamped: int = 0
    """Requests the kernel gave no receive stamp; answered all the same."""


def log_table(sessions: list[Session], stamp_code: int, *, clock_step: bool) -> Table:
    """The reflections table (wire/fates.py) of these sessions."""
    sizes = [len(s.seqs) for s in sessions]

    def joined(parts: list[Sequence[int]], dtype: type) -> npt.NDArray[np.int64]:
        return np.concatenate([np.zeros(0, dtype), *(np.array(p, dtype=dtype) for p in parts)])

    t2 = joined([s.t2s for s in sessions], np.int64)
    t3 = joined([s.t3s for s in sessions], np.int64)
    ttl = joined([s.ttls for s in sessions], np.int16)
    rows = sum(sizes)
    number = [np.zeros(0, np.int64), *(np.arange(size) for size in sizes)]
    return {
        "session_id": np.repeat(np.array([s.ssid for s in sessions], dtype=np.int32), sizes),
        "src_port": np.repeat(np.array([s.peer[1] for s in sessions], dtype=np.int32), sizes),
        "seq": joined([s.seqs for s in sessions], np.int64),
        "reflector_seq": np.concatenate(number),
        "t2_ns": np.ma.MaskedArray(t2, mask=t2 == 0),
        "t3_ns": np.ma.MaskedArray(t3, mask=t3 == 0),
        "ttl": np.ma.MaskedArray(ttl, mask=ttl < 0),
        "stamp_code": np.full(rows, stamp_code, dtype=np.uint8),
        "clock_step": np.full(rows, clock_step, dtype=bool),
    }
