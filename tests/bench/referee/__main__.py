"""The instrument against the packets themselves: kernel RTT of every probe beside captures.

    .venv/bin/python tests/bench/referee

Two pods over VXLAN, four taps; support/taps.py says how they bound each probe's kernel RTT.

Passes if at least 99.9 % of the probes lie within the bounds +-200 ns and every quantile within
1 us or 1 % of them: at 100, 1,000 and 10,000 pps, without and with a CPU burner per core beside it.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from support import vxlan_path
from support.taps import Stamps, Taps, bracket

from podbench.target.lab.isolate import run_isolated
from podbench.wire import fates
from podbench.wire.messages import LatencySession
from podbench_agent.probes.latency.process import ProbeWorker
from podbench_agent.probes.reflector.process import ReflectorWorker

STRETCHES = ((100.0, 15.0), (1000.0, 8.0), (10_000.0, 3.0))
TOLERANCE_NS = 200
INSIDE_SHARE = 0.999
QUANTILES = (0.5, 0.99, 0.999)
PORTS = 8


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


def judge(rate: float, burners: int, rows: dict[str, Any], taps: dict[str, Stamps]) -> Finding:
    """Compares every probe's kernel RTT with its bounds."""
    lower, upper, both = bracket(rows, taps)
    both &= ~np.ma.getmaskarray(rows["rtt_kernel_ns"])
    rtt, lower, upper = np.ma.getdata(rows["rtt_kernel_ns"])[both], lower[both], upper[both]
    outside = (rtt < lower - TOLERANCE_NS) | (rtt > upper + TOLERANCE_NS)
    errors, bounds = [], []
    for q in QUANTILES:
        low, here, high = (float(np.quantile(v, q)) for v in (lower, rtt, upper))
        errors.append(max(0.0, low - here, here - high))
        bounds.append(high)
    return Finding(
        rate_pps=rate,
        burners=burners,
        probes=len(both),
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
    vxlan_path.with_default_buffers()
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
