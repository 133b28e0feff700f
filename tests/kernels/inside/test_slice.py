"""The scheduling slice that probes ask for, read back from the kernel."""

import ctypes
import os
import struct

import pytest

from podbench_agent import timestamping

SCHED_GETATTR = 315
"""x86-64."""
HONOURED_FROM = (6, 12)


def _slice_ns() -> int:
    """What sched_getattr(2) says of the calling thread."""
    attributes = ctypes.create_string_buffer(56)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(SCHED_GETATTR, 0, attributes, 56, 0) != 0:
        raise OSError(ctypes.get_errno(), "sched_getattr")
    return int(struct.unpack_from("=Q", attributes, 24)[0])


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="needs x86-64")
def test_the_slice_is_short_where_the_kernel_knows_such() -> None:
    """From Linux 6.12 on it is what was asked for; before, asking does no harm."""
    version = tuple(int(part) for part in os.uname().release.split(".")[:2])
    taken = timestamping.shorten_slice()
    if version >= HONOURED_FROM:
        assert taken
        assert _slice_ns() == timestamping.SLICE_NS
    else:
        assert _slice_ns() != timestamping.SLICE_NS
