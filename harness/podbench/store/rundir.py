"""Run directory: the path of each file, and atomic writing.

Every file is written to a temporary name, synced and renamed. A full disk or a lost permission
raises a `StoreError` that names the file; earlier files stay intact. How files are opened, and
what is refused, is `guarded`'s matter.
"""

import contextlib
import errno
import gzip
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from podbench.model.arms import Arm
from podbench.model.errors import ConfigError, StoreError
from podbench.store import guarded

T = TypeVar("T")


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file atomically, even across a crash.

    Raises:
        StoreError: The disk is full or the place cannot be written.
    """
    beside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file, beside = guarded.create_beside(path)
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:
        if beside is not None:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise store_error(path, error) from error
        raise


def store_error(path: Path, error: OSError) -> StoreError:
    """Returns the error for a failed write, in one sentence."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreError(
            f"{path}: no space left; all earlier files are intact",
            advice="free some space; `bench resume RUN` continues after the last complete round",
        )
    return StoreError(f"cannot write {path}: {error.strerror or error}")


class RunDir:
    """An existing run directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run_json(self) -> Path:
        """Specification, resolved defaults, versions, seed, status."""
        return self.path / "run.json"

    @property
    def plan_json(self) -> Path:
        """Planned blocks, visits and rounds."""
        return self.path / "plan.json"

    @property
    def journal(self) -> Path:
        """Completed steps, one per line."""
        return self.path / "journal.jsonl"

    @property
    def summary_json(self) -> Path:
        """Results (docs/data.md)."""
        return self.path / "summary.json"

    @property
    def report_html(self) -> Path:
        """The report."""
        return self.path / "report.html"

    def samples(self, probe: str, block: int, arm: Arm, number: int) -> Path:
        """The Parquet file of one probe in one round."""
        folder = self.path / "samples" / probe / f"block-{block:03d}" / arm.slug
        return folder / f"round-{number:02d}.parquet"

    def host(self, block: int, arm: Arm, number: int) -> Path:
        """The Parquet file of the host's counters during one round."""
        folder = self.path / "host" / f"block-{block:03d}" / arm.slug
        return folder / f"round-{number:02d}.parquet"

    def evidence(self, block: int, arm: Arm) -> Path:
        """Facts and proof of one visit."""
        return self.path / "evidence" / f"block-{block:03d}" / f"{arm.slug}.json"

    @property
    def cluster_json(self) -> Path:
        """Facts about a cluster's network and nodes."""
        return self.path / "evidence" / "cluster.json"

    def raw(self, block: int, arm: Arm, name: str) -> Path:
        """The unmodified output of a program, compressed (`iperf3` JSON of both ends)."""
        return self.path / "raw" / f"block-{block:03d}" / arm.slug / f"{name}.json.gz"

    def write_json(self, path: Path, record: object) -> None:
        """Writes one record, indented for people.

        Raises:
            StoreError: It cannot be written.
        """
        write_whole(path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")

    def write_raw(self, path: Path, text: str) -> None:
        """Stores a program's output.

        Raises:
            StoreError: It cannot be written.
        """
        write_whole(path, gzip.compress(text.encode(), compresslevel=1, mtime=0))

    def read_json(self, path: Path, kind: type[T]) -> T:
        """Reads one record.

        Raises:
            StoreError: It is missing, damaged or of another format number; names the file.
        """
        try:
            data = guarded.read(path)
            _check_format(path, data, kind)
            return msgspec.json.decode(data, type=kind)
        except FileNotFoundError as error:
            raise StoreError(f"{path}: missing") from error
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StoreError(f"{path}: damaged or of another format: {error}") from error


class _Formatted(msgspec.Struct):
    """The part of a record that tells whether this version can read it."""

    format: int | None = None


def _check_format(path: Path, data: bytes, kind: type[object]) -> None:
    """Before anything else of it is read: another format may hold anything under the same names."""
    if not issubclass(kind, msgspec.Struct):
        return
    wanted = next((f.default for f in msgspec.structs.fields(kind) if f.name == "format"), None)
    if not isinstance(wanted, int):
        return
    stated = msgspec.json.decode(data, type=_Formatted).format
    if stated != wanted:
        raise StoreError(
            f"{path}: format {stated}, and this version reads format {wanted}",
            advice="use the version of podbench that wrote it",
        )


def create(path: Path, option: str = "--out") -> RunDir:
    """Creates a run directory.

    Raises:
        ConfigError: It exists with something in it, or cannot be made or written; names the option.
    """
    try:
        if path.exists() and (not path.is_dir() or _is_used(path)):
            raise ConfigError(
                f"{option}: {path} already exists",
                advice="name a new directory, or `bench resume` that run",
            )
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"{option}: cannot write {path}: {error.strerror or error}",
            advice=f"choose a writable directory with {option} DIR",
        ) from error
    return RunDir(path)


def _is_used(path: Path) -> bool:
    """Whether a directory holds anything; the lock of a run that was killed at once is nothing."""
    return any(each.name != ".lock" for each in path.iterdir())


def open_existing(path: Path) -> RunDir:
    """Opens the directory of a run that was begun.

    Raises:
        ConfigError: There is no run there, or something that no run has.
    """
    run = RunDir(path)
    guarded.inspect(path)
    if not run.run_json.is_file():
        raise ConfigError(
            f"{path} is not a run directory: it has no run.json",
            advice="name the directory that `bench run` printed, by default under runs/",
        )
    return run
