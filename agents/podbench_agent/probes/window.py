"""What a node's CPUs and this namespace's interfaces did over a window of a load step.

Busy CPU is the window's length minus idle minus steal, summed over CPUs: a kernel that stops its
tick while idle (CONFIG_NO_HZ_IDLE) measures idle time itself, so softirq work that is shorter than
a tick counts, unlike in the tick counters of `user`, `system` and `softirq`. I/O wait is idle time.
Time stolen by the hypervisor is neither: a neighbour's theft is not the overlay's price. Nothing is
clipped. The counters' unit is 10 ms a CPU (USER_HZ), 2 % of a CPU over half a second.

Reading the files is done here, and only twice a window; what they mean is `procfs`'s business.
"""

import asyncio
import os
import time
from pathlib import Path

import msgspec
import numpy as np

from podbench.model.errors import ProbeError
from podbench.wire import messages
from podbench_agent import procfs

TICKLESS, TICKS = "idle", "ticks"
"""How busy CPU was measured: from idle time, or from tick counters (`nohz=off`)."""
LOOPBACK = "lo"


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Running totals at one moment."""

    mono_ns: int
    cpus: dict[int, procfs.Counts]
    devices: dict[str, procfs.Traffic]


def moment() -> Moment:
    """Reads everything once; about 0.2 ms."""
    stat = _text("/proc/stat")
    mono_ns = time.monotonic_ns()
    return Moment(
        mono_ns=mono_ns,
        cpus=procfs.cpu_ticks(stat),
        devices=procfs.device_traffic(_text("/proc/net/dev")),
    )


def method(command_line: str) -> str:
    """`idle` where the kernel measures idle time, `ticks` where its tick never stops.

    Every distribution's kernel is tickless while idle; only the boot parameter takes that away.
    """
    return TICKS if "nohz=off" in command_line.split() else TICKLESS


Facts = dict[str, str | int | float | bool | None]


def between(start: Moment, end: Moment) -> Facts:
    """Facts of the window between two moments.

    Raises:
        ProbeError: The kernel lists no CPU that was there all along.
    """
    shared = sorted(start.cpus.keys() & end.cpus.keys())
    length_s = (end.mono_ns - start.mono_ns) / 1e9
    if not shared or length_s <= 0.0:
        raise ProbeError("/proc/stat lists no CPU: busy CPU cannot be measured")
    at = {name: place for place, name in enumerate(procfs.STAT_FIELDS)}
    spent = np.array([end.cpus[cpu] - start.cpus[cpu] for cpu in shared]) / os.sysconf("SC_CLK_TCK")
    idle_s = spent[:, at["idle"]] + spent[:, at["iowait"]]
    busy_s = length_s - idle_s - spent[:, at["steal"]]
    traffic = _traffic(start, end)
    return {
        "duration_s": length_s,
        "cores": len(shared),
        "busy_cores": float(busy_s.sum()) / length_s,
        "steal_cores": float(spent[:, at["steal"]].sum()) / length_s,
        "busiest_cpu_ratio": float(busy_s.max()) / length_s,
        "busy_method": method(_text("/proc/cmdline")),
        "start_mono_ns": start.mono_ns,
        **traffic,
    }


def _traffic(start: Moment, end: Moment) -> dict[str, int]:
    """Octets and packets through this namespace's interfaces, loopback left out."""
    total = procfs.Traffic()
    for name, now in end.devices.items():
        before = start.devices.get(name, procfs.Traffic())
        if name != LOOPBACK:
            total = total.plus(now.minus(before))
    return msgspec.structs.asdict(total)


async def watch(command: messages.WatchLoad) -> messages.Done:
    """Waits, then reads the counters at both ends of the window.

    Raises:
        ProbeError: The kernel does not tell.
    """
    await asyncio.sleep(command.start_after_s)
    start = await asyncio.to_thread(moment)
    await asyncio.sleep(max(0.0, command.duration_s - (time.monotonic_ns() - start.mono_ns) / 1e9))
    end = await asyncio.to_thread(moment)
    return messages.Done(facts=between(start, end))


def _text(path: str) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError:  # a kernel without it tells nothing
        return ""
