"""The IPIP programs on packets, run by an interpreter; and what the dataplane says of itself."""

import socket
import struct
from itertools import product
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from support.ebpf_machine import HashMap, KernelMap, Machine, TrieMap

from podbench.model.errors import LabError
from podbench.target.lab.ipip import dataplane, program
from podbench.target.lab.ipip.assembler import assemble

LOCAL, PEER, POOL = "172.18.0.2", "172.18.0.3", "198.18.128.0/18"
OWN_POD, PEER_POD = "198.18.128.66", "198.18.128.130"
PEER_BLOCK = "198.18.128.128/26"
BLOCKS, COUNTERS = 3, 4
NOT_ECT, ECT_1, ECT_0, CE = range(4)


class Outcome:
    """A packet after a program: action, frame and the peer's counters."""

    def __init__(self, code: bytes, frame: bytes, *, room_refused: bool = False) -> None:
        counters = {socket.inet_aton(PEER): bytearray(program.COUNTER_BYTES)}
        maps: dict[int, KernelMap] = {
            BLOCKS: TrieMap({PEER_BLOCK: socket.inet_aton(PEER)}),
            COUNTERS: HashMap(counters),
        }
        machine = Machine(code, frame, maps)
        machine.room_refused = room_refused
        self.action = machine.run()
        self.frame = bytes(machine.frame)
        self.counts = struct.unpack("<5Q", counters[socket.inet_aton(PEER)])


def wrap(frame: bytes, *, room_refused: bool = False) -> Outcome:
    """Through the egress program."""
    addresses = program.Addresses(local=LOCAL, pool=POOL)
    code = assemble(program.egress(addresses, BLOCKS, COUNTERS))
    return Outcome(code, frame, room_refused=room_refused)


def unwrap(frame: bytes, local: str = LOCAL) -> Outcome:
    """Through the ingress program."""
    addresses = program.Addresses(local=local, pool=POOL)
    return Outcome(assemble(program.ingress(addresses, COUNTERS)), frame)


def inner(**fields: Any) -> IP:
    """A pod's packet."""
    values: dict[str, Any] = {"src": OWN_POD, "dst": PEER_POD, "id": 7, "flags": "DF"}
    return IP(**{**values, **fields}) / UDP(sport=1000, dport=2000) / (b"x" * 30)


def framed(packet: IP) -> bytes:
    """An Ethernet frame."""
    return bytes(Ether(src="02:42:ac:12:00:02", dst="02:42:ac:12:00:03") / packet)


def test_wraps_a_pods_packet_in_a_valid_outer_header() -> None:
    """Protocol 4, addresses of the nodes, right length and checksum; the inner packet unchanged."""
    packet = inner(tos=0xB9, ttl=17)
    got = wrap(framed(packet))
    outer = Ether(got.frame)[IP]
    assert (outer.proto, outer.src, outer.dst, outer.ttl) == (4, LOCAL, PEER, 17)
    assert (outer.len, outer.ihl, outer.tos, str(outer.flags)) == (20 + len(packet), 5, 1, "DF")
    again = IP(bytes(outer))
    del again.chksum
    assert IP(bytes(again)).chksum == outer.chksum
    assert bytes(outer.payload) == bytes(packet)
    assert got.frame[:14] == framed(packet)[:14]


def test_copies_a_clear_df() -> None:
    """An inner packet that may be fragmented stays so outside, as with the kernel's device."""
    assert str(Ether(wrap(framed(inner(flags=0))).frame)[IP].flags) == ""


@pytest.mark.parametrize(
    ("ours", "outer"), [(NOT_ECT, NOT_ECT), (ECT_1, ECT_1), (ECT_0, ECT_0), (CE, ECT_0)]
)
def test_wraps_with_the_kernel_devices_dscp_and_ecn(ours: int, outer: int) -> None:
    """DSCP 0; the inner ECN field, but ECT(0) where it is CE (include/net/inet_ecn.h)."""
    assert Ether(wrap(framed(inner(tos=0xB8 | ours))).frame)[IP].tos == outer


def test_counts_inner_octets_per_peer() -> None:
    """One packet and its inner length are added at egress, nothing on the receiving side."""
    packet = inner()
    assert wrap(framed(packet)).counts == (1, len(packet), 0, 0, 0)


@pytest.mark.parametrize(
    "frame",
    [
        framed(inner(dst="198.18.192.130")),
        framed(inner(dst="8.8.8.8")),
        framed(inner(dst="198.18.128.70")),
        bytes(Ether(type=0x0806) / ARP(pdst=PEER_POD)),
        bytes(Ether(type=0x86DD)) + bytes(60),
        framed(inner())[:30],
    ],
    ids=["other pool", "elsewhere", "own block", "ARP", "IPv6", "cut short"],
)
def test_leaves_everything_else_alone_on_the_way_out(frame: bytes) -> None:
    """What is not for a peer's block passes unchanged and uncounted."""
    got = wrap(frame)
    assert (got.action, got.frame, got.counts) == (0, frame, (0, 0, 0, 0, 0))


def test_drops_and_counts_what_does_not_fit() -> None:
    """Where the kernel refuses the room, the packet is dropped, never sent half-wrapped."""
    got = wrap(framed(inner()), room_refused=True)
    assert (got.action, got.counts) == (2, (0, 0, 0, 0, 1))


def test_unwraps_what_was_wrapped() -> None:
    """The other node gets the pod's packet back, and counts it."""
    packet = inner()
    wire = wrap(framed(packet)).frame
    swapped = Ether(wire)
    swapped[IP].src, swapped[IP].dst = PEER, LOCAL
    del swapped[IP].chksum
    got = unwrap(bytes(swapped))
    assert (got.action, got.frame) == (0, framed(packet))
    assert got.counts == (0, 0, 1, len(packet), 0)


def tunnelled(**fields: Any) -> bytes:
    """A wrapped packet as it reaches this node."""
    values: dict[str, Any] = {"src": PEER, "dst": LOCAL, "proto": 4, "id": 1}
    return framed(IP(**{**values, **fields}) / inner(src=PEER_POD, dst=OWN_POD))


@pytest.mark.parametrize(
    "frame",
    [
        tunnelled(src="172.18.0.9"),
        tunnelled(dst="172.18.0.9"),
        tunnelled(chksum=1),
        tunnelled(flags="MF"),
        tunnelled(frag=2),
        framed(IP(src=PEER, dst=LOCAL, proto=4) / inner(dst="10.0.0.1")),
        framed(IP(src=PEER, dst=LOCAL) / ICMP()),
        framed(IP(src=PEER, dst=LOCAL, proto=4))[:40],
    ],
    ids=[
        "unknown peer",
        "not to us",
        "bad checksum",
        "first fragment",
        "later fragment",
        "inner address outside the pool",
        "not a tunnel",
        "cut short",
    ],
)
def test_leaves_everything_else_alone_on_the_way_in(frame: bytes) -> None:
    """Only whole packets of protocol 4 from a known peer into the pool lose their header."""
    got = unwrap(frame)
    assert (got.action, got.frame, got.counts) == (0, frame, (0, 0, 0, 0, 0))


@pytest.mark.parametrize(("outer", "ours"), list(product(range(4), range(4))))
def test_combines_congestion_marks_as_rfc_6040_figure_4(outer: int, ours: int) -> None:
    """All sixteen combinations of the outer and the inner ECN field, checksum included."""
    packet = inner(src=PEER_POD, dst=OWN_POD, tos=0xB8 | ours)
    got = unwrap(framed(IP(src=PEER, dst=LOCAL, proto=4, tos=outer) / packet))
    if outer == CE and ours == NOT_ECT:
        assert (got.action, got.counts) == (2, (0, 0, 0, 0, 1))
        return
    expected = ours
    if outer == CE:
        expected = CE
    elif (outer, ours) == (ECT_1, ECT_0):
        expected = ECT_1
    want = inner(src=PEER_POD, dst=OWN_POD, tos=0xB8 | expected)
    assert (got.action, got.frame) == (0, framed(want))


def test_a_capability_explains_a_refusal_with_both_reasons() -> None:
    """Where nothing works, the arm's reason names the missing device and the missing right."""
    neither = dataplane.Capability(
        implementation=None,
        device_reason="kernel has no IPIP (Operation not supported)",
        ebpf_reason="eBPF needs root",
    )
    assert neither.reason == "kernel has no IPIP (Operation not supported) and eBPF needs root"
    works = dataplane.Capability(
        implementation=dataplane.EBPF, device_reason="no", ebpf_reason=None
    )
    assert works.reason is None


def test_nothing_laid_counts_nothing() -> None:
    """A node without a tunnel has no counters, and routes cannot be laid on it."""
    plane = dataplane.IpipDataplane()
    assert plane.counts("n1", "n1") == ()
    assert plane.dropped("n1") == {}
    plane.remove("n1")
    with pytest.raises(LabError, match="no IPIP was laid on n1"):
        plane.route_device("n1")
