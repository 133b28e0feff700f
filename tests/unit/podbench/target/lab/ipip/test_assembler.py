"""The assembler: bytes of RFC 9669, labels, refusals."""

import pytest

from podbench.model.errors import LabError
from podbench.target.lab.ipip.assembler import (
    Alu,
    Compare,
    Helper,
    Instruction,
    Label,
    Line,
    Reg,
    Size,
    alu,
    assemble,
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

GOLDEN = [
    # RFC 9669: opcode, registers (source high, destination low), offset, immediate; little-endian.
    (alu(Alu.MOV, Reg.R0, 7), "b7 00 0000 07000000"),
    (alu(Alu.MOV, Reg.R6, Reg.R1), "bf 16 0000 00000000"),
    (alu(Alu.ADD, Reg.R3, -24), "07 03 0000 e8ffffff"),
    (alu(Alu.AND, Reg.R1, 0xFFFFFFFF), "57 01 0000 ffffffff"),
    (load(Size.W4, Reg.R1, Reg.R6, 16), "61 61 1000 00000000"),
    (load(Size.W2, Reg.R1, Reg.FP, -42), "69 a1 d6ff 00000000"),
    (store(Size.W1, Reg.FP, -40, 64), "72 0a d8ff 40000000"),
    (store(Size.W8, Reg.FP, -8, Reg.R1), "7b 1a f8ff 00000000"),
    (atomic_add(Reg.R7, 8, Reg.R1), "db 17 0800 00000000"),
    (big_endian_16(Reg.R1), "dc 01 0000 10000000"),
    (call(Helper.SKB_ADJUST_ROOM), "85 00 0000 32000000"),
]


@pytest.mark.parametrize(("instruction", "expected"), GOLDEN)
def test_encodes_as_the_rfc_draws_it(instruction: Instruction, expected: str) -> None:
    """Every kind of instruction gives the octets of RFC 9669's tables."""
    assert assemble([instruction]) == bytes.fromhex(expected)


def test_a_map_takes_two_slots() -> None:
    """A 64-bit load has its pseudo source register and an empty second half."""
    assert assemble([load_map(Reg.R1, 5)]) == bytes.fromhex("18 11 0000 05000000") + bytes(8)


def test_jumps_count_slots_from_the_next_one() -> None:
    """Offsets are relative to the following slot, wide instructions count twice, labels nothing."""
    program: list[Line] = [
        jump_if(Reg.R1, Compare.EQ, 0, "end"),
        load_map(Reg.R1, 3),
        Label("middle"),
        jump_if(Reg.R1, Compare.NE, Reg.R2, "end"),
        jump("middle"),
        Label("end"),
        *leave(0),
    ]
    code = assemble(program)
    offsets = [
        int.from_bytes(code[8 * i + 2 : 8 * i + 4], "little", signed=True) for i in (0, 3, 4)
    ]
    assert offsets == [4, 1, -2]


def test_an_unknown_label_is_refused() -> None:
    """A jump to nowhere names its label."""
    with pytest.raises(LabError, match="'nowhere'"):
        assemble([jump("nowhere")])


def test_a_repeated_label_is_refused() -> None:
    """Two places of one name would make jumps ambiguous."""
    with pytest.raises(LabError, match="twice"):
        assemble([Label("here"), Label("here"), *leave(0)])


def test_a_jump_too_far_is_refused() -> None:
    """An offset that does not fit 16 bits is an error, not a wrap."""
    far = [alu(Alu.MOV, Reg.R0, 0)] * 40000
    with pytest.raises(LabError, match="does not fit"):
        assemble([jump("end"), *far, Label("end"), *leave(0)])
