"""`bench lab up|exec|down` as a user types them."""

import contextlib
import json
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import outsider
from support.bench import wait_for
from support.inlab import needs_namespaces

pytestmark = [pytest.mark.lab, needs_namespaces()]

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=[outsider.OURSELVES, outsider.ORDINARY])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """`bench`, as ourselves and as an ordinary user, with a lab name that nobody else has."""
    python = outsider.python(request.param)
    environment = {**outsider.environment(), "PODBENCH_LAB": uuid.uuid4().hex}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*python, "-m", "podbench.cli", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd="/",
            timeout=60,
            check=False,
        )

    yield run
    run("lab", "down")


def _up(bench: Bench, *options: str) -> dict[str, Any]:
    done = bench("lab", "up", "--nodes", "2", "--json", *options)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_lab_is_entered_and_ended(bench: Bench) -> None:
    """Packets flow inside, exit statuses come out, and nothing is left in the end."""
    lab = _up(bench)
    near, far = (node["pods"][0] for node in lab["nodes"])
    ping = bench("lab", "exec", near["name"], "--", "ping", "-c", "1", "-W", "2", far["address"])
    assert " 0% packet loss" in ping.stdout, ping.stdout + ping.stderr
    routes = bench("lab", "exec", "n1", "ip", "route")
    assert "proto bird" in routes.stdout
    assert bench("lab", "exec", "n1", "--", "sh", "-c", "exit 9").returncode == 9
    assert bench("lab", "exec", "n1", "--", "sh", "-c", "kill -TERM $$").returncode == 143
    devices = bench("lab", "exec", near["name"], "--", "ls", "/sys/class/net")
    assert devices.stdout.split() == ["eth0", "lo"]
    down = bench("lab", "down")
    assert down.returncode == 0, down.stderr
    assert "2 nodes" in down.stdout
    assert "nothing is left" in down.stdout
    pids = [node["pid"] for node in lab["nodes"]]
    assert not [pid for pid in pids if Path(f"/proc/{pid}/ns/net").exists()]


def test_there_is_one_lab_at_a_time(bench: Bench) -> None:
    """A second one is refused, with the way to look around in the first or to end it."""
    _up(bench, "--cni", "flannel")
    second = bench("lab", "up")
    assert second.returncode == 2
    assert "a lab is running already" in second.stderr
    assert "bench lab down" in second.stderr


def test_an_unknown_name_lists_the_known_ones(bench: Bench) -> None:
    """A typing error is no reason to look the names up elsewhere."""
    _up(bench, "--cni", "flannel")
    done = bench("lab", "exec", "n7", "--", "true")
    assert done.returncode == 2
    assert "no 'n7'; it has n1, n2, n1-vxlan, n2-vxlan" in done.stderr


def test_without_a_lab_it_says_so(bench: Bench) -> None:
    """Both commands, with the way to start one and no traceback."""
    for command in (["exec", "n1", "--", "true"], ["down"]):
        done = bench("lab", *command)
        assert done.returncode == 2
        assert done.stderr == "bench: no lab is running\n  -> start one: bench lab up\n"


def test_a_lab_whose_process_is_killed_is_gone(bench: Bench) -> None:
    """No stale file says it still runs; a command inside ends with it; a new one can start."""
    lab = _up(bench, "--cni", "flannel")
    (outer,) = _outermost(lab["nodes"][0]["pid"])
    os.kill(outer, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{lab['nodes'][0]['pid']}/ns/net").exists(), 10)
    wait_for(lambda: bench("lab", "down").returncode == 2, 10)
    _up(bench, "--cni", "flannel")


def _outermost(pid: int) -> list[int]:
    """From a process in the lab up to the one that was started: the last with our command line."""
    found = []
    while pid > 1:
        with contextlib.suppress(OSError):
            if b"podbench.cli" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found = [pid]
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
    return found


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--nodes", "1"], "--nodes: 1 is fewer than 2"),
        (["--lab-loss", "n1=1%"], "--lab-loss: 'n1=1%' is not SRC>DST=RATIO"),
        (["--lab-rate", "fast"], "--lab-rate: 'fast' is not a number"),
        (["--cni", "calcio"], "calico"),
    ],
)
def test_bad_options_start_nothing(bench: Bench, options: list[str], why: str) -> None:
    """Exit code 2, what was wrong, and no lab afterwards."""
    done = bench("lab", "up", *options)
    assert done.returncode == 2
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert bench("lab", "down").returncode == 2


def test_the_faults_asked_for_are_told(bench: Bench) -> None:
    """What `up` prints names them, so that nobody takes them for the network's."""
    done = bench("lab", "up", "--nodes", "2", "--lab-rate", "200Mbit/s", "--lab-loss", "n1>n2=1%")
    assert done.returncode == 0, done.stderr
    assert "network namespaces on one machine, not your cluster" in done.stdout
    assert "every link is limited to 200 Mbit/s" in done.stdout
    assert "1% of packets from n1 to n2 are lost" in done.stdout
