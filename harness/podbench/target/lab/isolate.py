"""Runs a callable inside private mount, network and PID namespaces: nothing can be left behind.

Four processes, of which the kernel ends the lower ones whenever an upper one dies, however it dies:

    outer     the caller; stays in the host's namespaces, forwards signals, returns the exit status
    └─ entry  makes the namespaces (a user namespace too when not root) and waits     [init.enter]
       └─ init     process 1 of the new PID namespace: mounts, `lo`, reaps orphans    [init.run]
          └─ session    runs the callable

Process 1 takes every process of its namespace with it (pid_namespaces(7)); with the last of them go
the network namespaces with their links and routes, and the mount namespace with /run. So no
clean-up goes by name. /proc stays the host's: `os.readlink("/proc/self")` is the host's number of a
process, but `/proc/<number as seen inside>` is another process: use `syscalls.host_pid`.
/sys/class/net shows the outer network. What is built inside is `build`'s matter.
"""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import podbench
from podbench.model import errors
from podbench.target.lab import init, syscalls

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals handed on to the session. It lives in a session of its own (setsid), without a terminal,
so that Ctrl-C reaches the outer process only, and the callable exactly once, not the programs below
it."""

HIDDEN = Path("/run")
"""What the private tmpfs covers: nothing that the session needs may lie below."""


def run_isolated(main: Callable[[], int], *, paths: Sequence[Path] = ()) -> int:
    """Runs `main` as root of a fresh machine-in-a-process and returns its exit status.

    Standard streams, working directory, environment and open files stay the caller's. SIGINT,
    SIGTERM and SIGHUP to the caller go to `main`'s process, each once. Must be called in the main
    thread, best before any other thread exists (it forks).

    Args:
        main: Called in the session process; returns its exit status.
        paths: Files or directories that `main` is going to use; refused below /run.

    Returns:
        `main`'s status, or 128 + n when a signal n ended the session or a process above it.

    Raises:
        PrerequisiteError: The kernel refuses the namespaces, or something needed lies below /run.
        PodbenchError: What `main` raised, with its class, message and advice.
    """
    refuse_hidden([*paths, *_own_paths()])
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        # Blocked until the handlers stand: a signal in between must neither vanish nor kill us
        # alone.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
        outer = os.getpid()
        entry = syscalls.fork()
        if entry == 0:
            ours.close()
            init.enter(main, theirs, outer, blocked)
        theirs.close()
        with _forwarding(ours):
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            _, status = os.waitpid(entry, 0)
        _raise_reported(ours)
    return init.exit_code(status)


def _own_paths() -> list[Path]:
    here = [Path(sys.prefix), Path(sys.executable), Path(podbench.__file__)]
    with contextlib.suppress(FileNotFoundError):
        here.append(Path.cwd())
    return here


def refuse_hidden(paths: Sequence[Path]) -> None:
    """Refuses paths that the private /run would hide.

    Raises:
        PrerequisiteError: One lies below /run.
    """
    hidden = HIDDEN.resolve()
    for path in paths:
        if hidden in (path.resolve(), *path.resolve().parents):
            raise errors.PrerequisiteError(
                f"{path} lies below {HIDDEN}, which the lab covers with a private file system",
                advice=f"use a directory outside {HIDDEN}",
            )


@contextlib.contextmanager
def _forwarding(control: socket.socket) -> Iterator[None]:
    def forward(number: int, _frame: FrameType | None) -> None:
        # The other end may be gone already: then there is nobody left to tell.
        with contextlib.suppress(OSError):
            control.send(bytes([number]), socket.MSG_DONTWAIT)

    # Under nohup SIGHUP is ignored, and in a background job of a plain shell SIGINT: leave it so.
    wanted = [number for number in FORWARDED if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_reported(control: socket.socket) -> None:
    """Raises what a process below reported before it ended; returns when nothing was."""
    try:
        data = control.recv(init.REPORT_BYTES, socket.MSG_DONTWAIT)
    except (BlockingIOError, ConnectionResetError):
        return
    if data:
        report = json.loads(data)
        kind = getattr(errors, report["kind"], errors.PodbenchError)
        raise kind(report["message"], advice=report["advice"])
