"""Named network namespaces: create, configure, start programs in, remove.

They lie under the private /run/netns, so `ip netns` and `ip -n NAME` work inside the lab. Work in
an existing one is `inside`'s matter.
"""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from podbench.model.errors import LabError
from podbench.target.lab import syscalls
from podbench.target.lab.inside import NETNS_DIR, inside

MNT_DETACH = 2
SYSCTL = Path("/proc/sys")


def create(name: str) -> None:
    """Creates an empty network namespace with `lo` up and IPv6 off.

    IPv6 is off because its neighbour discovery and listener reports would cross the tunnels in the
    proof windows; the lab's pools are IPv4.

    Raises:
        LabError: The name exists, or the kernel refuses.
    """

    def body() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        path = NETNS_DIR / name
        path.touch(exist_ok=False)
        syscalls.mount("/proc/thread-self/ns/net", str(path), None, syscalls.MS_BIND)
        syscalls.loopback_up()
        with contextlib.suppress(FileNotFoundError):
            for scope in ("all", "default"):
                (SYSCTL / f"net/ipv6/conf/{scope}/disable_ipv6").write_text("1", "ascii")

    try:
        inside(None, body)
    except FileExistsError as error:
        raise LabError(f"namespace {name} exists already") from error
    except OSError as error:
        raise LabError(f"cannot make the network namespace {name}: {error.strerror}") from error


def destroy(name: str) -> None:
    """Removes a name; the namespace ends with its last process. Idempotent."""
    path = NETNS_DIR / name
    libc = ctypes.CDLL(None, use_errno=True)
    libc.umount2(str(path).encode(), MNT_DETACH)
    path.unlink(missing_ok=True)


def configure(name: str, settings: Mapping[str, str]) -> None:
    """Writes kernel settings, by their path below /proc/sys/net.

    Raises:
        LabError: The kernel has no such setting or refuses it (/proc/sys mounted read-only).
    """

    def body() -> None:
        for key, value in settings.items():
            (SYSCTL / "net" / key).write_text(value, "ascii")

    try:
        inside(name, body)
    except OSError as error:
        raise LabError(
            f"cannot set {error.filename} in {name}: {error.strerror}",
            advice="in a container, /proc/sys must be writable (--privileged)",
        ) from error


def offers(name: str, setting: str) -> bool:
    """Whether the kernel has a setting there, by its path below /proc/sys/net.

    Raises:
        LabError: The namespace does not exist.
    """
    return inside(name, (SYSCTL / "net" / setting).exists)


def spawn(
    name: str,
    arguments: Sequence[str],
    *,
    output: int | IO[Any] | None = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a program in a namespace, in a separate session, without standard input.

    It ends with the lab's process 1 if nobody ends it before. A parent-death signal would not do:
    it goes by the starting thread, which lives for this call only.

    Raises:
        LabError: The namespace or the program does not exist.
    """

    def body() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if environment is None else {**os.environ, **environment},
            start_new_session=True,
        )

    try:
        return inside(name, body)
    except OSError as error:
        raise LabError(f"cannot start {arguments[0]} in {name}: {error.strerror}") from error


def end(process: subprocess.Popen[bytes], grace_s: float = 2.0) -> None:
    """Ends a program started here: SIGTERM, then SIGKILL after `grace_s`; idempotent."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
