"""The processes below `isolate.run_isolated`: entry, process 1 and the session (drawn there).

Everything here runs after a fork and ends in os._exit, never in a return to the caller's stack.
What goes wrong before or in the callable travels to the outer process as one JSON message.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from podbench.model.errors import LabError, PodbenchError, PrerequisiteError
from podbench.target.lab import syscalls

REPORT_BYTES = 65536
QUIET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ignored by entry and init: ending them would kill the session without its clean-up."""
SYSCTL = Path("/proc/sys")

Mask = Iterable[int]
Handler = Callable[[int, FrameType | None], Any] | int | None
"""What signal.signal answers."""


def exit_code(status: int) -> int:
    """A wait status as a shell would give it: the exit status, or 128 + signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def enter(main: Callable[[], int], control: socket.socket, outer: int, mask: Mask) -> NoReturn:
    """The entry process: makes the namespaces, starts process 1 in them and waits for it.

    Args:
        main: What the session runs.
        control: Signals come in (one octet each), reports go out.
        outer: The caller's process id, to notice that it died before the kernel was told to watch.
        mask: The signal mask to give to the session.
    """
    try:
        os.setsid()
        handlers = {number: signal.signal(number, signal.SIG_IGN) for number in QUIET}
        _make_namespaces()
        syscalls.die_with_parent(signal.SIGKILL)
        if os.getppid() != outer:
            os._exit(128 + signal.SIGKILL)
        alive, held = os.pipe()
        first = syscalls.fork()
        if first == 0:
            os.close(held)
            _run(main, control, alive, lambda: _restore(handlers, mask))
        control.close()
        syscalls.name_process("podbench-entry")
        _, status = os.waitpid(first, 0)
    except PodbenchError as error:
        _fail(control, error)
    os._exit(exit_code(status))


def _restore(handlers: dict[signal.Signals, Handler], mask: Mask) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _make_namespaces() -> None:
    uid, gid = os.geteuid(), os.getegid()
    try:
        if uid != 0:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            # setgroups must be given up before an ordinary user may map a group
            # (user_namespaces(7)).
            Path("/proc/self/setgroups").write_text("deny", "ascii")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1", "ascii")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1", "ascii")
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID)
    except OSError as error:
        raise _refusal(error, uid) from error


def _refusal(error: OSError, uid: int) -> PrerequisiteError:
    """Says which switch of this kernel stands in the way, and how to turn it."""
    message = f"this kernel refuses the lab's namespaces: {error.strerror}"
    if uid == 0:
        advice = "in a container: --privileged, or CAP_SYS_ADMIN and no seccomp filter on unshare"
        return PrerequisiteError(message, advice=advice)
    advice = "run it as root (sudo), or ask the administrator to allow user namespaces"
    for switch, refused, remedy in (
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ):
        with contextlib.suppress(OSError):
            if (SYSCTL / switch).read_text("ascii").strip() == refused:
                advice = f"run it as root (sudo), or: sudo sysctl -w {remedy}"
                message += f" ({switch.replace('/', '.')} is {refused})"
    return PrerequisiteError(message, advice=advice)


def _run(
    main: Callable[[], int], control: socket.socket, alive: int, restore: Callable[[], None]
) -> NoReturn:
    """Process 1: private mounts and `lo`, the session, then signals in and orphans reaped."""
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        # getppid is 0 from here, so ask the pipe: its other end is held by the entry process alone.
        if select.select([alive], [], [], 0)[0]:
            os._exit(128 + signal.SIGKILL)
        _mount_run()
        syscalls.loopback_up()
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        session = syscalls.fork()
        if session == 0:
            for descriptor in (alive, woken, wake):
                os.close(descriptor)
            _session(main, control, restore)
        syscalls.name_process("podbench-init")
        # The handler does nothing: its being called writes to the pipe that the loop waits on.
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        os._exit(_watch(session, control, woken))
    except PodbenchError as error:
        _fail(control, error)
    except OSError as error:
        # Typically AppArmor: the user namespace is made, but everything in it is denied.
        _fail(control, _refusal(error, int(Path("/proc/self/uid_map").read_text().split()[1])))


def _mount_run() -> None:
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("tmpfs", "/run", "tmpfs", flags, "mode=755,size=64m")
    for directory in ("/run/netns", "/run/podbench", "/run/lock"):
        Path(directory).mkdir()


def _watch(session: int, control: socket.socket, woken: int) -> int:
    """Hands signals to the session and reaps until the session itself ends; its exit status."""
    while True:
        ended = _reap(session)
        if ended is not None:
            return ended
        ready, _, _ = select.select([control.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
        if control.fileno() in ready:
            number = control.recv(1)
            if not number:
                # The outer process is gone, and with it everybody who could want the session's
                # work.
                return 128 + signal.SIGKILL
            os.kill(session, number[0])


def _reap(session: int) -> int | None:
    result = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return result
        if pid == 0:
            return result
        if pid == session:
            result = exit_code(status)


def _session(
    main: Callable[[], int], control: socket.socket, restore: Callable[[], None]
) -> NoReturn:
    code = 1
    try:
        restore()
        code = main()
    except PodbenchError as error:
        _report(control, error)
        code = error.exit_code
    except MemoryError:
        _report(control, LabError("there is not enough memory", advice="free some, or `ulimit -v`"))
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - the process's edge
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        # The reader of our output may have closed it (`| head`): that is no failure of the work.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _report(control: socket.socket, error: PodbenchError) -> None:
    text = {"kind": type(error).__name__, "message": str(error), "advice": error.advice}
    with contextlib.suppress(OSError):
        control.send(json.dumps(text).encode()[:REPORT_BYTES], socket.MSG_DONTWAIT)


def _fail(control: socket.socket, error: PodbenchError) -> NoReturn:
    _report(control, error)
    os._exit(error.exit_code)
