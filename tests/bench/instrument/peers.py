"""The other tools, run over the same path: what each measured and what CPU it took."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from support import vxlan_path

from podbench.target.lab import namespaces

PAYLOAD_BYTES = 64


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One tool, one turn. RTTs in ns; null where a tool does not tell."""

    tool: str
    burners: int
    rtt_ns: tuple[float, ...] | None
    """p50, p99, p99.9."""
    sender_cpu_us: float | None = None
    """CPU per probe, µs."""
    reflector_cpu_us: float | None = None
    missed_ratio: float | None = None
    """Share of send times missed: irtt's own count, podbench's probes more than T/2 late."""


def quantiles(values: np.ndarray) -> tuple[float, ...]:
    """p50, p99, p99.9."""
    return tuple(float(np.quantile(values, q)) for q in (0.5, 0.99, 0.999))


def run(netns: str, command: list[str]) -> tuple[str, int]:
    """(standard output, CPU in ns) of a program run to its end in a namespace."""
    process = namespaces.spawn(netns, command, output=subprocess.PIPE)
    assert process.stdout is not None
    text = process.stdout.read().decode()
    process.stdout.close()
    return text, cpu_ns(process)


def cpu_ns(process: "subprocess.Popen[bytes]") -> int:
    """User and system time of a program, waited for."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


def _serve(command: list[str]) -> "subprocess.Popen[bytes]":
    server = namespaces.spawn("pb", command)
    time.sleep(0.7)
    return server


def _stop(server: "subprocess.Popen[bytes]") -> int:
    server.terminate()
    return cpu_ns(server)


def irtt(rate: float, duration: float, burners: int, folder: Path) -> Result:
    """irtt, isochronous, 64 octets."""
    server = _serve(["irtt", "server", "-i", "0", "-b", f"{vxlan_path.POD_B}:2112"])
    out = folder / "irtt.json"
    out.unlink(missing_ok=True)
    interval = f"{1e6 / rate:.0f}us"
    text, cpu = run(
        "pa",
        ["irtt", "client", "-i", interval, "-d", f"{duration}s", "-l", str(PAYLOAD_BYTES), "-Q",
         "-o", str(out), f"{vxlan_path.POD_B}:2112"],
    )  # fmt: skip
    served = _stop(server)
    assert out.exists(), text
    document = json.loads(out.read_bytes())
    trips = [t["delay"]["rtt"] for t in document["round_trips"] if "rtt" in t.get("delay", {})]
    n = document["stats"]["packets_sent"]
    return Result(
        tool="irtt",
        burners=burners,
        rtt_ns=quantiles(np.array(trips)),
        sender_cpu_us=cpu / n / 1000,
        reflector_cpu_us=served / n / 1000,
        missed_ratio=document["stats"]["timer_misses"] / (rate * duration),
    )


def sockperf(rate: float, duration: float, burners: int, folder: Path) -> Result:
    """Sockperf under-load, every message answered, blocking receive."""
    del folder
    server = _serve(["sockperf", "server", "-i", vxlan_path.POD_B, "-p", "11111"])
    text, cpu = run(
        "pa",
        ["sockperf", "under-load", "-i", vxlan_path.POD_B, "-p", "11111", "--mps", f"{rate:.0f}",
         "--reply-every", "1", "--full-rtt", "-t", f"{duration:.0f}", "-m", str(PAYLOAD_BYTES)],
    )  # fmt: skip
    served = _stop(server)
    percentiles = dict(re.findall(r"percentile ([0-9.]+) = +([0-9.]+)", text))
    sent = re.search(r"SentMessages=([0-9]+)", text)
    assert sent is not None, text
    n = int(sent.group(1))
    wanted = ("50.000", "99.000", "99.900")
    return Result(
        tool="sockperf",
        burners=burners,
        rtt_ns=tuple(float(percentiles[p]) * 1000 for p in wanted),
        sender_cpu_us=cpu / n / 1000,
        reflector_cpu_us=served / n / 1000,
    )


def ping(rate: float, duration: float, burners: int, folder: Path) -> Result:
    """ping: answered by the kernel, so no reflector process."""
    del folder
    count = round(rate * duration)
    command = ["ping", "-n", "-i", f"{1 / rate}", "-c", str(count), "-s", "56", vxlan_path.POD_B]
    text, cpu = run("pa", command)
    times = np.array([float(t) * 1e6 for t in re.findall(r"time=([0-9.]+) ms", text)])
    return Result(
        tool="ping", burners=burners, rtt_ns=quantiles(times), sender_cpu_us=cpu / count / 1000
    )
