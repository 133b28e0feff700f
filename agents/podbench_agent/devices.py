"""Reads speed, receive queues and offloads from a device's driver; needs no privilege.

By SIOCETHTOOL on a socket of this network namespace, so that it is right whatever /sys shows. These
requests are among those that the kernel answers to anybody. Source: linux/ethtool.h,
net/ethtool/ioctl.c.

    ethtool_link_settings   u32 cmd, speed; u8 duplex, port, phy, autoneg, mdio, tp, tp_ctrl;
                            s8 words; u8 and u32 reserved to octet 48; then 3 * words masks of u32
    ethtool_sset_info       u32 cmd, reserved; u64 mask; u32 count for each set asked for
    ethtool_gstrings        u32 cmd, set, count; then names of 32 octets
    ethtool_gfeatures       u32 cmd, blocks; then u32 available, requested, active, never_changed
    ethtool_channels        u32 cmd, 4 maxima; u32 rx, tx, other, combined
"""

import array
import contextlib
import fcntl
import socket
import struct

from podbench.model.facts import Nic

SIOCETHTOOL = 0x8946
GDRVINFO, GSTRINGS, GSSET_INFO, GFEATURES = 0x03, 0x1B, 0x37, 0x3A
GCHANNELS, GLINKSETTINGS = 0x3C, 0x4C
SET_FEATURES = 4
NAME_BYTES = 32
DRIVER_BYTES = 196
LINK_BYTES = 48
UNKNOWN_SPEEDS = (0, 0xFFFFFFFF)
BITS_PER_MBIT = 1_000_000
TELLING = ("checksum", "segmentation", "gro", "lro", "gso", "scatter-gather")
"""Name parts of features that change the cost of a packet; others are ignored."""


def read(device: str) -> Nic:
    """Queries a device's driver; missing answers are null."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        return Nic(
            driver=_driver(handle, device),
            speed_bps=_speed_bps(handle, device),
            rx_queues=_rx_queues(handle, device),
            offloads=_offloads(handle, device),
        )


def _ask(handle: socket.socket, device: str, request: bytes) -> bytes | None:
    """Sends one request and returns the kernel's answer; null if it refuses."""
    buffer = array.array("B", request)
    address, _ = buffer.buffer_info()
    # struct ifreq: the device's name, then a pointer in a union of 24 octets.
    question = struct.pack("16sP16x", device.encode()[:15], address)
    with contextlib.suppress(OSError):
        fcntl.ioctl(handle.fileno(), SIOCETHTOOL, question)
        return buffer.tobytes()
    return None


def _driver(handle: socket.socket, device: str) -> str | None:
    answer = _ask(handle, device, struct.pack("=I", GDRVINFO) + bytes(DRIVER_BYTES - 4))
    return None if answer is None else _name(answer[4 : 4 + NAME_BYTES])


def _name(octets: bytes) -> str | None:
    return octets.split(b"\0", 1)[0].decode("ascii", "replace") or None


def _speed_bps(handle: socket.socket, device: str) -> int | None:
    request = struct.pack("=I", GLINKSETTINGS) + bytes(LINK_BYTES - 4)
    answer = _ask(handle, device, request)
    if answer is None:
        return None
    # The first answer only says, as a negative number, how many words the masks take.
    words = -struct.unpack_from("=b", answer, 15)[0]
    if words <= 0:
        return speed_bps(answer)
    sized = bytearray(request + bytes(3 * 4 * words))
    struct.pack_into("=b", sized, 15, words)
    answer = _ask(handle, device, bytes(sized))
    return None if answer is None else speed_bps(answer)


def speed_bps(settings: bytes) -> int | None:
    """Returns the speed in an `ethtool_link_settings`; null if the driver does not know it."""
    megabits: int = struct.unpack_from("=I", settings, 4)[0]
    return None if megabits in UNKNOWN_SPEEDS else megabits * BITS_PER_MBIT


def _rx_queues(handle: socket.socket, device: str) -> int | None:
    answer = _ask(handle, device, struct.pack("=I", GCHANNELS) + bytes(32))
    return None if answer is None else rx_queues(answer)


def rx_queues(channels: bytes) -> int | None:
    """Receive queues in an `ethtool_channels`: those of their own and those combined."""
    rx, _, _, combined = struct.unpack_from("=4I", channels, 20)
    return int(rx + combined) or None


def _offloads(handle: socket.socket, device: str) -> tuple[str, ...] | None:
    info = struct.pack("=IIQI", GSSET_INFO, 0, 1 << SET_FEATURES, 0)
    answer = _ask(handle, device, info)
    if answer is None:
        return None
    count: int = struct.unpack_from("=I", answer, 16)[0]
    names = _ask(
        handle,
        device,
        struct.pack("=III", GSTRINGS, SET_FEATURES, count) + bytes(count * NAME_BYTES),
    )
    blocks = (count + 31) // 32
    active = _ask(handle, device, struct.pack("=II", GFEATURES, blocks) + bytes(blocks * 16))
    return None if names is None or active is None else offloads(names, active)


def offloads(names: bytes, features: bytes) -> tuple[str, ...]:
    """Returns the relevant active features, from `ethtool_gstrings` and `_gfeatures`."""
    count: int = struct.unpack_from("=I", names, 8)[0]
    found = []
    for number in range(count):
        begin = 12 + number * NAME_BYTES
        name = _name(names[begin : begin + NAME_BYTES])
        active: int = struct.unpack_from("=I", features, 8 + number // 32 * 16 + 8)[0]
        if name is not None and active >> number % 32 & 1 and any(part in name for part in TELLING):
            found.append(name)
    return tuple(sorted(found))
