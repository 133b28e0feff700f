"""Rates that the run's own cap holds say nothing about the network."""

import msgspec
import numpy as np
import pytest
from support import synthetic

from podbench.analysis.figures import cap, goodput
from podbench.analysis.findings import capped, comparisons, open_questions
from podbench.analysis.samples.blocks import Cells
from podbench.analysis.samples.metrics import BY_NAME, METRICS
from podbench.analysis.summarise import analyse
from podbench.model.summary import ArmSummary

CAP_BPS = 5e8
TCP = BY_NAME["goodput_bps.tcp.p50"]
PAIR = ("n1", "n2")


def _tables(levels: dict[str, float], most_bps: float | None = CAP_BPS) -> comparisons.Tables:
    """Five blocks of transfers, each arm at its rate."""
    rng = np.random.default_rng(8)
    cells: Cells = {
        (arm, block): {PAIR: np.full(7, level * np.exp(rng.normal(0.0, 0.001)))}
        for block in range(1, 6)
        for arm, level in levels.items()
    }
    held: dict[str, Cells] = {metric.series: {} for metric in METRICS}
    held[TCP.series] = cells
    return comparisons.Tables(cells=held, losses={}, most_bps=most_bps)


def test_arms_at_the_cap_are_not_called_equivalent() -> None:
    """What the cap made equal is inconclusive, with the cap's name, and no blocks would help."""
    levels = {"bgp/pod": CAP_BPS, "vxlan/pod": 0.99 * CAP_BPS}
    one = comparisons.compare(TCP, ("bgp/pod", "vxlan/pod"), _tables(levels)).comparison
    assert (one.verdict, one.blocks_needed) == ("inconclusive", None)
    assert one.reason == "both are limited by this run's bandwidth cap of 500 Mbit/s"
    (doubt,) = capped.doubts((one,), CAP_BPS)
    assert (doubt.code, doubt.evidence) == ("throughput_capped", "vxlan/pod against bgp/pod")
    free = comparisons.compare(TCP, ("bgp/pod", "vxlan/pod"), _tables(levels, None)).comparison
    assert free.verdict == "equivalent"
    assert capped.doubts((free,), None) == ()


def test_an_arm_below_the_cap_is_compared() -> None:
    """A mode that does not reach what the other does is slower, whatever the cap."""
    levels = {"bgp/pod": CAP_BPS, "vxlan/pod": 0.5 * CAP_BPS}
    one = comparisons.compare(TCP, ("bgp/pod", "vxlan/pod"), _tables(levels)).comparison
    assert one.verdict == "different"


def test_an_arm_at_the_cap_is_not_called_equivalent_to_one_just_below() -> None:
    """What reaches the cap could do more: how near the other one is was not measured."""
    levels = {"bgp/pod": 0.96 * CAP_BPS, "vxlan/pod": 0.945 * CAP_BPS}
    one = comparisons.compare(TCP, ("bgp/pod", "vxlan/pod"), _tables(levels)).comparison
    assert (one.verdict, one.reason) == (
        "inconclusive",
        "one of them is limited by this run's bandwidth cap of 500 Mbit/s",
    )


@pytest.mark.parametrize(
    ("value", "unit", "most_bps", "expected"),
    [
        (5e8, "bit/s", 5e8, True),
        (4e8, "bit/s", 5e8, False),
        (1e5, "packets/s", 51.2e6, True),
        (9e4, "packets/s", 51.2e6, False),
        (5e8, "ns", 5e8, False),
        (None, "bit/s", 5e8, False),
        (5e8, "bit/s", None, False),
    ],
)
def test_small_packets_reach_a_cap_too(
    value: float | None, unit: str, most_bps: float | None, expected: bool
) -> None:
    """100,000 packets of 64 octets a second are 51.2 Mbit/s."""
    assert cap.reached(value, unit, most_bps) is expected


def test_a_look_does_not_wait_for_what_the_cap_holds() -> None:
    """It would never be decided, and the budget be used up."""
    levels = {"bgp/pod": CAP_BPS, "vxlan/pod": 0.99 * CAP_BPS}
    assert open_questions.undecided(_tables(levels), tuple(levels), 50, after=5) == ()


@pytest.mark.parametrize(
    ("most_bps", "at_pod", "share"),
    [(CAP_BPS, 0.99, None), (CAP_BPS, 0.8, None), (None, 0.99, 0.99)],
)
def test_a_share_of_a_capped_host_path_is_the_cap_s(
    most_bps: float | None, at_pod: float, share: float | None
) -> None:
    """The host path at the cap could do more: no share of it was measured."""
    levels = {"vxlan/host": CAP_BPS, "vxlan/pod": at_pod * CAP_BPS}
    arm = ArmSummary(
        arm="vxlan/pod",
        mode="vxlan",
        path="pod",
        implementation=None,
        pod_mtu=1450,
        status="measured",
    )
    cells = _tables(levels).cells[TCP.series]
    (found,) = goodput.encapsulation((arm,), cells, None, most_bps)  # type: ignore[arg-type] # cells, not reduced
    assert found.measured_goodput_share == (
        None if share is None else pytest.approx(share, rel=5e-3)
    )


def test_rates_that_cpus_bound_take_part_in_no_comparison() -> None:
    """Between namespaces without a known rate a transfer measures cores: no verdict, and why."""
    made = synthetic.run(3)
    free, bound = (
        analyse(msgspec.structs.replace(made, cpu_bound=flag)).summary for flag in (False, True)
    )
    rates = [c for c in bound.comparisons if "goodput" in c.metric]
    assert rates
    assert {c.verdict for c in rates} == {"inconclusive"}
    assert all("limited by the CPUs" in (c.reason or "") for c in rates)
    assert {c.verdict for c in free.comparisons if "goodput" in c.metric} != {"inconclusive"}
    others = [c.verdict for c in bound.comparisons if "rtt" in c.metric]
    assert set(others) != {"inconclusive"}
