"""A small eBPF assembler: instructions as records, jumps by label, bytes out.

It knows the instructions the lab's programs use and nothing of what they do (`ipip_program`), nor
of the kernel (`ebpf_kernel` loads the bytes). Source: RFC 9669 (BPF Instruction Set Architecture),
include/uapi/linux/bpf.h for the helpers' numbers.
"""

import struct
import sys
from collections.abc import Iterable
from enum import IntEnum

import msgspec

from podbench.model.errors import LabError


class Reg(IntEnum):
    """Registers: R0 result, R1-R5 arguments (lost in calls), R6-R9 kept, FP the stack's top."""

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5
    R6 = 6
    R7 = 7
    R8 = 8
    R9 = 9
    FP = 10


class Size(IntEnum):
    """Width of a memory access in octets; the value is its opcode bits (RFC 9669 section 5)."""

    W4 = 0x00
    W2 = 0x08
    W1 = 0x10
    W8 = 0x18


class Alu(IntEnum):
    """64-bit arithmetic (RFC 9669 section 4.1), as opcode with an immediate operand."""

    ADD = 0x07
    SUB = 0x17
    OR = 0x47
    AND = 0x57
    LSH = 0x67
    RSH = 0x77
    XOR = 0xA7
    MOV = 0xB7


class Compare(IntEnum):
    """64-bit comparisons of conditional jumps (RFC 9669 section 4.3), against an immediate."""

    EQ = 0x15
    NE = 0x55


class Helper(IntEnum):
    """Kernel functions a program may call, by number."""

    MAP_LOOKUP = 1
    RANDOM_U32 = 7
    SKB_STORE_BYTES = 9
    L3_CSUM_REPLACE = 10
    SKB_LOAD_BYTES = 26
    CSUM_DIFF = 28
    SKB_ADJUST_ROOM = 50


FROM_REGISTER = 0x08
"""Set in an arithmetic or jump opcode: the second operand is a register, not the immediate."""
LOAD, STORE_REGISTER, STORE_IMMEDIATE, ATOMIC_ADD_8 = 0x61, 0x63, 0x62, 0xDB
JUMP, CALL, EXIT = 0x05, 0x85, 0x95
LOAD_MAP = 0x18
PSEUDO_MAP_FD = 1
TO_BIG_ENDIAN = 0xDC


class Instruction(msgspec.Struct, frozen=True):
    """One instruction. `offset` is a number, or the label a jump goes to."""

    opcode: int
    dst: int = 0
    src: int = 0
    offset: int | str = 0
    immediate: int = 0


class Label(msgspec.Struct, frozen=True):
    """A place to jump to; takes no room."""

    name: str


Line = Instruction | Label


def alu(operation: Alu, dst: Reg, value: Reg | int) -> Instruction:
    """`dst = dst OP value`; MOV ignores the old value."""
    if isinstance(value, Reg):
        return Instruction(operation | FROM_REGISTER, dst, value)
    return Instruction(operation, dst, immediate=value)


def load(size: Size, dst: Reg, base: Reg, offset: int) -> Instruction:
    """`dst = *(size *)(base + offset)`, zero-extended."""
    return Instruction(LOAD | size, dst, base, offset)


def store(size: Size, base: Reg, offset: int, value: Reg | int) -> Instruction:
    """`*(size *)(base + offset) = value`."""
    if isinstance(value, Reg):
        return Instruction(STORE_REGISTER | size, base, value, offset)
    return Instruction(STORE_IMMEDIATE | size, base, 0, offset, value)


def atomic_add(base: Reg, offset: int, value: Reg) -> Instruction:
    """`*(u64 *)(base + offset) += value`, atomically: two CPUs may count at once."""
    return Instruction(ATOMIC_ADD_8, base, value, offset)


def big_endian_16(dst: Reg) -> Instruction:
    """Cuts `dst` to 16 bits and converts between host and network order."""
    return Instruction(TO_BIG_ENDIAN, dst, immediate=16)


def jump(label: str) -> Instruction:
    """Goes to `label`, always."""
    return Instruction(JUMP, offset=label)


def jump_if(left: Reg, compare: Compare, right: Reg | int, label: str) -> Instruction:
    """Goes to `label` when `left COMPARE right`."""
    if isinstance(right, Reg):
        return Instruction(compare | FROM_REGISTER, left, right, label)
    return Instruction(compare, left, 0, label, right)


def load_map(dst: Reg, map_descriptor: int) -> Instruction:
    """`dst` = the map behind a file descriptor; two slots wide."""
    return Instruction(LOAD_MAP, dst, PSEUDO_MAP_FD, immediate=map_descriptor)


def call(helper: Helper) -> Instruction:
    """Calls a kernel function: arguments in R1-R5, result in R0."""
    return Instruction(CALL, immediate=helper)


def leave(code: int) -> tuple[Instruction, Instruction]:
    """Ends the program with a result."""
    return alu(Alu.MOV, Reg.R0, code), Instruction(EXIT)


def assemble(lines: Iterable[Line]) -> bytes:
    """Resolves labels and encodes, 8 octets a slot.

    Raises:
        LabError: An unknown or repeated label, a jump too far, or a big-endian machine.
    """
    if sys.byteorder != "little":
        raise LabError("the eBPF assembler knows little-endian machines only")
    program = list(lines)
    places = _places(program)
    slots: list[bytes] = []
    for line in program:
        if isinstance(line, Label):
            continue
        offset = line.offset
        if isinstance(offset, str):
            if offset not in places:
                raise LabError(f"eBPF program jumps to the unknown label {offset!r}")
            offset = places[offset] - len(slots) - 1
        slots.append(_encode(line, offset))
        if line.opcode == LOAD_MAP:
            slots.append(bytes(8))  # the upper half of the 64-bit immediate
    return b"".join(slots)


def _places(program: list[Line]) -> dict[str, int]:
    places: dict[str, int] = {}
    slot = 0
    for line in program:
        if isinstance(line, Label):
            if line.name in places:
                raise LabError(f"eBPF label {line.name!r} stands twice")
            places[line.name] = slot
        else:
            slot += 2 if line.opcode == LOAD_MAP else 1
    return places


def _encode(line: Instruction, offset: int) -> bytes:
    immediate = line.immediate - (1 << 32) if line.immediate >= 1 << 31 else line.immediate
    try:
        return struct.pack("<BBhi", line.opcode, line.dst | line.src << 4, offset, immediate)
    except struct.error as error:
        raise LabError(f"eBPF instruction {line} does not fit its encoding: {error}") from error
