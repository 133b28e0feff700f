"""STAMP on the wire, octet by octet: golden vectors, and two dissectors that are not ours.

The vectors were laid out by hand from RFC 8762 sections 4.2 and 4.3 and RFC 8972 sections 3 and 4,
the timestamps computed with bc, the HMACs with `openssl dgst -sha256 -hmac`.
"""

import json
import subprocess
from pathlib import Path

import pytest
from support import needs

from podbench.wire import ntp, stamp, stamp_tlv
from podbench.wire.stamp_tlv import Tlv

KEY = b"0123456789abcdef"
# 2024-07-01 12:34:56.123456789 UTC
T1_NS = 1_719_837_296_123_456_789
T1 = ntp.ns_to_ntp(T1_NS)
T2, T3 = ntp.ns_to_ntp(T1_NS + 50_000), ntp.ns_to_ntp(T1_NS + 70_000)

SENDER = stamp.SenderPacket(sequence=0x01020304, timestamp=T1, session_id=0xABCD)
REFLECTOR = stamp.ReflectorPacket(
    sequence=0x05060708,
    timestamp=T3,
    session_id=0xABCD,
    receive_timestamp=T2,
    sender_sequence=0x01020304,
    sender_timestamp=T1,
    sender_ttl=63,
)

SENDER_OPEN = "01020304 ea2d20f01f9add37 0001 abcd" + "00" * 28
REFLECTOR_OPEN = (
    "05060708 ea2d20f01f9f739e 0001 abcd ea2d20f01f9e2413"
    "01020304 ea2d20f01f9add37 0001 0000 3f 000000"
)
SENDER_AUTH_96 = "01020304" + "00" * 12 + "ea2d20f01f9add37 0001 abcd" + "00" * 68
REFLECTOR_AUTH_96 = (
    "05060708" + "00" * 12 + "ea2d20f01f9f739e 0001 abcd 00000000 ea2d20f01f9e2413" + "00" * 8
    + "01020304" + "00" * 12 + "ea2d20f01f9add37 0001" + "00" * 6 + "3f" + "00" * 15
)  # fmt: skip
SENDER_MAC = "d1750e1a3dfe720d3748090be7df419a"
REFLECTOR_MAC = "7c81d9792d26e0032b038b60f3c396df"


def test_sender_open() -> None:
    """44 octets, SSID at 14, zeros behind."""
    assert stamp.encode_sender(SENDER) == bytes.fromhex(SENDER_OPEN)


def test_reflector_open() -> None:
    """44 octets, T2 at 16, the sender's sequence at 24, TTL at 40."""
    assert stamp.encode_reflector(REFLECTOR) == bytes.fromhex(REFLECTOR_OPEN)


def test_sender_authenticated() -> None:
    """112 octets, T1 at 16, HMAC over the first 96."""
    wanted = bytes.fromhex(SENDER_AUTH_96 + SENDER_MAC)

    assert stamp.encode_sender(SENDER, KEY) == wanted


def test_reflector_authenticated() -> None:
    """112 octets, T3 at 16, T2 at 32, T1 at 64, TTL at 80."""
    wanted = bytes.fromhex(REFLECTOR_AUTH_96 + REFLECTOR_MAC)

    assert stamp.encode_reflector(REFLECTOR, KEY) == wanted


def test_both_timestamp_formats() -> None:
    """NTP counts from 1900 in 2^-32 s, truncated PTP from 1970 in ns."""
    assert T1 == 0xEA2D20F01F9ADD37
    assert ntp.ns_to_ptp(T1_NS) == (1_719_837_296 << 32) | 123_456_789


@pytest.mark.parametrize(
    ("tlv", "octets"),
    [
        (Tlv(0x80, stamp_tlv.EXTRA_PADDING, bytes(3)), "80 01 0003 000000"),
        (Tlv(0x80, stamp_tlv.FOLLOW_UP, bytes(16)), "80 07 0010" + "00" * 16),
        (
            Tlv(0, stamp_tlv.FOLLOW_UP, stamp_tlv.FOLLOW_UP_VALUE.pack(0x29, T3, 2)),
            "00 07 0010 00000029 ea2d20f01f9f739e 02 000000",
        ),
        (Tlv(0x80, stamp_tlv.HMAC, bytes(range(16))), "80 08 0010" + bytes(range(16)).hex()),
        (Tlv(0xC0, 77, b"\x01"), "c0 4d 0001 01"),
    ],
)
def test_tlvs(tlv: Tlv, octets: str) -> None:
    """Flags, type, length of the value, value."""
    assert stamp_tlv.encode((tlv,)) == bytes.fromhex(octets)
    assert stamp_tlv.parse(bytes.fromhex(octets)) == (tlv,)


def test_error_estimate() -> None:
    """S, Z, six bits of scale, eight of multiplier: 1 ms synced is 2^22 units = 132 * 2^15."""
    estimate = stamp.error_estimate_for(1e6, synced=True, ptp=True)

    assert estimate.bits == 0xC000 | 15 << 8 | 132


@pytest.mark.filterwarnings("ignore")  # scapy's imports warn about crypto it does not need here
def test_scapy_reads_what_we_write() -> None:
    """Scapy's own STAMP layers see our fields, and write the same octets from them."""
    from scapy.contrib import stamp as scapy_stamp

    request = scapy_stamp.STAMPSessionSenderTestUnauthenticated(stamp.encode_sender(SENDER))
    reply = scapy_stamp.STAMPSessionReflectorTestUnauthenticated(stamp.encode_reflector(REFLECTOR))

    assert (request.seq, request.ssid) == (SENDER.sequence, SENDER.session_id)
    assert (reply.seq, reply.ssid, reply.seq_sender) == (0x05060708, 0xABCD, 0x01020304)
    assert reply.ttl_sender == 63
    assert bytes(request) == stamp.encode_sender(SENDER)
    assert bytes(reply) == stamp.encode_reflector(REFLECTOR)


def _tshark(packet: bytes, tmp_path: Path) -> dict[str, str]:
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.utils import wrpcap

    pcap = tmp_path / "one.pcap"
    frame = Ether() / IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=40_000, dport=8620) / packet
    wrpcap(str(pcap), frame)
    out = subprocess.run(
        ["tshark", "-r", pcap, "-d", "udp.port==8620,twamp.test", "-T", "json"],
        capture_output=True,
        check=True,
    ).stdout
    layers = json.loads(out)[0]["_source"]["layers"]
    return {
        name: value
        for key, layer in layers.items()
        if "twamp" in key
        for name, value in layer.items()
    }


@needs.programs("tshark")
@pytest.mark.filterwarnings("ignore")
def test_tshark_reads_what_we_write(tmp_path: Path) -> None:
    """Wireshark's TWAMP dissector, which the open base packet is compatible with, agrees."""
    fields = _tshark(stamp.encode_reflector(REFLECTOR), tmp_path)
    assert fields["twamp.test.seq_number"] == str(0x05060708)
    assert fields["twamp.test.sender_seq_number"] == str(0x01020304)
    assert fields["twamp.test.mbz1"] == str(0xABCD)  # TWAMP has zeros where STAMP has the SSID
    assert fields["twamp.test.sender_ttl"] == "63"
    # Wireshark cuts the fraction to ns where we round: hence one ns less.
    assert fields["twamp.test.timestamp"].endswith("12:34:56.123526788 UTC")
    assert fields["twamp.test.receive_timestamp"].endswith("12:34:56.123506788 UTC")
    assert fields["twamp.test.sender_timestamp"].endswith("12:34:56.123456788 UTC")
