"""TLVs of requests and of the replies a reflector makes from them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench.model.errors import LocalProtocolError, ProtocolError
from podbench.wire import stamp, stamp_tlv
from podbench.wire.stamp_tlv import Tlv

KEY = b"a key of sixteen"
TOLD = stamp_tlv.FollowUp(41, 0x1122334455667788)


def _answer(tail: bytes, key: bytes | None = None) -> bytes:
    return stamp_tlv.answer(tail, lambda: TOLD, sequences=(7, 9), key=key)


@given(st.binary(max_size=120), st.none() | st.just(KEY))
def test_any_tail_is_answered_in_its_own_size(tail: bytes, key: bytes | None) -> None:
    """A reflector survives any bytes and never makes them longer."""
    assert len(_answer(tail, key)) == len(tail)


@given(st.binary(max_size=120))
def test_any_tail_parses_or_is_malformed(tail: bytes) -> None:
    """Arbitrary bytes raise nothing but ProtocolError."""
    with contextlib.suppress(ProtocolError):
        stamp_tlv.follow_up_of(tail)


@given(st.binary(max_size=80).filter(lambda tail: not stamp_tlv.looks_like_tlvs(tail)))
def test_padding_is_copied_back(tail: bytes) -> None:
    """A tail that does not start as TLVs do comes back untouched."""
    assert _answer(tail) == tail


@pytest.mark.parametrize("length", [20, 22, 24, 64, 1000])
@pytest.mark.parametrize("key", [None, KEY])
def test_request_tail_fills_and_parses(length: int, key: bytes | None) -> None:
    """A request's TLVs fill the length asked for and parse back."""
    length += 20 if key else 0

    tail = stamp_tlv.request_tail(length, sequence=7, key=key)

    assert len(tail) == length
    kinds = [t.type for t in stamp_tlv.parse(tail)]
    assert kinds[: 2 if key else 1] == ([7, 8] if key else [7])


def test_request_tail_without_room_is_refused() -> None:
    """Follow-Up Telemetry does not fit 19 octets."""
    with pytest.raises(LocalProtocolError):
        stamp_tlv.request_tail(19)


@pytest.mark.parametrize("key", [None, KEY])
def test_follow_up_is_told(key: bytes | None) -> None:
    """The oldest unreported egress time comes back with U cleared, under a fitting HMAC."""
    reply = _answer(stamp_tlv.request_tail(60, sequence=7, key=key), key)

    assert stamp_tlv.follow_up_of(reply) == TOLD
    if key:
        mac = stamp_tlv.parse(reply)[1].value
        assert mac == stamp.digest((9).to_bytes(4, "big") + reply[:20], key)


def test_nothing_to_tell_is_zero() -> None:
    """The first reply of a session carries a zero Follow-Up Telemetry, which reads as none."""
    tail = stamp_tlv.request_tail(20)

    reply = stamp_tlv.answer(tail, lambda: None, sequences=(0, 0), key=None)

    assert reply[4:] == bytes(16)
    assert stamp_tlv.follow_up_of(reply) is None


def test_unknown_type_is_echoed_with_u() -> None:
    """A type we do not know keeps its value and U; the TLV behind it is still answered."""
    tail = stamp_tlv.encode((Tlv(0x80, 200, b"abcd"),)) + stamp_tlv.request_tail(20)

    first, second = stamp_tlv.parse(_answer(tail))

    assert first == Tlv(0x80, 200, b"abcd")
    assert second.flags == 0


def test_hmac_tlv_without_key_is_not_understood() -> None:
    """In open mode an HMAC TLV comes back as it was, with U: there is no key to answer it with."""
    tail = stamp_tlv.encode((Tlv(0x80, stamp_tlv.HMAC, bytes(range(16))),))

    assert _answer(tail) == tail


def test_malformed_tlv_gets_m_and_ends_parsing() -> None:
    """A length beyond the packet gets M; what stood before it is answered."""
    bad = bytes([0x80, 7, 0x00, 0xFF]) + bytes(16)
    reply = _answer(stamp_tlv.request_tail(20) + bad)

    assert reply[0] == 0
    assert reply[20] == stamp_tlv.M_FLAG
    assert reply[21:] == bad[1:]


def test_wrong_hmac_marks_every_tlv() -> None:
    """If the HMAC TLV does not fit, all TLVs get I and no telemetry is told."""
    tail = bytearray(stamp_tlv.request_tail(60, sequence=7, key=KEY))
    tail[24 + 3] ^= 1

    reply = stamp_tlv.parse(_answer(bytes(tail), KEY))

    assert all(t.flags & stamp_tlv.I_FLAG for t in reply)
    assert reply[0].value == bytes(16)


def test_missing_hmac_marks_every_tlv() -> None:
    """In authenticated mode TLVs other than padding need their HMAC (RFC 8972 section 4.8)."""
    assert stamp_tlv.parse(_answer(stamp_tlv.request_tail(20), KEY))[0].flags & stamp_tlv.I_FLAG


def test_padding_alone_needs_no_hmac() -> None:
    """Extra Padding is answered without an HMAC TLV."""
    tail = stamp_tlv.request_tail(40, follow_up=False)

    assert stamp_tlv.parse(_answer(tail, KEY))[0].flags == 0


def test_oversized_value_is_our_error() -> None:
    """A value of more than 65,535 octets cannot be told in the length field."""
    with pytest.raises(LocalProtocolError):
        stamp_tlv.encode((Tlv(0x80, 1, bytes(65_536)),))
