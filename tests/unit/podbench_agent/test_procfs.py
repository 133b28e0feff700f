"""The kernel's text files, as recorded on kernels of several ages."""

import numpy as np
import pytest

from podbench_agent import procfs

STAT = """\
cpu  6060 0 2836 342651 325 0 44 8 0 0
cpu0 905 10 922 174083 20 1 10 2 3 4
cpu1 5154 0 1914 168567 305 0 33 6 0 0
intr 198640 0 0
ctxt 390042
"""
SOFTNET_15 = """\
0000000d 00000000 00000002 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 \
00000000 00000000 00000000 00000000
00001914 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 \
00000000 00000001 00000000 00000000
"""
SOFTNET_11 = (
    "0000a3f1 00000004 0000001f 00000000 00000000 00000000 00000000 00000000 00000000 00000000 "
    "00000000\n"
)
SNMP = """\
Ip: Forwarding DefaultTTL FragOKs FragFails FragCreates
Ip: 2 64 0 0 17
IcmpMsg: InType3
IcmpMsg: 1
Tcp: RtoAlgorithm MaxConn RetransSegs
Tcp: 1 -1 12
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors
Udp: 39 0 0 40 5 0 6
"""
PSI = """\
some avg10=0.83 avg60=1.14 avg300=0.36 total=7248045
full avg10=0.00 avg60=0.00 avg300=0.00 total=9
"""


def test_ticks_are_per_cpu() -> None:
    """The sum line is left out, and so are the guest fields that user already holds."""
    ticks = procfs.cpu_ticks(STAT)

    assert list(ticks) == [0, 1]
    assert dict(zip(procfs.STAT_FIELDS, ticks[0].tolist(), strict=True)) == {
        "user": 905,
        "nice": 10,
        "system": 922,
        "idle": 174083,
        "iowait": 20,
        "irq": 1,
        "softirq": 10,
        "steal": 2,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SOFTNET_15, [[0x0D, 0, 2], [0x1914, 1, 0]]),
        (SOFTNET_11, [[0xA3F1, 4, 0x1F]]),
        ("0000000d 00000000\n", None),
        ("", None),
    ],
)
def test_softnet_lines_of_any_length(text: str, expected: list[list[int]] | None) -> None:
    """15 columns and 11 are read alike; a line too short for the three we want is no answer."""
    read = procfs.softnet(text)

    if expected is None:
        assert read is None
    else:
        np.testing.assert_array_equal(read, expected)


def test_snmp_is_by_name_not_by_place() -> None:
    """Fields are found by their names, negative values included."""
    read = procfs.snmp(SNMP)

    assert read["Ip.FragCreates"] == 17
    assert read["Tcp.RetransSegs"] == 12
    assert read["Tcp.MaxConn"] == -1
    assert read["Udp.RcvbufErrors"] == 5
    assert read["Udp.InCsumErrors"] == 6
    assert procfs.snmp("") == {}


def test_pressure_is_the_total_of_some() -> None:
    """The total in microseconds becomes ns; without psi there is none, not zero."""
    assert procfs.psi_some_ns(PSI) == 7_248_045_000
    assert procfs.psi_some_ns("") is None


def test_run_queue_wait_is_the_second_field() -> None:
    """The file is run time, wait, slices; an empty one says nothing."""
    assert procfs.run_queue_wait_ns("123 456 7\n") == 456
    assert procfs.run_queue_wait_ns("") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("usage_usec 5\nnr_throttled 1\nthrottled_usec 20\n", 20_000),
        ("nr_periods 3\nnr_throttled 1\nthrottled_time 70\n", 70),
        ("usage_usec 5\nuser_usec 5\n", None),
        ("", None),
    ],
)
def test_throttling_of_both_cgroup_versions(text: str, expected: int | None) -> None:
    """Version 2 counts microseconds, 1 nanoseconds; a group without the field is unknown."""
    assert procfs.throttled_ns(text) == expected


def test_cpu_stat_of_version_1_is_with_its_controller() -> None:
    """With v1 the cpu controller's own mount comes first, under its path and then at its top."""
    paths = procfs.cpu_stat_paths("4:memory:/a\n2:cpu,cpuacct:/pod1\n0::/\n")

    assert paths[:3] == [
        "/sys/fs/cgroup/cpu,cpuacct/pod1/cpu.stat",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.stat",
        "/sys/fs/cgroup/cpu/pod1/cpu.stat",
    ]
    assert "/sys/fs/cgroup/cpuacct/cpu.stat" not in paths


def test_cpu_stat_of_version_2_is_below_the_top() -> None:
    """With v2 alone the path is below the mount, and in a container at its top."""
    paths = procfs.cpu_stat_paths("0::/kubepods/pod1\n")

    assert paths[:2] == ["/sys/fs/cgroup/kubepods/pod1/cpu.stat", "/sys/fs/cgroup/cpu.stat"]
    assert procfs.cpu_stat_paths("0::/\n")[0] == "/sys/fs/cgroup/cpu.stat"


def test_traffic_of_interfaces() -> None:
    """Received and sent octets and packets by name; the two head lines are passed over."""
    text = (
        "Inter-|   Receive                            |  Transmit\n"
        " face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs\n"
        "  eth0: 500 5 0 0 0 0 0 0 900 9 0 0 0 0 0 0\n"
        "    lo:12 1 0 0 0 0 0 0 12 1 0 0 0 0 0 0\n"
    )
    found = procfs.device_traffic(text)
    assert set(found) == {"eth0", "lo"}
    assert found["eth0"] == procfs.Traffic(rx_bytes=500, rx_packets=5, tx_bytes=900, tx_packets=9)
    assert found["eth0"].minus(found["lo"]).tx_packets == 8
    assert procfs.device_traffic("") == {}
