"""An interpreter for the lab's eBPF programs: they run on packets in tests, without root or kernel.

Independent of the assembler: it decodes RFC 9669 bytes. It knows the helpers the programs call, in
the words of their kernel documentation (include/uapi/linux/bpf.h), and refuses everything else.
"""

import ipaddress
import struct
from collections.abc import Callable
from typing import Protocol

MASK = (1 << 64) - 1
STACK, CONTEXT, VALUES = 0x1000_0000, 0x2000_0000, 0x3000_0000
STEPS = 2000
"""No program loops: more steps than this is a bug."""


class KernelMap(Protocol):
    """What a program may look up in."""

    key_bytes: int

    def find(self, key: bytes) -> bytearray | None:
        """The value behind a key."""


class HashMap:
    """BPF_MAP_TYPE_HASH."""

    def __init__(self, values: dict[bytes, bytearray]) -> None:
        self.values = values
        self.key_bytes = len(next(iter(values), bytes(4)))

    def find(self, key: bytes) -> bytearray | None:
        """The value of exactly this key."""
        return self.values.get(key)


class TrieMap:
    """BPF_MAP_TYPE_LPM_TRIE over IPv4: the longest prefix wins."""

    key_bytes = 8

    def __init__(self, values: dict[str, bytes]) -> None:
        self.values = {ipaddress.IPv4Network(net): bytearray(v) for net, v in values.items()}

    def find(self, key: bytes) -> bytearray | None:
        """The value of the longest prefix that holds the key's address."""
        address = ipaddress.IPv4Address(key[4:])
        covering = [net for net in self.values if address in net]
        return self.values[max(covering, key=lambda net: net.prefixlen)] if covering else None


class Machine:
    """One packet through one program."""

    def __init__(self, code: bytes, frame: bytes, maps: dict[int, KernelMap]) -> None:
        self.slots = [code[i : i + 8] for i in range(0, len(code), 8)]
        self.frame = bytearray(frame)
        self.maps = maps
        self.stack = bytearray(512)
        self.values: list[bytearray] = []
        self.registers = [0] * 11
        self.registers[1], self.registers[10] = CONTEXT, STACK + 512
        self.room_refused = False

    def run(self) -> int:
        """Runs to the end; returns the action as a signed number."""
        at = 0
        for _ in range(STEPS):
            opcode, registers, offset, immediate = struct.unpack("<BBhi", self.slots[at])
            at += 1
            dst, src = registers & 15, registers >> 4
            if opcode == 0x95:
                return self.registers[0]
            if opcode == 0x18:
                assert src == 1, "only maps are loaded"
                self.registers[dst] = immediate
                at += 1
            elif opcode == 0x85:
                self._call(immediate)
            elif opcode & 7 == 5:
                at += offset if self._jumps(opcode, dst, src, immediate) else 0
            else:
                self._step(opcode, dst, src, offset, immediate)
        raise AssertionError("the program does not end")

    def _jumps(self, opcode: int, dst: int, src: int, immediate: int) -> bool:
        left = self.registers[dst]
        right = self.registers[src] if opcode & 8 else immediate & MASK
        return {0x00: True, 0x10: left == right, 0x50: left != right}[opcode & 0xF0]

    def _step(self, opcode: int, dst: int, src: int, offset: int, immediate: int) -> None:
        width = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}[opcode & 0x18]
        kind = opcode & 7
        if opcode == 0xDC:  # to big-endian, on a little-endian machine
            cut = (self.registers[dst] & 0xFFFF).to_bytes(2, "little")
            self.registers[dst] = int.from_bytes(cut, "big")
        elif opcode == 0xDB:
            at = self.registers[dst] + offset
            total = int.from_bytes(self._read(at, 8), "little") + self.registers[src]
            self._write(at, (total & MASK).to_bytes(8, "little"))
        elif kind == 7:
            right = self.registers[src] if opcode & 8 else immediate & MASK
            self.registers[dst] = self._alu(opcode & 0xF0, self.registers[dst], right)
        elif kind == 1:
            read = self._read(self.registers[src] + offset, width)
            self.registers[dst] = int.from_bytes(read, "little")
        elif kind in (2, 3):
            value = self.registers[src] if kind == 3 else immediate & MASK
            cut = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
            self._write(self.registers[dst] + offset, cut)
        else:
            raise AssertionError(f"unknown opcode {opcode:#x}")

    @staticmethod
    def _alu(operation: int, left: int, right: int) -> int:
        results: dict[int, Callable[[], int]] = {
            0x00: lambda: left + right,
            0x10: lambda: left - right,
            0x40: lambda: left | right,
            0x50: lambda: left & right,
            0x60: lambda: left << (right & 63),
            0x70: lambda: left >> (right & 63),
            0xA0: lambda: left ^ right,
            0xB0: lambda: right,
        }
        return results[operation]() & MASK

    def _place(self, address: int) -> tuple[bytearray, int]:
        if STACK <= address < STACK + 512:
            return self.stack, address - STACK
        if CONTEXT <= address < CONTEXT + 192:
            context = struct.pack("<I12xH174x", len(self.frame), self._protocol())
            return bytearray(context), address - CONTEXT
        index, offset = divmod(address - VALUES, 0x1000)
        return self.values[index], offset

    def _protocol(self) -> int:
        return int.from_bytes(self.frame[12:14], "little")

    def _read(self, address: int, length: int) -> bytes:
        region, at = self._place(address)
        assert at + length <= len(region), "read beyond the region"
        return bytes(region[at : at + length])

    def _write(self, address: int, data: bytes) -> None:
        region, at = self._place(address)
        assert at + len(data) <= len(region), "write beyond the region"
        assert not CONTEXT <= address < CONTEXT + 192, "the context is read-only here"
        region[at : at + len(data)] = data

    def _call(self, helper: int) -> None:
        arguments = self.registers[1:6]
        helpers: dict[int, Callable[..., int]] = {
            1: self._map_lookup,
            7: lambda *_: 0xDEADBEEF,
            9: self._store_bytes,
            10: self._l3_csum_replace,
            26: self._load_bytes,
            28: self._csum_diff,
            50: self._adjust_room,
        }
        self.registers[0] = helpers[helper](*arguments) & MASK
        # The kernel's calls leave nothing useful in the argument registers.
        self.registers[1:6] = [0xBAD] * 5

    def _map_lookup(self, descriptor: int, key_at: int, *_: int) -> int:
        found = self.maps[descriptor].find(self._read(key_at, self.maps[descriptor].key_bytes))
        if found is None:
            return 0
        self.values.append(found)
        return VALUES + (len(self.values) - 1) * 0x1000

    def _load_bytes(self, _skb: int, offset: int, to: int, length: int, _: int) -> int:
        if offset + length > len(self.frame):
            return -14
        self._write(to, bytes(self.frame[offset : offset + length]))
        return 0

    def _store_bytes(self, _skb: int, offset: int, source: int, length: int, _: int) -> int:
        if offset + length > len(self.frame):
            return -14
        self.frame[offset : offset + length] = self._read(source, length)
        return 0

    def _csum_diff(self, source: int, size: int, to: int, to_size: int, seed: int) -> int:
        assert source == size == seed == 0
        words = struct.unpack(f"<{to_size // 2}H", self._read(to, to_size))
        return sum(words)

    def _l3_csum_replace(self, _skb: int, offset: int, old: int, new: int, size: int) -> int:
        assert size == 2
        (checksum,) = struct.unpack_from("<H", self.frame, offset)
        # RFC 1624 equation 3.
        total = (~checksum & 0xFFFF) + (~old & 0xFFFF) + (new & 0xFFFF)
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        struct.pack_into("<H", self.frame, offset, ~total & 0xFFFF)
        return 0

    def _adjust_room(self, _skb: int, difference: int, mode: int, _flags: int, _: int) -> int:
        assert mode == 1, "room at the MAC layer"
        if self.room_refused:
            return -95
        octets = difference - (1 << 64) if difference >> 63 else difference
        if octets > 0:
            self.frame[14:14] = bytes(octets)
        else:
            del self.frame[14 : 14 - octets]
        return 0
