"""STAMP packets: bytes in, records out, and back. No sockets and no clocks here.

Hot loops use the struct layouts of this module directly; everything else uses `encode_*` and
`decode_*`. The type-length-values behind the base packet are in wire/stamp_tlv.py.

Open mode, 44 octets (RFC 8762 sections 4.2.1 and 4.3.1; SSID: RFC 8972 section 3):

    octet      0      4       12     14     16     24      28     36     38   40    41   44
    sender    | seq  | T1    | err  | SSID | zero                                       |
    reflector | seq  | T3    | err  | SSID | T2   | s.seq | T1   | s.err | 0 | TTL | 0  |

Authenticated, 112 octets: the same fields spread out, HMAC-SHA-256 over octets 0-95 cut to 16:

    octet      0     4   16   24    26     28  32   40  48      52  64   72      74  80    81  96
    sender    | seq | 0 | T1 | err | SSID | 0                                                | HMAC
    reflector | seq | 0 | T3 | err | SSID | 0 | T2 | 0 | s.seq | 0 | T1 | s.err | 0 | TTL | 0 | HMAC

All integers are big-endian. What must be zero is sent as zero and ignored on receipt.
"""

import functools
import hashlib
import hmac
import math
import struct

import msgspec

from podbench.model.errors import LocalProtocolError, RemoteProtocolError
from podbench.wire import ntp

BASE_BYTES = 44
AUTH_BYTES = 112
TWAMP_LIGHT_REPLY_BYTES = 36
"""Shortest reply taken: TWAMP-Light peers may end before the sender's error estimate and TTL."""
TWAMP_LIGHT_REQUEST_BYTES = 14
"""Sequence, timestamp, error estimate: the shortest TWAMP packet (RFC 5357 section 4.1.2)."""

SENDER_OPEN = struct.Struct("!IQHH28x")
"""sequence, T1, error estimate, SSID."""
REFLECTOR_OPEN = struct.Struct("!IQHHQIQHxxB3x")
"""sequence, T3, error estimate, SSID, T2, sender sequence, T1, sender error estimate, TTL."""
SENDER_AUTH = struct.Struct("!I12xQHH68x")
"""As SENDER_OPEN; the HMAC follows."""
REFLECTOR_AUTH = struct.Struct("!I12xQHH4xQ8xI12xQH6xB15x")
"""As REFLECTOR_OPEN; the HMAC follows."""

_HMACED_BYTES = 96
HMAC_BYTES = 16
_BLOCK_BYTES = 64
"""SHA-256's."""

ERROR_UNSYNCED = 0x0001
"""S = 0, Z = 0, Scale 0, Multiplier 1: no claim about UTC. Multiplier 0 would be illegal."""
_S_BIT = 0x8000
_Z_BIT = 0x4000


class IntegrityFailed(RemoteProtocolError):
    """The HMAC of a packet does not fit: it was changed on its way, or the key differs."""


class ErrorEstimate(msgspec.Struct, frozen=True):
    """RFC 4656 section 4.1.2 with RFC 8762's Z bit: error = multiplier * 2^(scale - 32) s."""

    synced: bool
    ptp: bool
    scale: int
    multiplier: int

    @property
    def error_ns(self) -> float:
        """Bound of the clock's error, ns."""
        return math.ldexp(self.multiplier, self.scale - 32) * 1e9

    @property
    def bits(self) -> int:
        """The 16 bits on the wire."""
        return (
            (_S_BIT if self.synced else 0)
            | (_Z_BIT if self.ptp else 0)
            | self.scale << 8
            | self.multiplier
        )


def error_estimate(bits: int) -> ErrorEstimate:
    """Reads the 16 bits.

    Raises:
        RemoteProtocolError: Multiplier 0: the packet is corrupt (RFC 4656 section 4.1.2).
    """
    if bits & 0xFF == 0:
        raise RemoteProtocolError(f"error estimate {bits:#06x} has multiplier 0")
    return ErrorEstimate(bool(bits & _S_BIT), bool(bits & _Z_BIT), bits >> 8 & 0x3F, bits & 0xFF)


def error_estimate_for(error_ns: float, *, synced: bool, ptp: bool = False) -> ErrorEstimate:
    """The finest estimate that covers `error_ns`: smallest scale whose multiplier fits in 8 bits.

    Raises:
        LocalProtocolError: The error is negative or beyond what 14 bits can say.
    """
    if not 0 <= error_ns < math.ldexp(255, 31) * 1e9:
        raise LocalProtocolError(f"a clock error of {error_ns} ns cannot be told in an estimate")
    units = error_ns / 1e9 * 2**32
    scale = max(0, math.ceil(math.log2(units / 255))) if units > 255 else 0
    multiplier = max(1, math.ceil(math.ldexp(units, -scale)))
    if multiplier > 255:
        scale, multiplier = scale + 1, math.ceil(math.ldexp(units, -scale - 1))
    return ErrorEstimate(synced, ptp, scale, multiplier)


def timestamp_ns(raw: int, error_bits: int) -> int:
    """Unix time in ns of a raw timestamp; the Z bit of the estimate beside it tells the format."""
    return ntp.ptp_to_ns(raw) if error_bits & _Z_BIT else ntp.ntp_to_ns(raw)


class SenderPacket(msgspec.Struct, frozen=True, kw_only=True):
    """A request. Timestamps and estimates are raw bits; `tail` is all behind the base packet."""

    sequence: int
    timestamp: int
    error_bits: int = ERROR_UNSYNCED
    session_id: int = 0
    tail: bytes = b""


class ReflectorPacket(msgspec.Struct, frozen=True, kw_only=True):
    """A reply. What a TWAMP-Light peer left out at the end is null."""

    sequence: int
    timestamp: int
    receive_timestamp: int
    sender_sequence: int
    sender_timestamp: int
    error_bits: int = ERROR_UNSYNCED
    session_id: int = 0
    sender_error_bits: int | None = ERROR_UNSYNCED
    sender_ttl: int | None = None
    tail: bytes = b""


@functools.lru_cache(maxsize=16)
def _keyed(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """SHA-256 states that have taken in the key for the inner and the outer hash (RFC 2104)."""
    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(
        _BLOCK_BYTES, b"\0"
    )
    inner, outer = (bytes(octet ^ pad for octet in block) for pad in (0x36, 0x5C))
    return hashlib.sha256(inner), hashlib.sha256(outer)


def digest(data: bytes | bytearray | memoryview, key: bytes) -> bytes:
    """HMAC-SHA-256 cut to its first 16 octets (RFC 8762 section 4.4).

    The key is taken in once, not for each packet: `hmac.digest` takes 2.5 times as long, and a
    reflector computes four of them per probe.
    """
    inner, outer = _keyed(key)
    first = inner.copy()
    first.update(data)
    whole = outer.copy()
    whole.update(first.digest())
    return whole.digest()[:HMAC_BYTES]


def _pack(layout: struct.Struct, *fields: int) -> bytes:
    try:
        return layout.pack(*fields)
    except struct.error as error:
        raise LocalProtocolError(f"a STAMP field is out of range: {error}") from error


def encode_sender(packet: SenderPacket, key: bytes | None = None) -> bytes:
    """The request's octets: open mode, or authenticated with `key`.

    Raises:
        LocalProtocolError: A field does not fit its width.
    """
    layout = SENDER_OPEN if key is None else SENDER_AUTH
    base = _pack(layout, packet.sequence, packet.timestamp, packet.error_bits, packet.session_id)
    return base + (b"" if key is None else digest(base, key)) + packet.tail


def encode_reflector(packet: ReflectorPacket, key: bytes | None = None) -> bytes:
    """The reply's octets: open mode, or authenticated with `key`.

    Raises:
        LocalProtocolError: A field does not fit its width.
    """
    base = _pack(
        REFLECTOR_OPEN if key is None else REFLECTOR_AUTH,
        packet.sequence,
        packet.timestamp,
        packet.error_bits,
        packet.session_id,
        packet.receive_timestamp,
        packet.sender_sequence,
        packet.sender_timestamp,
        packet.sender_error_bits or 0,
        packet.sender_ttl or 0,
    )
    return base + (b"" if key is None else digest(base, key)) + packet.tail


def verify(data: bytes | bytearray | memoryview, key: bytes) -> None:
    """Checks an authenticated packet's HMAC in constant time, before any field of it is used.

    Raises:
        RemoteProtocolError: Shorter than an authenticated packet.
        IntegrityFailed: The HMAC does not fit.
    """
    if len(data) < AUTH_BYTES:
        raise RemoteProtocolError(f"{len(data)} octets are no authenticated STAMP packet")
    if not hmac.compare_digest(digest(data[:_HMACED_BYTES], key), bytes(data[96:AUTH_BYTES])):
        raise IntegrityFailed("the packet's HMAC does not fit")


_NEAR_S = 64
"""A reply's receive and transmit stamps are of one clock, a residence apart."""


def is_reply(packet: bytes | memoryview, *, keyed: bool) -> bool:
    """Whether a packet has the form of a reply: answering it could go on for ever.

    A request has zeros where a reply has its reflector's receive stamp and the request's own number
    and stamp (RFC 8762 sections 4.2.1 and 4.3.1; TWAMP, RFC 5357 section 4.2.1, is laid out alike).
    A TWAMP request may be padded with anything there, so padding has to look like a reply in full.
    """
    if keyed:
        return any(packet[32:40]) or any(packet[48:52]) or any(packet[64:72])
    if len(packet) < TWAMP_LIGHT_REPLY_BYTES or not any(packet[16:36]) or any(packet[38:40]):
        return False
    if len(packet) >= BASE_BYTES and not any(packet[41:BASE_BYTES]):
        return True
    sent_s, received_s = int.from_bytes(packet[4:8], "big"), int.from_bytes(packet[16:20], "big")
    return abs(sent_s - received_s) <= _NEAR_S


def decode_sender(data: bytes, key: bytes | None = None) -> SenderPacket:
    """Reads a request. An open-mode request may be a short TWAMP-Light one of 14 octets or more.

    Raises:
        RemoteProtocolError: Too short, or an illegal error estimate.
        IntegrityFailed: The HMAC does not fit.
    """
    if key is not None:
        verify(data, key)
        fields, length = SENDER_AUTH.unpack_from(data), AUTH_BYTES
    elif len(data) >= TWAMP_LIGHT_REQUEST_BYTES:
        fields, length = (
            SENDER_OPEN.unpack_from(data[:BASE_BYTES].ljust(BASE_BYTES, b"\0")),
            BASE_BYTES,
        )
    else:
        raise RemoteProtocolError(f"{len(data)} octets are no STAMP request")
    sequence, timestamp, error_bits, session_id = fields
    error_estimate(error_bits)
    return SenderPacket(
        sequence=sequence,
        timestamp=timestamp,
        error_bits=error_bits,
        session_id=session_id,
        tail=bytes(data[length:]),
    )


def decode_reflector(data: bytes, key: bytes | None = None) -> ReflectorPacket:
    """Reads a reply. An open-mode reply of 36 octets or more is taken (TWAMP-Light).

    Raises:
        RemoteProtocolError: Too short, or an illegal error estimate.
        IntegrityFailed: The HMAC does not fit.
    """
    if key is not None:
        verify(data, key)
        layout, length = REFLECTOR_AUTH, AUTH_BYTES
        whole = data
    else:
        if len(data) < TWAMP_LIGHT_REPLY_BYTES:
            raise RemoteProtocolError(f"{len(data)} octets are no STAMP reply")
        layout, length = REFLECTOR_OPEN, BASE_BYTES
        whole = data[:BASE_BYTES].ljust(BASE_BYTES, b"\0")
    sequence, t3, error_bits, session_id, t2, s_sequence, t1, s_error, ttl = layout.unpack_from(
        whole
    )
    error_estimate(error_bits)
    return ReflectorPacket(
        sequence=sequence,
        timestamp=t3,
        receive_timestamp=t2,
        sender_sequence=s_sequence,
        sender_timestamp=t1,
        error_bits=error_bits,
        session_id=session_id,
        sender_error_bits=s_error if len(data) >= 38 else None,
        sender_ttl=ttl if len(data) > 40 else None,
        tail=bytes(data[length:]),
    )
