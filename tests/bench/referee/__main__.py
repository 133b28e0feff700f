"""The instrument against the packets themselves: kernel RTT of every probe beside captures.

    .venv/bin/python tests/bench/referee

Two pods over VXLAN. Four taps (tcpdump, kernel stamps in ns): on each pod's own interface and on
its veth peer. An egress tap sees a packet before the driver stamps it, an ingress tap after; so
each stamp lies between two taps, and the kernel RTT between a lower and an upper bound:

    T1 in [pa.e0, va]   T2 in [vb, pb.e0]   T3 in [pb.e0, vb]   T4 in [va, pa.e0]
    lower = (T4.low - T1.high) - (T3.high - T2.low)
    upper = (T4.high - T1.low) - (T3.low - T2.high)

Passes if at least 99.9 % of the probes lie within the bounds +-200 ns and every quantile within
1 us or 1 % of them: at 100, 1,000 and 10,000 pps, without and with a CPU burner per core beside it.
"""

import asyncio
import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[2]))

from support import vxlan_path

from podbench.target.lab import namespaces
from podbench.target.lab.isolate import run_isolated
from podbench.wire import fates
from podbench.wire.messages import LatencySession
from podbench_agent.probes.latency import ProbeWorker
from podbench_agent.probes.reflector import ReflectorWorker

TAPS = {"pa": "e0", "na": "va", "nb": "vb", "pb": "e0"}
STRETCHES = ((100.0, 15.0), (1000.0, 8.0), (10_000.0, 3.0))
TOLERANCE_NS = 200
INSIDE_SHARE = 0.999
QUANTILES = (0.5, 0.99, 0.999)
PORTS = 8

Ints = npt.NDArray[np.int64]


class Stamps(msgspec.Struct, frozen=True):
    """One tap's stamps of requests and replies, by (SSID, sequence)."""

    requests: dict[int, int]
    replies: dict[int, int]


def read_pcap(path: Path) -> Stamps:
    """Reads a capture of ns precision, Ethernet frames; keys are SSID << 32 | sender sequence."""
    data = path.read_bytes()
    assert data[:4] == struct.pack("=I", 0xA1B23C4D), "not a pcap of ns precision"
    stamps = Stamps({}, {})
    at = 24
    while at + 16 <= len(data):
        seconds, rest, size, _ = struct.unpack_from("=IIII", data, at)
        frame = data[at + 16 : at + 16 + size]
        at += 16 + size
        to_reflector = int.from_bytes(frame[36:38], "big") == vxlan_path.PORT
        ssid = int.from_bytes(frame[56:58], "big")
        where, seq_at = (stamps.requests, 42) if to_reflector else (stamps.replies, 66)
        key = ssid << 32 | int.from_bytes(frame[seq_at : seq_at + 4], "big")
        where.setdefault(key, seconds * 1_000_000_000 + rest)
    return stamps


class Taps:
    """tcpdump on all four interfaces, into one directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Starts the captures and waits until each has opened its file."""
        for netns, device in TAPS.items():
            command = ["tcpdump", "-i", device, "-w", str(self._file(netns)), "-s", "128"]
            command += ["-B", "16384", "--time-stamp-precision=nano", "-Z", "root", "-q"]
            command += ["udp", "and", "port", str(vxlan_path.PORT)]
            with self._log(netns).open("wb") as log:
                self._running[netns] = namespaces.spawn(netns, command, output=log)
        deadline = time.monotonic() + 10
        while not all(b"listening on" in self._log(n).read_bytes() for n in TAPS):
            assert time.monotonic() < deadline, self._log("pa").read_text()
            time.sleep(0.02)

    def stop(self) -> dict[str, Stamps]:
        """Ends the captures and reads them."""
        time.sleep(1.2)  # tcpdump hands over a part-filled ring after a second
        for process in self._running.values():
            namespaces.end(process)
        return {netns: read_pcap(self._file(netns)) for netns in TAPS}

    def _log(self, netns: str) -> Path:
        return self._folder / f"{netns}.log"

    def _file(self, netns: str) -> Path:
        return self._folder / f"{netns}.pcap"


class Finding(msgspec.Struct, frozen=True):
    """One stretch: rates, shares and errors in ns."""

    rate_pps: float
    burners: int
    probes: int
    compared: int
    outside: int
    error_ns: tuple[float, ...]
    bound_ns: tuple[float, ...]
    kernel_p50_ns: float
    app_p99_ns: float
    width_p50_ns: float

    @property
    def passed(self) -> bool:
        """By the criteria of the module's docstring, with every probe compared."""
        close = all(
            e <= max(1000, 0.01 * b) for e, b in zip(self.error_ns, self.bound_ns, strict=True)
        )
        inside = self.outside <= (1 - INSIDE_SHARE) * self.compared
        return close and inside and self.compared == self.probes


def _column(stamps: dict[int, int], keys: list[int]) -> Ints:
    return np.array([stamps.get(key, 0) for key in keys], dtype=np.int64)


def judge(rate: float, burners: int, rows: dict[str, Any], taps: dict[str, Stamps]) -> Finding:
    """Compares every probe's kernel RTT with its bounds."""
    seq = np.asarray(rows["seq"], dtype=np.int64)
    keys = (np.asarray(rows["session_id"], dtype=np.int64) << 32 | seq).tolist()
    request = {n: _column(s.requests, keys) for n, s in taps.items()}
    reply = {n: _column(s.replies, keys) for n, s in taps.items()}
    both = np.all([c > 0 for c in (*request.values(), *reply.values())], axis=0)
    both &= ~np.ma.getmaskarray(rows["rtt_kernel_ns"])
    rtt = np.ma.getdata(rows["rtt_kernel_ns"])[both]
    lower = (reply["na"] - request["na"] - (reply["nb"] - request["nb"]))[both]
    upper = (reply["pa"] - request["pa"] - (reply["pb"] - request["pb"]))[both]
    outside = (rtt < lower - TOLERANCE_NS) | (rtt > upper + TOLERANCE_NS)
    errors, bounds = [], []
    for q in QUANTILES:
        low, here, high = (float(np.quantile(v, q)) for v in (lower, rtt, upper))
        errors.append(max(0.0, low - here, here - high))
        bounds.append(high)
    return Finding(
        rate_pps=rate,
        burners=burners,
        probes=len(seq),
        compared=int(both.sum()),
        outside=int(outside.sum()),
        error_ns=tuple(errors),
        bound_ns=tuple(bounds),
        kernel_p50_ns=float(np.median(rtt)),
        app_p99_ns=float(np.quantile(np.ma.compressed(rows["rtt_app_ns"]), 0.99)),
        width_p50_ns=float(np.median(upper - lower)),
    )


def burn(count: int, seconds: float) -> list[subprocess.Popen[bytes]]:
    """CPU burners that end by themselves."""
    code = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    return [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]


async def _stretch(
    probe: ProbeWorker, reflector: ReflectorWorker, first: int, rate: float, duration: float
) -> dict[str, Any]:
    ids = tuple(range(first, first + PORTS))
    await reflector.admit(ids)
    session = LatencySession(
        session_id=first,
        peer_address=vxlan_path.POD_B,
        peer_port=vxlan_path.PORT,
        source_ports=PORTS,
        rate_pps=rate,
        duration_s=duration,
    )
    sender = (await probe.measure((session,)))[first]
    log, counters = await reflector.collect(ids)
    whole = {name: value for name, value in counters.items() if isinstance(value, int)}
    return dict(fates.resolve(sender, log, whole))


def measure(folder: Path) -> list[Finding]:
    """All stretches, without and with burners."""
    vxlan_path.build()
    with vxlan_path.entered("pb"):
        reflector = ReflectorWorker(vxlan_path.POD_B, vxlan_path.PORT)
        reflector.start()
    with vxlan_path.entered("pa"):
        probe = ProbeWorker()
        probe.start()
    findings = []
    first = 1
    for burners in (0, os.cpu_count() or 1):
        for rate, duration in STRETCHES:
            taps = Taps(folder)
            taps.start()
            burning = burn(burners, duration + 1)
            rows = asyncio.run(_stretch(probe, reflector, first, rate, duration))
            stamps = taps.stop()
            for process in burning:
                process.wait()
            findings.append(judge(rate, burners, rows, stamps))
            print(render(findings[-1]), flush=True)
            first += PORTS
    probe.stop()
    reflector.stop()
    return findings


def render(f: Finding) -> str:
    """One line of the table."""
    errors = "  ".join(f"{e:7.0f}" for e in f.error_ns)
    return (
        f"{f.rate_pps:7.0f}  {f.burners:7d}  {f.compared:6d}/{f.probes:<6d} "
        f"{f.outside / max(1, f.compared):8.4%}  {errors}   {f.kernel_p50_ns / 1000:7.2f}  "
        f"{f.app_p99_ns / 1000:8.1f}  {f.width_p50_ns / 1000:6.2f}  "
        f"{'ok' if f.passed else 'NOT OK'}"
    )


def main() -> int:
    """Measures in private namespaces; 1 if a stretch fails the criteria."""
    print(
        "    pps  burners  compared/sent  outside  error ns p50      p99    p99.9   kernel p50"
        "  app p99 µs  bracket µs"
    )
    folder = Path("/run/referee")

    def inside() -> int:
        folder.mkdir()
        return 0 if all(f.passed for f in measure(folder)) else 1

    return run_isolated(inside)


if __name__ == "__main__":
    sys.exit(main())
