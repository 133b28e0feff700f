"""A lab ends whole, however it ends: nothing of it is left on the machine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import outsider
from support.bench import wait_for
from support.inlab import OF_MODULES, needs_namespaces

from podbench.model.errors import ConfigError
from podbench.target.lab.isolate import run_isolated

pytestmark = [pytest.mark.lab, needs_namespaces()]

PROGRAM = Path(__file__).parents[1] / "support" / "isolated_lab.py"
LEVELS = ("outer", "entry", "init", "session")
GONE_S = 10.0


class Lab:
    """A lab in a process of its own, and what the machine was like before."""

    def __init__(self, process: "subprocess.Popen[str]", before: dict[str, list[str]]) -> None:
        self.before = before
        self.process = process
        ready = self.said()
        self.netns = ready["netns"]
        self.tree = _descendants(self.process.pid)
        # setpriv becomes the program, so the first process is the outer one either way.
        self.pids = dict(zip(LEVELS, self.tree, strict=False))
        assert self.pids["session"] == ready["session"]

    def said(self) -> dict[str, Any]:
        """The next line of its output."""
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def assert_nothing_left(self) -> None:
        """No process, namespace, device, mount or file more than before."""
        wait_for(lambda: not [pid for pid in self.tree if _runs(pid)], GONE_S)
        wait_for(lambda: self.netns not in _network_namespaces(), GONE_S)
        assert _machine() == self.before


@contextlib.contextmanager
def _lab(who: str) -> Iterator[Lab]:
    before = _machine()
    with subprocess.Popen(
        [*outsider.python(who), str(PROGRAM)],
        stdout=subprocess.PIPE,
        env=outsider.environment(),
        cwd="/",
        text=True,
        # A process group of its own, as a shell gives to a job.
        start_new_session=True,
    ) as process:
        try:
            yield Lab(process, before)
        finally:
            process.kill()


def _machine() -> dict[str, list[str]]:
    """Devices, mounts, named namespaces and podbench's own files, as seen from outside."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return {
        "devices": [p.name for p in Path("/sys/class/net").iterdir()],
        "mounts": [m for m in mounts if "podbench" in m],
        "files": [str(p) for p in Path("/run").glob("podbench*")]
        + [str(p) for name in ("n1", "underlay") for p in Path("/run/netns").glob(name)],
    }


def _descendants(pid: int) -> list[int]:
    """A process and all below it, parents first, from the host's /proc."""
    found = [pid]
    # A process that ends while it is looked at has no children left.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _descendants(int(child))
    return found


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _network_namespaces() -> set[int]:
    found = set()
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            found.add(link.stat().st_ino)
    return found


@pytest.mark.parametrize("who", [outsider.OURSELVES, outsider.ORDINARY])
@pytest.mark.parametrize("level", LEVELS)
def test_killing_any_of_its_processes_leaves_nothing(who: str, level: str) -> None:
    """SIGKILL of outer, entry, init or session: no process, namespace, device, mount, file."""
    with _lab(who) as lab:
        # Two daemons, holders, an orphan: there is something to be left behind.
        assert len(lab.tree) > len(LEVELS) + 4
        assert lab.netns in _network_namespaces()
        os.kill(lab.pids[level], signal.SIGKILL)
        assert lab.process.wait(GONE_S) in {-signal.SIGKILL, 128 + signal.SIGKILL}
        lab.assert_nothing_left()


@pytest.mark.parametrize("who", [outsider.OURSELVES, outsider.ORDINARY])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_session_once(who: str, number: signal.Signals) -> None:
    """Even when a terminal sends it to the whole process group; its status comes back."""
    with _lab(who) as lab:
        os.killpg(lab.process.pid, number)
        assert lab.said() == {"signal": number}
        assert lab.said() == {"more": 0}
        assert lab.process.wait(GONE_S) == 40 + number
        lab.assert_nothing_left()


@contextlib.contextmanager
def _hangup(handler: signal.Handlers) -> Iterator[None]:
    """What children inherit for SIGHUP while the context lasts: these tests may run under nohup."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_hangup_is_handed_on_too() -> None:
    """A closed terminal must not end the outer process before the session could clean up."""
    with _hangup(signal.SIG_DFL), _lab(outsider.OURSELVES) as lab:
        os.kill(lab.process.pid, signal.SIGHUP)
        assert lab.said() == {"signal": signal.SIGHUP}
        assert lab.process.poll() is None


def test_an_ignored_hangup_stays_ignored() -> None:
    """Under nohup a run goes on when its terminal closes."""
    with _hangup(signal.SIG_IGN), _lab(outsider.OURSELVES) as lab:
        os.kill(lab.process.pid, signal.SIGHUP)
        os.kill(lab.process.pid, signal.SIGTERM)
        assert lab.said() == {"signal": signal.SIGTERM}


def test_gives_back_the_status() -> None:
    """What the callable returns is what the caller gets."""
    assert run_isolated(lambda: 23) == 23


def test_raises_what_the_callable_raised() -> None:
    """An own error keeps its class, message and advice on its way out."""

    def fail() -> int:
        raise ConfigError("no such thing", advice="take another")

    with pytest.raises(ConfigError, match="no such thing") as caught:
        run_isolated(fail)
    assert caught.value.advice == "take another"


def test_a_crash_is_a_status(capfd: pytest.CaptureFixture[str]) -> None:
    """A bug shows its traceback and gives 1; a fatal signal gives 128 and its number."""

    def crash() -> int:
        raise RuntimeError("a bug")

    def abort() -> int:
        os.kill(os.getpid(), signal.SIGSEGV)
        return 0

    assert run_isolated(crash) == 1
    assert "RuntimeError: a bug" in capfd.readouterr().err
    assert run_isolated(abort) == 128 + signal.SIGSEGV


def test_orphans_are_reaped_while_the_session_lives() -> None:
    """Process 1 leaves no zombie of a daemon whose parent has ended."""

    def session() -> int:
        subprocess.run(["sh", "-c", "sleep 0.05 & echo $!"], stdout=subprocess.DEVNULL, check=True)
        first = Path("/proc/self/status").read_text()
        parent = next(line.split()[1] for line in first.splitlines() if line.startswith("PPid"))
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            if children == [str(Path("/proc/self").readlink())]:
                return 0
            time.sleep(0.02)
        return 1

    assert run_isolated(session) == 0


def test_the_session_sees_a_network_of_its_own() -> None:
    """Root of an empty network with loopback, and a private /run; /proc stays the host's."""

    def session() -> int:
        links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True)
        found = {line.split()[0].partition("@")[0]: line for line in links.stdout.splitlines()}
        assert found.keys() - OF_MODULES == {"lo"}
        assert [name for name, line in found.items() if ",UP" in line] == ["lo"]
        assert os.geteuid() == 0
        assert sorted(p.name for p in Path("/run").iterdir()) == ["lock", "netns", "podbench"]
        assert Path("/proc/self").readlink() != Path(str(os.getpid()))
        return 5

    assert run_isolated(session) == 5


def test_a_kernel_that_refuses_is_an_error_not_a_crash() -> None:
    """Where no network namespace can be had, it says so, with the way out, and exit code 2."""
    program = (
        "from podbench.model.errors import PrerequisiteError\n"
        "from podbench.target.lab.isolate import run_isolated\n"
        "try:\n    run_isolated(lambda: 0)\n"
        "except PrerequisiteError as error:\n    print(error, '->', error.advice)\n"
    )
    # The limit is that of a user namespace made for it: the machine's own is not touched.
    script = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", script, "sh", sys.executable, "-c", program],
        env=outsider.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "this kernel refuses the lab's namespaces: unshare: No space left" in done.stdout
    assert "-> in a container: --privileged" in done.stdout
    assert done.stderr == ""
