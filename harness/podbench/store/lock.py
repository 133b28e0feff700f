"""One writer per run directory: a lock that its owner's death opens, whatever kills it.

The kernel's own lock (flock) on `.lock` decides; the text in it says who holds it. So nothing has
to be believed of a lock that was left behind: if nobody holds it, it is taken.
"""

import contextlib
import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from podbench.model import plain
from podbench.model.errors import ConfigError, StoreError
from podbench.store import guarded

NAME = ".lock"
PATIENCE_S = 2.0
_UNSUPPORTED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


class Owner(msgspec.Struct, frozen=True):
    """Who holds a run directory."""

    pid: int
    host: str


@contextlib.contextmanager
def held(root: Path) -> Iterator[None]:
    """Holds a run directory while the context lasts.

    Raises:
        ConfigError: Somebody else does; says who.
        StoreError: The lock cannot be made.
    """
    path = root / NAME
    descriptor = _taken(path)
    try:
        guarded.sweep(root)
        yield
    finally:
        # Removed while it is held: who opened it meanwhile finds out and makes a new one.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _taken(path: Path) -> int:
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            raise StoreError(f"{path}: cannot be made: {error.strerror}") from error
        try:
            if _lock(descriptor, path) and _same(descriptor, path):
                _sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> bool:
    """Locks it.

    Raises:
        ConfigError: Somebody else holds it.
        StoreError: This file system has no locks.
    """
    try:
        _try(descriptor)
    except BlockingIOError as error:
        raise ConfigError(
            f"{path.parent} is in use: {_who(path)} writes to it",
            advice="wait until that run has ended, or end it; `bench report` reads meanwhile",
        ) from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise StoreError(f"{path}: cannot be locked: {error.strerror}") from error
    return True


def _try(descriptor: int) -> None:
    """The processes below an owner that was killed end a moment after it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _same(descriptor: int, path: Path) -> bool:
    """Whether what was locked is still what is called so: its owner may just have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, msgspec.json.encode(Owner(os.getpid(), socket.gethostname())), 0)


def _who(path: Path) -> str:
    try:
        owner = msgspec.json.decode(guarded.read(path, 4096), type=Owner)
    except (OSError, StoreError, msgspec.DecodeError, UnicodeDecodeError):
        return "another process"
    where = "" if owner.host == socket.gethostname() else f" on {plain.line(owner.host, 64)}"
    return f"process {owner.pid}{where}"
