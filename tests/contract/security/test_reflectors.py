"""Open reflectors on a stranger's network: no loop, no state to exhaust, no amplification."""

import random
import socket
import struct
from collections.abc import Iterator

import pytest

from podbench.wire import stamp, stamp_tlv
from podbench_agent.probes.reflector import sessions
from podbench_agent.probes.reflector.loop import Reflector
from podbench_agent.probes.reflector.rules import Rules
from podbench_agent.probes.reflector.sessions import Session, Sessions
from podbench_agent.timestamping import IP_TTL, SO_TIMESTAMPING

Peer = tuple[str, int]
KEY = b"a key of sixteen"
T2_NS = 1_790_000_000_123_456_789
SECOND = 1_000_000_000


class Wire:
    """Stands in for a reflector's socket: keeps what is sent."""

    def __init__(self, port: int) -> None:
        self.sent: list[bytes] = []
        self._port = port
        self._real = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def sendto(self, data: memoryview, _peer: Peer) -> int:
        """Keeps the reply."""
        self.sent.append(bytes(data))
        return len(data)

    def setsockopt(self, *_options: int) -> None:
        """Takes any option."""

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """The real socket's."""
        return self._real.getsockopt(level, option, size)

    def getsockname(self) -> Peer:
        """Where the reflector listens."""
        return ("10.0.0.2", self._port)

    def fileno(self) -> int:
        """A real one's, whose error queue stays empty."""
        return self._real.fileno()

    def close(self) -> None:
        """Closes the real one."""
        self._real.close()


class Open:
    """A reflector on some port."""

    def __init__(self, rules: Rules, port: int) -> None:
        self.wire = Wire(port)
        self.reflector = Reflector(self.wire, rules, 0)  # type: ignore[arg-type] # a stand-in

    def hear(self, packet: bytes, peer: Peer, at_ns: int = T2_NS) -> bytes | None:
        """Takes a datagram; what it sends back."""
        before = len(self.wire.sent)
        self.reflector._buffer[: len(packet)] = packet
        stamped = struct.pack("=qq32x", *divmod(at_ns, SECOND))
        ancillary = [(1, SO_TIMESTAMPING, stamped), (0, IP_TTL, bytes([63, 0, 0, 0]))]
        self.reflector.take(len(packet), ancillary, peer)
        return self.wire.sent[-1] if len(self.wire.sent) > before else None


@pytest.fixture(name="one")
def _one() -> Iterator[Open]:
    made = Open(Rules(provisioned_only=False), 9001)
    yield made
    made.wire.close()


def request(sequence: int = 1, ssid: int = 7, tail: bytes = b"", key: bytes | None = None) -> bytes:
    """A request as a conforming sender makes it."""
    if key is not None and tail:
        tail = stamp_tlv.request_tail(max(40, len(tail)), sequence=sequence, key=key)
    packet = stamp.SenderPacket(sequence=sequence, timestamp=1 << 63, session_id=ssid, tail=tail)
    return stamp.encode_sender(packet, key)


TAILS = {"bare": b"", "follow-up": stamp_tlv.request_tail(20), "padded": bytes(100)}


@pytest.mark.parametrize("known", [False, True], ids=["a new session", "a session that is known"])
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("key", [None, KEY], ids=["open", "keyed"])
def test_a_reply_is_never_answered_on_any_port(known: bool, tail: str, key: bytes | None) -> None:
    """Two reflectors, a request with one's address forged: one reply, and silence."""
    rules = Rules(provisioned_only=False, key=key)
    one, other = Open(rules, 9001), Open(rules, 33_333)
    ends: tuple[Peer, Peer] = (("10.0.0.1", 9001), ("10.0.0.2", 33_333))
    if known:
        for number in range(3):
            assert one.hear(request(number, tail=TAILS[tail], key=key), ends[1])
            assert other.hear(request(number, tail=TAILS[tail], key=key), ends[0])
    reply = one.hear(request(9, tail=TAILS[tail], key=key), ends[1])
    assert reply is not None
    assert other.hear(reply, ends[0]) is None
    assert other.reflector.counters.from_reflector == 1
    # A reflector that keeps the TLV's U flag as it came, and a zero TTL.
    if key is None and tail == "follow-up":
        odd = bytearray(reply)
        odd[40], odd[44] = 0, odd[44] | stamp_tlv.U_FLAG
        assert other.hear(bytes(odd), ends[0]) is None
    for made in (one, other):
        made.wire.close()


def test_replies_of_twamp_are_known_too(one: Open) -> None:
    """Laid out alike, with padding behind the TTL, with and without it; from any port."""
    made = Open(Rules(provisioned_only=False, twamp_light=True, allow=("10.0.0.0/8",)), 9003)
    head = struct.pack("!IQHHQIQ", 5, 3 << 32, 1, 0, 3 << 32, 5, 2 << 32)
    for packet in (head, head + bytes(4) + b"\xff" + b"\x5a" * 30):
        assert made.hear(packet, ("10.0.0.9", 4000)) is None
    # Requests padded with anything are no replies.
    for padding in (bytes(30), b"\xff" * 30, random.Random(1).randbytes(300)):
        assert made.hear(struct.pack("!IQH", 5, 3 << 32, 1) + padding, ("10.0.0.9", 4000))
    made.wire.close()


def test_no_reply_is_longer_than_its_request(one: Open) -> None:
    """Amplification stays at 1 or below, whatever comes."""
    rng = random.Random(7)
    good = [request(tail=tail) for tail in TAILS.values()]
    for number in range(3000):
        packet = bytearray(rng.choice(good))
        for _ in range(rng.randrange(4)):
            packet[rng.randrange(len(packet))] = rng.randrange(256)
        packet = packet[: rng.randrange(1, len(packet) + 1)]
        reply = one.hear(bytes(packet), ("10.0.0.9", 1024 + number))
        assert len(reply or b"") <= len(packet)


def _fill(table: Sessions, count: int, *, at_ns: int, answered: int, start: int = 0) -> int:
    taken = 0
    for number in range(start, start + count):
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        session = Session((address, 1000), 1, logged=False)
        session.last_ns, session.answered = at_ns, answered
        taken += table.add(((address, 1000), 1), session, at_ns)
    return taken


def test_forged_sources_push_out_each_other_and_nobody_else() -> None:
    """A full table: established sessions stay, newcomers get in, and few are looked at for each."""
    most = 1000
    table = Sessions(lambda: most)
    assert _fill(table, 400, at_ns=0, answered=50) == 400
    established = set(table)
    assert _fill(table, 600, at_ns=0, answered=1, start=10_000) == 600
    # Two seconds on: a flood of 5,000 forged sources, while the established go on talking.
    for key in established:
        table[key].last_ns = 2 * SECOND
    assert _fill(table, 5000, at_ns=2 * SECOND + 1, answered=1, start=50_000) > 0
    assert len(table) <= most
    assert established <= set(table)
    # A second later there is room for a newcomer again.
    assert _fill(table, 100, at_ns=4 * SECOND, answered=1, start=90_000) > 0
    assert established <= set(table)


def test_room_is_made_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However full the table, at most eight sessions are looked at for one newcomer."""
    table = Sessions(lambda: 5000)
    _fill(table, 5000, at_ns=0, answered=50)
    moves = 0
    move_to_end = Sessions.move_to_end

    def counted(self: Sessions, key: sessions.Key, last: bool = True) -> None:
        nonlocal moves
        moves += 1
        move_to_end(self, key, last)

    monkeypatch.setattr(Sessions, "move_to_end", counted)
    assert _fill(table, 1, at_ns=1, answered=1, start=70_000) == 0
    assert moves == sessions.LOOKED_AT


@pytest.mark.parametrize("address", ["192.0.2.9", "2001:db8::{}"])
def test_no_source_has_more_than_its_share(address: str) -> None:
    """One address, or one network of IPv6, cannot take the table; others still get in."""
    table = Sessions(lambda: sessions.MAX_SESSIONS)
    _fill(table, sessions.MAX_SESSIONS // 2, at_ns=0, answered=9)
    taken = 0
    for number in range(20_000):
        source = address.format(f"{number:x}")
        key = ((source, 1024 + number % 60_000), number % 60_000)
        session = Session(key[0], key[1], logged=False)
        session.last_ns = 0
        taken += table.add(key, session, 0)
    assert taken == sessions.MAX_SESSIONS // sessions.SHARES
    assert _fill(table, 1, at_ns=0, answered=1, start=10_000_000) == 1
    for key in list(table):
        table.drop(key)
    assert not table._held


def test_one_peer_has_a_rate() -> None:
    """Beyond it nothing is answered until the next second; others are."""
    made = Open(Rules(provisioned_only=False, max_pps=10), 9004)
    answers = [made.hear(request(n), ("10.0.0.9", 4000)) for n in range(20)]
    assert sum(answer is not None for answer in answers) == 10
    assert made.hear(request(), ("10.0.0.8", 4000)) is not None
    assert made.hear(request(), ("10.0.0.9", 4000), T2_NS + SECOND) is not None
    made.wire.close()
