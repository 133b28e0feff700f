"""Files of a run directory read and written as data: it may come from a stranger.

Links that lead out of the directory, devices, pipes and sockets are refused before anything is
read; each file is opened without following a link at its end, must be a regular one, and has a
bound on its size. New files get names that nobody can guess and must not exist yet.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

from podbench.model import plain
from podbench.model.errors import ConfigError, StoreError

MOST_JSON_BYTES = 256 << 20
MOST_JOURNAL_BYTES = 1 << 30
MOST_SAMPLES_BYTES = 4 << 30
"""One round's samples. A whole week of probes at 1 kHz is smaller."""
MOST_ENTRIES = 2_000_000
"""Files and folders of one run."""
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def inspect(root: Path) -> None:
    """Looks through a whole run directory before anything in it is opened.

    Raises:
        ConfigError: Something in it is no part of a run; names it.
    """
    top, seen = root.resolve(), 0
    for folder, folders, files in os.walk(root):
        seen += len(folders) + len(files)
        if seen > MOST_ENTRIES:
            raise ConfigError(
                f"{root} holds more than {MOST_ENTRIES} files",
                advice="this is no run directory: name the one that `bench run` printed",
            )
        for name in (*folders, *files):
            _check(Path(folder) / name, top)


def _check(path: Path, top: Path) -> None:
    mode = path.lstat().st_mode
    shown = plain.line(str(path), 200)
    if stat.S_ISLNK(mode):
        if top not in path.resolve().parents:
            raise ConfigError(
                f"{shown} is a link that leads out of the run directory; it is not followed",
                advice="put a copy of what it leads to in its place, or remove it",
            )
        mode = path.stat().st_mode if path.exists() else stat.S_IFREG
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
        raise ConfigError(
            f"{shown} is {kind}; a run directory holds files and folders only",
            advice="remove it",
        )


def open_read(path: Path, most: int) -> BinaryIO:
    """Opens a regular file of at most so many octets.

    Raises:
        StoreError: It is a link, something else than a file, or larger.
        OSError: It cannot be opened.
    """
    # Without O_NONBLOCK a named pipe would wait for somebody to write.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_open(descriptor, path, most)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise


def _check_open(descriptor: int, path: Path, most: int) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{path}: not a regular file")
    if found.st_size > most:
        raise StoreError(
            f"{path}: {found.st_size >> 20} MiB, more than the {most >> 20} MiB that such a "
            "file of a run has"
        )


def read(path: Path, most: int = MOST_JSON_BYTES) -> bytes:
    """All of a regular file.

    Raises:
        StoreError, OSError: As `open_read`.
    """
    with open_read(path, most) as file:
        return file.read()


def create_beside(path: Path) -> tuple[BinaryIO, Path]:
    """A new file in the folder of another one, to be renamed onto it.

    Raises:
        OSError: It cannot be made.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(beside, flags, 0o666), "wb"), beside


def open_append(path: Path) -> BinaryIO:
    """Opens a log that grows: made where there is none, never through a link.

    Raises:
        StoreError: It is not a regular file.
        OSError: It cannot be opened; of a link, with ELOOP.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StoreError(f"{path}: not a regular file")
    return os.fdopen(descriptor, "a+b")


def sweep(root: Path) -> None:
    """Removes what a killed writer left: files that were never renamed to their names."""
    for folder, _, files in os.walk(root):
        for name in files:
            if name.startswith(".") and name.endswith(".part"):
                with contextlib.suppress(OSError):
                    (Path(folder) / name).unlink()
