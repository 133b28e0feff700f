"""Whom the reflector answers, and with what; its socket replaced by a list."""

import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podbench.wire import ntp, stamp, stamp_tlv
from podbench.wire.replies import STAMP_SOURCES
from podbench_agent import timestamping
from podbench_agent.errqueue import BATCH
from podbench_agent.probes.reflector import loop
from podbench_agent.probes.reflector.loop import Reflector
from podbench_agent.probes.reflector.rules import Rules
from podbench_agent.probes.reflector.sessions import MAX_SESSIONS, log_table
from podbench_agent.timestamping import IP_TTL, SO_TIMESTAMPING

PEER = ("10.0.0.1", 40_000)
T2_NS = 1_790_000_000_123_456_789
KEY = b"a key of sixteen"


class Wire:
    """Stands in for the reflector's UDP socket: keeps what is sent, stamps nothing."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, tuple[str, int]]] = []
        self.fails = False
        self._real = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def sendto(self, data: memoryview, peer: tuple[str, int]) -> int:
        """Keeps the reply, or fails as a full device would."""
        if self.fails:
            raise OSError("no buffer space")
        self.sent.append((bytes(data), peer))
        return len(data)

    def setsockopt(self, *options: int) -> None:
        """Takes any option."""

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """The socket's own counters: nothing was dropped."""
        return self._real.getsockopt(level, option, size)

    def getsockname(self) -> tuple[str, int]:
        """Where the reflector listens."""
        return ("10.0.0.2", 9000)

    def fileno(self) -> int:
        """A real socket's, whose error queue stays empty."""
        return self._real.fileno()

    def close(self) -> None:
        """Closes the real one."""
        self._real.close()


class Bench:
    """A reflector and what it sent."""

    def __init__(self, rules: Rules, stamp_code: int = 0) -> None:
        self.wire = Wire()
        self.reflector = Reflector(self.wire, rules, stamp_code)  # type: ignore[arg-type]  # a stand-in

    def ask(self, request: bytes, peer: tuple[str, int] = PEER, t2_ns: int = T2_NS) -> bytes | None:
        """Hands a request in as received; the reply, null if there is none."""
        before = len(self.wire.sent)
        self.reflector._buffer[: len(request)] = request
        stamped = struct.pack("=qq32x", *divmod(t2_ns, 1_000_000_000))
        ancillary = [(1, SO_TIMESTAMPING, stamped), (0, IP_TTL, bytes([63, 0, 0, 0]))]
        self.reflector.take(len(request), ancillary, peer)
        return self.wire.sent[-1][0] if len(self.wire.sent) > before else None


class Stamps:
    """Stands in for the error queue: hands out the counters that `come`, and counts the calls."""

    def __init__(self) -> None:
        self.come: list[int] = []
        self.calls = 0

    def collect(self, fd: int) -> list[tuple[int, int]]:
        """One batch."""
        del fd
        self.calls += 1
        batch, self.come = self.come[:BATCH], self.come[BATCH:]
        return [(number, T2_NS + number) for number in batch]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A reflector that answers anyone."""
    made = Bench(Rules(provisioned_only=False))
    yield made
    made.wire.close()


@pytest.fixture
def strict() -> Iterator[Bench]:
    """A reflector inside a run: SSID 7 is admitted."""
    made = Bench(Rules())
    made.reflector.gate.admitted.add(7)
    yield made
    made.wire.close()


def _request(sequence: int = 0, ssid: int = 7, tail: bytes | None = None) -> bytes:
    packet = stamp.SenderPacket(
        sequence=sequence,
        timestamp=99,
        session_id=ssid,
        tail=stamp_tlv.request_tail(20) if tail is None else tail,
    )
    return stamp.encode_sender(packet)


def test_reply_has_the_reflectors_view(bench: Bench) -> None:
    """Own counter, kernel receive stamp, what the sender wrote, and its TTL."""
    reply = bench.ask(_request(sequence=5))

    assert reply is not None
    got = stamp.decode_reflector(reply)
    assert (got.sequence, got.sender_sequence, got.sender_timestamp) == (0, 5, 99)
    assert ntp.ntp_to_ns(got.receive_timestamp) == T2_NS
    assert (got.session_id, got.sender_ttl) == (7, 63)
    assert len(reply) == 64


def test_each_session_has_its_own_counter(bench: Bench) -> None:
    """A session is a 4-tuple plus SSID: its counter rises by one per reply."""
    replies = [
        bench.ask(_request(s, ssid), peer)
        for s, ssid, peer in [
            (0, 7, PEER),
            (1, 7, PEER),
            (2, 8, PEER),
            (3, 7, ("10.0.0.9", 40_000)),
        ]
    ]

    assert [stamp.decode_reflector(r or b"").sequence for r in replies] == [0, 1, 0, 0]


def test_follow_up_telemetry_is_told_oldest_first(bench: Bench) -> None:
    """Unreported egress stamps wait in a queue; each reply carries the oldest."""
    bench.ask(_request(0))
    bench.ask(_request(1))
    session = bench.reflector.sessions[PEER, 7]
    session.stamped(0, T2_NS + 10)
    session.stamped(1, T2_NS + 20)

    told = [stamp_tlv.follow_up_of((bench.ask(_request(s)) or b"")[44:]) for s in (2, 3, 4)]

    assert told == [
        stamp_tlv.FollowUp(0, ntp.ns_to_ntp(T2_NS + 10)),
        stamp_tlv.FollowUp(1, ntp.ns_to_ntp(T2_NS + 20)),
        None,
    ]


def test_stamps_that_never_come_are_not_looked_for_again(bench: Bench) -> None:
    """A full receive buffer refuses stamps; afterwards one look per batch is enough as before."""
    stamps = Stamps()
    bench.reflector._queue = stamps  # type: ignore[assignment]  # a stand-in
    for ssid in range(1, 2 * BATCH + 1):
        bench.ask(_request(ssid=ssid))
    stamps.come = [2 * BATCH - 1]
    bench.reflector.collect()
    before = stamps.calls

    for ssid in range(1000, 1000 + BATCH):
        bench.ask(_request(ssid=ssid))

    assert stamps.calls == before
    bench.ask(_request(ssid=2000))
    assert stamps.calls == before + 1


def test_kernels_counter_may_run_over(bench: Bench) -> None:
    """It has 32 bits: a reflector that runs for days gets there."""
    stamps = Stamps()
    bench.reflector._queue = stamps  # type: ignore[assignment]  # a stand-in
    bench.reflector._sent = bench.reflector._collected = (1 << 32) - 1
    for sequence in (0, 1):
        bench.ask(_request(sequence))
    stamps.come = [(1 << 32) - 1, 0]

    bench.reflector.collect()

    told = [number for number, _ in bench.reflector.sessions[PEER, 7].follow_ups]
    assert told == [0, 1]
    assert bench.reflector._collected == bench.reflector._sent


def test_stamps_nobody_asks_for_are_not_kept(bench: Bench) -> None:
    """A peer without Follow-Up Telemetry costs no memory however long it goes on."""
    for sequence in range(5):
        bench.ask(_request(sequence, tail=b""))
        bench.reflector.sessions[PEER, 7].stamped(sequence, T2_NS + sequence)

    assert not bench.reflector.sessions[PEER, 7].follow_ups


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("told", [True, False])
def test_short_cut_and_long_way_answer_alike(key: bytes | None, told: bool) -> None:
    """A probe answered by the short cut gets, octet for octet, what the long way gives."""
    bench = Bench(Rules(provisioned_only=False, key=key))
    tail = stamp_tlv.request_tail(20 if key is None else 40, sequence=1, key=key)
    packet = stamp.SenderPacket(sequence=1, timestamp=99, session_id=7, tail=tail)
    request = stamp.encode_sender(packet, key)
    bench.ask(request)
    session = bench.reflector.sessions[PEER, 7]

    def again() -> bytes:
        session.answered = 1
        session.follow_ups.clear()
        if told:
            session.stamped(0, T2_NS + 10)
        return bench.ask(request) or b""

    quick = again()
    bench.reflector._quick_bytes = 0
    slow = again()
    bench.wire.close()

    for reply in (quick, slow):
        assert stamp.decode_reflector(reply, key).sender_sequence == 1
        follow_up = stamp_tlv.follow_up_of(reply[44 if key is None else 112 :])
        assert follow_up == (stamp_tlv.FollowUp(0, ntp.ns_to_ntp(T2_NS + 10)) if told else None)
    assert _without_t3(quick, key) == _without_t3(slow, key)
    assert quick[-20:] == slow[-20:]


def _without_t3(reply: bytes, key: bytes | None) -> bytes:
    """All but when it left and, authenticated, the HMAC that covers that."""
    if key is None:
        return reply[:4] + reply[12:]
    return reply[:16] + reply[24:96] + reply[112:]


@pytest.mark.parametrize("place", [3, 20, 100, 118, 130, 140])
def test_short_cut_refuses_what_the_long_way_refuses(place: int) -> None:
    """One octet changed in the base packet is unauthenticated, one in the TLVs comes back as I."""
    bench = Bench(Rules(provisioned_only=False, key=KEY))
    tail = stamp_tlv.request_tail(40, sequence=1, key=KEY)
    packet = stamp.SenderPacket(sequence=1, timestamp=99, session_id=7, tail=tail)
    request = bytearray(stamp.encode_sender(packet, KEY))
    bench.ask(bytes(request))
    request[place] ^= 1

    reply = bench.ask(bytes(request))
    bench.wire.close()

    if place < 112:
        assert reply is None
        assert bench.reflector.counters.unauthenticated == 1
    else:
        assert reply is not None
        assert reply[112] & stamp_tlv.I_FLAG


def test_padding_comes_back_unchanged(bench: Bench) -> None:
    """A tail that is no TLV is copied; the reply has the request's size."""
    tail = bytes(range(1, 100))

    assert (bench.ask(_request(tail=tail)) or b"")[44:] == tail


@pytest.mark.parametrize(
    ("request_", "peer", "counter"),
    [
        (_request()[:43], PEER, "short"),
        (_request(), ("10.0.0.1", 9000), "from_reflector"),
        (_request(), ("10.0.0.1", 862), "from_reflector"),
        (_request(), ("10.0.0.1", 8620), "from_reflector"),
        (_request(ssid=8), PEER, "unprovisioned"),
        (stamp.SENDER_OPEN.pack(0, 0, 0x8000, 7), PEER, "corrupt"),
    ],
)
def test_what_must_not_be_answered_is_counted(
    strict: Bench, request_: bytes, peer: tuple[str, int], counter: str
) -> None:
    """Short, looping, unprovisioned and corrupt requests get nothing, and are counted."""
    assert strict.ask(request_, peer) is None
    assert getattr(strict.reflector.counters, counter) == 1
    assert strict.reflector.counters.answered == 0


def test_rate_is_limited_per_source() -> None:
    """The third request of a second from one address is dropped; another address is served."""
    bench = Bench(Rules(provisioned_only=False, max_pps=2))

    replies = [bench.ask(_request(s), t2_ns=T2_NS + s) for s in range(3)]
    other = bench.ask(_request(), ("10.0.0.7", 40_000), T2_NS)
    later = bench.ask(_request(3), t2_ns=T2_NS + 1_000_000_000)
    bench.wire.close()

    assert [r is not None for r in replies] == [True, True, False]
    assert other is not None
    assert later is not None
    assert bench.reflector.counters.rate_limited == 1


def test_networks_are_honoured() -> None:
    """Only addresses of an allowed network are answered."""
    bench = Bench(Rules(provisioned_only=False, allow=("10.0.0.0/24",)))

    inside = bench.ask(_request())
    outside = bench.ask(_request(), ("10.0.1.1", 40_000))
    bench.wire.close()

    assert inside is not None
    assert outside is None
    assert bench.reflector.counters.not_allowed == 1


def test_authenticated_mode_answers_the_key_only() -> None:
    """Without the key a request gets nothing, with it an authenticated reply."""
    bench = Bench(Rules(provisioned_only=False, key=KEY))
    packet = stamp.SenderPacket(
        sequence=3, timestamp=9, session_id=7, tail=stamp_tlv.request_tail(40, sequence=3, key=KEY)
    )

    assert bench.ask(_request(tail=bytes(80))) is None
    assert bench.ask(stamp.encode_sender(packet, b"some other key..")) is None
    reply = bench.ask(stamp.encode_sender(packet, KEY))
    bench.wire.close()

    assert bench.reflector.counters.unauthenticated == 2
    assert reply is not None
    assert stamp.decode_reflector(reply, KEY).sender_sequence == 3


def test_twamp_light_requests_need_the_rule() -> None:
    """A request of 14 octets is answered with a base packet only where the rules say so."""
    bench = Bench(Rules(provisioned_only=False, twamp_light=True))
    short = stamp.SENDER_OPEN.pack(4, 5, 0x3FFF, 0)

    reply = bench.ask(short[:14])
    shorter = bench.ask(short[:13])
    bench.wire.close()

    assert reply is not None
    assert len(reply) == 44
    assert stamp.decode_reflector(reply).sender_sequence == 4
    assert shorter is None


def test_admitted_sessions_are_logged(strict: Bench) -> None:
    """The log has a row per reply, with the egress stamp where it came in."""
    for s in range(3):
        strict.ask(_request(s))
    session = strict.reflector.sessions[PEER, 7]
    session.stamped(1, T2_NS + 20)

    log = log_table([session], 0, clock_step=False)

    assert log["seq"].tolist() == [0, 1, 2]
    assert log["reflector_seq"].tolist() == [0, 1, 2]
    assert log["t3_ns"].tolist() == [None, T2_NS + 20, None]
    assert log["t2_ns"].tolist() == [T2_NS] * 3
    assert log["src_port"].tolist() == [40_000] * 3


def test_requests_that_fail_their_hmac_are_remembered() -> None:
    """Of an admitted session: as what they claim to be, at the end of the log, without numbers."""
    bench = Bench(Rules(key=KEY))
    bench.reflector.gate.admitted.add(7)
    for ssid, key in ((7, KEY), (7, b"some other key.."), (8, b"some other key..")):
        packet = stamp.SenderPacket(sequence=3, timestamp=9, session_id=ssid)
        bench.ask(stamp.encode_sender(packet, key))
    bench.wire.close()

    session = bench.reflector.sessions[PEER, 7]
    log = log_table([session], 0, clock_step=False, refused=bench.reflector.gate.refused)

    assert log["refused"].tolist() == [False, True]
    assert log["seq"].tolist() == [3, 3]
    assert log["session_id"].tolist() == [7, 7]
    assert log["src_port"].tolist() == [40_000, 40_000]
    assert log["reflector_seq"].tolist() == [0, None]
    assert log["t2_ns"].tolist() == [T2_NS, None]


def test_failed_send_keeps_the_count(strict: Bench) -> None:
    """A reply that could not leave is counted and logged; the counter goes on."""
    strict.wire.fails = True
    assert strict.ask(_request(0)) is None
    strict.wire.fails = False

    reply = strict.ask(_request(1))

    assert strict.reflector.counters.send_failed == 1
    assert stamp.decode_reflector(reply or b"").sequence == 1
    session = strict.reflector.sessions[PEER, 7]
    assert log_table([session], 0, clock_step=False)["seq"].tolist() == [0, 1]


def test_table_of_sessions_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the table is full a new session is refused until an old one has been idle for long."""
    assert MAX_SESSIONS <= 65_536
    monkeypatch.setattr(loop, "MAX_SESSIONS", 2)
    for ssid in (1, 2):
        bench.ask(_request(ssid=ssid))

    refused = bench.ask(_request(ssid=3))
    later = bench.ask(_request(ssid=3), t2_ns=T2_NS + 61_000_000_000)

    assert refused is None
    assert bench.reflector.counters.table_full == 1
    assert later is not None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([None, KEY]), st.booleans())
def test_any_bytes_are_survived_and_never_lengthened(
    data: bytes, key: bytes | None, provisioned: bool
) -> None:
    """Whatever arrives, the reflector goes on, and no reply is longer than its request."""
    bench = Bench(Rules(key=key, provisioned_only=provisioned))
    bench.reflector.gate.admitted.update(range(65_536))

    reply = bench.ask(data)
    bench.wire.close()

    assert reply is None or len(reply) == len(data)


@pytest.fixture
def wired() -> Iterator[tuple[Reflector, socket.socket]]:
    """A reflector on a real socket, and a socket connected to it."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
    ):
        own.bind(("127.0.0.1", 0))
        timestamping.receive_ttl(own)
        peer.bind(("127.0.0.1", 0))
        peer.connect(own.getsockname())
        peer.settimeout(5)
        yield Reflector(own, Rules(provisioned_only=False), 0), peer


def test_gathered_requests_are_answered_each_and_in_order(
    wired: tuple[Reflector, socket.socket],
) -> None:
    """It comes back by itself once nothing has gathered."""
    reflector, peer = wired
    for sequence in range(40):
        peer.send(_request(sequence, ssid=7 + sequence % 2))
    reflector.serve_gathered()
    replies = [stamp.decode_reflector(peer.recv(2048)) for _ in range(40)]
    assert [reply.sender_sequence for reply in replies] == list(range(40))
    assert [reply.sequence for reply in replies] == [n // 2 for n in range(40)]
    assert reflector.counters.answered == 40


@pytest.mark.parametrize(("sessions", "gathers"), [(1, False), (3, True)])
def test_requests_gather_only_where_many_sessions_ask(
    wired: tuple[Reflector, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    *,
    sessions: int,
    gathers: bool,
) -> None:
    """A sender that measures alone is answered at once, whatever its rate."""
    reflector, peer = wired
    reflector._sock.settimeout(0.2)
    monkeypatch.setattr(loop, "LOOK_EVERY", 4)
    monkeypatch.setattr(loop, "GATHER_FROM_SESSIONS", 2)
    monkeypatch.setattr(loop, "GATHER_ABOVE_PPS", 0)

    def gathered() -> None:
        raise InterruptedError

    monkeypatch.setattr(reflector, "serve_gathered", gathered)
    for sequence in range(8):
        peer.send(_request(sequence, ssid=7 + sequence % sessions))
    with pytest.raises(InterruptedError if gathers else TimeoutError):
        reflector.serve()
    assert reflector.counters.answered == (4 if gathers else 8)


@pytest.mark.parametrize(("source", "looks"), [("kernel", True), ("user", False)])
def test_stamps_that_no_kernel_takes_are_not_looked_for(source: str, *, looks: bool) -> None:
    """A session that speaks again, and whole batches: not one look at the error queue."""
    bench = Bench(Rules(provisioned_only=False), STAMP_SOURCES.index(source))
    stamps = Stamps()
    bench.reflector._queue = stamps  # type: ignore[assignment]  # a stand-in
    for sequence in range(3 * BATCH):
        assert bench.ask(_request(sequence)) is not None
    assert (stamps.calls > 0) is looks
    assert bool(bench.reflector._pending) is looks
    bench.wire.close()
