"""Runs side by side: contrasts, refusals, rankings, from block statistics made by hand."""

import msgspec
import pytest
from support import sides

from podbench.analysis.compare import groups
from podbench.analysis.compare.bundle import DESCRIPTIVE, REFUSED, WELCH, Contrast, SideBySide
from podbench.analysis.figures.group_points import ALL
from podbench.analysis.samples.type_p import Seen
from podbench.model.summary import ArmSummary, Estimate, ProofSummary

POD, HOST = "vxlan/pod", "vxlan/host"
APP, KERNEL, TCP = "rtt_app_ns.p50", "rtt_kernel_ns.p50", "goodput_bps.tcp.p50"


def contrast(
    page: SideBySide, metric: str, row: str = POD, runs: tuple[int, int] = (0, 1)
) -> Contrast:
    """One contrast over all pairs."""
    (line,) = [line for line in page.lines if (line.metric, line.row) == (metric, row)]
    (found,) = [c for c in line.contrasts if (c.base_run, c.other_run) == runs]
    return found


def test_a_difference_between_campaigns() -> None:
    """Ratio, difference and interval agree, and the contrast says how it was come by."""
    a = sides.campaign("a", {(POD, APP): 50_000.0})
    b = sides.campaign("b", {(POD, APP): 65_000.0})
    found = contrast(sides.side_by_side(a, b), APP)
    assert found.verdict == "different"
    assert (found.base, found.other, found.design) == ("a:vxlan/pod", "b:vxlan/pod", WELCH)
    assert found.ratio == pytest.approx(1.3, rel=0.05)
    assert found.ci95 is not None
    assert found.ratio is not None
    assert found.ci95[0] < found.ratio < found.ci95[1]
    assert found.difference == pytest.approx(15_000, rel=0.15)
    assert found.difference_ci95 is not None
    assert found.difference is not None
    assert found.difference_ci95[0] < found.difference < found.difference_ci95[1]
    assert found.blocks == 8


def test_the_form_of_the_contract() -> None:
    """A contrast holds every field that a comparison in summary.json has."""
    a, b = (sides.campaign(name, {(POD, APP): 5e4}) for name in "ab")
    fields = msgspec.to_builtins(contrast(sides.side_by_side(a, b), APP))
    assert {
        "metric", "base", "other", "path", "ratio", "ci95", "difference", "unit", "blocks",
        "verdict", "margin", "smallest_detectable_ratio",
    } <= set(fields)  # fmt: skip


@pytest.mark.parametrize("single", [True, False])
def test_one_campaign_each_has_no_verdict(*, single: bool) -> None:
    """However many blocks a run has: the ratio, how blocks scatter, no interval, no ranking."""
    a = sides.campaign("a", {(POD, APP): 50_000.0}, n=20 if single else 2, single=single)
    b = sides.campaign("b", {(POD, APP): 90_000.0}, n=20 if single else 8, single=single)
    page = sides.side_by_side(a, b)
    found = contrast(page, APP)
    assert (found.design, found.ci95, found.verdict) == (DESCRIPTIVE, None, DESCRIPTIVE)
    assert (found.p_value, found.smallest_detectable_ratio) == (None, None)
    assert found.ratio == pytest.approx(1.8, rel=0.1)
    assert found.within_runs is not None
    assert found.ratio is not None
    assert found.within_runs[0] < found.ratio < found.within_runs[1]
    assert page.rankings == ()


def test_host_paths_say_what_the_machines_did() -> None:
    """The same factor on pod and host path is the machine's: said, and nothing is left beside."""
    a, b = (
        sides.campaign(name, {(POD, APP): 5e4 * f, (HOST, APP): 2e4 * f}, single=True, spread=0.002)
        for name, f in (("a", 1.0), ("b", 1.5))
    )
    page = sides.side_by_side(a, b)
    (shift,) = page.hosts
    assert (shift.metric, shift.moved) == (APP, True)
    assert shift.ratio == pytest.approx(1.5, rel=0.02)
    found = contrast(page, APP)
    assert found.host_ratio == pytest.approx(1.5, rel=0.02)
    assert found.relative_ratio == pytest.approx(1.0, rel=0.02)


def test_a_page_is_judged_as_a_whole() -> None:
    """Holm over every figure: a p that one figure alone would pass is not clear among many."""
    levels = {(arm, metric): 5e4 for arm in (POD, "bgp/pod") for metric in (APP, KERNEL, TCP)}
    a = sides.campaign("a", levels, n=4)
    b = sides.campaign("b", {**levels, (POD, APP): 6e4}, n=4)
    found = contrast(sides.side_by_side(a, b), APP)
    assert found.p_adjusted is not None
    assert found.p_value is not None
    assert found.p_adjusted >= 5 * found.p_value


def test_campaigns_of_one_place_stand_together() -> None:
    """Three runs a side become three observations: Welch over them, not over their blocks."""
    sites = {}
    for site, level in (("A", 5e4), ("B", 6e4)):
        runs = [
            sides.campaign(f"{site}{i}", {(POD, APP): level * f}, single=True, losses={POD: [0, 1]})
            for i, f in enumerate((0.99, 1.0, 1.01))
        ]
        sites[site] = groups.together(site, runs)
    page = sides.side_by_side(sites["A"], sites["B"])
    found = contrast(page, APP)
    assert (found.design, found.blocks, found.verdict) == (WELCH, 3, "different")
    assert (found.base, found.other) == ("A:vxlan/pod", "B:vxlan/pod")
    assert page.rankings[0].places[0].run == 0
    assert contrast(page, "loss.ratio").design == WELCH


def test_differences_below_the_noise_floor_are_withdrawn() -> None:
    """A difference that an A/A pair of either run shows as well is not claimed."""
    a = sides.campaign("a", {(POD, APP): 50_000.0}, changes={"noise_floor": {APP: 0.02}})
    b = sides.campaign("b", {(POD, APP): 65_000.0}, changes={"noise_floor": {APP: 0.5}})
    found = contrast(sides.side_by_side(a, b), APP)
    assert found.verdict == "inconclusive"
    assert "noise floor" in (found.reason or "")


def test_what_one_run_lacks_is_not_measured() -> None:
    """A figure only one run has is shown, and the contrast says which run lacks it."""
    a = sides.campaign("a", {(POD, APP): 5e4, (POD, TCP): 5e9})
    b = sides.campaign("b", {(POD, APP): 5e4})
    found = contrast(sides.side_by_side(a, b), TCP)
    assert (found.verdict, found.ratio, found.reason) == ("not measured", None, "not measured in b")


@pytest.mark.parametrize(
    ("changes", "metric", "refused"),
    [
        ({"versions": {"podbench": "0.1.0", "iperf3": "iperf 3.16"}}, TCP, "iperf3 versions"),
        ({"versions": {"podbench": "0.1.0", "iperf3": "iperf 3.16"}}, APP, None),
        ({"target": "kubernetes"}, APP, "a lab (network namespaces"),
        ({"status": "invalid"}, APP, "A/A check failed: the run is invalid (b: invalid)"),
        ({"spec": {"udp_payload_bytes": 1400}}, APP, "differ in size"),
        ({"spec": {"udp_payload_bytes": 1400}}, TCP, None),
        ({"spec": {"spin": True}}, APP, "busy-waiting before a send"),
        ({"spec": {}}, APP, None),
    ],
)
def test_refusals(changes: dict[str, object], metric: str, refused: str | None) -> None:
    """What is not like for like gets no ratio, and everything else still does."""
    levels = {(POD, APP): 5e4, (POD, TCP): 5e9}
    page = sides.side_by_side(
        sides.campaign("a", levels, changes={"spec": {"udp_payload_bytes": 64, "spin": False}}),
        sides.campaign("b", levels, changes=changes),
    )
    found = contrast(page, metric)
    if refused is None:
        assert found.design == WELCH
        assert found.ratio is not None
    else:
        assert (found.design, found.ratio, found.verdict) == (REFUSED, None, "inconclusive")
        assert refused in (found.reason or "")
        assert any(
            remark.refused and refused.partition(" (")[0] in remark.message
            for remark in page.remarks
        )


@pytest.mark.parametrize(
    ("seen", "metric", "refused"),
    [
        (Seen(rate_pps={"warm": 100.0}), APP, True),
        (Seen(rate_pps={"warm": 1010.0}), APP, False),
        (Seen(rate_pps={"idle": 5.0}), APP, False),
        (Seen(stamps=("user",)), KERNEL, True),
        (Seen(stamps=("user",)), APP, False),
    ],
)
def test_type_p_is_read_off_the_samples(seen: Seen, metric: str, *, refused: bool) -> None:
    """Another rate or another place of the time stamps refuses the figures that rest on it."""
    levels = {(POD, APP): 5e4, (POD, KERNEL): 2e4}
    usual = Seen(rate_pps={"warm": 1000.0, "idle": 20.0}, stamps=("kernel",))
    page = sides.side_by_side(
        sides.campaign("a", levels, seen=usual), sides.campaign("b", levels, seen=seen)
    )
    assert (contrast(page, metric).design == REFUSED) is refused


def test_an_unproven_mode_is_not_compared() -> None:
    """An arm that fell back to another mode is refused by name; the others are not."""
    levels = {(POD, APP): 5e4, ("bgp/pod", APP): 4e4}
    a, b = sides.campaign("a", levels), sides.campaign("b", levels)
    proof = ProofSummary(
        verdict="fell back",
        method="counted",
        observed="bgp",
        route_origin=None,
        pairs_matched=0,
        pairs_total=2,
    )
    arms = tuple(
        msgspec.structs.replace(arm, proof=proof) if arm.arm == POD else arm
        for arm in b.card.summary.arms
    )
    summary = msgspec.structs.replace(b.card.summary, arms=arms)
    b = msgspec.structs.replace(b, card=msgspec.structs.replace(b.card, summary=summary))
    page = sides.side_by_side(a, b)
    assert contrast(page, APP).design == REFUSED
    assert contrast(page, APP, "bgp/pod").design == WELCH


def test_flags_go_with_the_contrast() -> None:
    """Another CNI flags kernel figures, not application figures, and refuses neither."""
    levels = {(POD, APP): 5e4, (POD, KERNEL): 2e4}
    a = sides.campaign("a", levels)
    cni = msgspec.structs.replace(a.card.summary.cni, name="cilium")
    b = sides.campaign("b", levels, changes={"cni": cni})
    page = sides.side_by_side(a, b)
    assert contrast(page, APP).flags == ()
    (flag,) = contrast(page, KERNEL).flags
    assert "use rtt_app_ns" in flag


def test_both_runs_are_judged_on_one_statistic() -> None:
    """Where one run needs the union of its pairs, the other's union is taken too."""
    a, b = (sides.campaign(name, {(POD, APP): 5e4}) for name in "ab")
    held = b.points.stats[POD, APP, ALL]
    held[0] = msgspec.structs.replace(held[0], mean_log=None)
    line = next(line for line in sides.side_by_side(a, b).lines if line.metric == APP)
    assert [standing.value for standing in line.standings] == pytest.approx([1e5, 1e5], rel=0.05)


def test_without_samples_the_summary_speaks() -> None:
    """A run that lost its samples is shown as its summary states it, and only described."""
    estimate = Estimate(
        arm=POD, metric=APP, value=6e4, unit="ns", ci95=(5.9e4, 6.1e4), n=9, n_effective=9, blocks=6
    )
    a = sides.campaign("a", {(POD, APP): 5e4})
    b = sides.campaign("b", {(POD, APP): 5e4}, n=0, changes={"estimates": (estimate,)})
    page = sides.side_by_side(a, b)
    line = next(line for line in page.lines if line.metric == APP)
    assert (line.standings[1].value, line.standings[1].ci95) == (6e4, (5.9e4, 6.1e4))
    found = contrast(page, APP)
    assert (found.design, found.ci95) == (DESCRIPTIVE, None)
    assert found.ratio == pytest.approx(1.2, rel=0.05)


def test_loss_between_campaigns() -> None:
    """Loss is compared by its counts; the difference is in shares."""
    levels = {(POD, APP): 5e4}
    a = sides.campaign("a", levels, losses={POD: [20, 22, 19, 21, 20, 23]})
    b = sides.campaign("b", levels, losses={POD: [60, 66, 58, 61, 64, 60]})
    found = contrast(sides.side_by_side(a, b), "loss.ratio")
    assert found.verdict == "different"
    assert found.difference == pytest.approx(0.0407, abs=0.001)
    assert found.ci95 is not None


def test_routed_modes_stand_in_one_row() -> None:
    """`bgp` here and `host-gw` there are compared as routed, and the contrast says so."""
    a = sides.campaign("a", {("bgp/pod", APP): 5e4, (POD, APP): 6e4})
    b = sides.campaign("b", {("host-gw/pod", APP): 5e4, (POD, APP): 6e4})
    found = contrast(sides.side_by_side(a, b), APP, "routed/pod")
    assert (found.base, found.other) == ("a:bgp/pod", "b:host-gw/pod")
    assert "both routed" in found.flags[0]


def test_a_ranking_as_far_as_intervals_go() -> None:
    """The slow run is last; the two that are alike share the first places."""
    runs = [
        sides.campaign(name, {(POD, APP): level})
        for name, level in (("slow", 9e4), ("x", 5e4), ("y", 5.02e4))
    ]
    (ranking,) = sides.side_by_side(*runs).rankings
    assert [(p.run, p.best, p.worst) for p in ranking.places] == [(1, 1, 2), (2, 1, 2), (0, 3, 3)]
    assert (ranking.told_apart, ranking.pairs, ranking.complete) == (2, 3, False)


def test_goodput_ranks_the_other_way() -> None:
    """More is better for rates."""
    runs = [sides.campaign(n, {(POD, TCP): level}) for n, level in (("a", 5e9), ("b", 8e9))]
    (ranking,) = sides.side_by_side(*runs).rankings
    assert [place.run for place in ranking.places] == [1, 0]
    assert ranking.complete


def test_no_ranking_where_nothing_is_told_apart() -> None:
    """Runs alike have no order, and neither have runs of which one pair was refused."""
    alike = [sides.campaign(name, {(POD, APP): 5e4}) for name in "abc"]
    assert sides.side_by_side(*alike).rankings == ()
    levels = [{(POD, APP): level} for level in (5e4, 7e4, 9e4)]
    a, b = (sides.campaign(n, lv) for n, lv in zip("ab", levels, strict=False))
    c = sides.campaign("c", levels[2], changes={"target": "kubernetes"})
    (ranking,) = sides.side_by_side(a, b, c).rankings
    assert {place.run for place in ranking.places} == {0, 1}


def test_facts_and_remarks_are_said_once() -> None:
    """Twelve runs give one line a fact and one remark a reason, with every run's value."""
    levels = {(POD, APP): 5e4, (POD, TCP): 5e9}
    runs = [
        sides.campaign(
            f"r{i}", levels, changes={"versions": {"podbench": "1", "iperf3": f"3.{12 + i % 2}"}}
        )
        for i in range(12)
    ]
    page = sides.side_by_side(*runs)
    (remark,) = page.remarks
    assert remark.refused
    assert "3.12: r0, r2, r4, r6, r8, r10; 3.13: r1" in remark.message
    assert len({fact.name for fact in page.facts}) == len(page.facts)
    assert next(fact for fact in page.facts if fact.name == "podbench").same


def test_an_arm_without_mtu_or_with_another() -> None:
    """MTUs that differ flag goodput only."""
    levels = {(POD, APP): 5e4, (POD, TCP): 5e9}
    a, b = sides.campaign("a", levels), sides.campaign("b", levels)
    arm: ArmSummary = b.card.summary.arms[0]
    summary = msgspec.structs.replace(
        b.card.summary, arms=(msgspec.structs.replace(arm, pod_mtu=8950),)
    )
    b = msgspec.structs.replace(b, card=msgspec.structs.replace(b.card, summary=summary))
    page = sides.side_by_side(a, b)
    assert contrast(page, APP).flags == ()
    assert "MTUs of vxlan/pod differ" in contrast(page, TCP).flags[0]


@pytest.mark.parametrize(
    ("caps", "rate", "verdict", "reason"),
    [
        (
            (5e8, 1e9),
            (5e8, 1e9),
            "inconclusive",
            "bandwidth caps of the runs differ (a: 500 Mbit/s",
        ),
        ((5e8, None), (5e8, 2e9), "inconclusive", "b: none"),
        ((5e8, 5e8), (5e8, 5e8), "inconclusive", "both are limited by this run's bandwidth cap"),
        ((5e8, 5e8), (5e8, 2e8), "different", ""),
        ((5e8, 5e8), (2e8, 2e8), "equivalent", ""),
    ],
)
def test_rates_that_a_run_capped_itself(
    caps: tuple[float | None, float | None],
    rate: tuple[float, float],
    verdict: str,
    reason: str,
) -> None:
    """What a cap made different or alike says nothing of the networks."""
    runs = [
        sides.campaign(
            name,
            {(POD, TCP): level, (POD, APP): 5e4},
            spread=0.002,
            changes={"spec": {"transfer_most_bps": most}},
        )
        for name, level, most in zip("ab", rate, caps, strict=True)
    ]
    page = sides.side_by_side(*runs)
    found = contrast(page, TCP)
    assert found.verdict == verdict
    assert reason in (found.reason or "")
    assert contrast(page, APP).design == WELCH
