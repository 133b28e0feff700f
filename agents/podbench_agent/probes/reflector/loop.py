"""The reflector's loop: one UDP socket, one request in, one reply of the same size out.

It blocks in recvmsg (a pending error queue does not wake that), answers in the buffer it received
into, and collects egress stamps in batches: at the latest when a session whose last stamp is still
out speaks again, so that each reply can tell the egress stamp of the one before it. Where many
peers ask at a high rate it lets requests gather for half a millisecond, as a NIC moderates its
interrupts: kernel stamps do not feel that, and each wake-up costs as much as half an answer.

Safe on a network: never more octets than came, and reflector/rules.py says to whom.
"""

import contextlib
import hmac
import socket
import struct
import threading
import time

from podbench.wire import ntp, stamp, stamp_tlv
from podbench.wire.replies import USER_CLOCK
from podbench_agent import timestamping
from podbench_agent.errqueue import BATCH, ErrorQueue
from podbench_agent.probes.clockwatch import ClockWatch
from podbench_agent.probes.ownwatch import OwnWatch
from podbench_agent.probes.reflector.drops import Dropped
from podbench_agent.probes.reflector.rules import Gate, Rules
from podbench_agent.probes.reflector.sessions import (
    LOG_ROW,
    MAX_SESSIONS,
    Counters,
    Session,
    Sessions,
)

BUFFER_BYTES = 65_536
GATHER_ABOVE_PPS, GATHER_FROM_SESSIONS = 12_000, 64
"""Requests gather from this rate of this many sessions on. A sender that measures alone is always
answered at once: what a program feels (`rtt_app_ns`) is to be the machine's doing, not ours."""
GATHER_NS = 500_000
"""How long: 25 requests at 50,000 pps, where the default receive buffer holds some 250."""
LOOK_EVERY = 1024
"""The rate is looked at once in so many requests."""
_PENDING = 1 << 14
"""Replies whose egress stamp may be out at a time; more than the receive buffer can hold."""
_COUNTER = 0xFFFF_FFFF
"""The kernel counts what is sent (OPT_ID) in 32 bits."""

_OPEN_HEAD = struct.Struct("!IQHH")
_AUTH_HEAD = struct.Struct("!I12xQHH")
_PROBE = struct.Struct("!IQHH28sI16x")
"""A probe as our sender makes it: base packet and Follow-Up Telemetry, whose value is zeros."""
_PROBE_REPLY = struct.Struct("!IQHHQIQHxxB3xIIQB3x")
"""Its reply: REFLECTOR_OPEN and FOLLOW_UP_REPLY in one."""
_AUTH_PROBE = struct.Struct("!I12xQHH68s16sI16xI16s")
"""The same authenticated: base packet, its HMAC, Follow-Up Telemetry, the TLVs' HMAC."""
_AUTH_PROBE_REPLY = struct.Struct("!I12xQHH4xQ8xI12xQH6xB15x16xIIQB3xI16x")
"""Its reply, both HMACs yet to come."""
_MBZ, _AUTH_MBZ = bytes(28), bytes(68)
"""What a request has where a reply has something (`stamp.is_reply`)."""
_TLV_AT, _MAC_TLV_AT = stamp.AUTH_BYTES, stamp.AUTH_BYTES + stamp_tlv.FOLLOW_UP_BYTES
_MAC_AT = _MAC_TLV_AT + stamp_tlv.HEADER_BYTES
_FOLLOW_UP_ASKED = int.from_bytes(stamp_tlv.FOLLOW_UP_REQUEST[: stamp_tlv.HEADER_BYTES], "big")
_MAC_ASKED = int.from_bytes(
    stamp_tlv.HEADER.pack(stamp_tlv.U_FLAG, stamp_tlv.HMAC, stamp.HMAC_BYTES), "big"
)
_UNDERSTOOD = 0x7FFF_FFFF
"""A TLV's header without the U flag."""


class Reflector:
    """Answers requests on one socket.

    Args:
        sock: Bound UDP socket, blocking.
        rules: Whom to answer.
        stamp_code: Where egress is stamped (index into STAMP_SOURCES).
    """

    def __init__(self, sock: socket.socket, rules: Rules, stamp_code: int) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._rules = rules
        self._key = rules.key or b""
        self.stamp_code = stamp_code
        self._stamps = stamp_code != USER_CLOCK
        self.counters = Counters()
        self.gate = Gate(rules, sock.getsockname()[1], self.counters)
        self.sessions = Sessions(lambda: MAX_SESSIONS)
        self._dropped = Dropped(sock, self.counters)
        self.clock = ClockWatch()
        self.own = OwnWatch()
        self._queue = ErrorQueue()
        self._collecting = threading.Lock()
        self._pending: dict[int, tuple[Session, int]] = {}
        self._sent = 0
        self._collected = 0
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._least = stamp.AUTH_BYTES if rules.key is not None else stamp.BASE_BYTES
        self._head = _AUTH_HEAD if rules.key is not None else _OPEN_HEAD
        self._quickly = self._open_quickly if rules.key is None else self._authenticated_quickly
        self._quick_bytes = _PROBE.size if rules.key is None else _AUTH_PROBE.size
        self._restamp()

    def _restamp(self) -> None:
        timestamping.enable(self._sock, stamp_code=self.stamp_code, receive=True)
        self._pending.clear()
        self._sent = self._collected = 0

    def serve(self) -> None:
        """Answers until the process ends."""
        self.own.watch_this_thread()
        receive = self._sock.recvmsg_into
        buffers = (self._buffer,)
        while True:
            began_ns = time.monotonic_ns()
            for _ in range(LOOK_EVERY):
                length, ancillary, _, peer = receive(buffers, timestamping.ANCILLARY_BYTES)
                self.take(length, ancillary, peer)
            took_ns = time.monotonic_ns() - began_ns
            if len(self.sessions) >= GATHER_FROM_SESSIONS and _is_high(LOOK_EVERY, took_ns):
                self.serve_gathered()

    def serve_gathered(self) -> None:
        """Answers what has gathered, again and again, until less than half that rate comes."""
        taken, slept_ns = LOOK_EVERY, 0
        while _is_high(2 * taken, slept_ns):
            taken, began_ns = 0, time.monotonic_ns()
            time.sleep(GATHER_NS / 1e9)
            with contextlib.suppress(BlockingIOError):
                while True:
                    length, ancillary, _, peer = self._sock.recvmsg_into(
                        (self._buffer,), timestamping.ANCILLARY_BYTES, socket.MSG_DONTWAIT
                    )
                    self.take(length, ancillary, peer)
                    taken += 1
            slept_ns = time.monotonic_ns() - began_ns

    def take(
        self, length: int, ancillary: list[tuple[int, int, bytes]], peer: tuple[str, int]
    ) -> None:
        """Answers the request received into the buffer, or counts why not."""
        if length != self._quick_bytes or not self._quickly(ancillary, peer):
            t2_ns, ttl = timestamping.read_ancillary(ancillary)
            self._handle(length, t2_ns, ttl, peer)

    # The two short cuts below do the same as `_handle` for the one kind of packet that comes a
    # thousand times a second: one more probe of a session already let in. The reflector wakes to
    # cold caches each time, where every function and object it touches costs. Whatever is not as
    # expected is left to `_handle`: they return false before they have changed anything.

    def _open_quickly(self, ancillary: list[tuple[int, int, bytes]], peer: tuple[str, int]) -> bool:
        seq, t1, error_bits, ssid, zeros, tlv = _PROBE.unpack_from(self._buffer)
        session = self.sessions.get((peer, ssid))
        if session is None or tlv != _FOLLOW_UP_ASKED or not error_bits & 0xFF or zeros != _MBZ:
            return False
        t2 = self._one_more(session, seq, ancillary, peer[0])
        if t2 is None:
            return False
        number, ttl = session.answered, ancillary[1][2][0]
        told, t3_ns = session.follow_ups.popleft() if session.follow_ups else (0, 0)
        _PROBE_REPLY.pack_into(
            self._buffer, 0, number & 0xFFFF_FFFF, ntp.ns_to_ntp(time.time_ns()),
            stamp.ERROR_UNSYNCED, ssid, t2, seq, t1, error_bits, ttl,
            _FOLLOW_UP_ASKED & _UNDERSTOOD, told, ntp.ns_to_ntp(t3_ns) if t3_ns else 0,
            stamp_tlv.METHOD_SOFTWARE if t3_ns else 0,
        )  # fmt: skip
        self._finish(session, seq, ttl, _PROBE.size)
        return True

    def _authenticated_quickly(
        self, ancillary: list[tuple[int, int, bytes]], peer: tuple[str, int]
    ) -> bool:
        buffer, key = self._buffer, self._key
        seq, t1, error_bits, ssid, zeros, mac, tlv, mac_tlv, tlvs_mac = _AUTH_PROBE.unpack_from(
            buffer
        )
        session = self.sessions.get((peer, ssid))
        if (
            session is None
            or (tlv, mac_tlv) != (_FOLLOW_UP_ASKED, _MAC_ASKED)
            or not error_bits & 0xFF
            or zeros != _AUTH_MBZ
            or not hmac.compare_digest(stamp.digest(self._view[:96], key), mac)
            or not hmac.compare_digest(
                stamp.digest(buffer[:4] + buffer[_TLV_AT:_MAC_TLV_AT], key), tlvs_mac
            )
        ):
            return False
        t2 = self._one_more(session, seq, ancillary, peer[0])
        if t2 is None:
            return False
        number, ttl = session.answered, ancillary[1][2][0]
        told, t3_ns = session.follow_ups.popleft() if session.follow_ups else (0, 0)
        _AUTH_PROBE_REPLY.pack_into(
            buffer, 0, number & 0xFFFF_FFFF, ntp.ns_to_ntp(time.time_ns()),
            stamp.ERROR_UNSYNCED, ssid, t2, seq, t1, error_bits, ttl,
            _FOLLOW_UP_ASKED & _UNDERSTOOD, told, ntp.ns_to_ntp(t3_ns) if t3_ns else 0,
            stamp_tlv.METHOD_SOFTWARE if t3_ns else 0, _MAC_ASKED & _UNDERSTOOD,
        )  # fmt: skip
        buffer[96 : stamp.AUTH_BYTES] = stamp.digest(self._view[:96], key)
        tlvs = buffer[:4] + buffer[_TLV_AT:_MAC_TLV_AT]
        buffer[_MAC_AT : _AUTH_PROBE.size] = stamp.digest(tlvs, key)
        self._finish(session, seq, ttl, _AUTH_PROBE.size)
        return True

    def _one_more(
        self,
        session: Session,
        seq: int,
        ancillary: list[tuple[int, int, bytes]],
        address: str,
    ) -> int | None:
        """T2 as it goes on the wire, the probe counted; null: it takes a closer look."""
        if len(ancillary) != 2:
            return None
        seconds: int
        rest: int
        seconds, rest = timestamping.STAMP.unpack_from(ancillary[0][2])
        if (seq == 0 and not session.logged) or not self.gate.one_more(address, seconds):
            return None
        session.asks = True
        if session.waiting or self._sent - self._collected >= BATCH:
            self.collect()
        session.last_ns = seconds * 1_000_000_000 + rest
        return (seconds + ntp.NTP_UNIX_OFFSET_S & 0xFFFF_FFFF) << 32 | (rest << 32) // 1_000_000_000

    def _finish(self, session: Session, seq: int, ttl: int, length: int) -> None:
        if session.logged:
            session.log += LOG_ROW.pack(seq, session.last_ns, 0, ttl)
        self._send(session, length, session.peer)

    def _handle(self, length: int, t2_ns: int, ttl: int | None, peer: tuple[str, int]) -> None:
        if length < self._least:
            if not self._lengthen(length):
                self.counters.short += 1
                return
            reply_bytes = self._least
        else:
            reply_bytes = length
        seq, t1, error_bits, ssid = self._head.unpack_from(self._buffer)
        if t2_ns == 0:
            self.counters.unstamped += 1
        if not self.gate.opens(self._view[:length], ssid, error_bits, t2_ns, peer):
            return
        session = self._session(peer, ssid, seq, t2_ns)
        if session is None:
            self.counters.table_full += 1
            return
        if session.waiting or self._sent - self._collected >= BATCH:
            self.collect()
        number, session.asks = session.answered, False
        if reply_bytes > self._least:
            self._answer_tail(session, reply_bytes, (seq, number))
        self._answer_base(number, t2_ns, ttl, (seq, t1, error_bits, ssid))
        if session.logged:
            session.log += LOG_ROW.pack(seq, t2_ns, 0, -1 if ttl is None else ttl)
        self._send(session, reply_bytes, peer)

    def _lengthen(self, length: int) -> bool:
        """Makes a short TWAMP-Light request a whole one, where rules allow an answer to it."""
        if not self._rules.twamp_light or self._rules.key is not None:
            return False
        if length < stamp.TWAMP_LIGHT_REQUEST_BYTES:
            return False
        self._buffer[length : self._least] = bytes(self._least - length)
        return True

    def _session(self, peer: tuple[str, int], ssid: int, seq: int, now_ns: int) -> Session | None:
        session = self.sessions.get((peer, ssid))
        fresh = session is None or (
            # A sender that begins anew, as RFC 8762 lets it where nobody provisions sessions.
            seq == 0 and not session.logged and now_ns - session.last_ns > 1_000_000_000
        )
        if fresh:
            session = Session(
                peer,
                ssid,
                logged=self._rules.provisioned_only,
                begun=self._dropped.begin(now_ns),
            )
            session.last_ns = now_ns
            if not self.sessions.add((peer, ssid), session, now_ns):
                return None
        assert session is not None
        session.last_ns = now_ns
        return session

    def _answer_tail(self, session: Session, length: int, sequences: tuple[int, int]) -> None:
        """Turns the request's TLVs into the reply's."""
        self._buffer[self._least : length] = stamp_tlv.answer(
            bytes(self._view[self._least : length]),
            lambda: _next_follow_up(session),
            sequences=sequences,
            key=self._rules.key,
            own_drops=lambda: self._dropped.since(session.begun),
        )

    def _answer_base(
        self, number: int, t2_ns: int, ttl: int | None, request: tuple[int, int, int, int]
    ) -> None:
        seq, t1, error_bits, ssid = request
        t3_ns = time.time_ns()
        key = self._rules.key
        layout = stamp.REFLECTOR_OPEN if key is None else stamp.REFLECTOR_AUTH
        layout.pack_into(
            self._buffer, 0, number & 0xFFFF_FFFF, ntp.ns_to_ntp(t3_ns), stamp.ERROR_UNSYNCED,
            ssid, ntp.ns_to_ntp(t2_ns or t3_ns), seq, t1, error_bits, ttl or 0,
        )  # fmt: skip
        if key is not None:
            self._buffer[96 : stamp.AUTH_BYTES] = stamp.digest(self._view[:96], key)

    def _send(self, session: Session, length: int, peer: tuple[str, int]) -> None:
        if self._stamps:
            # Before it leaves: the control thread may collect its stamp before this one goes on.
            self._pending[self._sent & _COUNTER] = (session, session.answered)
            self._sent += 1
            session.waiting = True
        try:
            self._sock.sendto(self._view[:length], peer)
        except OSError:
            # The failed call may or may not have used up an OPT_ID: start its counter anew.
            self.counters.send_failed += 1
            self.collect()
            with self._collecting:
                self._restamp()
        else:
            self.counters.answered += 1
        session.answered += 1

    def collect(self) -> None:
        """Books the egress stamps that have come in; called from the control thread too."""
        if not self._pending:
            return
        with self._collecting:
            more = True
            while more:
                stamps = self._queue.collect(self._fd)
                for key, t3_ns in stamps:
                    entry = self._pending.pop(key, None)
                    if entry is not None:
                        entry[0].stamped(entry[1], t3_ns)
                if stamps:
                    # A full receive buffer refuses stamps: what is missing before the last one is
                    # waited for no more, or every reply from then on would have to look for it.
                    behind = (self._sent - 1 - stamps[-1][0]) & _COUNTER
                    self._collected = self._sent - behind
                more = len(stamps) == BATCH
            if len(self._pending) > _PENDING:  # stamps that never came
                self._pending.clear()


def _is_high(requests: int, in_ns: int) -> bool:
    """Whether so many in this time are more than are answered one by one."""
    return requests * 1_000_000_000 > GATHER_ABOVE_PPS * in_ns


def _next_follow_up(session: Session) -> stamp_tlv.FollowUp | None:
    session.asks = True
    if not session.follow_ups:
        return None
    number, t3_ns = session.follow_ups.popleft()
    return stamp_tlv.FollowUp(number, ntp.ns_to_ntp(t3_ns))
