"""The two eBPF programs that put IPv4 in IPv4 on the wire where the kernel has no `ipip` device.

egress  at the node's underlay device: a packet whose destination lies in a peer's block gets an
        outer header, local address to peer's address, protocol 4 (RFC 2003 section 3.1);
ingress at the same device: a packet of protocol 4 from a known peer whose inner destination lies in
        the pool loses its outer header (section 3.2).
Everything else passes untouched. Both count per peer, as a tunnel device would per device. Headers:

    octet  0 version|IHL  1 DSCP|ECN  2 total length  4 identification  6 flags|fragment offset
           8 TTL  9 protocol  10 checksum  12 source  16 destination

The outer header is the kernel device's with the defaults of `tunl0` (net/ipv4/ip_tunnel.c): DSCP 0,
the inner packet's ECN field (ECT(0) for CE), its TTL and its DF. tests/kernels compares both on the
wire: only the identification, and with it the checksum, differ. Unwrapping follows RFC 6040.
`assembler` assembles, `bpf` loads.
"""

import ipaddress
import socket
import sys

import msgspec

from podbench.target.lab.ipip.assembler import (
    Alu,
    Compare,
    Helper,
    Label,
    Line,
    Reg,
    Size,
    alu,
    atomic_add,
    big_endian_16,
    call,
    jump,
    jump_if,
    leave,
    load,
    load_map,
    store,
)

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP = Reg
MOV, ADD, AND, OR, LSH, RSH = Alu.MOV, Alu.ADD, Alu.AND, Alu.OR, Alu.LSH, Alu.RSH
EQ, NE = Compare.EQ, Compare.NE

SKB_LEN, SKB_PROTOCOL = 0, 16
"""Places of the fields in struct __sk_buff."""
ETHERNET_BYTES = 14
HEADER_BYTES = 20
DF = 0x4000
FRAGMENT = 0x3FFF
"""More-fragments flag and offset: a fragment of an outer packet cannot be unwrapped alone."""
IPPROTO_IPIP = 4
VERSION_AND_LENGTH = 0x45
CE, ECT_0, ECT_1 = 3, 2, 1
ACT_OK, ACT_SHOT = 0, 2
ROOM_MAC = 1
"""BPF_ADJ_ROOM_MAC: between the Ethernet header and what follows it."""
FIXED_GSO, ENCAP_L3_IPV4 = 1, 2
"""Flags of bpf_skb_adjust_room: leave the segment size alone; the new room holds an IPv4 header."""

COUNTER_BYTES = 40
TX_PACKETS, TX_BYTES, RX_PACKETS, RX_BYTES, DROPPED = 0, 8, 16, 24, 32
"""Places in a peer's counters. A segmentation-offload packet counts once, as on tunnel devices.
`DROPPED`: too large for the underlay once wrapped, or ECN marks that RFC 6040 says to drop."""

# Places on the stack, below FP.
INNER, OUTER, KEY, PEER = -24, -48, -56, -64


class Addresses(msgspec.Struct, frozen=True):
    """What the programs know of the node: its own underlay address and the pool."""

    local: str
    pool: str


def wire_int(address: str) -> int:
    """An IPv4 address as a 4-octet load from a packet gives it on this machine."""
    return int.from_bytes(socket.inet_aton(address), sys.byteorder)


def egress(addresses: Addresses, blocks: int, counters: int) -> list[Line]:
    """Wraps packets to peers' blocks.

    Args:
        addresses: This node's.
        blocks: Descriptor of the trie from block to peer address.
        counters: Descriptor of the map from peer address to counters.
    """
    return [
        *_load_header(at=ETHERNET_BYTES, to=INNER),
        *_expect_ipv4(INNER),
        # Which peer's block holds the destination? Key: prefix length, address.
        store(Size.W4, FP, KEY, 32),
        load(Size.W4, R1, FP, INNER + 16),
        store(Size.W4, FP, KEY + 4, R1),
        *_look_up(blocks, KEY),
        jump_if(R0, EQ, 0, "pass"),
        load(Size.W4, R1, R0, 0),
        store(Size.W4, FP, PEER, R1),
        *_look_up(counters, PEER),
        jump_if(R0, EQ, 0, "pass"),
        alu(MOV, R7, R0),
        *_outer_header(addresses.local),
        *_adjust_room(HEADER_BYTES, FIXED_GSO | ENCAP_L3_IPV4),
        jump_if(R0, NE, 0, "drop"),
        *_store_header(),
        jump_if(R0, NE, 0, "drop"),
        *_count(TX_PACKETS, TX_BYTES, ETHERNET_BYTES + HEADER_BYTES),
        *_endings(),
    ]


def ingress(addresses: Addresses, counters: int) -> list[Line]:
    """Unwraps packets of protocol 4 from known peers into the pool.

    Args:
        addresses: This node's.
        counters: Descriptor of the map from peer address to counters.
    """
    pool = ipaddress.IPv4Network(addresses.pool)
    return [
        *_load_header(at=ETHERNET_BYTES, to=OUTER),
        load(Size.W1, R1, FP, OUTER),
        jump_if(R1, NE, VERSION_AND_LENGTH, "pass"),
        load(Size.W1, R1, FP, OUTER + 9),
        jump_if(R1, NE, IPPROTO_IPIP, "pass"),
        load(Size.W2, R1, FP, OUTER + 6),
        big_endian_16(R1),
        alu(AND, R1, FRAGMENT),
        jump_if(R1, NE, 0, "pass"),
        *_unless_equal(R1, OUTER + 16, addresses.local, "pass"),
        *_checksum(OUTER),
        # Over a whole header, its checksum included, the sum's complement is zero.
        jump_if(R0, NE, 0, "pass"),
        load(Size.W4, R1, FP, OUTER + 12),
        store(Size.W4, FP, PEER, R1),
        *_look_up(counters, PEER),
        jump_if(R0, EQ, 0, "pass"),
        alu(MOV, R7, R0),
        *_load_header(at=ETHERNET_BYTES + HEADER_BYTES, to=INNER),
        *_expect_ipv4(INNER),
        load(Size.W4, R1, FP, INNER + 16),
        *_mask(R1, str(pool.netmask)),
        *_immediate(R2, str(pool.network_address)),
        jump_if(R1, NE, R2, "pass"),
        *_combine_ecn(),
        *_adjust_room(-HEADER_BYTES, FIXED_GSO),
        jump_if(R0, NE, 0, "drop"),
        *_count(RX_PACKETS, RX_BYTES, ETHERNET_BYTES),
        *_endings(),
    ]


def _load_header(*, at: int, to: int) -> list[Line]:
    """Copies 20 octets of the packet to the stack; R6 holds the packet from here on."""
    first: list[Line] = []
    if at == ETHERNET_BYTES:
        first = [
            alu(MOV, R6, R1),
            load(Size.W4, R1, R6, SKB_PROTOCOL),
            jump_if(R1, NE, socket.htons(0x0800), "pass"),
        ]
    return [
        *first,
        alu(MOV, R1, R6),
        alu(MOV, R2, at),
        alu(MOV, R3, FP),
        alu(ADD, R3, to),
        alu(MOV, R4, HEADER_BYTES),
        call(Helper.SKB_LOAD_BYTES),
        jump_if(R0, NE, 0, "pass"),
    ]


def _expect_ipv4(at: int) -> list[Line]:
    return [
        load(Size.W1, R1, FP, at),
        alu(RSH, R1, 4),
        jump_if(R1, NE, 4, "pass"),
    ]


def _look_up(map_descriptor: int, key_at: int) -> list[Line]:
    return [
        load_map(R1, map_descriptor),
        alu(MOV, R2, FP),
        alu(ADD, R2, key_at),
        call(Helper.MAP_LOOKUP),
    ]


def _immediate(register: Reg, address: str) -> list[Line]:
    """Loads an address. MOV sign-extends its immediate to 64 bits: cut it to 32."""
    return [
        alu(MOV, register, wire_int(address)),
        alu(LSH, register, 32),
        alu(RSH, register, 32),
    ]


def _mask(register: Reg, netmask: str) -> list[Line]:
    return [*_immediate(R3, netmask), alu(AND, register, R3)]


def _unless_equal(register: Reg, at: int, address: str, label: str) -> list[Line]:
    return [
        load(Size.W4, register, FP, at),
        *_immediate(R2, address),
        jump_if(register, NE, R2, label),
    ]


def _outer_header(local: str) -> list[Line]:
    """Builds the outer header on the stack from the inner one and the peer's address."""
    return [
        store(Size.W1, FP, OUTER, VERSION_AND_LENGTH),
        # DSCP 0. ECN as INET_ECN_encapsulate gives it (include/net/inet_ecn.h, RFC 3168 section
        # 9.1.1): the inner field, but ECT(0) for CE.
        load(Size.W1, R1, FP, INNER + 1),
        alu(AND, R1, CE),
        jump_if(R1, NE, CE, "outer ecn"),
        alu(MOV, R1, ECT_0),
        Label("outer ecn"),
        store(Size.W1, FP, OUTER + 1, R1),
        load(Size.W2, R1, FP, INNER + 2),
        big_endian_16(R1),
        alu(ADD, R1, HEADER_BYTES),
        big_endian_16(R1),
        store(Size.W2, FP, OUTER + 2, R1),
        call(Helper.RANDOM_U32),
        store(Size.W2, FP, OUTER + 4, R0),
        load(Size.W2, R1, FP, INNER + 6),
        alu(AND, R1, socket.htons(DF)),
        store(Size.W2, FP, OUTER + 6, R1),
        load(Size.W1, R1, FP, INNER + 8),
        store(Size.W1, FP, OUTER + 8, R1),
        store(Size.W1, FP, OUTER + 9, IPPROTO_IPIP),
        store(Size.W2, FP, OUTER + 10, 0),
        *_immediate(R1, local),
        store(Size.W4, FP, OUTER + 12, R1),
        load(Size.W4, R1, FP, PEER),
        store(Size.W4, FP, OUTER + 16, R1),
        *_checksum(OUTER),
        store(Size.W2, FP, OUTER + 10, R0),
    ]


def _checksum(at: int) -> list[Line]:
    """R0 = the Internet checksum (RFC 1071) of 20 octets on the stack, as it stands in a header."""
    fold: list[Line] = [alu(MOV, R1, R0), alu(RSH, R1, 16), alu(AND, R0, 0xFFFF), alu(ADD, R0, R1)]
    return [
        alu(MOV, R1, 0),
        alu(MOV, R2, 0),
        alu(MOV, R3, FP),
        alu(ADD, R3, at),
        alu(MOV, R4, HEADER_BYTES),
        alu(MOV, R5, 0),
        call(Helper.CSUM_DIFF),
        # The helper gives a 32-bit sum, or a negative error that cannot occur with these lengths.
        alu(LSH, R0, 32),
        alu(RSH, R0, 32),
        *fold,
        *fold,
        alu(Alu.XOR, R0, 0xFFFF),
    ]


def _adjust_room(octets: int, flags: int) -> list[Line]:
    return [
        alu(MOV, R1, R6),
        alu(MOV, R2, octets),
        alu(MOV, R3, ROOM_MAC),
        alu(MOV, R4, flags),
        call(Helper.SKB_ADJUST_ROOM),
    ]


def _store_header() -> list[Line]:
    return [
        alu(MOV, R1, R6),
        alu(MOV, R2, ETHERNET_BYTES),
        alu(MOV, R3, FP),
        alu(ADD, R3, OUTER),
        alu(MOV, R4, HEADER_BYTES),
        alu(MOV, R5, 0),
        call(Helper.SKB_STORE_BYTES),
    ]


def _combine_ecn() -> list[Line]:
    """Brings the outer header's ECN field into the inner one (RFC 6040 section 4.2, figure 4).

    Outer CE: an inner packet without ECN is dropped, any other gets CE. Outer ECT(1) over inner
    ECT(0) gives ECT(1). All other combinations keep the inner field.
    """
    return [
        load(Size.W1, R8, FP, INNER + 1),
        alu(MOV, R9, R8),
        alu(AND, R9, CE),  # R9: the inner field, R8: the whole inner octet
        load(Size.W1, R1, FP, OUTER + 1),
        alu(AND, R1, CE),
        jump_if(R1, EQ, CE, "congested"),
        jump_if(R1, NE, ECT_1, "ecn done"),
        jump_if(R9, NE, ECT_0, "ecn done"),
        alu(AND, R8, 0xFF & ~CE),
        alu(OR, R8, ECT_1),
        jump("ecn store"),
        Label("congested"),
        jump_if(R9, EQ, 0, "drop"),
        alu(OR, R8, CE),
        Label("ecn store"),
        # The checksum's first 16-bit word before and after: version and length, then this octet.
        load(Size.W2, R3, FP, INNER),
        store(Size.W1, FP, INNER + 1, R8),
        load(Size.W2, R4, FP, INNER),
        alu(MOV, R1, R6),
        alu(MOV, R2, ETHERNET_BYTES + HEADER_BYTES + 10),
        alu(MOV, R5, 2),
        call(Helper.L3_CSUM_REPLACE),
        jump_if(R0, NE, 0, "drop"),
        alu(MOV, R1, R6),
        alu(MOV, R2, ETHERNET_BYTES + HEADER_BYTES + 1),
        alu(MOV, R3, FP),
        alu(ADD, R3, INNER + 1),
        alu(MOV, R4, 1),
        alu(MOV, R5, 0),
        call(Helper.SKB_STORE_BYTES),
        jump_if(R0, NE, 0, "drop"),
        Label("ecn done"),
    ]


def _count(packets_at: int, bytes_at: int, framing: int) -> list[Line]:
    """Adds a packet and its inner length to the peer's counters in R7, as the kernel's device."""
    return [
        alu(MOV, R1, 1),
        atomic_add(R7, packets_at, R1),
        load(Size.W4, R1, R6, SKB_LEN),
        alu(Alu.SUB, R1, framing),
        atomic_add(R7, bytes_at, R1),
    ]


def _endings() -> list[Line]:
    return [
        Label("pass"),
        *leave(ACT_OK),
        Label("drop"),
        alu(MOV, R1, 1),
        atomic_add(R7, DROPPED, R1),
        *leave(ACT_SHOT),
    ]
