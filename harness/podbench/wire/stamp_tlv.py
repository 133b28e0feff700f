"""Type-length-values behind the STAMP base packet: parse, build, and what a reflector answers.

Neighbours: wire/stamp.py has the base packets. No sockets here.

    octet     0       1      2         4
            | flags | type | length  | value, `length` octets |

    flags   U 0x80  sender sets it, a reflector that knows the type clears it
            M 0x40  malformed: parsing stops here
            I 0x20  integrity failed: no TLV may be used

Source: RFC 8972 section 4.
"""

import hmac
import struct
from collections.abc import Callable

import msgspec

from podbench.model.errors import LocalProtocolError, RemoteProtocolError
from podbench.wire import stamp

HEADER = struct.Struct("!BBH")
HEADER_BYTES = 4
U_FLAG, M_FLAG, I_FLAG = 0x80, 0x40, 0x20

EXTRA_PADDING = 1
FOLLOW_UP = 7
HMAC = 8

FOLLOW_UP_VALUE = struct.Struct("!IQB3x")
"""Reflector sequence of an earlier reply, when that left, timestamping method (section 4.7)."""
FOLLOW_UP_BYTES = HEADER_BYTES + FOLLOW_UP_VALUE.size
FOLLOW_UP_REQUEST = HEADER.pack(U_FLAG, FOLLOW_UP, FOLLOW_UP_VALUE.size) + bytes(
    FOLLOW_UP_VALUE.size
)
FOLLOW_UP_REPLY = struct.Struct("!BBHIQB3x")
"""Header and value of a Follow-Up Telemetry TLV in one go, for the hot loop."""
METHOD_SOFTWARE = 2
"""Timestamping method: software, taken locally (RFC 8972 table 9)."""

OWN_DROPS = 252
"""Private use (RFC 8972 section 5.1): how many requests of a session's time the reflector itself
did not answer. Reflectors that do not know it echo it with U set. Asked for once, by the flush
probe, so that a probe without access to the reflector's log still knows whose losses they are."""
OWN_DROPS_VALUE = struct.Struct("!III")
"""Requests its receive buffer dropped, requests its rules refused, replies it could not send."""
OWN_DROPS_BYTES = HEADER_BYTES + OWN_DROPS_VALUE.size

_LENGTHS = {FOLLOW_UP: FOLLOW_UP_VALUE.size, HMAC: stamp.HMAC_BYTES}


class Tlv(msgspec.Struct, frozen=True):
    """One TLV with the flags it came with."""

    flags: int
    type: int
    value: bytes


class OwnDrops(msgspec.Struct, frozen=True):
    """What a reflector did not answer itself: none of it is the network's loss."""

    buffer: int
    refused: int
    unsent: int


class FollowUp(msgspec.Struct, frozen=True):
    """What a Follow-Up Telemetry TLV tells: reply `sequence` left at `timestamp` (raw 64 bits)."""

    sequence: int
    timestamp: int


def encode(tlvs: tuple[Tlv, ...]) -> bytes:
    """The octets of the TLVs.

    Raises:
        LocalProtocolError: A value of more than 65,535 octets.
    """
    for tlv in tlvs:
        if len(tlv.value) > 0xFFFF:
            raise LocalProtocolError(f"a TLV value of {len(tlv.value)} octets")
    return b"".join(HEADER.pack(t.flags, t.type, len(t.value)) + t.value for t in tlvs)


def request_tail(
    length: int,
    *,
    sequence: int = 0,
    key: bytes | None = None,
    follow_up: bool = True,
    own_drops: bool = False,
) -> bytes:
    """TLVs of a request, filling `length` octets.

    In order Follow-Up Telemetry, Own Drops if asked for, HMAC if there is a key, Extra Padding. A
    rest of 1 to 3 octets cannot hold a TLV and is sent as zeros.

    Raises:
        LocalProtocolError: `length` has no room for the TLVs.
    """
    tail = FOLLOW_UP_REQUEST if follow_up else b""
    if own_drops:
        tail += HEADER.pack(U_FLAG, OWN_DROPS, OWN_DROPS_VALUE.size) + bytes(OWN_DROPS_VALUE.size)
    if key is not None and tail:
        mac = stamp.digest(sequence.to_bytes(4, "big") + tail, key)
        tail += HEADER.pack(U_FLAG, HMAC, len(mac)) + mac
    rest = length - len(tail)
    if rest < 0:
        raise LocalProtocolError(f"{length} octets have no room for TLVs of {len(tail)}")
    if rest >= HEADER_BYTES:
        tail += HEADER.pack(U_FLAG, EXTRA_PADDING, rest - HEADER_BYTES)
    return tail.ljust(length, b"\0")


def parse(tail: bytes) -> tuple[Tlv, ...]:
    """Splits a tail into its TLVs; fewer than 4 octets at the end are padding.

    Raises:
        RemoteProtocolError: A TLV is longer than what is left, or of a wrong length for its type.
    """
    tlvs = []
    offset = 0
    while len(tail) - offset >= HEADER_BYTES:
        flags, kind, length = HEADER.unpack_from(tail, offset)
        end = offset + HEADER_BYTES + length
        if end > len(tail) or length != _LENGTHS.get(kind, length):
            raise RemoteProtocolError(f"malformed TLV of type {kind} and length {length}")
        tlvs.append(Tlv(flags, kind, tail[offset + HEADER_BYTES : end]))
        offset = end
    return tuple(tlvs)


def looks_like_tlvs(tail: bytes | bytearray | memoryview) -> bool:
    """Whether a tail starts as RFC 8972 senders start one: flags 0x80 and a type above zero.

    TWAMP-Light padding (zeros or random octets) is told apart by this and copied back untouched.
    """
    return len(tail) >= HEADER_BYTES and tail[0] == U_FLAG and tail[1] != 0


def follow_up_of(tail: bytes) -> FollowUp | None:
    """The Follow-Up Telemetry in a reply's tail; null if absent, not understood or all zero.

    Raises:
        RemoteProtocolError: The tail starts as TLVs and is malformed.
    """
    for tlv in parse(tail):
        if tlv.flags & (M_FLAG | I_FLAG):
            return None
        if tlv.type == FOLLOW_UP and not tlv.flags & U_FLAG:
            sequence, timestamp, _ = FOLLOW_UP_VALUE.unpack(tlv.value)
            return FollowUp(sequence, timestamp) if timestamp else None
    return None


def answer(
    tail: bytes,
    follow_up: Callable[[], FollowUp | None],
    *,
    sequences: tuple[int, int],
    key: bytes | None,
    own_drops: Callable[[], OwnDrops] | None = None,
) -> bytes:
    """The reply's tail for a request's tail, of the same length.

    Types 1 and 7 are understood, 8 where there is a key, 252 where `own_drops` can be said; others
    are echoed with U set. A malformed TLV gets M and ends the parsing; if the HMAC does not fit,
    all get I (RFC 8972 sections 4, 4.8).

    Args:
        tail: All behind the base packet of the request.
        follow_up: Gives the oldest unreported (reflector sequence, egress time), if there is one.
        sequences: The request's and the reply's sequence number: each HMAC begins with its own.
        key: HMAC key in authenticated mode.
        own_drops: Gives what this reflector itself did not answer in the session's time.
    """
    out = bytearray(tail)
    if not looks_like_tlvs(tail):
        return bytes(out)
    spans, malformed = _spans(tail)
    if key is not None and not _hmac_fits(tail, spans, sequences[0], key):
        for start, _, _ in spans:
            out[start] = tail[start] | I_FLAG
        return bytes(out)
    known = {EXTRA_PADDING, FOLLOW_UP} | ({HMAC} if key is not None else set())
    for start, kind, end in spans:
        ours = kind == OWN_DROPS and own_drops is not None and end - start == OWN_DROPS_BYTES
        out[start] = 0 if kind in known or ours else U_FLAG
        if ours and own_drops is not None:
            out[start + HEADER_BYTES : end] = _own_drops(own_drops())
        elif kind == FOLLOW_UP:
            told = follow_up()
            out[start + HEADER_BYTES : end] = (
                FOLLOW_UP_VALUE.pack(told.sequence, told.timestamp, METHOD_SOFTWARE)
                if told
                else bytes(FOLLOW_UP_VALUE.size)
            )
        elif kind == HMAC and key is not None:
            out[start + HEADER_BYTES : end] = stamp.digest(
                sequences[1].to_bytes(4, "big") + out[:start], key
            )
    if malformed is not None:
        out[malformed] = M_FLAG | (0 if tail[malformed + 1] in known else U_FLAG)
    return bytes(out)


def _own_drops(dropped: OwnDrops) -> bytes:
    counts = (dropped.buffer, dropped.refused, dropped.unsent)
    return OWN_DROPS_VALUE.pack(*(min(count, 0xFFFF_FFFF) for count in counts))


def _spans(tail: bytes) -> tuple[list[tuple[int, int, int]], int | None]:
    """(start, type, end) of every well-formed TLV, and where the first malformed one starts."""
    spans: list[tuple[int, int, int]] = []
    offset = 0
    while len(tail) - offset >= HEADER_BYTES:
        _, kind, length = HEADER.unpack_from(tail, offset)
        end = offset + HEADER_BYTES + length
        if end > len(tail) or length != _LENGTHS.get(kind, length):
            return spans, offset
        spans.append((offset, kind, end))
        offset = end
    return spans, None


def _hmac_fits(tail: bytes, spans: list[tuple[int, int, int]], sequence: int, key: bytes) -> bool:
    """True if the HMAC TLV fits, or if nothing but Extra Padding is there to protect."""
    for start, kind, end in spans:
        if kind == HMAC:
            wanted = stamp.digest(sequence.to_bytes(4, "big") + tail[:start], key)
            return hmac.compare_digest(wanted, tail[start + HEADER_BYTES : end])
    return all(kind == EXTRA_PADDING for _, kind, _ in spans)
