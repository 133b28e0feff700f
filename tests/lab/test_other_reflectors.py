"""`bench agent probe` against reflectors with other habits than ours: rather unknown than wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import pytest
from support.bench import bench
from support.reflectors import Habit, reflecting

pytestmark = pytest.mark.lab

STEP_NS = 1_000_000_000


def _every_tenth(n: int) -> bool:
    return n % 10 == 4


def _probed(port: int, *options: str) -> Any:
    done = bench(
        *("agent", "probe", "127.0.0.1", "--port", str(port), "--rate", "250"),
        *("--duration", "1.2", "--json", *options),
    )
    return done, json.loads(done.stdout)


@pytest.mark.parametrize(
    "habit",
    [
        Habit(number=lambda _own, _every, seq: seq, lose_forward=_every_tenth),
        Habit(number=lambda _own, _every, seq: seq, lose_backward=_every_tenth),
        Habit(number=lambda _own, every, _seq: every, lose_forward=_every_tenth),
        Habit(number=lambda _own, every, _seq: every, lose_backward=_every_tenth),
        Habit(lose_backward=_every_tenth),
    ],
    ids=["stateless-there", "stateless-back", "shared-there", "shared-back", "indistinguishable"],
)
def test_a_counter_that_is_not_the_sessions_tells_no_direction(habit: Habit) -> None:
    """Copied or shared numbers: every loss is found, and its direction is unknown."""
    with reflecting(habit) as truth:
        _, found = _probed(truth.port)

    lost = found["sent"] - found["received"]
    assert lost >= 25
    assert found["lost_unknown"] == lost
    assert found["lost_forward"] == found["lost_backward"] == 0


def test_a_counter_of_the_sessions_own_tells_the_direction() -> None:
    """A stateful reflector without Follow-Up Telemetry that once lagged behind: forward losses."""
    with reflecting(Habit(lose_forward=lambda n: n in {50, 51, 120})) as truth:
        _, found = _probed(truth.port, "--source-ports", "1")

    assert truth.done["forward"] == found["lost_forward"] == 3
    assert found["lost_backward"] == found["lost_unknown"] == 0


@pytest.mark.parametrize("step_ns", [STEP_NS, -STEP_NS], ids=["forward", "back"])
def test_a_clock_step_of_the_reflector_is_in_no_quantile(step_ns: int) -> None:
    """Impossible round trips stay out of what is printed; the rows say why."""
    with reflecting(Habit(step_ns=lambda n: step_ns if n >= 150 else 0)) as truth:
        _, found = _probed(truth.port)

    kernel = found["rtt_kernel_ns"]
    assert kernel["n"] == 150
    assert 0 < kernel["min"] <= kernel["max"] < STEP_NS // 2
    assert found["invalid_reasons"]["stamps out of order"] == 150


@pytest.mark.parametrize("habit", [Habit(echo=True), Habit(error=0)], ids=["echo", "multiplier-0"])
def test_replies_that_are_not_stamp_are_named(habit: Habit) -> None:
    """Something answers, and it is no reflector: not that nobody listens."""
    with reflecting(habit) as truth:
        done, found = _probed(truth.port)

    assert found["received"] == 0
    assert done.returncode != 0
    assert "none is a STAMP reply" in done.stderr
    assert "nothing listens" not in done.stderr


def test_nobody_there_is_told_as_before() -> None:
    """A closed port refuses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    done, _ = _probed(port)
    assert "nothing listens there" in done.stderr


def test_reordering_between_source_ports_is_counted() -> None:
    """One of the session's paths is slower: its replies are overtaken, and on the way back."""
    with reflecting(Habit(delay_port=2)) as truth:
        _, found = _probed(truth.port, "--source-ports", "4")

    assert truth.done["overtaken"] > 50
    assert found["reordered"] == found["reordered_backward"] > 50
    assert found["reordered_forward"] == 0


@pytest.mark.parametrize("key", [None, b"a key of sixteen"], ids=["open", "authenticated"])
def test_what_the_reflector_dropped_is_not_lost(key: bytes | None, tmp_path: Any) -> None:
    """A reflector that stands still: what its full buffer dropped is its own, and is counted."""
    options = []
    if key is not None:
        (tmp_path / "key").write_bytes(key)
        options = ["--hmac-key-file", str(tmp_path / "key")]
    agent = [sys.executable, "-m", "podbench.cli", "agent", "reflect", "--port", "0", *options]
    with subprocess.Popen(agent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        port = run.stderr.readline().split("port ")[1].split(",")[0]
        probe = subprocess.Popen(
            [sys.executable, "-m", "podbench.cli", "agent", "probe", "127.0.0.1", "--port", port,
             "--rate", "8000", "--duration", "3", "--json", *options],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(2.0)
        worker = int(subprocess.check_output(["pgrep", "-P", str(run.pid)], text=True).split()[0])
        os.kill(worker, signal.SIGSTOP)
        time.sleep(2.0)
        os.kill(worker, signal.SIGCONT)
        found = json.loads(probe.communicate(timeout=60)[0])
        run.send_signal(signal.SIGTERM)
        counters = json.loads(run.communicate(timeout=20)[0])
    assert counters["rx_drops"] > 0
    assert found["reflector_drops"]["buffer"] == counters["rx_drops"]
    assert found["reflector_dropped"] == found["sent"] - found["received"] - found["late"] > 0
    assert found["lost_forward"] == found["lost_backward"] == found["lost_unknown"] == 0
