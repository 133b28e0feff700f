"""Reading a TX stamp's control messages, and what a kernel refusal becomes."""

import socket

import pytest

from podbench.model.errors import ProbeError
from podbench_agent import errqueue, timestamping


def test_an_empty_queue_gives_nothing() -> None:
    """A socket that never sent has no stamps, and asking does not block."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert errqueue.ErrorQueue().collect(sock.fileno()) == []


def test_a_closed_socket_is_an_error() -> None:
    """A descriptor that is gone is told, not taken for an empty queue."""
    with pytest.raises(ProbeError, match="Bad file descriptor"):
        errqueue.ErrorQueue().collect(-1)


def test_control_layout_is_that_of_the_kernel() -> None:
    """Stamp at 16, origin at 84, counter at 92 of two control messages, as in C on 64 bits."""
    octets = bytearray(errqueue._CONTROL_BYTES)
    octets[16:32] = (3).to_bytes(8, "little") + (5).to_bytes(8, "little")
    octets[84], octets[92] = 4, 77

    assert errqueue._STAMP_AND_ERROR.unpack(octets) == (3, 5, 4, 77)


@pytest.mark.parametrize(
    ("ancillary", "expected"),
    [
        ([], (0, None)),
        ([(1, 65, (3).to_bytes(8, "little") + (5).to_bytes(8, "little"))], (3_000_000_005, None)),
        (
            [
                (1, 65, (3).to_bytes(8, "little") + (5).to_bytes(8, "little")),
                (0, 2, bytes([61, 0, 0, 0])),
            ],
            (3_000_000_005, 61),
        ),
        ([(41, 52, bytes([60, 0, 0, 0]))], (0, 60)),
    ],
)
def test_receive_stamp_and_ttl(
    ancillary: list[tuple[int, int, bytes]], expected: tuple[int, int | None]
) -> None:
    """Stamp and TTL are found by their types; what is missing is 0 and null."""
    assert timestamping.read_ancillary(ancillary) == expected
