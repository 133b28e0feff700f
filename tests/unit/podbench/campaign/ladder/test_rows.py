"""What makes a load step count, and what its row says."""

import json
from typing import Any

import numpy as np
import pytest

from podbench.campaign.ladder import rows
from podbench.campaign.ladder.rows import Facts, Offered, Seen
from podbench.store import samples
from podbench.wire.columns import Table

BULK = Offered(kind="bulk", share=0.5, rate=2e9)
SMALL = Offered(kind="small", share=0.5, rate=40_000.0)


def window(kind: str, rate: float, **changes: float) -> Facts:
    """What an agent counts in a window of half a second at this rate, 1,000 probes a second."""
    packets = round(rate / 8 / 64_000 / 2) if kind == "bulk" else round((rate + 1000) / 2)
    octets = rate / 8 / 2 + 66 * packets if kind == "bulk" else 106 * packets
    counted: Facts = {"duration_s": 0.5, "busy_cores": 0.8, "steal_cores": 0.0, "cores": 2}
    counted |= {"busiest_cpu_ratio": 0.5, "busy_method": "idle"}
    for way in ("tx", "rx"):
        counted |= {f"{way}_packets": packets, f"{way}_bytes": round(octets)}
    return {**counted, **changes}


def seen(asked: Offered, sent: float = 1.0, got: float = 1.0, **changes: float) -> Seen:
    """A step of which these shares of the offered rate left and arrived."""
    return Seen(
        near=window(asked.kind, asked.rate * sent, **changes),
        far=window(asked.kind, asked.rate * got),
    )


def value(table: Table, name: str) -> Any:
    """The one row's value; null as None."""
    column = table[name]
    return None if np.ma.getmaskarray(column)[0] else column[0]


@pytest.mark.parametrize("asked", [BULK, SMALL])
def test_a_step_that_held_its_rate_counts(asked: Offered) -> None:
    """Headers and the probes beside it are taken off what the interface counted."""
    table = rows.row(asked, seen(asked, sent=1.015), shared=True)
    assert bool(value(table, "reached"))
    assert value(table, "not_reached_reason") is None
    name = "achieved_pps" if asked.kind == "small" else "achieved_bps"
    assert value(table, name) == pytest.approx(asked.rate, rel=0.001)
    assert value(table, "busy_cores_src") == 0.8
    assert value(table, "busy_cores_dst") is None


@pytest.mark.parametrize("asked", [BULK, SMALL])
@pytest.mark.parametrize("sent", [0.97, 1.03])
def test_a_generator_off_its_rate_is_not_reached(asked: Offered, sent: float) -> None:
    """More than 2 % off, either way, and the reason says how far."""
    table = rows.row(asked, seen(asked, sent=sent), shared=False)
    assert not bool(value(table, "reached"))
    assert f"{100 * sent:.0f}%" in value(table, "not_reached_reason")


def test_a_full_cpu_is_not_reached() -> None:
    """Above 90 % of a CPU the slope would bend."""
    table = rows.row(BULK, seen(BULK, busiest_cpu_ratio=0.93), shared=False)
    assert "93% busy" in value(table, "not_reached_reason")


def test_what_could_not_be_read_is_null_and_not_reached() -> None:
    """No counters: no rate, no CPU, never zero."""
    table = rows.row(SMALL, Seen(reason="iperf3 is not installed"), shared=False)
    assert value(table, "not_reached_reason") == "iperf3 is not installed"
    for name in ("achieved_pps", "achieved_bps", "busy_cores_src", "lost_packets", "duration_s"):
        assert value(table, name) is None
    assert rows.why_not_reached(SMALL, Seen()) is not None


def test_step_0_is_the_warm_stretch() -> None:
    """Nothing is offered, nothing is achieved, CPU is there, and it counts."""
    rest = Offered(kind="small", share=0.0, rate=0.0)
    table = rows.row(rest, seen(rest), shared=True)
    assert bool(value(table, "reached"))
    assert value(table, "achieved_pps") is None
    assert value(table, "burst_packets") is None


@pytest.mark.parametrize(("version", "burst"), [("3.12", 40), ("3.18", 1), ("3.1", 1)])
def test_bursts_are_named(version: str, burst: int) -> None:
    """iperf3 3.2 to 3.17 wakes each millisecond; later ones send datagram by datagram."""
    client = json.dumps({"start": {"version": f"iperf {version}"}})
    step = seen(SMALL)
    table = rows.row(SMALL, Seen(near=step.near, far=step.far, client=client), shared=True)
    assert value(table, "burst_packets") == burst


def test_a_row_fits_its_schema() -> None:
    """Every column is one of samples/ladder."""
    table = rows.row(BULK, seen(BULK), shared=False)
    written = samples.to_arrow("ladder", table, {"kind": "bulk", "block": 1, "arm": "bgp/pod"})
    assert written.num_rows == 1
    assert written.column("reached").to_pylist() == [True]
