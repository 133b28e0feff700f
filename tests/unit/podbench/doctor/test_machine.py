"""What `bench doctor` makes of what it finds, on recorded words and made-up folders."""

from pathlib import Path

import pytest

from podbench.doctor import machine
from podbench.doctor.checks import Check


def _pretend(monkeypatch: pytest.MonkeyPatch, words: str | None) -> None:
    monkeypatch.setattr(machine, "_version_text", lambda _name, _option: words)


@pytest.mark.parametrize(
    ("words", "ok"),
    [
        ("iperf 3.12 (cJSON 1.7.15)", True),
        ("iperf 3.20 (cJSON 1.7.15)", True),
        ("iperf 3.9 (cJSON 1.7.13)", None),
        ("iperf 3.17.1 (cJSON 1.7.15)", False),
        (None, False),
    ],
)
def test_iperf3_is_judged_by_its_version(
    monkeypatch: pytest.MonkeyPatch, words: str | None, ok: bool | None
) -> None:
    """3.12 and newer will do, older was never tried, 3.16 and 3.17 crash, none at all is none."""
    _pretend(monkeypatch, words)
    assert machine.iperf3().ok is ok


@pytest.mark.parametrize(
    ("words", "ok"),
    [
        ("BIRD version 2.0.12", True),
        ("BIRD version 1.6.8", False),
        ("BIRD version 3.1.4", None),
        (None, False),
    ],
)
def test_bird_must_be_of_major_version_two(
    monkeypatch: pytest.MonkeyPatch, words: str | None, ok: bool | None
) -> None:
    """BIRD 1 has another configuration language, BIRD 3 was never tried."""
    _pretend(monkeypatch, words)
    assert machine.bird().ok is ok


@pytest.mark.parametrize(
    ("words", "ok"),
    [("mosquitto version 2.0.11", True), ("mosquitto version 1.6.12", False), (None, False)],
)
def test_mosquitto_must_know_unix_sockets(
    monkeypatch: pytest.MonkeyPatch, words: str | None, ok: bool
) -> None:
    """Listening on a Unix socket came with 2.0."""
    _pretend(monkeypatch, words)
    assert machine.mosquitto().ok is ok


def test_steal_is_a_share_of_all_ticks_without_counting_guests_twice() -> None:
    """The eighth field over the first eight: guest time is already in user time."""
    stat = "cpu  10 0 20 60 0 0 5 5 999 999\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    assert machine.steal_ratio(stat) == pytest.approx(5 / 100)


@pytest.mark.parametrize("stat", ["", "cpu  1 2 3\n", "cpu  0 0 0 0 0 0 0 0\n"])
def test_steal_is_null_where_the_kernel_does_not_tell(stat: str) -> None:
    """Too few fields, or no tick yet, is not zero steal."""
    assert machine.steal_ratio(stat) is None


def _throttled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str) -> Check:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(own)
    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "sys")
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1})
    return machine.throttling()


def test_a_quota_of_a_group_above_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A limit binds everything below it, so the smallest on the way up is what holds."""
    (tmp_path / "sys/a/b").mkdir(parents=True)
    (tmp_path / "sys/a/cpu.max").write_text("150000 100000\n")
    (tmp_path / "sys/a/b/cpu.max").write_text("max 100000\n")
    found = _throttled(monkeypatch, tmp_path, "0::/a/b\n")
    assert found.ok is False
    assert "1.5 CPUs" in found.found


def test_a_quota_of_the_first_hierarchy_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Control groups of version 1 name the limit in two files."""
    (tmp_path / "sys/cpu/a").mkdir(parents=True)
    (tmp_path / "sys/cpu/a/cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "sys/cpu/a/cpu.cfs_period_us").write_text("100000\n")
    found = _throttled(monkeypatch, tmp_path, "4:memory:/x\n2:cpu,cpuacct:/a\n0::/\n")
    assert found.ok is False
    assert "0.5 CPUs" in found.found


def test_no_quota_is_no_throttling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`max` and -1 are no limits, and neither are files that do not exist."""
    (tmp_path / "sys/cpu").mkdir(parents=True)
    (tmp_path / "sys/cpu/cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "sys/cpu/cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "sys/cpu.max").write_text("max 100000\n")
    found = _throttled(monkeypatch, tmp_path, "1:cpu:/gone\n0::/\n")
    assert found.ok is True
    assert found.found == "no quota"


def test_a_small_receive_buffer_is_named_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What counts is what a socket was given, whoever asks and whatever the limit says."""
    (tmp_path / "sys/net/core").mkdir(parents=True)
    (tmp_path / "sys/net/core/rmem_max").write_text("212992\n")
    monkeypatch.setattr(machine, "PROC", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("podbench.wire.buffers.widen", lambda _sock, _octets: 212992)
    found = machine.receive_buffer()
    assert found.ok is False
    assert found.found == "212992 of 4194304 octets; net.core.rmem_max is 212992"
    assert found.advice == "sudo sysctl -w net.core.rmem_max=4194304"
    monkeypatch.setattr("podbench.wire.buffers.widen", lambda _sock, octets: octets)
    assert machine.receive_buffer().ok is True


@pytest.mark.parametrize(("loaded", "ok"), [("reno cubic\n", True), ("reno bbr\n", None)])
def test_an_algorithm_that_is_not_loaded_may_still_be_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, loaded: str, ok: bool | None
) -> None:
    """The kernel lists what is loaded, not what it could load."""
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    (tmp_path / "sys/net/ipv4/tcp_available_congestion_control").write_text(loaded)
    monkeypatch.setattr(machine, "PROC", tmp_path)
    assert machine.congestion_control().ok is ok


def test_what_the_kernel_does_not_tell_is_null_not_bad(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A missing file is `could not be told`."""
    monkeypatch.setattr(machine, "PROC", tmp_path)
    monkeypatch.setattr(machine, "CLOCKSOURCE", tmp_path / "none")
    found = [machine.steal(), machine.clock_source(), machine.memory()]
    assert [c.ok for c in found] == [None] * 3
