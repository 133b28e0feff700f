"""irtt, sockperf and ping between two namespaces: what each shows, and what CPU it takes for that.

Used by `bench doctor --instrument` and by tests/bench, so that podbench's own figures stand beside
those of tools that people know. A tool that fails or does not end raises; nobody waits for ever.
"""

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.model.errors import ProbeError
from podbench.target.lab import namespaces

PAYLOAD_BYTES = 64
ENDS_WITHIN_S = 10.0
"""After its own duration; then a tool is killed."""
_SERVER_STARTS_S = 0.7


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """Two namespaces and the address that the far one answers at."""

    near: str
    far: str
    address: str


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one tool saw in one turn. RTTs in ns; null where a tool does not tell."""

    tool: str
    rtt_ns: tuple[float, ...] | None
    """p50, p99, p99.9."""
    sender_cpu_us: float | None = None
    """CPU per probe, µs."""
    reflector_cpu_us: float | None = None
    missed_ratio: float | None = None
    """Share of send times missed: irtt's own count, podbench's probes more than T/2 late."""


def quantiles(values: npt.ArrayLike) -> tuple[float, ...]:
    """p50, p99, p99.9."""
    numbers = np.asarray(values, dtype=np.float64)
    return tuple(float(np.quantile(numbers, q)) for q in (0.5, 0.99, 0.999))


def run(netns: str, command: list[str], seconds: float) -> tuple[str, int]:
    """(standard output, CPU in ns) of a program run to its end in a namespace.

    Raises:
        ProbeError: It does not end, or fails.
    """
    deadline = time.monotonic() + seconds + ENDS_WITHIN_S
    with tempfile.TemporaryFile() as output:  # a pipe would fill and stop what nobody reads
        process = namespaces.spawn(netns, command, output=output)
        ended = _ends(process, deadline)
        cpu = cpu_ns(process)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if not ended:
        raise ProbeError(f"{command[0]} did not end in {seconds + ENDS_WITHIN_S:.0f} s")
    if process.returncode != 0:
        raise ProbeError(f"{command[0]} ended with status {process.returncode}: {text[-200:]}")
    return text, cpu


def _ends(process: "subprocess.Popen[bytes]", deadline: float) -> bool:
    """Waits, without taking the exit status away from `cpu_ns`; kills what does not end."""
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            process.kill()
            return False
        time.sleep(0.01)
    return True


def cpu_ns(process: "subprocess.Popen[bytes]") -> int:
    """User and system time of a program, waited for."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


def _beside(
    ends: Ends, server: list[str], client: list[str], seconds: float
) -> tuple[str, int, int]:
    """(client's output, its CPU in ns, the server's)."""
    serving = namespaces.spawn(ends.far, server)
    try:
        time.sleep(_SERVER_STARTS_S)
        text, cpu = run(ends.near, client, seconds)
    finally:
        serving.terminate()
        _ends(serving, time.monotonic() + ENDS_WITHIN_S)
        served = cpu_ns(serving)
    return text, cpu, served


def irtt(ends: Ends, rate: float, seconds: float, folder: Path) -> Seen:
    """irtt, isochronous, 64 octets.

    Raises:
        ProbeError: It fails or does not end.
    """
    out = folder / "irtt.json"
    out.unlink(missing_ok=True)
    where = f"{ends.address}:2112"
    text, cpu, served = _beside(
        ends,
        ["irtt", "server", "-i", "0", "-b", where],
        ["irtt", "client", "-i", f"{1e6 / rate:.0f}us", "-d", f"{seconds}s",
         "-l", str(PAYLOAD_BYTES), "-Q", "-o", str(out), where],
        seconds,
    )  # fmt: skip
    document = json.loads(out.read_bytes())
    trips = [t["delay"]["rtt"] for t in document["round_trips"] if "rtt" in t.get("delay", {})]
    n = document["stats"]["packets_sent"]
    if not n:
        raise ProbeError(f"irtt sent nothing: {text[-200:]}")
    return Seen(
        tool="irtt",
        rtt_ns=quantiles(np.array(trips)) if trips else None,
        sender_cpu_us=cpu / n / 1000,
        reflector_cpu_us=served / n / 1000,
        missed_ratio=document["stats"]["timer_misses"] / (rate * seconds),
    )


def sockperf(ends: Ends, rate: float, seconds: float, folder: Path) -> Seen:
    """Sockperf under-load, every message answered, blocking receive.

    Raises:
        ProbeError: It fails or does not end.
    """
    del folder
    at = ["-i", ends.address, "-p", "11111"]
    text, cpu, served = _beside(
        ends,
        ["sockperf", "server", *at],
        ["sockperf", "under-load", *at, "--mps", f"{rate:.0f}", "--reply-every", "1",
         "--full-rtt", "-t", f"{seconds:.0f}", "-m", str(PAYLOAD_BYTES)],
        seconds,
    )  # fmt: skip
    percentiles = dict(re.findall(r"percentile ([0-9.]+) = +([0-9.]+)", text))
    sent = re.search(r"SentMessages=([0-9]+)", text)
    n = int(sent.group(1)) if sent else 0
    if not n or "50.000" not in percentiles:
        raise ProbeError(f"sockperf printed no percentiles: {text[-200:]}")
    return Seen(
        tool="sockperf",
        rtt_ns=tuple(float(percentiles[p]) * 1000 for p in ("50.000", "99.000", "99.900")),
        sender_cpu_us=cpu / n / 1000,
        reflector_cpu_us=served / n / 1000,
    )


def ping(ends: Ends, rate: float, seconds: float, folder: Path) -> Seen:
    """ping: answered by the kernel, so no reflector process.

    Raises:
        ProbeError: It fails or does not end.
    """
    del folder
    count = round(rate * seconds)
    command = ["ping", "-n", "-i", f"{1 / rate}", "-c", str(count), "-s", "56", ends.address]
    # On a busy machine it falls behind its own interval.
    text, cpu = run(ends.near, command, 5 * seconds)
    times = np.array([float(t) * 1e6 for t in re.findall(r"time=([0-9.]+) ms", text)])
    return Seen(
        tool="ping",
        rtt_ns=quantiles(times) if len(times) else None,
        sender_cpu_us=cpu / count / 1000,
    )


TOOLS: dict[str, Callable[[Ends, float, float, Path], Seen]] = {
    "irtt": irtt,
    "sockperf": sockperf,
    "ping": ping,
}
