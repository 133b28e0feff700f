"""The client side of `bench lab`: finds, queries, enters and ends a running lab.

A lab is found by an abstract Unix socket that its processes hold. It vanishes with the last of
them, so no state file can go stale (unix(7)). Abstract names have no owner and no
permissions: both ends ask the kernel who the other is (SO_PEERCRED). One request and one answer a
connection, JSON. The lab's side is `hold`. This module stays light: `setns` into a user namespace
needs a process without threads.
"""

import contextlib
import errno
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from podbench.model.errors import ConfigError, LabError, PrerequisiteError
from podbench.model.nodes import LabOptions, Node
from podbench.target.lab import init, syscalls

ANSWER_S = 10.0
END_S = 20.0
"""BIRD and the namespaces end within a second; after this the lab is killed."""
MESSAGE_BYTES = 1 << 18
NAMESPACES = {
    # In the order they are entered: only root of the user namespace may enter the others.
    "user": syscalls.CLONE_NEWUSER,
    "mnt": syscalls.CLONE_NEWNS,
    "net": syscalls.CLONE_NEWNET,
    "pid": syscalls.CLONE_NEWPID,
}


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """A running lab."""

    cni: str
    options: LabOptions
    nodes: tuple[Node, ...]
    implementations: dict[str, str | None]
    """By mode, for modes that work."""
    refused: dict[str, str] = {}
    """By mode: why it does not work here."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`ask` is `describe`, `enter` (a node or pod by `name`) or `down`."""

    ask: str
    name: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """With the answer to `enter` come the descriptors of `NAMESPACES`, in that order."""

    description: Description | None = None
    error: str | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `down`."""

    description: Description
    left: tuple[int, ...]
    """Processes that are still running, by host pid; normally empty."""
    forced: bool
    """It did not end on request and was killed."""


def address(uid: int) -> str:
    """The name of the abstract socket of a user's lab.

    With PODBENCH_LAB in the environment it is that one of several: `PODBENCH_LAB=two bench lab up`.
    """
    return f"\0podbench-lab-{uid}-{os.environ.get('PODBENCH_LAB', '')}"


def listen() -> socket.socket:
    """Claims the name: the holder of this socket is the user's lab.

    Raises:
        ConfigError: This user's lab is up already.
    """
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        server.bind(address(os.geteuid()))
    except OSError as error:
        server.close()
        if error.errno != errno.EADDRINUSE:
            raise LabError(f"cannot take the lab's name: {error.strerror}") from error
        raise ConfigError(
            "a lab is running already",
            advice="look around with `bench lab exec`, or end it with `bench lab down`",
        ) from error
    server.listen()
    return server


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user id of the peer, in this process's namespaces."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", data)
    return pid, uid


def _connect() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(ANSWER_S)
    try:
        connection.connect(address(os.geteuid()))
    except OSError as error:
        connection.close()
        raise PrerequisiteError("no lab is running", advice="start one: bench lab up") from error
    _, uid = peer(connection)
    if uid != os.geteuid():
        connection.close()
        raise LabError(f"user {uid} holds the name of this user's lab; it is not spoken to")
    return connection


def _ask(connection: socket.socket, request: Request) -> tuple[Answer, list[int]]:
    try:
        connection.send(msgspec.json.encode(request))
        data, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, len(NAMESPACES))
    except OSError as error:
        raise LabError(f"the lab does not answer: {error}", advice="bench lab down") from error
    if not data:
        raise LabError("the lab ended without an answer")
    answer = msgspec.json.decode(data, type=Answer)
    if answer.error is not None:
        raise ConfigError(answer.error)
    return answer, descriptors


def describe() -> Description:
    """Describes the running lab.

    Raises:
        PrerequisiteError: No lab is running.
        LabError: It does not answer.
    """
    with _connect() as connection:
        answer, _ = _ask(connection, Request(ask="describe"))
    assert answer.description is not None
    return answer.description


def enter(name: str, command: Sequence[str]) -> int:
    """Runs a command in a node or pod as its root; returns the command's exit status.

    The command joins the lab's PID namespace, so it ends with the lab and cannot outlive it.

    Raises:
        PrerequisiteError: No lab is running.
        ConfigError: There is no such node or pod; lists those there are.
    """
    with _connect() as connection:
        _, descriptors = _ask(connection, Request(ask="enter", name=name))
    child = syscalls.fork()
    if child == 0:
        _enter(name, descriptors, command)
    return _wait(child)


def _enter(name: str, descriptors: Sequence[int], command: Sequence[str]) -> NoReturn:
    """In the forked child: enters the namespaces and forks the command's process."""
    try:
        here = Path.cwd()
        for kind, descriptor in zip(NAMESPACES, descriptors, strict=True):
            # A lab of root's has no user namespace of its own; entering the present one fails.
            if not os.path.samestat(os.fstat(descriptor), Path(f"/proc/self/ns/{kind}").stat()):
                syscalls.setns(descriptor, NAMESPACES[kind])
            os.close(descriptor)
        syscalls.die_with_parent(signal.SIGKILL)
        # Only children belong to a PID namespace that was entered.
        child = os.fork()
    except OSError as error:
        _last_word(f"cannot enter {name}: {error.strerror}", 1)
    if child == 0:
        _become(command, here)
    os._exit(_wait(child))


def _become(command: Sequence[str], here: Path) -> NoReturn:
    """Mounts a private /sys, then executes the command."""
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        # Python ignores it, and what is ignored stays so through exec.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        with contextlib.suppress(OSError):
            syscalls.unshare(syscalls.CLONE_NEWNS)
            # So that /sys/class/net is this node's; a container may not allow it.
            syscalls.mount("sysfs", "/sys", "sysfs", 0)
        with contextlib.suppress(OSError):
            # Entering a mount namespace leads to its root directory.
            os.chdir(here)
        os.execvp(command[0], list(command))  # noqa: S606 - the user's own command, no shell wanted
    except FileNotFoundError:
        _last_word(f"{command[0]}: command not found", 127)
    except OSError as error:
        _last_word(f"{command[0]}: {error.strerror}", 126)


def _last_word(text: str, code: int) -> NoReturn:
    os.write(2, f"bench: {text}\n".encode())
    os._exit(code)


def _wait(child: int) -> int:
    """Waits for a child, forwards signals to it, and returns its exit status."""
    # Ctrl-C reaches the command too, which is in the same process group: it decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: os.kill(child, got))
    _, status = os.waitpid(child, 0)
    return init.exit_code(status)


def down() -> Ended:
    """Ends the lab and checks that nothing is left of it.

    Raises:
        PrerequisiteError: No lab is running.
    """
    with _connect() as connection:
        outer, _ = peer(connection)
        watched = os.pidfd_open(outer)
        answer, _ = _ask(connection, Request(ask="down"))
    description = answer.description
    assert description is not None
    forced = not _ended(watched, END_S)
    if forced:
        # Everything below ends with it (see `isolate`).
        signal.pidfd_send_signal(watched, signal.SIGKILL)
        _ended(watched, END_S)
    os.close(watched)
    pids = [node.pid for node in description.nodes]
    pids += [pod.pid for node in description.nodes for pod in node.pods]
    left = _still_there([pid for pid in pids if pid is not None])
    return Ended(description=description, left=left, forced=forced)


def _ended(descriptor: int, timeout_s: float) -> bool:
    return bool(select.select([descriptor], [], [], timeout_s)[0])


def _still_there(pids: Sequence[int]) -> tuple[int, ...]:
    """Processes that still run after a moment; zombies have ended."""
    deadline = time.monotonic() + 2.0
    while True:
        left = tuple(pid for pid in pids if _runs(pid))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return False
    # The state follows the name, which is in brackets and may hold anything.
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
