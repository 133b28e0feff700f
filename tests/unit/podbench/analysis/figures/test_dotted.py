"""The figures of a pair: all of them, with unit, kind and interval."""

import pytest
from support import results

from podbench.analysis.figures import dotted
from podbench.analysis.figures.dotted import FIGURES, Kind
from podbench.analysis.samples.metrics import BY_NAME


def test_every_metric_of_the_analysis_is_a_figure_with_its_unit() -> None:
    """What is estimated and compared stands in a pair under the same name, in the same unit."""
    assert {name: FIGURES[name].unit for name in BY_NAME} == {
        name: metric.unit for name, metric in BY_NAME.items()
    }


@pytest.mark.parametrize(
    ("name", "unit", "kind"),
    [
        ("rtt_app_ns.p99", "ns", Kind.ESTIMATE),
        ("rtt_app_ns.max", "ns", Kind.EXTREME),
        ("rtt_app_ns.n", "", Kind.COUNT),
        ("loss.ratio", "ratio", Kind.ESTIMATE),
        ("loss.lost_backward", "", Kind.COUNT),
        ("goodput_bps.tcp_8.p50", "bit/s", Kind.ESTIMATE),
        ("small_packets_pps.min", "packets/s", Kind.EXTREME),
        ("retransmit_ratio", "ratio", Kind.ESTIMATE),
    ],
)
def test_units_and_kinds(name: str, unit: str, kind: Kind) -> None:
    """Unit and kind follow from the name."""
    assert (FIGURES[name].unit, FIGURES[name].kind) == (unit, kind)


def test_no_figure_is_invented() -> None:
    """Intervals, marks and proofs are no figures."""
    assert not {"proof", "ci95", "coarse"} & {part for name in FIGURES for part in name.split(".")}


def test_an_interval_belongs_to_one_figure() -> None:
    """A rate's interval is its median's, a loss' its ratio's, a quantile's its own."""
    pair = results.pair(
        app=results.quantiles(p50=(2.0, (1.0, 3.0))),
        tcp=results.rate(5e9, (4e9, 6e9)),
        loss=results.lost(100, 1, (0.001, 0.05)),
    )
    read = {name: dotted.read(pair, figure) for name, figure in FIGURES.items()}
    assert read["rtt_app_ns.p50"].ci95 == (1.0, 3.0)
    assert read["rtt_app_ns.p99"].ci95 is None
    assert read["goodput_bps.tcp.p50"].ci95 == (4e9, 6e9)
    assert read["goodput_bps.tcp.min"].ci95 is None
    assert read["loss.ratio"].ci95 == (0.001, 0.05)
    assert read["loss.sent"].ci95 is None


def test_what_was_not_measured_is_told_from_what_is_null() -> None:
    """A quantity that is not there differs from one with too few samples."""
    pair = results.pair(app=results.quantiles(n=500))
    assert dotted.read(pair, FIGURES["rtt_app_ns.p999"]) == dotted.Reading(value=None, n=500)
    assert not dotted.read(pair, FIGURES["rtt_kernel_ns.p50"]).measured
    assert not dotted.read(pair, FIGURES["goodput_bps.tcp.p50"]).measured
    assert not dotted.read(pair, FIGURES["pdv_p99_ns"]).measured
