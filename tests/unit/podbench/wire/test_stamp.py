"""STAMP base packets: round trips, limits, and never anything but a ProtocolError."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench.model.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from podbench.wire import ntp, stamp

KEY = b"a key of sixteen"
U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
ERROR = U16.filter(lambda bits: bits & 0xFF != 0)
KEYS = st.none() | st.binary(min_size=1, max_size=64)

SENDERS = st.builds(
    stamp.SenderPacket,
    sequence=U32,
    timestamp=U64,
    error_bits=ERROR,
    session_id=U16,
    tail=st.binary(max_size=60),
)
REFLECTORS = st.builds(
    stamp.ReflectorPacket,
    sequence=U32,
    timestamp=U64,
    receive_timestamp=U64,
    sender_sequence=U32,
    sender_timestamp=U64,
    error_bits=ERROR,
    session_id=U16,
    sender_error_bits=ERROR,
    sender_ttl=st.integers(0, 255),
    tail=st.binary(max_size=60),
)


@given(SENDERS, KEYS)
def test_sender_round_trip(packet: stamp.SenderPacket, key: bytes | None) -> None:
    """A request reads back as it was written, in both modes."""
    assert stamp.decode_sender(stamp.encode_sender(packet, key), key) == packet


@given(REFLECTORS, KEYS)
def test_reflector_round_trip(packet: stamp.ReflectorPacket, key: bytes | None) -> None:
    """A reply reads back as it was written, in both modes."""
    assert stamp.decode_reflector(stamp.encode_reflector(packet, key), key) == packet


@given(st.binary(max_size=200), KEYS)
def test_arbitrary_bytes_raise_nothing_else(data: bytes, key: bytes | None) -> None:
    """Any bytes give a packet or a ProtocolError."""
    for decode in (stamp.decode_sender, stamp.decode_reflector):
        try:
            decode(data, key)
        except ProtocolError:
            continue


@given(SENDERS, st.integers(0, 111), st.integers(0, 7))
def test_any_flipped_bit_fails_the_hmac(packet: stamp.SenderPacket, octet: int, bit: int) -> None:
    """No bit of an authenticated base packet can be changed unseen."""
    data = bytearray(stamp.encode_sender(packet, KEY))
    data[octet] ^= 1 << bit

    with pytest.raises(stamp.IntegrityFailed):
        stamp.decode_sender(bytes(data), KEY)


@pytest.mark.parametrize(("size", "error", "ttl"), [(36, None, None), (40, 7, None), (41, 7, 64)])
def test_short_twamp_light_replies_are_taken(size: int, error: int | None, ttl: int | None) -> None:
    """A reply may end after the echoed timestamp; what it leaves out is null, not zero."""
    packet = stamp.ReflectorPacket(
        sequence=1,
        timestamp=2,
        receive_timestamp=3,
        sender_sequence=4,
        sender_timestamp=5,
        sender_error_bits=7,
        sender_ttl=64,
    )

    got = stamp.decode_reflector(stamp.encode_reflector(packet)[:size])

    assert (got.sender_error_bits, got.sender_ttl, got.sender_timestamp) == (error, ttl, 5)


def test_shorter_packets_are_refused() -> None:
    """35 octets are no reply, 13 no request, 111 no authenticated packet."""
    with pytest.raises(RemoteProtocolError):
        stamp.decode_reflector(bytes(35))
    with pytest.raises(RemoteProtocolError):
        stamp.decode_sender(bytes(13))
    with pytest.raises(RemoteProtocolError):
        stamp.decode_sender(bytes(111), KEY)


def test_multiplier_zero_is_corrupt() -> None:
    """An error estimate with multiplier 0 makes the packet corrupt (RFC 4656 section 4.1.2)."""
    with pytest.raises(RemoteProtocolError):
        stamp.decode_sender(stamp.SENDER_OPEN.pack(0, 0, 0x8000, 0))


def test_a_field_out_of_range_is_our_error() -> None:
    """A sequence number of 33 bits is refused before it is sent."""
    with pytest.raises(LocalProtocolError):
        stamp.encode_sender(stamp.SenderPacket(sequence=2**32, timestamp=0))


@given(st.floats(0, 1e15), st.booleans(), st.booleans())
def test_error_estimate_covers_and_is_fine(error_ns: float, synced: bool, ptp: bool) -> None:
    """The estimate is never below the error, and no finer one would hold it."""
    estimate = stamp.error_estimate_for(error_ns, synced=synced, ptp=ptp)

    assert estimate.error_ns >= error_ns * (1 - 1e-12)
    assert stamp.error_estimate(estimate.bits) == estimate
    if estimate.scale:
        assert 255 * 2.0 ** (estimate.scale - 1 - 32) * 1e9 < error_ns * (1 + 1e-12)


def test_estimate_beyond_14_bits_is_refused() -> None:
    """An error no scale can hold is our mistake."""
    with pytest.raises(LocalProtocolError):
        stamp.error_estimate_for(1e30, synced=False)


def test_z_bit_tells_the_timestamp_format() -> None:
    """The same instant reads back from both formats by the estimate beside it."""
    ns = 1_790_000_000_123_456_789

    assert stamp.timestamp_ns(ntp.ns_to_ntp(ns), stamp.ERROR_UNSYNCED) == ns
    assert stamp.timestamp_ns(ntp.ns_to_ptp(ns), stamp.ERROR_UNSYNCED | 0x4000) == ns
