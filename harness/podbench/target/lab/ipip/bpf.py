"""bpf(2) by ctypes: makes maps, loads programs, attaches them at a device's tc hooks.

Programs come as bytes from `ebpf`; what they do is not known here. Nothing is pinned: a program
lives as long as the device it is attached to, a map as long as a program uses it or its descriptor
is open, so all of it goes with the namespace and this process.
Source: bpf(2), include/uapi/linux/bpf.h (union bpf_attr), tc-bpf(8).
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from podbench.model.errors import LabError
from podbench.target.lab.inside import with_netlink

BPF_SYSCALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280}
"""asm/unistd.h; glibc has no wrapper."""
MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_NEXT_KEY, PROG_LOAD = 0, 1, 2, 4, 5
TYPE_HASH, TYPE_LPM_TRIE = 1, 11
NO_PREALLOC = 1
"""BPF_F_NO_PREALLOC: a trie is refused without it."""
SCHED_CLS = 3
"""BPF_PROG_TYPE_SCHED_CLS: a classifier, in direct-action mode its result is the action."""
LICENCE = b"Apache-2.0\0"
"""None of the helpers used is reserved for GPL programs."""
LOG_BYTES = 256 * 1024
CLSACT_INGRESS, CLSACT_EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
"""TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS / TC_H_MIN_EGRESS), linux/pkt_sched.h."""

_libc = ctypes.CDLL(None, use_errno=True)


class Map:
    """One eBPF map; keys and values are bytes of fixed length."""

    def __init__(self, kind: int, key_bytes: int, value_bytes: int, entries: int) -> None:
        """Makes the map.

        Raises:
            LabError: The kernel refuses, as it does without root.
        """
        self._key_bytes = key_bytes
        self._value_bytes = value_bytes
        flags = NO_PREALLOC if kind == TYPE_LPM_TRIE else 0
        attributes = struct.pack("=IIIII", kind, key_bytes, value_bytes, entries, flags)
        self.descriptor = _bpf(MAP_CREATE, attributes, "make an eBPF map")

    def __setitem__(self, key: bytes, value: bytes) -> None:
        assert len(key) == self._key_bytes
        assert len(value) == self._value_bytes
        self._element(MAP_UPDATE, key, ctypes.create_string_buffer(value, self._value_bytes))

    def __getitem__(self, key: bytes) -> bytes:
        value = ctypes.create_string_buffer(self._value_bytes)
        self._element(MAP_LOOKUP, key, value)
        return value.raw

    def __iter__(self) -> Iterator[bytes]:
        """The keys, in the kernel's order."""
        key: bytes | None = None
        while True:
            following = ctypes.create_string_buffer(self._key_bytes)
            try:
                self._element(MAP_NEXT_KEY, key, following)
            except KeyError:
                return
            key = following.raw
            yield key

    def close(self) -> None:
        """Gives the descriptor back; the map stays while a program uses it. Idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _element(self, command: int, key: bytes | None, value: ctypes.Array[ctypes.c_char]) -> None:
        held = None if key is None else ctypes.create_string_buffer(key, self._key_bytes)
        address = 0 if held is None else ctypes.addressof(held)
        attributes = struct.pack("=I4xQQQ", self.descriptor, address, ctypes.addressof(value), 0)
        _bpf(command, attributes, "use an eBPF map")


@contextmanager
def program(code: bytes, name: str) -> Iterator[int]:
    """Loads a tc classifier; its descriptor is open within the context, long enough to attach it.

    Raises:
        LabError: Not permitted, or the verifier refuses; its last lines are in the message.
    """
    descriptor = _load(code, name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _load(code: bytes, name: str) -> int:
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(LICENCE)
    log = ctypes.create_string_buffer(LOG_BYTES)

    def attributes(log_level: int) -> bytes:
        return struct.pack(
            "=IIQQIIQII16s",
            SCHED_CLS,
            len(code) // 8,
            ctypes.addressof(instructions),
            ctypes.addressof(licence),
            log_level,
            LOG_BYTES if log_level else 0,
            ctypes.addressof(log) if log_level else 0,
            0,
            0,
            name.encode()[:15],
        )

    try:
        return _bpf(PROG_LOAD, attributes(0), f"load the eBPF program {name}")
    except PermissionDenied:
        raise
    except LabError:
        pass  # once more, with the verifier's reasons
    try:
        return _bpf(PROG_LOAD, attributes(1), f"load the eBPF program {name}")
    except LabError as error:
        reasons = log.value.decode(errors="replace").strip().splitlines()[-12:]
        raise LabError("\n".join([str(error), *reasons])) from error


def attach(netns: str | None, device: str, ingress: int, egress: int) -> None:
    """Puts two programs at a device's clsact hooks, in place of what we put there before.

    Raises:
        LabError: No such device, or this kernel lacks clsact or the bpf classifier.
    """

    def work(netlink: Any) -> None:
        index = _index(netlink, device)
        _drop_clsact(netlink, index)
        netlink.tc("add", "clsact", index)
        for parent, descriptor in ((CLSACT_INGRESS, ingress), (CLSACT_EGRESS, egress)):
            netlink.tc(
                "add-filter",
                "bpf",
                index,
                ":1",
                fd=descriptor,
                name="podbench-ipip",
                parent=parent,
                prio=1,
                direct_action=True,
            )

    with_netlink(netns, work)


def detach(netns: str | None, device: str) -> None:
    """Takes a device's clsact hooks away; idempotent.

    Raises:
        LabError: No such device.
    """

    def work(netlink: Any) -> None:
        _drop_clsact(netlink, _index(netlink, device))

    with_netlink(netns, work)


class PermissionDenied(LabError):
    """This user may not load eBPF."""


def _index(netlink: Any, device: str) -> int:
    found = netlink.link_lookup(ifname=device)
    if not found:
        raise LabError(f"no device {device}")
    return int(found[0])


def _drop_clsact(netlink: Any, index: int) -> None:
    try:
        netlink.tc("del", "clsact", index)
    except NetlinkError as error:
        if error.code not in (errno.ENOENT, errno.EINVAL):
            raise


def _bpf(command: int, attributes: bytes, purpose: str) -> int:
    number = BPF_SYSCALL.get(platform.machine())
    if number is None:
        raise LabError(f"cannot {purpose}: no bpf(2) number known for {platform.machine()}")
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = int(_libc.syscall(number, command, buffer, len(attributes)))
    if result >= 0:
        return result
    code = ctypes.get_errno()
    if code == errno.ENOENT and command in (MAP_LOOKUP, MAP_NEXT_KEY):
        raise KeyError(purpose)
    # EACCES is how the verifier says no; only EPERM is about the user.
    kind = PermissionDenied if code == errno.EPERM else LabError
    raise kind(f"cannot {purpose}: {os.strerror(code)}")
