"""Checks of this machine for a run on the lab: one small function per check.

A check reports what it found, what that is needed for, and how to fix it; `checks.exit_code`
combines them. `lab` tries what needs a private namespace, `instrument` measures the instrument.
Nothing is printed or changed here.
"""

import ctypes
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from podbench.doctor import modules
from podbench.doctor.checks import Check, Need
from podbench.model.units import show_ratio
from podbench.transport import children
from podbench.wire import buffers

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
CLOCKSOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")

OLDEST_IPERF3 = (3, 12)
"""The oldest tested version: Debian 12's."""
THREAD_CRASHES = ((3, 16), (3, 17))
"""iperf3 has one thread per stream since 3.16; crashes in it were fixed in 3.18."""
SLOW_CLOCKS = {"hpet", "acpi_pm", "jiffies", "refined-jiffies"}
"""A read of one of these leaves the vDSO and takes 1 µs or more; others take some 50 ns."""
RECEIVE_BUFFER_BYTES = buffers.PROBE_BYTES
"""What a probe asks for (docs/limitations.md): stamps are charged to the same buffer as replies."""
DISK_BYTES = 500 * 1024 * 1024
"""A run of three minutes writes some 20 MB; this leaves room for long ones."""
MEMORY_BYTES = 1024 * 1024 * 1024
"""Twelve agents (three nodes, three modes and the node itself) at up to 80 MB."""
MUCH_STEAL_RATIO = 0.02
TIME_ERROR, STA_UNSYNC = 5, 0x40
"""linux/timex.h: the clock is not synchronised, by its state or its status."""


def machine() -> str:
    """This machine in one line: kernel, CPUs, user."""
    who = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    cores = len(os.sched_getaffinity(0))
    return f"{platform.system()} {platform.release()}, {platform.machine()}, {cores} CPUs, {who}"


def host_checks() -> list[Check]:
    """All checks that create nothing."""
    return [
        python(),
        iperf3(),
        bird(),
        mosquitto(),
        program("ip", "iproute2", "the lab"),
        cores(),
        throttling(),
        steal(),
        clock_source(),
        receive_buffer(),
        congestion_control(),
        *modules.module_checks(),
        memory(),
        disk(Path.cwd()),
    ]


def python() -> Check:
    """This interpreter."""
    return Check(
        name="Python",
        ok=sys.version_info >= (3, 11),
        found=f"{platform.python_version()} at {sys.executable}",
        needed_for="podbench itself (3.11 or newer)",
        need=Need.RUN,
        advice="set PODBENCH_PYTHON to a newer one and call scripts/bench again",
    )


def iperf3() -> Check:
    """The iperf3 program and its version; `lab` tries its JSON output."""
    text = _version_text("iperf3", "--version")
    version = parse_version(text)
    ok: bool | None = text is not None
    found = text or "not installed"
    if version is not None and version < OLDEST_IPERF3:
        ok, found = None, f"{text}: older than 3.12, untested"
    elif version is not None and version in THREAD_CRASHES:
        ok, found = False, f"{text}: crashes with several streams, fixed in 3.18"
    return Check(
        name="iperf3",
        ok=ok,
        found=found,
        needed_for="throughput",
        need=Need.RUN,
        package="iperf3",
    )


def bird() -> Check:
    """The BIRD routing daemon, major version 2 (Calico ships 1 or 2)."""
    text = _version_text("bird", "--version")
    version = parse_version(text)
    ok: bool | None = version is not None and version[0] >= 2
    found = text or "not installed"
    if version is not None and version[0] > 2:
        ok, found = None, f"{text}: newer than 2, untested"
    return Check(
        name="BIRD",
        ok=ok,
        found=found,
        needed_for="BGP routes (version 2)",
        need=Need.RUN,
        package="bird2",
    )


def mosquitto() -> Check:
    """The MQTT broker; 2.0 is the first version that listens on a Unix socket."""
    text = _version_text("mosquitto", "-h")
    version = parse_version(text)
    return Check(
        name="mosquitto",
        ok=version is not None and version >= (2, 0),
        found=text or "not installed",
        needed_for="the control channel (version 2.0 or newer)",
        need=Need.RUN,
        package="mosquitto",
    )


def program(name: str, package: str, needed_for: str) -> Check:
    """A program in any version."""
    path = _find(name)
    return Check(
        name=name,
        ok=path is not None,
        found=path or "not installed",
        needed_for=needed_for,
        need=Need.RUN,
        package=package,
    )


def cores() -> Check:
    """The number of CPUs this process may use."""
    count = len(os.sched_getaffinity(0))
    return Check(
        name="CPUs",
        ok=count >= 2,
        found=str(count),
        needed_for="sender and reflector that run concurrently",
        need=Need.ADVICE,
        advice="with one CPU both ends of a probe take turns: expect a high rtt_app_ns",
    )


def throttling() -> Check:
    """Whether a CPU quota can throttle this process's control group."""
    limits = [limit for folder in _own_cgroups() if (limit := _quota_cores(folder)) is not None]
    count = len(os.sched_getaffinity(0))
    quota = min(limits, default=None)
    found = "no quota" if quota is None else f"quota of {quota:g} CPUs out of {count}"
    return Check(
        name="CPU quota",
        ok=quota is None or quota >= count,
        found=found,
        needed_for="network latency: a throttled probe looks like jitter",
        need=Need.ADVICE,
        advice="run outside the container, or without a CPU limit",
    )


def steal() -> Check:
    """The share of CPU time that the hypervisor gave to other guests since boot."""
    ratio = steal_ratio(_read(PROC / "stat") or "")
    return Check(
        name="CPU steal",
        ok=None if ratio is None else ratio < MUCH_STEAL_RATIO,
        found="not reported by this kernel" if ratio is None else f"{show_ratio(ratio)} since boot",
        needed_for="network latency",
        need=Need.ADVICE,
        advice="use a machine that is not overcommitted; the report plots steal with latency",
    )


def clock_source() -> Check:
    """The clock source of the kernel."""
    name = _read(CLOCKSOURCE)
    return Check(
        name="clock source",
        ok=None if name is None else name not in SLOW_CLOCKS,
        found=name or "not reported by this kernel",
        needed_for="send times accurate to 0.1 µs",
        need=Need.ADVICE,
        advice="boot with a faster one if the machine has it (tsc, kvm-clock, arch_sys_counter)",
    )


def clock_sync() -> Check:
    """Whether the kernel considers its clock synchronised, and its error bound; adjtimex(2)."""
    state = timex()
    found = "not reported by this kernel"
    if state is not None:
        found = f"synchronised, error bound {state.most_error_us / 1000:.3g} ms"
        found = found if state.synchronised else "not synchronised"
    return Check(
        name="clock",
        ok=None if state is None else state.synchronised,
        found=found,
        needed_for="report times that match the cluster's logs",
        need=Need.ADVICE,
        advice="run an NTP client (chrony, systemd-timesyncd)",
    )


def receive_buffer() -> Check:
    """The receive buffer that a probe gets here, requested the way agents request it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        granted = buffers.widen(sock, RECEIVE_BUFFER_BYTES)
    limit = _read(PROC / "sys/net/core/rmem_max") or "unknown"
    return Check(
        name="socket buffer",
        ok=granted >= RECEIVE_BUFFER_BYTES,
        found=f"{granted} of {RECEIVE_BUFFER_BYTES} octets; net.core.rmem_max is {limit}",
        needed_for="high probe rates without drops in our own sockets",
        need=Need.ADVICE,
        advice=f"sudo sysctl -w net.core.rmem_max={RECEIVE_BUFFER_BYTES}",
    )


def congestion_control() -> Check:
    """Whether TCP has cubic, which transfers pin so that runs are comparable."""
    text = _read(PROC / "sys/net/ipv4/tcp_available_congestion_control")
    return Check(
        name="TCP cubic",
        # The list holds what is loaded; root's request may still load it.
        ok=True if "cubic" in (text or "").split() else None,
        found="unknown" if text is None else f"loaded: {text}",
        needed_for="the same congestion control on every machine",
        need=Need.ADVICE,
        advice="sudo modprobe tcp_cubic; else the kernel's default is used and recorded",
    )


def memory() -> Check:
    """Available memory."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", _read(PROC / "meminfo") or "", re.MULTILINE)
    available = int(match.group(1)) * 1024 if match else None
    return Check(
        name="memory",
        ok=None if available is None else available >= MEMORY_BYTES,
        found="unknown" if available is None else f"{available / 2**30:.1f} GiB available",
        needed_for="twelve agents and the analysis",
        need=Need.ADVICE,
        advice="use fewer nodes: --nodes 2",
    )


def disk(folder: Path) -> Check:
    """Free space for a run directory below a folder."""
    free = shutil.disk_usage(folder).free
    return Check(
        name="disk",
        ok=free >= DISK_BYTES,
        found=f"{free / 2**30:.1f} GiB free in {folder}",
        needed_for="the samples",
        need=Need.ADVICE,
        advice="choose another disk with --out",
    )


class Timex(NamedTuple):
    """The kernel's own view of its clock."""

    synchronised: bool
    most_error_us: int


class _Timex(ctypes.Structure):
    """The beginning of struct timex (linux/timex.h), and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def timex() -> Timex | None:
    """Reads the clock's state without changing it (`modes` 0); null where refused."""
    found = _Timex()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(found))
    if state < 0:
        return None
    return Timex(state != TIME_ERROR and not found.status & STA_UNSYNC, int(found.maxerror))


def parse_version(text: str | None) -> tuple[int, int] | None:
    """Major and minor number of the first version in a line; null where there is none."""
    match = re.search(r"(\d+)\.(\d+)", text or "")
    return (int(match.group(1)), int(match.group(2))) if match else None


def steal_ratio(stat: str) -> float | None:
    """Steal's share of all CPU time in the text of /proc/stat (proc_stat(5)); null where absent."""
    match = re.search(r"^cpu +(.+)$", stat, re.MULTILINE)
    if match is None:
        return None
    # guest and guest_nice (from the ninth on) are already in user and nice
    ticks = [int(field) for field in match.group(1).split()[:8]]
    total = sum(ticks)
    return ticks[7] / total if len(ticks) == 8 and total else None


def _own_cgroups() -> list[Path]:
    """Folders of this process's control group and those above it, both hierarchies."""
    found: list[Path] = []
    for line in (_read(PROC / "self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for base in [CGROUPS, CGROUPS / "unified"] if not controllers else [CGROUPS / "cpu"]:
            if controllers and "cpu" not in controllers.split(","):
                continue
            leaf = base / path.lstrip("/")
            found += [leaf, *(p for p in leaf.parents if p == base or base in p.parents)]
    return found


def _quota_cores(folder: Path) -> float | None:
    """CPUs a control group may use; null: no limit. Source: cgroup-v2.rst, sched-bwc.rst."""
    words = (_read(folder / "cpu.max") or "").split()
    if len(words) != 2:
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        words = [quota, period] if quota and period else []
    if not words or words[0] in {"max", "-1"}:
        return None
    return int(words[0]) / int(words[1])


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _find(name: str) -> str | None:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *children.SYSTEM_PATHS])
    return shutil.which(name, path=path)


def _version_text(name: str, option: str) -> str | None:
    """The first line a program says about itself; null where it is absent or does not start."""
    path = _find(name)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, option], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else None
