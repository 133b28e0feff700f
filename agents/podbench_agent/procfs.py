"""Parses the kernel's text files: pure functions from text to numbers, None if missing.

Reading the files and taking differences is `host`'s business. Sources: proc(5), the kernel's
Documentation/filesystems/proc.rst, Documentation/accounting/psi.rst, net/core/net-procfs.c.
"""

import msgspec
import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

STAT_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""The first eight of a `cpu` line; the guest fields after them are already in user and nice."""
SOFTNET_FIELDS = ("processed", "dropped", "squeezed")
NS_PER_US = 1000


def cpu_ticks(stat: str) -> dict[int, Counts]:
    """Clock ticks by CPU number from /proc/stat, in the order of `STAT_FIELDS`."""
    ticks = {}
    for line in stat.splitlines():
        name, *values = line.split()
        if name.startswith("cpu") and name != "cpu" and len(values) >= len(STAT_FIELDS):
            ticks[int(name[3:])] = np.array(values[: len(STAT_FIELDS)], dtype=np.int64)
    return ticks


def softnet(text: str) -> Counts | None:
    """Returns `SOFTNET_FIELDS` per CPU (row), from /proc/net/softnet_stat.

    The columns are hexadecimal 32-bit counters; old kernels have 9 or 11, newer ones up to 15.
    """
    lines = [line.split()[: len(SOFTNET_FIELDS)] for line in text.splitlines()]
    if not lines or any(len(line) < len(SOFTNET_FIELDS) for line in lines):
        return None
    return np.array([[int(value, 16) for value in line] for line in lines], dtype=np.int64)


def snmp(text: str) -> dict[str, int]:
    """`Tcp.RetransSegs` and the like from /proc/net/snmp: a line of names, then one of values."""
    lines = text.splitlines()
    found: dict[str, int] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        protocol, _, keys = names.partition(":")
        found |= {
            f"{protocol}.{key}": int(value)
            for key, value in zip(keys.split(), values.partition(":")[2].split(), strict=False)
        }
    return found


def snmp6(text: str) -> dict[str, int]:
    """`Udp6InCsumErrors` and the like from /proc/net/snmp6: a name and a value per line."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Octets and packets of an interface, as running totals or over a window."""

    rx_bytes: int = 0
    rx_packets: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0

    def plus(self, other: "Traffic") -> "Traffic":
        """Returns the sum."""
        return Traffic(**{f: getattr(self, f) + getattr(other, f) for f in self.__struct_fields__})

    def minus(self, other: "Traffic") -> "Traffic":
        """Returns the difference to `other`."""
        return Traffic(**{f: getattr(self, f) - getattr(other, f) for f in self.__struct_fields__})


def device_traffic(text: str) -> dict[str, Traffic]:
    """Totals by interface from /proc/net/dev: eight received columns, then eight sent ones."""
    found = {}
    for line in text.splitlines():
        name, colon, numbers = line.partition(":")
        values = numbers.split()
        if colon and len(values) >= 16:
            found[name.strip()] = Traffic(
                rx_bytes=int(values[0]),
                rx_packets=int(values[1]),
                tx_bytes=int(values[8]),
                tx_packets=int(values[9]),
            )
    return found


def psi_some_ns(text: str) -> int | None:
    """Returns how long some task waited, ns, from /proc/pressure/cpu; None if psi is off."""
    for line in text.splitlines():
        kind, *fields = line.split()
        for field in fields:
            name, _, value = field.partition("=")
            if kind == "some" and name == "total":
                return int(value) * NS_PER_US
    return None


def run_queue_wait_ns(schedstat: str) -> int | None:
    """Time spent waiting to run, ns: the second field of /proc/<pid>/schedstat."""
    fields = schedstat.split()
    return int(fields[1]) if len(fields) >= 2 else None


def throttled_ns(cpu_stat: str) -> int | None:
    """Time a cgroup was throttled, ns, from cpu.stat: v2 `throttled_usec`, v1 `throttled_time`."""
    fields = dict(
        line.split(maxsplit=1) for line in cpu_stat.splitlines() if len(line.split()) == 2
    )
    if "throttled_usec" in fields:
        return int(fields["throttled_usec"]) * NS_PER_US
    if "throttled_time" in fields:
        return int(fields["throttled_time"])
    return None


def cpu_stat_paths(cgroup: str) -> list[str]:
    """Returns possible paths of a process's cpu.stat, most likely first, from /proc/self/cgroup.

    v1 mounts the controllers by name or by their list; v2 is at the top, or at `unified` where both
    exist. In a container the path in /proc/self/cgroup is not always visible: then the top is ours.
    """
    paths: list[str] = []
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        mounts = []
        if "cpu" in controllers.split(","):
            mounts = [f"/sys/fs/cgroup/{controllers}", "/sys/fs/cgroup/cpu"]
        elif not controllers:
            mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        for mount in dict.fromkeys(mounts):
            paths += [f"{mount}{path.rstrip('/')}/cpu.stat", f"{mount}/cpu.stat"]
    return list(dict.fromkeys(paths))
