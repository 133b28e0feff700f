"""`in_guest(kernel, modules)`: commands and tests on another kernel, with this checkout and .venv.

    done = in_guest("6.12", ["ipip"]).tests("tests/lab/test_ipip.py")
    done.settle()

Each call boots a guest, runs one thing in it and ends it: 3-5 s on a quiet machine with
user-mode Linux, 30 s under QEMU. A guest is slow and has one or two CPUs, so nothing that runs in
it may assert how long something takes or that probes leave on time.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from support.guests import boot
from support.guests.kernels import KERNELS, Kernel
from support.guests.packages import UnavailableError

ROOT = Path(__file__).resolve().parents[3]
INSIDE = "PODBENCH_GUEST"
"""Set in the environment of everything that runs in a guest."""
MOST_S = 900.0
"""For one guest from start to end: a busy machine makes it several times slower."""
SIGNS_OF_LIFE = b"guest: "
"""What `init` says on the console: a guest that never said it did not boot at all."""
KEEP = 4000


class Case(msgspec.Struct, frozen=True):
    """What became of one test in the guest; `said` is its failure or the reason it was skipped."""

    name: str
    result: str
    said: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a guest left behind."""

    kernel: str
    status: int | None
    """The command's exit status; null: the guest ended or was ended before the command did."""
    output: str
    error: str
    console: str
    seconds: float
    folder: Path
    """What the command left in /out."""
    cases: tuple[Case, ...] = ()

    def settle(self) -> None:
        """Passes, fails or skips the calling test as the tests in the guest did.

        It is skipped only if every one of them was. What a failed guest left behind is kept.
        """
        failed = [case for case in self.cases if case.result == "failed"]
        if failed or self.status != 0 or not self.cases:
            said = "\n".join(f"{case.name}: {case.said}" for case in failed)
            pytest.fail(f"on Linux {self.kernel}: {said or self.trouble()}", pytrace=False)
        self.forget()
        if all(case.result == "skipped" for case in self.cases):
            pytest.skip("; ".join(sorted({case.said for case in self.cases})))

    def forget(self) -> None:
        """Removes what the guest left behind."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def trouble(self) -> str:
        """The last words of a command that failed, and of its guest."""
        return (
            f"status {self.status} after {self.seconds:.0f} s\n"
            f"{self.output[-KEEP:]}\n{self.error[-KEEP:]}\nconsole: {self.console[-KEEP:]}"
        )


class Guest:
    """A kernel that can be booted any number of times."""

    def __init__(self, kernel: Kernel, modules: Sequence[str], *, or_skip: bool = False) -> None:
        self._kernel = kernel
        self._modules = tuple(modules)
        self._or_skip = or_skip

    def run(self, command: str | Sequence[str], *, timeout_s: float = MOST_S) -> Outcome:
        """Boots, runs a command as root in the checkout's folder, and ends the guest.

        Args:
            command: Words, or a line for bash. Files it leaves in /out come back.
            timeout_s: After that the guest is ended.

        Raises:
            UnavailableError: This machine cannot have such a guest.
        """
        try:
            return self._run(command, timeout_s)
        except UnavailableError as error:
            if self._or_skip:
                pytest.skip(f"needs a guest with Linux {self._kernel.name}: {error}")
            raise

    def _run(self, command: str | Sequence[str], timeout_s: float) -> Outcome:
        line = command if isinstance(command, str) else shlex.join(command)
        out = Path(tempfile.mkdtemp(prefix="podbench-guest-"))
        # An ordinary user in the guest leaves files here too.
        out.chmod(0o777)
        path = f"{Path(boot.interpreter()).parent}:$PATH"
        (out / "command").write_text(f"cd {shlex.quote(str(ROOT))}\nexport PATH={path}\n{line}\n")
        words = [f"mods={','.join(self._modules)}"] if self._modules else []
        started = time.monotonic()
        with boot.prepared(self._kernel, out, words) as prepared:
            console = _watched(prepared, timeout_s)
        status = out / "status"
        if not status.exists() and SIGNS_OF_LIFE not in console:
            last = (console.decode("utf-8", "replace").strip().splitlines() or ["silence"])[-1]
            raise UnavailableError(f"Linux {self._kernel.name} does not boot here: {last}")
        return Outcome(
            kernel=self._kernel.name,
            status=int(status.read_text()) if status.exists() else None,
            output=_read(out / "stdout"),
            error=_read(out / "stderr"),
            console=console.decode("utf-8", "replace"),
            seconds=time.monotonic() - started,
            folder=out,
        )

    def tests(self, *names: str, timeout_s: float = MOST_S) -> Outcome:
        """Runs tests (files or node ids below the checkout, options of pytest) in the guest.

        Raises:
            UnavailableError: This machine cannot have such a guest.
        """
        command = [boot.interpreter(), "-m", "pytest", "-p", "no:cacheprovider", "-q"]
        command += ["-o", "timeout=0", "--junitxml=/out/tests.xml", *names]
        done = self.run(command, timeout_s=timeout_s)
        report = done.folder / "tests.xml"
        return msgspec.structs.replace(done, cases=_cases(report) if report.exists() else ())


def guest(kernel: str, modules: Sequence[str] = ()) -> Guest:
    """A guest with this kernel and these modules loaded; the kernel loads others when asked."""
    return Guest(KERNELS[kernel], modules)


def in_guest(kernel: str, modules: Sequence[str] = ()) -> Guest:
    """The same for tests, which are skipped, with the reason, where such a guest cannot be had."""
    return Guest(KERNELS[kernel], modules, or_skip=True)


def _watched(prepared: boot.Boot, timeout_s: float) -> bytes:
    """Runs the guest to its end, or to ours; returns what it said on its console."""
    process = subprocess.Popen(
        prepared.command,
        cwd=prepared.folder,
        env=os.environ | prepared.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        console, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        console, _ = process.communicate()
    except BaseException:
        os.killpg(process.pid, 9)
        process.wait()
        raise
    return console


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""


def _cases(report: Path) -> tuple[Case, ...]:
    found = []
    for case in ET.parse(report).getroot().iter("testcase"):
        result, said = "passed", ""
        for kind, word in (("skipped", "skipped"), ("failure", "failed"), ("error", "failed")):
            part = case.find(kind)
            if part is not None:
                result, said = (
                    word,
                    (part.get("message") or "") if word == "skipped" else part.text or "",
                )
        found.append(Case(f"{case.get('classname')}.{case.get('name')}", result, said))
    return tuple(found)
