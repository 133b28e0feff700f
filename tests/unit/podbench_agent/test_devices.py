"""What drivers say of their devices, from the octets the kernel fills in."""

import struct

import pytest

from podbench.model.facts import Nic
from podbench_agent import devices


def _settings(megabits: int) -> bytes:
    return struct.pack("=II", devices.GLINKSETTINGS, megabits) + bytes(40)


@pytest.mark.parametrize(
    ("megabits", "expected"),
    [(10_000, 10_000_000_000), (100_000, 100_000_000_000), (0, None), (0xFFFFFFFF, None)],
)
def test_speeds(megabits: int, expected: int | None) -> None:
    """Many cloud drivers do not know theirs: null, no 4 Pbit/s."""
    assert devices.speed_bps(_settings(megabits)) == expected


@pytest.mark.parametrize(
    ("rx", "combined", "expected"), [(0, 8, 8), (4, 0, 4), (2, 6, 8), (0, 0, None)]
)
def test_receive_queues(rx: int, combined: int, expected: int | None) -> None:
    """Combined channels receive too."""
    channels = struct.pack("=9I", devices.GCHANNELS, 16, 16, 0, 16, rx, 1, 0, combined)
    assert devices.rx_queues(channels) == expected


def _features(names: list[str], active: set[int]) -> tuple[bytes, bytes]:
    strings = struct.pack("=III", devices.GSTRINGS, devices.SET_FEATURES, len(names))
    strings += b"".join(name.encode().ljust(32, b"\0") for name in names)
    blocks = (len(names) + 31) // 32
    body = b"".join(
        # available, requested, active, never changed
        struct.pack("=4I", 0xFFFFFFFF, 0xFFFFFFFF, _bits(active, block), 0)
        for block in range(blocks)
    )
    return strings, struct.pack("=II", devices.GFEATURES, blocks) + body


def _bits(active: set[int], block: int) -> int:
    return sum(1 << (number - 32 * block) for number in active if number // 32 == block)


def test_active_offloads_are_named() -> None:
    """Only active ones, only those that matter, in the second block of 32 too."""
    names = [f"unused-{number}" for number in range(70)]
    names[1] = "tx-checksum-ip-generic"
    names[33] = "tx-udp_tnl-segmentation"
    names[34] = "rx-gro"
    names[69] = "rx-lro"
    names[5] = "tx-vlan-hw-insert"
    strings, features = _features(names, active={1, 5, 33, 69})
    assert devices.offloads(strings, features) == (
        "rx-lro",
        "tx-checksum-ip-generic",
        "tx-udp_tnl-segmentation",
    )


def test_the_loopback_answers_as_every_kernel_s_does() -> None:
    """Real requests: it checksums in software for free, and has neither speed nor queues."""
    read = devices.read("lo")
    assert read.offloads is not None
    assert "tx-checksum-ip-generic" in read.offloads
    assert (read.speed_bps, read.rx_queues) == (None, None)


def test_a_device_that_is_not_there_says_nothing() -> None:
    """It may go between being listed and being asked."""
    assert devices.read("nosuch0") == Nic(
        driver=None, speed_bps=None, rx_queues=None, offloads=None
    )
