"""The cost at a node's own traffic: price times load, nothing outside what was measured."""

import pytest
from support import ladders

from podbench.analysis.figures import load_curve
from podbench.analysis.findings import at_traffic, price
from podbench.analysis.samples import ladder, streams
from podbench.analysis.samples.loads import Loads
from podbench.model.summary import AtTraffic, LoadHeld, LoadPoint
from podbench.model.traffic import Traffic, parse_traffic

MODES = ("bgp", "ipip", "vxlan")


class Run:
    """A made-up ladder with its probes, analysed."""

    def __init__(self) -> None:
        rows = ladders.rows(ladders.Ladder())
        self.steps = ladder.steps(rows)
        self.beside = Loads()
        self.beside.add(streams.read(ladders.probes(rows)))
        self.priced = price.prices(self.steps, MODES, "bgp")
        self.points = load_curve.curve(self.steps, self.beside, (), {})

    def at(self, *texts: str) -> tuple[AtTraffic, ...]:
        """Answers at this traffic, on a run of three nodes."""
        asked: list[Traffic] = [parse_traffic(text) for text in texts]
        return at_traffic.answers(asked, self.priced, self.points, MODES, 3)


@pytest.fixture(name="run", scope="module")
def _run() -> Run:
    return Run()


def test_cores_are_price_times_load(run: Run) -> None:
    """Bulk and small packets add up; the base costs nothing extra; the cluster is all nodes."""
    found = {one.mode: one for one in run.at("2Gbit/s,30kpps")}
    for mode, one in found.items():
        expected = 2 * ladders.PRICE["bulk"][mode] + 0.03 * ladders.PRICE["small"][mode]
        assert one.cores_per_node == pytest.approx(expected, rel=0.1)
        assert one.ci95 is not None
        assert one.ci95[0] < (one.cores_per_node or 0.0) < one.ci95[1]
    vxlan = found["vxlan"]
    assert vxlan.extra_cores_per_node is not None
    assert vxlan.extra_cores_cluster == pytest.approx(3 * vxlan.extra_cores_per_node)
    assert found["bgp"].extra_cores_per_node == 0.0
    assert found["bgp"].verdict == "base"


def test_outside_the_ladder_there_is_no_answer(run: Run) -> None:
    """Above the highest step: the reason names it, and there is no figure."""
    for one in run.at("9Gbit/s", "300kpps"):
        assert one.cores_per_node is None
        assert one.rtt_app_ns.p50 is None
        assert "outside what was measured: highest step" in (one.reason or "")
        assert one.verdict == "not measured"
    assert "7.2 Gbit/s" in (run.at("9Gbit/s")[0].reason or "")


def test_latency_is_read_between_two_steps(run: Run) -> None:
    """The median put in grows with the share: at half way between steps it is half way."""
    (bgp, *_) = run.at("5Gbit/s")
    share = 5 / 8
    assert bgp.rtt_kernel_ns.p50 == pytest.approx(20_000 * (1 + 2 * share), rel=0.05)
    assert bgp.rtt_ci95["rtt_kernel_ns.p50"] is not None


def test_the_usual_traffic_is_shown_where_it_is_inside(run: Run) -> None:
    """Without the option: 1 Gbit/s, and not 100 kpps, which this ladder does not reach."""
    assert {one.name for one in run.at()} == {"1 Gbit/s"}


def test_the_curve_has_every_step_of_every_arm(run: Run) -> None:
    """Step 0 and four loads, of both kinds, with intervals from the blocks."""
    bgp: list[LoadPoint] = [p for p in run.points if p.arm == "bgp/pod" and p.kind == "bulk"]
    assert [p.offered_share for p in bgp] == [0.0, 0.25, 0.5, 0.75, 0.9]
    assert all(p.reached for p in bgp)
    loaded = bgp[1:]
    assert all(p.loss_ratio == 0.0 for p in loaded)
    values = [p.rtt_kernel_ns.p50 or 0.0 for p in loaded]
    assert values == sorted(values)
    assert all(p.ci95["rtt_kernel_ns.p50"] is not None for p in loaded)
    assert all((p.rtt_app_ns.p99 or 0) > (p.rtt_app_ns.p50 or 0) for p in loaded)


def test_the_highest_step_held(run: Run) -> None:
    """Every mode held the top step here; with a limit below its p99 none held any."""
    found: tuple[LoadHeld, ...] = load_curve.held(run.steps, run.beside, "bgp")
    assert {(one.share, one.top) for one in found} == {(0.9, True)}
    assert {one.of_base_ratio for one in found} == {1.0}
    strict = load_curve.held(run.steps, run.beside, "bgp", p99_limit_ns=1.0)
    assert {(one.share, one.bps, one.pps) for one in strict} == {(None, None, None)}


def test_a_lossy_step_is_not_held(run: Run) -> None:
    """One block's step that lost 1 % ends the ladder below it, and the range says where."""
    beside = Loads(places=dict(run.beside.places))
    place = next(p for p in beside.places if p[:2] == ("vxlan/pod", "load-bulk-75"))
    held = beside.places[place]
    worse = type(held)(app=held.app, kernel=held.kernel, sent=1000, lost=10)
    beside.places[place] = worse
    found = load_curve.held(run.steps, beside, "bgp")
    (vxlan,) = (one for one in found if (one.mode, one.kind) == ("vxlan", "bulk"))
    assert vxlan.share == 0.5
    assert vxlan.share_range == (0.5, 0.9)
    assert vxlan.of_base_ratio == pytest.approx(0.5 / 0.9)
