"""Busy CPU and traffic over a window: differences of two moments."""

import asyncio

import numpy as np
import pytest

from podbench.model.errors import ProbeError
from podbench.wire import messages
from podbench_agent import procfs
from podbench_agent.probes import window
from podbench_agent.probes.window import Moment

TICK = 100  # of a second: USER_HZ


def moment(second: float, cpus: dict[int, list[int]], sent: int = 0, lo: int = 0) -> Moment:
    """Counters at a moment; ticks in the order of procfs.STAT_FIELDS."""
    return Moment(
        mono_ns=round(second * 1e9),
        cpus={cpu: np.array(ticks) for cpu, ticks in cpus.items()},
        devices={
            "eth0": procfs.Traffic(tx_bytes=1000 * sent, tx_packets=sent, rx_packets=7),
            "lo": procfs.Traffic(tx_packets=lo),
        },
    )


def test_busy_is_the_window_less_idle_and_stolen_time() -> None:
    """Softirq that no tick saw is busy; I/O wait is idle; theft is apart; loopback is left out."""
    #                          user nice system idle iowait irq softirq steal
    start = moment(1.0, {0: [0, 0, 0, 100, 0, 0, 0, 0], 1: [0, 0, 0, 0, 0, 0, 0, 0]})
    end = moment(
        2.0,
        {0: [10, 0, 10, 140, 10, 0, 0, 5], 1: [0, 0, 0, 80, 0, 0, 0, 0]},
        sent=500,
        lo=99,
    )
    facts = window.between(start, end)
    assert facts["busy_cores"] == pytest.approx(0.45 + 0.20)
    assert facts["busiest_cpu_ratio"] == pytest.approx(0.45)
    assert facts["steal_cores"] == pytest.approx(0.05)
    assert facts["duration_s"] == pytest.approx(1.0)
    assert (facts["tx_packets"], facts["tx_bytes"], facts["rx_packets"]) == (500, 500_000, 0)


def test_a_cpu_that_came_or_went_is_left_out() -> None:
    """Only CPUs that were there all along are counted; none is an error."""
    start, end = moment(0, {0: [0] * 8, 1: [0] * 8}), moment(1, {0: [0, 0, 0, 50, 0, 0, 0, 0]})
    assert window.between(start, end)["cores"] == 1
    with pytest.raises(ProbeError):
        window.between(moment(0, {3: [0] * 8}), end)


def test_a_kernel_whose_tick_never_stops_says_so() -> None:
    """The boot parameter decides how idle time is counted."""
    assert window.method("BOOT_IMAGE=/vmlinuz root=/dev/sda1") == "idle"
    assert window.method("root=/dev/sda1 nohz=off quiet") == "ticks"


def test_this_machine_is_watched() -> None:
    """A real window: no more CPUs busy than there are, and as long as asked."""
    command = messages.WatchLoad(start_after_s=0.0, duration_s=0.1)
    facts = asyncio.run(window.watch(command)).facts
    busy, cores, length = facts["busy_cores"], facts["cores"], facts["duration_s"]
    assert isinstance(busy, float)
    assert isinstance(cores, int)
    assert isinstance(length, float)
    assert length >= 0.1
    # A tick of each CPU may fall on either side of the window.
    assert -cores * 0.01 <= busy * length <= cores * (length + 0.01)
