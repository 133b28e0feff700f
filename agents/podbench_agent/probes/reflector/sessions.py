"""What the reflector remembers: one state per STAMP session, its counters, and the log of a run.

A session is a 4-tuple plus SSID (RFC 8972 section 3). reflector/loop.py feeds this, reflector.py
hands the log over. No sockets here.
"""

import ipaddress
import struct
from collections import OrderedDict, deque
from collections.abc import Callable

import msgspec
import numpy as np

from podbench.wire.columns import Table
from podbench_agent.probes.ownwatch import Unread

FOLLOW_UPS_KEPT = 1024
"""Unreported egress stamps per session; only for senders that ask for them in each request."""
Refused = tuple[int, int]
"""Source port and sequence number of a request that failed its HMAC, as it claims."""
REFUSED_KEPT = 4096
"""Requests that failed their HMAC, remembered per SSID: anyone can send more."""
MAX_SESSIONS = 65_536
IDLE_NS, ONCE_NS = 60_000_000_000, 1_000_000_000
"""A session unheard of for so long makes room when the table is full; one that spoke but once."""
LOOKED_AT = 8
"""Sessions looked at for one that may go: a constant, whatever the table holds."""
SHARES, SHARE_LEAST = 16, 256
"""No source has more than this part of the table, once half of it is taken."""


LOG_ROW = struct.Struct("=qqqh6x")
"""One logged request: sequence number, T2 and T3 in ns (0: missing), TTL (-1: missing)."""
LOG_T3 = struct.Struct("=q")
LOG_T3_AT = 16
_LOG_DTYPE = np.dtype([("seq", "i8"), ("t2", "i8"), ("t3", "i8"), ("ttl", "i2"), ("", "V6")])


class Reading(msgspec.Struct, frozen=True):
    """The reflector's own drops at one moment; `socket` also counts wrong checksums."""

    socket: int
    unread: Unread
    refused: int
    unsent: int


class Session:
    """State of one session.

    Attributes:
        answered: Requests answered: the next reply's sequence number (RFC 8762, stateful).
        asks: The last request asked for Follow-Up Telemetry: its sender will be told.
        waiting: An egress stamp of this session was not collected yet.
        follow_ups: (reflector sequence, kernel egress stamp) not told yet, oldest first.
        log: One LOG_ROW per reply, in order; kept in a run only.
        begun: The reflector's own drops when the session began (drops.py).
    """

    __slots__ = (
        *("answered", "asks", "begun", "follow_ups", "last_ns", "log", "logged", "peer", "ssid"),
        "waiting",
    )

    def __init__(
        self, peer: tuple[str, int], ssid: int, *, logged: bool, begun: Reading | None = None
    ) -> None:
        self.peer = peer
        self.ssid = ssid
        self.logged = logged
        self.begun = begun
        self.answered = 0
        self.asks = False
        self.waiting = False
        self.last_ns = 0
        self.follow_ups: deque[tuple[int, int]] = deque(maxlen=FOLLOW_UPS_KEPT)
        self.log = bytearray()

    def stamped(self, number: int, t3_ns: int) -> None:
        """Books the kernel egress stamp of reply `number`."""
        self.waiting = number != self.answered - 1
        if self.asks:
            self.follow_ups.append((number, t3_ns))
        if self.logged:
            LOG_T3.pack_into(self.log, number * LOG_ROW.size + LOG_T3_AT, t3_ns)


Key = tuple[tuple[str, int], int]
"""Peer (address and port, and more for IPv6) and SSID."""


class Sessions(OrderedDict[Key, Session]):
    """The table of sessions: bounded, and nobody's flood costs another's session anything.

    Room is made in constant time: a few of the longest unseen are looked at, the first that may go
    goes. A session that was heard of once only may go after a second, so that forged sources, which
    never speak twice, push out each other; one that lives may not. No source has more than its
    share.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        super().__init__()
        self._most = most
        self._held: dict[str, int] = {}

    def add(self, key: Key, session: Session, now_ns: int) -> bool:
        """Takes a session in, where there is room for it; one of the same key is replaced."""
        source = _source(key[0][0])
        if key not in self:
            most = self._most()
            share = max(SHARE_LEAST, most // SHARES)
            if len(self) >= most and not self._make_room(now_ns):
                return False
            if self._held.get(source, 0) >= share and len(self) * 2 >= most:
                return False
            self._held[source] = self._held.get(source, 0) + 1
        self[key] = session
        return True

    def _make_room(self, now_ns: int) -> bool:
        for _ in range(min(LOOKED_AT, len(self))):
            key = next(iter(self))
            session = self[key]
            patience_ns = IDLE_NS if session.answered > 1 else ONCE_NS
            if not session.logged and now_ns - session.last_ns > patience_ns:
                self.drop(key)
                return True
            self.move_to_end(key)
        return False

    def clear(self) -> None:
        """Forgets every session."""
        super().clear()
        self._held.clear()

    def drop(self, key: Key) -> Session:
        """Takes a session out."""
        source = _source(key[0][0])
        left = self._held.get(source, 1) - 1
        if left:
            self._held[source] = left
        else:
            self._held.pop(source, None)
        return self.pop(key)


def _source(address: str) -> str:
    """Whose share a session takes: an IPv4 address, or the network of an IPv6 one (/64)."""
    if ":" not in address:
        return address
    return str(int(ipaddress.IPv6Address(address.partition("%")[0])) >> 64)


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


def log_table(
    sessions: list[Session],
    stamp_code: int,
    *,
    clock_step: bool,
    refused: dict[int, list[Refused]] | None = None,
) -> Table:
    """The reflections table (wire/fates.py) of these sessions; refused requests come last."""
    parts = [np.frombuffer(bytes(s.log), dtype=_LOG_DTYPE) for s in sessions]
    sizes = [len(part) for part in parts]
    turned = [(ssid, *one) for ssid, ones in (refused or {}).items() for one in ones]
    rows = np.concatenate([np.zeros(0, _LOG_DTYPE), *parts, np.zeros(len(turned), _LOG_DTYPE)])
    answered = np.arange(len(rows)) < sum(sizes)
    numbers = np.concatenate([np.zeros(0, np.int64), *(np.arange(size) for size in sizes)])
    numbers = np.append(numbers, np.zeros(len(turned), np.int64))
    rows["seq"][~answered] = [seq for _, _, seq in turned]
    ssids = [s.ssid for s in sessions], [ssid for ssid, _, _ in turned]
    ports = [s.peer[1] for s in sessions], [port for _, port, _ in turned]
    t2, t3, ttl = (np.ascontiguousarray(rows[name]) for name in ("t2", "t3", "ttl"))
    return {
        "session_id": np.append(np.repeat(ssids[0], sizes), ssids[1]).astype(np.int32),
        "src_port": np.append(np.repeat(ports[0], sizes), ports[1]).astype(np.int32),
        "seq": np.ascontiguousarray(rows["seq"]),
        "reflector_seq": np.ma.MaskedArray(numbers, mask=~answered),
        "t2_ns": np.ma.MaskedArray(t2, mask=(t2 == 0) | ~answered),
        "t3_ns": np.ma.MaskedArray(t3, mask=(t3 == 0) | ~answered),
        "ttl": np.ma.MaskedArray(ttl, mask=(ttl < 0) | ~answered),
        "stamp_code": np.full(len(rows), stamp_code, dtype=np.uint8),
        "clock_step": np.full(len(rows), clock_step, dtype=bool),
        "refused": ~answered,
    }
