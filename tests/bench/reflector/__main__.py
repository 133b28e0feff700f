"""One reflector process and 200 peers at 100 pps each, beside iperf3 at the same size and rate.

    .venv/bin/python tests/bench/reflector [--peers 200] [--rate 100] [--seconds 5] [--turns 3]

Prints the reflector's CPU per datagram answered (one received and one sent), open and with HMAC,
and what iperf3's UDP sender and receiver spend per datagram of the same size at the same rate, in
turn and in random order, over plain routing and over VXLAN. All ends and the path between share one
machine: whoever sends pays for the packet's whole way, which on a wire ends at the interface. CPU
is that of the processes (user and system), as the kernel accounts for it.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from support import vxlan_path

from podbench.doctor import peers
from podbench.target.lab import namespaces
from podbench.target.lab.isolate import run_isolated
from podbench.wire import fates
from podbench.wire.messages import LatencySession
from podbench_agent.probes.latency.process import ProbeWorker
from podbench_agent.probes.reflector.process import ReflectorWorker
from podbench_agent.probes.reflector.rules import Rules

KEY = b"a key of sixteen"
OPEN_BYTES, AUTH_BYTES = 64, 152
IPERF_PORT = 5201
GOAL_CORES = 0.5


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One tool, one turn."""

    tool: str
    payload_bytes: int
    pps: float
    """Datagrams per second of wall time, in the direction the tool pays for."""
    cpu_us: float
    """Per datagram."""
    lost_ratio: float
    dropped_ratio: float | None = None
    """Requests that the reflector's full receive buffer refused, of those sent."""


class Mesh:
    """A reflector in one pod and a sender of many sessions in the other."""

    def __init__(self, key: bytes | None, port: int) -> None:
        self.name = "reflector" if key is None else "reflector, HMAC"
        self._bytes = OPEN_BYTES if key is None else AUTH_BYTES
        with vxlan_path.entered("pb"):
            self._reflector = ReflectorWorker(vxlan_path.POD_B, port, Rules(key=key))
            self._reflector.start()
        with vxlan_path.entered("pa"):
            self._probe = ProbeWorker(key)
            self._probe.start()

    def __call__(self, count: int, rate: float, duration: float) -> list[Row]:
        """One turn."""
        return asyncio.run(self._measure(count, rate, duration))

    async def _measure(self, count: int, rate: float, duration: float) -> list[Row]:
        ids = tuple(range(1, count + 1))
        sessions = [
            LatencySession(
                session_id=ssid,
                peer_address=vxlan_path.POD_B,
                peer_port=self._reflector.port,
                source_ports=1,
                rate_pps=rate,
                duration_s=duration,
                udp_payload_bytes=self._bytes,
                timeout_s=0.5,
            )
            for ssid in ids
        ]
        await self._reflector.admit(ids)
        before = await self._reflector.counters()
        tables = await self._probe.measure(sessions)
        after = await self._reflector.counters()
        log, counters = await self._reflector.collect(ids)
        answered = int(after["answered"]) - int(before["answered"])
        lost = 0
        for ssid in ids:
            mine = log["session_id"] == ssid
            rows = fates.resolve(tables[ssid], {name: column[mine] for name, column in log.items()})
            lost += int((rows["status"] != "ok").sum())
        sent = sum(len(t["seq"]) for t in tables.values())
        took_s = (max(int(t["sent_mono_ns"].max()) for t in tables.values())
                  - min(int(t["sent_mono_ns"].min()) for t in tables.values())) / 1e9  # fmt: skip
        sender_us = float(self._probe.facts["cpu_us_per_probe"])
        common = partial(Row, payload_bytes=self._bytes, pps=sent / took_s, lost_ratio=lost / sent)
        cpu_us = (int(after["cpu_ns"]) - int(before["cpu_ns"])) / answered / 1000
        return [
            common(tool=self.name, cpu_us=cpu_us, dropped_ratio=int(counters["rx_drops"]) / sent),
            common(tool=self.name.replace("reflector", "its sender"), cpu_us=sender_us),
        ]

    def stop(self) -> None:
        """Ends both processes."""
        self._probe.stop()
        self._reflector.stop()


def iperf3(count: int, rate: float, duration: float) -> list[Row]:
    """iperf3's UDP sender and receiver, one stream at the rate of all peers."""
    server = namespaces.spawn(
        "pb",
        ["iperf3", "-s", "-1", "-p", str(IPERF_PORT), "-B", vxlan_path.POD_B],
        output=subprocess.DEVNULL,
    )
    time.sleep(0.5)
    pps = count * rate
    text, cpu = peers.run(
        "pa",
        ["iperf3", "-c", vxlan_path.POD_B, "-p", str(IPERF_PORT), "-u", "-l", str(OPEN_BYTES),
         "-b", f"{pps * OPEN_BYTES * 8:.0f}", "-t", f"{duration:.0f}", "-J"],
        duration,
    )  # fmt: skip
    served = peers.cpu_ns(server)
    total = json.loads(text)["end"]["sum"]
    n = total["packets"]
    common = partial(
        Row,
        payload_bytes=OPEN_BYTES,
        pps=n / total["seconds"],
        lost_ratio=total["lost_packets"] / n,
    )
    return [
        common(tool="iperf3 UDP sender", cpu_us=cpu / n / 1000),
        common(tool="iperf3 UDP receiver", cpu_us=served / n / 1000),
    ]


def render(rows: list[Row], pps: float) -> str:
    """Medians over the turns."""
    lines = [
        f"{'tool':24} octets      pps   CPU µs/datagram   cores at {pps:.0f} pps    lost   no room"
    ]
    for tool in sorted({row.tool for row in rows}):
        mine = [row for row in rows if row.tool == tool]
        cpu = float(np.median([row.cpu_us for row in mine]))
        lines.append(
            f"{tool:24} {mine[0].payload_bytes:6d} {np.median([row.pps for row in mine]):8.0f}"
            f"   {cpu:15.2f}   {cpu * pps / 1e6:17.2f}    "
            f"{np.median([row.lost_ratio for row in mine]):.3%}  {_dropped(mine)}"
        )
    return "\n".join(lines)


def _dropped(rows: list[Row]) -> str:
    there = [row.dropped_ratio for row in rows if row.dropped_ratio is not None]
    return f"{np.median(there):.3%}" if there else "-"


def measure(options: argparse.Namespace) -> list[Row]:
    """All turns over one path."""
    meshes = [Mesh(None, 8620), Mesh(KEY, 8621)]
    tools: list[Callable[[int, float, float], list[Row]]] = [*meshes, iperf3]
    rng = random.Random(options.seed)
    rows: list[Row] = []
    for _ in range(options.turns):
        for tool in rng.sample(tools, len(tools)):
            time.sleep(0.3)
            rows += tool(options.peers, options.rate, options.seconds)
    for mesh in meshes:
        mesh.stop()
    return rows


def main() -> int:
    """Measures in private namespaces; prints one table for each path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=200)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--paths", default="routed,vxlan")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    pps = options.peers * options.rate

    def over(path: str) -> Callable[[], int]:
        def inside() -> int:
            vxlan_path.with_default_buffers()
            vxlan_path.build(vxlan=path == "vxlan")
            rows = measure(options)
            print(f"{path}:\n{render(rows, pps)}", flush=True)
            for row in ("reflector", "reflector, HMAC"):
                cpu = float(np.median([r.cpu_us for r in rows if r.tool == row]))
                cores = cpu * pps / 1e6
                print(f"{row}: {cores:.2f} cores for {options.peers} peers (goal {GOAL_CORES})")
            return 0

        return inside

    return max(run_isolated(over(path)) for path in options.paths.split(","))


if __name__ == "__main__":
    sys.exit(main())
