"""The few Linux calls that Python 3.11 has no name for; each raises OSError with its errno.

os.unshare and os.setns came with Python 3.12; mount(2), prctl(2) have no wrapper at all. Who calls
them in which order, and what a refusal means to a user, is `isolate`'s and `control`'s matter.
"""

import ctypes
import os
import socket
import struct
import warnings
from fcntl import ioctl
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
"""Kinds of namespaces: linux/sched.h."""

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
"""mount(2) flags: linux/mount.h."""

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 0x1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")


def fork() -> int:
    """os.fork, quiet about threads that libraries keep (OpenBLAS's; Python 3.12 warns of them).

    Such threads do not exist in the child, which therefore may enter a user or mount namespace even
    where its parent may not (setns(2)). Python code must not run in other threads at this moment.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def unshare(flags: int) -> None:
    """Leaves namespaces for fresh ones (unshare(2)); CLONE_NEWPID counts for children only.

    Raises:
        OSError: The kernel refuses.
    """
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Enters a namespace (setns(2)), this thread only.

    Raises:
        OSError: The kernel refuses.
    """
    _check(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mounts (mount(2)).

    Raises:
        OSError: The kernel refuses; the message names the target.
    """
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode(),
    )
    _check(result, f"mount on {target}")


def die_with_parent(signal_number: int) -> None:
    """Asks for a signal when the parent thread dies (PR_SET_PDEATHSIG).

    The kernel clears this on entering a user namespace, so it comes after that; a parent that died
    before the call is not noticed: the caller checks.

    Raises:
        OSError: The kernel refuses.
    """
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")


def name_process(name: str) -> None:
    """Sets the name that `ps` and `top` show, at most 15 octets (PR_SET_NAME).

    Raises:
        OSError: The kernel refuses.
    """
    _check(_libc.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0), "prctl")


def loopback_up() -> None:
    """Brings `lo` up in this thread's network namespace; without it 127.0.0.1 is unreachable.

    Raises:
        OSError: The kernel refuses.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = ioctl(control, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        (flags,) = struct.unpack_from("H", answer, 16)
        ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


def host_pid(pid: int) -> int:
    """The number that the host's /proc shows for a process of this PID namespace.

    Read from the process's pidfd: `Pid:` in its fdinfo is in the words of the mounted /proc, which
    in the lab is the host's (kernel fs/pidfs.c, pidfd_show_fdinfo). Free of races, as a pidfd names
    one process for good.

    Raises:
        ProcessLookupError: No such process.
    """
    descriptor = os.pidfd_open(pid)
    try:
        for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii").splitlines():
            key, _, value = line.partition(":")
            if key == "Pid" and int(value) > 0:
                return int(value)
    finally:
        os.close(descriptor)
    raise ProcessLookupError(f"process {pid} has ended")
