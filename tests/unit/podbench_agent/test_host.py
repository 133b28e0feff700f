"""Host counters: differences between snapshots, and the sampling thread."""

import msgspec
import numpy as np
import pytest

from podbench.model.errors import ProbeError
from podbench_agent import host, procfs


def ticks(**fields: int) -> procfs.Counts:
    """One CPU's ticks by name."""
    return np.array([fields.get(name, 0) for name in procfs.STAT_FIELDS], dtype=np.int64)


BEFORE = host.Snapshot(
    mono_ns=1_000,
    wall_ns=5_000,
    cpus={0: ticks(), 1: ticks()},
    softnet=np.array([[10, 1, 0], [0xFFFF_FFFE, 0, 3]]),
    snmp={"Udp.RcvbufErrors": 4, "Tcp.RetransSegs": 7},
    psi_some_ns=100,
    throttled_ns=50,
    waits_ns={11: 1_000},
    conntrack=3,
)
NOW = host.Snapshot(
    mono_ns=1_100,
    wall_ns=5_101,
    cpus={0: ticks(user=5, nice=1, idle=4), 1: ticks(softirq=2, steal=1, iowait=3, idle=4)},
    softnet=np.array([[15, 1, 2], [1, 0, 3]]),
    snmp={"Udp.RcvbufErrors": 6, "Tcp.RetransSegs": 7},
    psi_some_ns=130,
    throttled_ns=90,
    waits_ns={11: 1_300, 12: 40},
    conntrack=5,
)


def test_shares_are_of_all_cpus() -> None:
    """Each share is of both CPUs' ticks, and all shares together are the whole."""
    row = host.difference(NOW, BEFORE)

    assert row["cpu_user_ratio"] == pytest.approx(6 / 20)
    assert row["cpu_softirq_ratio"] == pytest.approx(2 / 20)
    assert row["cpu_steal_ratio"] == pytest.approx(1 / 20)
    assert row["cpu_iowait_ratio"] == pytest.approx(3 / 20)
    assert row["cpu_idle_ratio"] == pytest.approx(8 / 20)
    assert sum(row[f"cpu_{n}_ratio"] or 0 for n in (
        "user", "system", "irq", "softirq", "steal", "iowait", "idle"
    )) == pytest.approx(1)  # fmt: skip


def test_busiest_cpu_stands_out() -> None:
    """The busiest CPU is the one least idle; most softirq may be on another."""
    row = host.difference(NOW, BEFORE)

    assert row["cpu_busiest_ratio"] == pytest.approx(0.6)
    assert row["cpu_busiest_softirq_ratio"] == pytest.approx(0.2)
    assert row["cores"] == 2


def test_softnet_counters_wrap_at_32_bits() -> None:
    """A counter that went from 0xfffffffe to 1 rose by three."""
    row = host.difference(NOW, BEFORE)

    assert row["softnet_processed"] == 5 + 3
    assert row["softnet_dropped"] == 0
    assert row["softnet_squeezed"] == 2


def test_totals_become_differences() -> None:
    """Totals are differences; conntrack is the number now; times are on the samples' clocks."""
    row = host.difference(NOW, BEFORE)

    assert (row["mono_ns"], row["wall_ns"], row["interval_ns"]) == (1_100, 5_101, 100)
    assert row["udp_rcvbuf_errors"] == 2
    assert row["tcp_retransmits"] == 0
    assert row["psi_cpu_some_ns"] == 30
    assert row["cfs_throttled_ns"] == 40
    assert row["conntrack_count"] == 5


def test_new_process_brings_its_whole_wait() -> None:
    """Known processes add what they waited since, a new one all it ever waited."""
    assert host.difference(NOW, BEFORE)["runqueue_wait_ns"] == 300 + 40


def test_absent_sources_are_null_not_zero() -> None:
    """Where the kernel does not say, the row says nothing."""
    silent = host.Snapshot(
        mono_ns=1_200,
        wall_ns=5_200,
        cpus={},
        softnet=None,
        snmp={},
        psi_some_ns=None,
        throttled_ns=None,
        waits_ns={},
        conntrack=None,
    )
    row = host.difference(silent, NOW)

    assert {name for name, value in row.items() if value is not None} == {
        "mono_ns",
        "wall_ns",
        "interval_ns",
    }
    back = host.table([row])
    assert back["psi_cpu_some_ns"].mask.all()  # type: ignore[union-attr] # masked by construction


def test_cpu_that_went_away_is_left_out() -> None:
    """Only CPUs seen at both ticks are compared; softnet lines that no longer match are null."""
    now = msgspec.structs.replace(NOW, cpus={0: NOW.cpus[0]}, softnet=NOW.softnet[:1])  # type: ignore[index] # set above
    row = host.difference(now, BEFORE)

    assert row["cpu_user_ratio"] == pytest.approx(0.6)
    assert row["softnet_processed"] is None


def test_columns_are_those_of_the_schema() -> None:
    """The table is the samples' `host` less what the session knows."""
    from podbench.store import schemas

    names = set(host.table([host.difference(NOW, BEFORE)]))

    assert names == set(schemas.HOST.names) - {"run_id", "block", "node"}


def test_counting_gives_rows_and_goes_on() -> None:
    """Rows come at the asked pace, each handed over once."""
    counters = host.Counters()
    counters.start(host.PERIOD_MIN_S)
    rows: list[int] = []
    while len(rows) < 5:
        rows += counters.collect(stop=False)["mono_ns"].tolist()
    rest = counters.collect(stop=True)

    assert rows == sorted(set(rows))
    assert all(later > rows[-1] for later in rest["mono_ns"].tolist())
    with pytest.raises(ProbeError, match="not started"):
        counters.collect(stop=False)


def test_starting_again_forgets() -> None:
    """A second start ends the first and begins with nothing."""
    counters = host.Counters()
    counters.start(host.PERIOD_MIN_S)
    while not len(counters.collect(stop=False)["mono_ns"]):
        pass
    counters.start(3600.0)
    counters.stop()
    counters.stop()

    with pytest.raises(ProbeError, match="not started"):
        counters.collect(stop=True)


def test_period_below_the_kernels_grid_is_refused() -> None:
    """Faster than the kernel counts is an error, not a table of noise."""
    with pytest.raises(ProbeError, match=r"at least 0\.02 s"):
        host.Counters().start(0.001)


def test_children_are_found_by_the_numbers_of_proc() -> None:
    """A child started here is among the descendants of this process."""
    import subprocess

    with subprocess.Popen(["sleep", "30"]) as child:
        try:
            assert child.pid in host.descendants([host.own_pid()])
        finally:
            child.kill()
