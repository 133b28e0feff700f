"""What traffic costs: prices put in come back, and are null where they cannot be had."""

import msgspec
import numpy as np
import pytest
from support import synthetic

from podbench.analysis.summarise import analyse

TRUTH = synthetic.Truth()


def test_prices_come_back() -> None:
    """Cores per Gbit/s of each mode, less what the machine does anyway."""
    found = analyse(synthetic.run(3)).summary.cpu_price
    assert [one.mode for one in found] == ["vxlan", "ipip", "bgp"]
    for one in found:
        assert one.cores_per_gbps == pytest.approx(TRUTH.cores_per_gbps[one.mode], rel=0.05)
        assert one.busiest_core_ratio is not None
        assert 0.0 < one.busiest_core_ratio <= 1.0


def test_packets_are_small_ones_where_measured() -> None:
    """With the small-packet test a packet is that test's; without, a segment, and said."""
    shape = synthetic.Shape(nodes=2, kinds=(("tcp", 1), ("udp", 64)))
    bundle = analyse(synthetic.run(3, shape))
    codes = {doubt.code for doubt in bundle.summary.warnings}
    # 250,000 packets/s of 64 octets are 0.128 Gbit/s: 0.512 Gbit/s to the million.
    expected = TRUTH.cores_per_gbps["vxlan"] * 0.512
    assert bundle.summary.cpu_price[0].cores_per_mpps == pytest.approx(expected, rel=0.35)
    assert "packets_are_segments" not in codes
    plain = analyse(synthetic.run(3, synthetic.Shape(nodes=2))).summary
    assert "packets_are_segments" in {doubt.code for doubt in plain.warnings}


@pytest.mark.parametrize("missing", ["host", "throughput", "latency"])
def test_without_a_table_prices_are_null(missing: str) -> None:
    """No counters, no transfers or no probes beside them: null, not zero."""
    made = synthetic.run(3, synthetic.Shape(nodes=2, blocks=2))
    found = analyse(msgspec.structs.replace(made, **{missing: None})).summary.cpu_price
    assert all(one.cores_per_gbps is None and one.cores_per_mpps is None for one in found)


def test_two_nodes_are_added() -> None:
    """Where nodes are machines, sender's and receiver's cores count together."""
    made = synthetic.run(3, synthetic.Shape(nodes=2))
    assert made.host is not None
    import pandas as pd

    both = pd.concat([made.host.assign(node=name) for name in ("n1", "n2")], ignore_index=True)
    one = analyse(made).summary.cpu_price[0].cores_per_gbps
    two = analyse(msgspec.structs.replace(made, host=both)).summary.cpu_price[0].cores_per_gbps
    assert one is not None
    assert two == pytest.approx(2 * one, rel=1e-6)


def test_ticks_without_cpu_figures() -> None:
    """Counters that could not be read are no idle machine."""
    made = synthetic.run(3, synthetic.Shape(nodes=2, blocks=2))
    assert made.host is not None
    blind = made.host.copy()
    for name in ("user", "system", "irq", "softirq"):
        blind[f"cpu_{name}_ratio"] = np.nan
    found = analyse(msgspec.structs.replace(made, host=blind)).summary.cpu_price
    assert all(one.cores_per_gbps is None for one in found)


def test_a_price_below_nothing_is_none() -> None:
    """Where other load kept the CPUs busier between transfers, no negative price is printed."""
    made = synthetic.run(3, synthetic.Shape(nodes=2, blocks=2))
    assert made.host is not None
    upside_down = made.host.copy()
    for name in ("user", "system", "irq", "softirq"):
        upside_down[f"cpu_{name}_ratio"] = 0.25 - upside_down[f"cpu_{name}_ratio"] / 4
    summary = analyse(msgspec.structs.replace(made, host=upside_down)).summary
    assert all(one.cores_per_gbps is None for one in summary.cpu_price)
    (doubt,) = (d for d in summary.warnings if d.code == "cpu_price_drowned")
    assert doubt.evidence == "bgp, ipip, vxlan"
