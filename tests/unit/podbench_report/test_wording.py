"""Sentences: each verdict, null, the lab, stand-ins."""

import msgspec
import pytest

from podbench.analysis.findings import capped
from podbench.analysis.stats.verdicts import Decision, Word
from podbench.model.arms import is_stand_in
from podbench.model.summary import AaCheck, Blame, Comparison, LossSummary, OverlayTax
from podbench_report import headline, numbers, wording

KERNEL = {"vxlan": "kernel device", "ipip": "eBPF at tc", "bgp": "routed"}
BASE = Comparison(
    metric="rtt_kernel_ns.p50",
    base="bgp/pod",
    other="vxlan/pod",
    path="pod",
    ratio=1.206,
    ci95=(1.177, 1.235),
    difference=4_100.0,
    difference_ci95=(3_610.0, 4_620.0),
    unit="ns",
    blocks=5,
    verdict="different",
    margin=0.05,
    smallest_detectable_ratio=1.034,
)


def plain(text: object) -> str:
    """The text with ordinary spaces."""
    return str(text).replace(numbers.NBSP, " ").replace("\u202f", " ")


def say(**changes: object) -> str:
    """The sentence for BASE with changes."""
    return plain(wording.comparison(msgspec.structs.replace(BASE, **changes), KERNEL))


def test_different_says_how_much_how_surely_and_from_how_many_blocks() -> None:
    """The example of the contract."""
    assert say() == (
        "VXLAN adds 4.10 µs (95% CI 3.61–4.62 µs, 5 blocks; +20.6%) to the median kernel RTT "
        "compared with BGP: different."
    )


def test_without_an_interval_in_units_the_percent_interval_is_given() -> None:
    """The interval that analysis gave, not one the report made up."""
    assert say(difference_ci95=None) == (
        "VXLAN adds 4.10 µs (+20.6%, 95% CI +17.7 to +23.5%, 5 blocks) to the median kernel "
        "RTT compared with BGP: different."
    )


def test_a_reduction_turns_its_interval_round() -> None:
    """`removes 1.2 µs (0.8 to 1.6)`: the bounds are of the amount removed."""
    text = say(
        ratio=0.94, ci95=(0.92, 0.96), difference=-1_200.0, difference_ci95=(-1_600.0, -800.0)
    )

    assert text.startswith("VXLAN removes 1.20 µs (95% CI 0.80–1.60 µs, 5 blocks; −6.0%) from")


def test_goodput_is_lowered_not_added_to() -> None:
    """More is better there, and the words say so."""
    text = say(
        metric="goodput_bps.tcp.p50",
        unit="bit/s",
        ratio=0.783,
        difference=-1.56e9,
        difference_ci95=(-1.69e9, -1.42e9),
    )

    assert text == (
        "VXLAN lowers the TCP goodput by 1.56 Gbit/s (95% CI 1.42–1.69 Gbit/s, 5 blocks; "
        "−21.7%) compared with BGP: different."
    )


def test_a_ratio_is_told_as_a_factor() -> None:
    """A loss ratio three times as large is three times, not `adds 0.2%`."""
    text = say(metric="loss.ratio", unit="ratio", ratio=3.0, difference=0.002)

    assert "multiplies the loss ratio by 3.00" in text


def test_small_is_real_but_within_the_margin() -> None:
    """It is a claim, and it says that the claim does not matter."""
    text = say(verdict="small", ratio=1.021, difference=430.0, difference_ci95=(100.0, 760.0))

    assert text.endswith(": small. Real, but within the margin of ±5%.")


def test_equivalent_names_the_margin_it_was_shown_for() -> None:
    """Never `no difference`."""
    text = say(verdict="equivalent", ratio=1.004, ci95=(0.99, 1.018), difference=80.0)

    assert "within the margin of ±5%: equivalent." in text
    assert "no difference" not in text


def test_equivalent_without_a_ratio_gives_the_reason() -> None:
    """Two modes that lost nothing have no ratio."""
    text = say(
        metric="loss.ratio", unit="ratio", verdict="equivalent", ratio=None, ci95=None, reason="why"
    )

    assert text == "VXLAN against BGP, loss ratio (why): equivalent."


def test_inconclusive_says_what_fits_and_what_would_have_been_seen() -> None:
    """The interval, the reason and the smallest detectable change."""
    text = say(verdict="inconclusive", ratio=1.02, ci95=(0.95, 1.09), reason="within the A/A floor")

    assert text == (
        "VXLAN against BGP, median kernel RTT +2.0% (95% CI −5.0 to +9.0%, 5 blocks; within the "
        "A/A floor; smallest detectable change 3.4%): inconclusive."
    )


def test_one_block_gives_no_interval() -> None:
    """And the sentence says just that."""
    text = say(verdict="inconclusive", ci95=None, difference_ci95=None, blocks=1)

    assert "(no interval from 1 block): inconclusive." in text


def test_not_measured_gives_the_reason_and_no_number() -> None:
    """Null is `not measured`, never 0."""
    text = say(verdict="not measured", ratio=None, ci95=None, difference=None, reason="no IPIP")

    assert text == ("VXLAN against BGP, median kernel RTT (no IPIP): not measured.")
    assert not any(char.isdigit() for char in text)


def test_a_stand_in_is_named_wherever_its_cost_is() -> None:
    """IPIP by eBPF is not the kernel's IPIP, and no sentence about its cost hides that."""
    assert say(other="ipip/pod").startswith("IPIP (stand-in: eBPF at tc) adds")
    tax = OverlayTax(
        mode="ipip",
        metric="rtt_kernel_ns.p50",
        pod=21.0,
        host=17.0,
        difference=4.0,
        ci95=(3.0, 5.0),
        unit="ns",
        verdict="different",
    )
    assert "IPIP (stand-in: eBPF at tc) adds 4.00 ns (95% CI 3.00–5.00 ns)" in plain(
        wording.overlay_tax(tax, KERNEL)
    )
    assert not is_stand_in("kernel device")
    assert not is_stand_in(None)
    assert not is_stand_in("temporary IPPool podbench-vxlan")


def test_a_repeat_is_not_told_as_the_arm_it_repeats() -> None:
    """Of either path: two lines of one name would read as one arm told twice."""
    arms = ("vxlan/pod", "vxlan/pod#2", "vxlan/host", "vxlan/host#2")
    assert [wording.subject(arm, {}) for arm in arms] == [
        "VXLAN",
        "VXLAN repeat (A/A)",
        "host path (alongside VXLAN)",
        "host path (alongside VXLAN) repeat (A/A)",
    ]


def test_disagreement_of_the_twins_is_flagged() -> None:
    """The robust twin's disagreement follows the verdict."""
    assert "Hodges-Lehmann" in say(disagreement=True)


def test_the_lede_names_lab_stand_in_and_every_mode() -> None:
    """One sentence for latency, one for goodput; what was not measured is not left out."""
    ipip = msgspec.structs.replace(
        BASE, other="ipip/pod", verdict="not measured", ratio=None, ci95=None
    )
    lines = [plain(line) for line in headline.sentences([BASE, ipip], KERNEL, on_lab=True)]

    assert lines == [
        "Compared with BGP in the lab, the median kernel RTT is 20.6% higher under VXLAN "
        "(95% CI 17.7–23.5%); it was not measured under IPIP."
    ]


def test_the_lede_of_a_stand_in_and_of_open_questions() -> None:
    """Undecided is undecided, and the stand-in is named beside its interval."""
    ipip = msgspec.structs.replace(BASE, other="ipip/pod", verdict="inconclusive", ci95=(0.9, 1.1))
    (line,) = headline.sentences([ipip], KERNEL, on_lab=False)

    assert plain(line) == (
        "Compared with BGP, the median kernel RTT is inconclusive for IPIP (stand-in: "
        "eBPF at tc; 95% CI −10.0 to +10.0%)."
    )


def test_the_headline_joins_inconclusive_modes() -> None:
    """Two open modes are one clause, each with its interval."""
    open_ones = [
        msgspec.structs.replace(BASE, other=f"{mode}/pod", verdict="inconclusive", ci95=(0.9, 1.1))
        for mode in ("native", "vxlan")
    ]
    (line,) = headline.sentences(open_ones, {}, on_lab=False)

    assert plain(line) == (
        "Compared with BGP, the median kernel RTT is inconclusive for native (95% CI "
        "−10.0 to +10.0%) and VXLAN (95% CI −10.0 to +10.0%)."
    )


def test_the_lede_does_not_ask_for_blocks_where_the_cap_holds() -> None:
    """What the run's own cap made is not found out by measuring longer."""
    decided = Decision(verdict=Word.EQUIVALENT, ratio=1.0, ci95=(0.99, 1.01), blocks=9)
    held = capped.judged(decided, (1e9, 1e9), "bit/s", 1e9)
    limited = msgspec.structs.replace(
        BASE, metric="goodput_bps.tcp.p50", verdict="inconclusive", ci95=held.ci95,
        reason=held.reason,
    )  # fmt: skip
    (line,) = headline.sentences([limited], {}, on_lab=False)

    assert plain(line) == (
        "Compared with BGP, the TCP goodput is unknown for VXLAN (95% CI −1.0 to +1.0%): "
        "transfers reached this run's bandwidth cap."
    )


def test_the_lede_of_nothing() -> None:
    """All lost, or nothing to compare: said in words."""
    assert "No probe" in headline.sentences([], {}, on_lab=True, all_lost=True)[0]
    assert "Nothing to compare" in headline.sentences([], {}, on_lab=True)[0]


def test_not_measured_groups_metrics_of_one_reason() -> None:
    """One sentence for each pair of modes, not one for each metric."""
    gone = [
        msgspec.structs.replace(
            BASE, metric=m, verdict="not measured", ratio=None, reason="no sample"
        )
        for m in ("rtt_kernel_ns.p50", "rtt_kernel_ns.p99", "pdv_p99_ns")
    ]
    (only,) = wording.not_measured(gone, KERNEL)

    assert plain(only) == (
        "VXLAN against BGP in kernel RTT p50, kernel RTT p99 and jitter (PDV p99) (no sample): "
        "not measured."
    )


@pytest.mark.parametrize(
    ("lost", "verdict", "piece"),
    [
        ((0, 0, 0), "no loss observed", "VXLAN lost none of 1000 probes (95% CI 0–0.30%)"),
        ((7, 2, 1), "loss", "10 of 1000 probes, 1.00%"),
        ((1000, 0, 0), "all lost", "1000 in the request direction"),
    ],
)
def test_loss_tells_direction_and_interval(
    lost: tuple[int, int, int], verdict: str, piece: str
) -> None:
    """None, some and all are told apart."""
    summary = LossSummary(
        sent=1000,
        lost_forward=lost[0],
        lost_backward=lost[1],
        lost_unknown=lost[2],
        ratio=sum(lost) / 1000,
        ci95=(0.0, 0.003),
        episodes=3,
    )
    sentence = wording.loss("vxlan/pod", summary, KERNEL)

    assert sentence.verdict == verdict
    assert piece in plain(sentence)


def test_no_probe_sent_is_not_no_loss() -> None:
    """Zero of zero is not measured."""
    empty = LossSummary(
        sent=0, lost_forward=0, lost_backward=0, lost_unknown=0, ratio=None, ci95=None, episodes=0
    )

    assert wording.loss("vxlan/pod", empty, KERNEL).verdict == "not measured"


def test_the_aa_check_passed_failed_and_absent() -> None:
    """A failed check says that verdicts are not to be trusted; the floor is in percent."""
    floor = {"rtt_kernel_ns.p50": 0.018}
    passed = wording.aa_check(AaCheck(passed=True, comparisons=8, false_alarms=0), floor)
    failed = wording.aa_check(AaCheck(passed=False, comparisons=8, false_alarms=2), {})

    # No alarm is no proof of equality: the table below may hold every one of them inconclusive.
    assert "none of 8 comparisons is different" in plain(passed)
    assert "differences below 1.8% in kernel RTT p50 are noise" in plain(passed)
    assert "different in 2 of 8 comparisons; do not trust the verdicts" in plain(failed)
    lucky = wording.aa_check(AaCheck(passed=True, comparisons=8, false_alarms=0), {}, 1)
    assert "before Holm's correction 1 of 8 is different, as expected by chance" in plain(lucky)
    two = wording.aa_check(AaCheck(passed=True, comparisons=8, false_alarms=0), {}, 2)
    assert "2 of 8 are different, as expected by chance" in plain(two)
    assert wording.aa_check(None, floor).verdict == "not measured"


def test_blame_names_who_how_much_and_why() -> None:
    """Evidence follows the verdict."""
    found = Blame(
        kind="node", subject="n2", metric="rtt_kernel_ns.p50", effect_ratio=1.4, z=9.3, evidence="E"
    )

    assert plain(wording.blame(found, {"n2": "two"})) == (
        "Node two: median kernel RTT is 40.0% above the others (z = 9.30): outlier. Evidence: E."
    )
    pair = msgspec.structs.replace(found, kind="pair", subject="n2 > n3", effect_ratio=0.5)
    assert plain(wording.blame(pair, {"n2": "two"})).startswith("Pair two to n3: median")


def test_messages_become_sentences() -> None:
    """A capital and a full stop, but an arm's name stays as it is."""
    assert wording.full_stop("compare modes here") == "Compare modes here."
    assert wording.full_stop("ipip/pod is a stand-in.") == "ipip/pod is a stand-in."


def test_questions_without_an_interval_share_one_sentence() -> None:
    """One block: not a screen full of the same words."""
    unclear = [
        msgspec.structs.replace(BASE, metric=m, verdict="inconclusive", ci95=None, blocks=1)
        for m in ("rtt_kernel_ns.p50", "pdv_p99_ns")
    ]
    (only,) = wording.open_questions(unclear, KERNEL)

    assert plain(only) == (
        "VXLAN against BGP in kernel RTT p50 and jitter (PDV p99) (too few blocks for "
        "an interval): inconclusive."
    )
