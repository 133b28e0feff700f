"""Which outer headers a capture recognises."""

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet

from podbench.wire.outer import CUT_BYTES, Key, classify

NODES: dict[str, Any] = {"src": "172.18.0.2", "dst": "172.18.0.3"}
POD = IP(src="198.18.64.66", dst="198.18.64.130") / UDP(sport=5, dport=6) / (b"x" * 200)
PODS = ("198.18.64.66", "198.18.64.130")


def _vxlan(port: int, vni: int, flags: int = 0x08) -> Packet:
    header = VXLAN(vni=vni, flags=flags)
    return Ether() / IP(**NODES) / UDP(sport=40000, dport=port) / header / Ether() / POD


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (_vxlan(4789, 4096), (*PODS, "vxlan", 4096)),
        (_vxlan(8472, 1), (*PODS, "vxlan", 1)),
        (Ether() / IP(**NODES, proto=4) / POD, (*PODS, "ipip", None)),
        (Ether() / POD, (*PODS, "plain", None)),
        (Ether() / IP(**NODES) / ICMP(), ("172.18.0.2", "172.18.0.3", "plain", None)),
        (
            Ether() / IP(**NODES, proto=4, options=[b"\x94\x04\x00\x00"]) / POD,
            (*PODS, "ipip", None),
        ),
    ],
    ids=["calico", "flannel", "ipip", "plain", "node to node", "outer options"],
)
def test_names_the_encapsulation_and_the_inner_addresses(frame: Packet, expected: Key) -> None:
    """The outer header decides, the inner addresses tell whose packet it is; cut frames suffice."""
    assert classify(bytes(frame)[:CUT_BYTES]) == expected


@pytest.mark.parametrize(
    "frame",
    [
        Ether() / ARP(),
        Ether(type=0x86DD) / (b"\x60" + bytes(60)),
        Ether() / Dot1Q(vlan=3) / POD,
        _vxlan(4789, 4096, flags=0),
        Ether() / IP(**NODES) / UDP(dport=4789) / VXLAN(vni=1) / Ether() / ARP(),
        Ether() / IP(**NODES, proto=4) / (b"\x60" + bytes(40)),
        Ether() / IP(**NODES, proto=4) / b"short",
    ],
    ids=["ARP", "IPv6", "VLAN", "no VNI", "ARP in VXLAN", "IPv6 in IPv4", "cut short"],
)
def test_ignores_what_holds_no_pod_packet(frame: Packet) -> None:
    """Nothing is guessed from half a header."""
    assert classify(bytes(frame)) is None


@pytest.mark.parametrize("length", range(60))
def test_short_frames_are_no_error(length: int) -> None:
    """Any prefix of a frame gives an answer; too little gives none."""
    answer = classify(bytes(_vxlan(4789, 4096))[:length])
    assert answer is None or answer[2] == "plain"
