"""podbench beside irtt, sockperf and ping on the same path, in turn, in random order.

    .venv/bin/python tests/bench/instrument [--rate 1000] [--seconds 5] [--turns 4]

Measures over plain routing, then over VXLAN: whoever sends pays for the packet's whole way through
this machine, and a dearer way, the same for all, brings their costs nearer together. Prints RTT
quantiles, CPU per probe on each side and missed send times, without and with a CPU burner per core.
`capture` is one more turn of podbench, seen by taps on the pods' own interfaces and their veth
peers (support/taps.py): the truth about the network, as a lower and an upper bound, beside what
podbench says of the same packets. All others' RTTs contain their own host's time on top of it.
Burners are of another session, as another pod would be. Tools that are not installed are left out
and said.
"""

import argparse
import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.instrument import peers
from support import vxlan_path
from support.taps import Taps, bracket

from podbench.doctor import peers as peer_tools
from podbench.target.lab.isolate import run_isolated
from podbench.wire import fates
from podbench.wire.messages import LatencySession
from podbench_agent.probes.latency.process import ProbeWorker
from podbench_agent.probes.reflector.process import ReflectorWorker

PORTS = 8
Tool = Callable[[float, float, int, Path], list[peers.Result]]


class Podbench:
    """The instrument, started once as an agent starts it."""

    def __init__(self, *, spin: bool) -> None:
        self._spin = spin
        self._first = 1
        with vxlan_path.entered("pb"):
            self._reflector = ReflectorWorker(vxlan_path.POD_B, 8620 + spin)
            self._reflector.start()
        with vxlan_path.entered("pa"):
            self._probe = ProbeWorker()
            self._probe.start()

    def __call__(
        self, rate: float, duration: float, burners: int, folder: Path
    ) -> list[peers.Result]:
        """One turn: the row of the network and the row of what a program feels."""
        del folder
        rows, sender_us, reflector_us = asyncio.run(self._measure(rate, duration))
        name = "podbench" + (" --spin" if self._spin else "")
        period_ns = 1e9 / rate
        late = float(np.mean(np.ma.getdata(rows["late_ns"]) > period_ns / 2))
        return [
            peers.Result(
                tool=f"{name} {label}",
                burners=burners,
                rtt_ns=peer_tools.quantiles(np.ma.compressed(rows[column])),
                sender_cpu_us=sender_us,
                reflector_cpu_us=reflector_us,
                missed_ratio=late,
            )
            for label, column in (("kernel", "rtt_kernel_ns"), ("app", "rtt_app_ns"))
        ]

    async def _measure(self, rate: float, duration: float) -> tuple[dict[str, Any], float, float]:
        first = self._first
        self._first += PORTS
        ids = tuple(range(first, first + PORTS))
        await self._reflector.admit(ids)
        before = int((await self._reflector.counters())["cpu_ns"])
        session = LatencySession(
            session_id=first,
            peer_address=vxlan_path.POD_B,
            peer_port=self._reflector.port,
            source_ports=PORTS,
            rate_pps=rate,
            duration_s=duration,
            spin=self._spin,
        )
        sender = (await self._probe.measure((session,)))[first]
        after = int((await self._reflector.counters())["cpu_ns"])
        log, _ = await self._reflector.collect(ids)
        n = len(sender["seq"])
        cpu = float(self._probe.facts["cpu_us_per_probe"])
        return dict(fates.resolve(sender, log)), cpu, (after - before) / n / 1000

    def captured(
        self, rate: float, duration: float, burners: int, folder: Path
    ) -> list[peers.Result]:
        """One turn beside captures: the truth about the network, and podbench's word on it."""
        taps = Taps(folder)
        taps.start()
        rows, _, _ = asyncio.run(self._measure(rate, duration))
        lower, upper, seen = bracket(rows, taps.stop())
        seen &= ~np.ma.getmaskarray(rows["rtt_kernel_ns"])
        told = np.ma.getdata(rows["rtt_kernel_ns"])
        return [
            peers.Result(
                tool=f"capture: {label}",
                burners=burners,
                rtt_ns=peer_tools.quantiles(values[seen]),
            )
            for label, values in (
                ("lower bound", lower), ("podbench kernel", told), ("upper bound", upper)
            )
        ]  # fmt: skip

    def stop(self) -> None:
        """Ends both processes."""
        self._probe.stop()
        self._reflector.stop()


def _alone(tool: Callable[[peer_tools.Ends, float, float, Path], peer_tools.Seen]) -> Tool:
    return lambda rate, duration, burners, folder: [
        peers.under(burners, tool(peers.ENDS, rate, duration, folder))
    ]


def render(results: list[peers.Result]) -> str:
    """The table: medians over the turns of each tool and noise, missed send times of all."""
    lines = [
        f"burners  {'tool':25} RTT µs p50      p99     p99.9   CPU µs/probe sender"
        "  reflector   missed sends"
    ]
    for burners in sorted({r.burners for r in results}):
        for tool in sorted({r.tool for r in results}):
            mine = [r for r in results if (r.tool, r.burners) == (tool, burners)]
            rtt = np.median([r.rtt_ns for r in mine if r.rtt_ns], axis=0) / 1000
            cells = [
                _median([getattr(r, field) for r in mine])
                for field in ("sender_cpu_us", "reflector_cpu_us")
            ]
            numbers = [f"{'-' if c is None else format(c, '.1f'):>10}" for c in cells]
            missed = "-" if mine[0].missed_ratio is None else f"{_missed(mine):.2%}"
            lines.append(
                f"{burners:7d}  {tool:25} {rtt[0]:10.1f} {rtt[1]:10.1f} {rtt[2]:10.1f}"
                f"          {numbers[0]} {numbers[1]}   {missed:>10}"
            )
    return "\n".join(lines)


def _median(values: list[float | None]) -> float | None:
    there = [v for v in values if v is not None]
    return float(np.median(there)) if there else None


def verdict(results: list[peers.Result]) -> str:
    """The goals: cost and missed send times against irtt's, turn by turn, and those of --spin."""
    lines = []
    for burners in sorted({r.burners for r in results}):
        beside = [r for r in results if r.burners == burners]
        ours = [r for r in beside if r.tool == "podbench app"]
        theirs = [r for r in beside if r.tool == "irtt"]
        spinning = [r for r in beside if r.tool == "podbench --spin app"]
        if ours and theirs:
            ratios = np.array(_both_ends_us(ours)) / np.array(_both_ends_us(theirs))
            missed = _missed(theirs)
            lines.append(
                f"{burners} burners: CPU per probe, both ends, "
                f"{np.median(_both_ends_us(ours)):.1f} against irtt's "
                f"{np.median(_both_ends_us(theirs)):.1f} µs; turn by turn "
                f"{np.median(ratios):.2f} ({ratios.min():.2f}-{ratios.max():.2f}, goal 0.40); "
                f"sent late {_missed(ours):.2%} against {missed:.2%} missed "
                f"(goal a twentieth: {missed / 20:.2%})"
            )
        if spinning:
            lines.append(
                f"{burners} burners: --spin sent late {_missed(spinning):.2%} (goal 0.10%), "
                f"{np.median(_both_ends_us(spinning)):.1f} µs of CPU per probe, both ends"
            )
    return "\n".join(lines)


def _both_ends_us(turns: list[peers.Result]) -> list[float]:
    return [(r.sender_cpu_us or 0) + (r.reflector_cpu_us or 0) for r in turns]


def _missed(turns: list[peers.Result]) -> float:
    """Of all probes: turns have equally many, and a median would hide what is rare."""
    return float(np.mean([r.missed_ratio or 0 for r in turns]))


def burn(count: int) -> list["subprocess.Popen[bytes]"]:
    """CPU burners, ended by the caller, else with the namespaces' first process."""
    code = "while True: pass"
    command = [sys.executable, "-c", code]
    return [subprocess.Popen(command, start_new_session=True) for _ in range(count)]


def measure(options: argparse.Namespace, folder: Path) -> list[peers.Result]:
    """All turns over one path."""
    sleeping, spinning = Podbench(spin=False), Podbench(spin=True)
    tools: dict[str, Tool] = {name: _alone(tool) for name, tool in peer_tools.TOOLS.items()}
    tools |= {
        "podbench": sleeping,
        "podbench --spin": spinning,
        "capture": sleeping.captured,
    }
    tools = {name: tools[name] for name in _installed(options.tools.split(","))}
    rng = random.Random(options.seed)
    results: list[peers.Result] = []
    for burners in (0, os.cpu_count() or 1):
        burning = burn(burners)
        for _ in range(options.turns):
            for name in rng.sample(sorted(tools), len(tools)):
                time.sleep(0.3)
                results += tools[name](options.rate, options.seconds, burners, folder)
        for process in burning:
            process.kill()
            process.wait()
    sleeping.stop()
    spinning.stop()
    return results


def _installed(names: list[str]) -> list[str]:
    """Those of the tools that this machine has; says which it lacks."""
    programs = {"capture": "tcpdump"} | {name: name for name in peer_tools.TOOLS}
    lacking = [name for name in names if name in programs and not shutil.which(programs[name])]
    for name in lacking:
        print(f"{programs[name]} is not installed: {name} is left out")
    return [name for name in names if name not in lacking]


def main() -> int:
    """Measures in private namespaces; for each path prints a table and its verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--paths", default="routed,vxlan")
    parser.add_argument("--tools", default="podbench,podbench --spin,capture,irtt,sockperf,ping")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path("/run/instrument")

    def over(path: str) -> Callable[[], int]:
        def inside() -> int:
            folder.mkdir()
            vxlan_path.with_default_buffers()
            vxlan_path.build(vxlan=path == "vxlan")
            results = measure(options, folder)
            print(f"{path}:\n{render(results)}\n{verdict(results)}", flush=True)
            return 0

        return inside

    return max(run_isolated(over(path)) for path in options.paths.split(","))


if __name__ == "__main__":
    sys.exit(main())
