"""Samples host counters during measurements: differences between ticks, on the samples' clock.

One thread that wakes ten times a second and reads a dozen small files. It shares the interpreter
with the agent's event loop, which is idle while a round measures, and with no probe: those are
processes of their own. Columns are those of store/schemas.py HOST; absent sources are masked.
"""

import threading
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from podbench.model.errors import ProbeError
from podbench.wire.columns import Column, Table
from podbench_agent import procfs

PERIOD_MIN_S = 0.02
"""/proc/stat counts in 10 ms ticks: faster sampling only shows that grid."""
DESCENT_EVERY_S = 1.0
"""Interval between scans for the processes of the probes."""
U32 = 0xFFFF_FFFF

_RATIOS = {
    "cpu_user_ratio": ("user", "nice"),
    "cpu_system_ratio": ("system",),
    "cpu_irq_ratio": ("irq",),
    "cpu_softirq_ratio": ("softirq",),
    "cpu_steal_ratio": ("steal",),
    "cpu_iowait_ratio": ("iowait",),
    "cpu_idle_ratio": ("idle",),
}
_SNMP = {
    "udp_rcvbuf_errors": "Udp.RcvbufErrors",
    "udp_in_csum_errors": "Udp.InCsumErrors",
    "tcp_retransmits": "Tcp.RetransSegs",
    "ip_frag_creates": "Ip.FragCreates",
}
_FLOATS = (*_RATIOS, "cpu_busiest_ratio", "cpu_busiest_softirq_ratio")
_INTS = (
    *("mono_ns", "wall_ns", "interval_ns", "cores"),
    *(f"softnet_{name}" for name in procfs.SOFTNET_FIELDS),
    *("cfs_throttled_ns", "runqueue_wait_ns", "psi_cpu_some_ns", *_SNMP, "conntrack_count"),
)

Row = dict[str, int | float | None]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All counters at one moment, as running totals."""

    mono_ns: int
    wall_ns: int
    cpus: dict[int, procfs.Counts]
    softnet: procfs.Counts | None
    snmp: dict[str, int]
    psi_some_ns: int | None
    throttled_ns: int | None
    waits_ns: dict[int, int]
    """Run-queue wait by process."""
    conntrack: int | None


def _text(path: str) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError:  # absent, or psi switched off: then there is nothing to tell
        return ""


def own_pid() -> int:
    """Returns this process's ID in /proc: the lab's agents see the machine's /proc."""
    return int(Path("/proc/self").readlink().name)


def descendants(roots: Iterable[int]) -> list[int]:
    """Returns all descendants; empty if the kernel does not list children."""
    found: list[int] = []
    rest = list(roots)
    while rest:
        pid = rest.pop()
        children = [int(child) for child in _text(f"/proc/{pid}/task/{pid}/children").split()]
        found += children
        rest += children
    return found


def cpu_stat_path() -> str | None:
    """Returns cpu.stat of our cgroup; None if missing or without throttling."""
    for path in procfs.cpu_stat_paths(_text("/proc/self/cgroup")):
        if procfs.throttled_ns(_text(path)) is not None:
            return path
    return None


def snapshot(pids: Iterable[int], cpu_stat: str | None) -> Snapshot:
    """Reads all counters once; takes about 0.5 ms."""
    conntrack = _text("/proc/sys/net/netfilter/nf_conntrack_count").strip()
    waits = {pid: procfs.run_queue_wait_ns(_text(f"/proc/{pid}/schedstat")) for pid in pids}
    return Snapshot(
        mono_ns=time.monotonic_ns(),
        wall_ns=time.time_ns(),
        cpus=procfs.cpu_ticks(_text("/proc/stat")),
        softnet=procfs.softnet(_text("/proc/net/softnet_stat")),
        snmp=procfs.snmp(_text("/proc/net/snmp")),
        psi_some_ns=procfs.psi_some_ns(_text("/proc/pressure/cpu")),
        throttled_ns=procfs.throttled_ns(_text(cpu_stat)) if cpu_stat else None,
        waits_ns={pid: wait for pid, wait in waits.items() if wait is not None},
        conntrack=int(conntrack) if conntrack else None,
    )


def _since(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


def _cpu(now: Snapshot, before: Snapshot) -> Row:
    shared = now.cpus.keys() & before.cpus.keys()
    # iowait and idle may run backwards (proc(5)); a negative share says nothing.
    ticks = [np.maximum(now.cpus[cpu] - before.cpus[cpu], 0) for cpu in shared]
    ticks = [tick for tick in ticks if tick.sum()]
    if not ticks:
        return dict.fromkeys(_FLOATS)
    at = {name: place for place, name in enumerate(procfs.STAT_FIELDS)}
    per_cpu = np.array(ticks)
    whole, total = per_cpu.sum(axis=0), per_cpu.sum()
    row: Row = {
        column: float(sum(whole[at[name]] for name in names) / total)
        for column, names in _RATIOS.items()
    }
    shares = per_cpu / per_cpu.sum(axis=1, keepdims=True)
    row["cpu_busiest_ratio"] = float(1 - (shares[:, at["idle"]] + shares[:, at["iowait"]]).min())
    row["cpu_busiest_softirq_ratio"] = float(shares[:, at["softirq"]].max())
    return row


def _softnet(now: Snapshot, before: Snapshot) -> Row:
    names = [f"softnet_{name}" for name in procfs.SOFTNET_FIELDS]
    if now.softnet is None or before.softnet is None or now.softnet.shape != before.softnet.shape:
        return dict.fromkeys(names)  # a CPU came or went: the lines no longer match
    # The kernel's counters are 32 bits wide and wrap.
    deltas = ((now.softnet - before.softnet) & U32).sum(axis=0)
    return dict(zip(names, (int(delta) for delta in deltas), strict=True))


def _waited_ns(now: Snapshot, before: Snapshot) -> int | None:
    """Returns the run-queue wait since the last tick; a new process adds its total."""
    if not now.waits_ns:
        return None
    return sum(wait - before.waits_ns.get(pid, 0) for pid, wait in now.waits_ns.items())


def difference(now: Snapshot, before: Snapshot) -> Row:
    """Returns one row: the differences between two snapshots."""
    row: Row = {
        "mono_ns": now.mono_ns,
        "wall_ns": now.wall_ns,
        "interval_ns": now.mono_ns - before.mono_ns,
        "cores": len(now.cpus) or None,
        "cfs_throttled_ns": _since(now.throttled_ns, before.throttled_ns),
        "runqueue_wait_ns": _waited_ns(now, before),
        "psi_cpu_some_ns": _since(now.psi_some_ns, before.psi_some_ns),
        "conntrack_count": now.conntrack,
    }
    for column, key in _SNMP.items():
        row[column] = _since(now.snmp.get(key), before.snmp.get(key))
    return row | _cpu(now, before) | _softnet(now, before)


def _column(rows: list[Row], name: str) -> Column:
    values = [row[name] for row in rows]
    mask = np.array([value is None for value in values], dtype=bool)
    kind = np.float64 if name in _FLOATS else np.int64
    return np.ma.MaskedArray(
        np.array([0 if value is None else value for value in values], dtype=kind), mask=mask
    )


def table(rows: list[Row]) -> Table:
    """Returns the rows as columns of `host`, without run, block and node."""
    return {name: _column(rows, name) for name in (*_INTS, *_FLOATS)}


class Counters:
    """The sampling thread and its rows."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._enough = threading.Event()
        self._lock = threading.Lock()
        self._rows: list[Row] = []

    def start(self, period_s: float, pids: Iterable[int] = ()) -> None:
        """Starts sampling with no rows; stops an earlier thread.

        Raises:
            ProbeError: The period is shorter than the kernel's own grid.
        """
        if period_s < PERIOD_MIN_S:
            raise ProbeError(f"counters every {period_s:g} s: at least {PERIOD_MIN_S:g} s apart")
        self.stop()
        self._rows = []
        self._enough = threading.Event()
        roots = (own_pid(), *pids)
        self._thread = threading.Thread(
            target=self._run, args=(self._enough, period_s, roots), name="counters", daemon=True
        )
        self._thread.start()

    def _run(self, enough: threading.Event, period_s: float, roots: tuple[int, ...]) -> None:
        cpu_stat = cpu_stat_path()
        pids = descendants(roots)
        looked = due = time.monotonic()
        before = snapshot(pids, cpu_stat)
        while True:
            # A tick that was missed is not made up for: the next row simply covers more time.
            due = max(due + period_s, time.monotonic())
            if enough.wait(due - time.monotonic()):
                return
            if due - looked >= DESCENT_EVERY_S:
                pids, looked = descendants(roots), due
            now = snapshot(pids, cpu_stat)
            row = difference(now, before)
            before = now
            with self._lock:
                self._rows.append(row)

    def collect(self, *, stop: bool) -> Table:
        """Returns the rows since the last call; continues or stops.

        Raises:
            ProbeError: Counting was not started.
        """
        if self._thread is None:
            raise ProbeError("host counters were not started")
        if stop:
            self.stop()
        with self._lock:
            rows, self._rows = self._rows, []
        return table(rows)

    def stop(self) -> None:
        """Stops the thread; idempotent."""
        self._enough.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
