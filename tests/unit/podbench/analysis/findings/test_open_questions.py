"""What stays open, and how much longer it would take."""

import msgspec
import numpy as np
import pytest
from support import synthetic

from podbench.analysis.bundle import PlanFacts
from podbench.analysis.findings import comparisons, open_questions
from podbench.analysis.samples.blocks import Cells
from podbench.analysis.samples.metrics import METRICS
from podbench.analysis.stats import verdicts
from podbench.model.summary import Comparison

PLAN = PlanFacts(
    blocks_planned=5, blocks_done=5, visits=20, rounds=20, measuring_s=300.0, arms_in_block=()
)


def _open(other: str = "vxlan/pod", **changes: object) -> Comparison:
    one = Comparison(
        metric="rtt_app_ns.p99",
        base="bgp/pod",
        other=other,
        path="pod",
        ratio=1.04,
        ci95=(0.9, 1.2),
        difference=1_000.0,
        unit="ns",
        blocks=5,
        verdict="inconclusive",
        margin=0.10,
        reason="the interval includes both faster and slower; about 12 blocks would settle it",
        blocks_needed=12,
    )
    return msgspec.structs.replace(one, **changes)


def test_time_is_the_missing_blocks_at_this_runs_pace() -> None:
    """Seven more blocks of one minute each, in figures and in the reason."""
    (one,) = open_questions.timed([_open()], PLAN)
    assert one.further_s == pytest.approx(420.0)
    assert one.reason is not None
    assert one.reason.endswith("(7 more: 7 min 0 s)")


def test_without_a_pace_there_is_no_time() -> None:
    """No block was done, or none was timed: blocks, and null for the time."""
    for plan in (
        msgspec.structs.replace(PLAN, blocks_done=0),
        msgspec.structs.replace(PLAN, measuring_s=0.0),
    ):
        assert open_questions.timed([_open()], plan) == (_open(),)


def test_decided_comparisons_need_nothing() -> None:
    """A verdict has neither blocks nor time to wait for."""
    decided = _open(verdict="equivalent", blocks_needed=None, reason=None)
    assert open_questions.timed([decided], PLAN) == (decided,)
    assert list(open_questions.of_open([decided])) == []


def test_one_doubt_names_blocks_time_and_the_command() -> None:
    """The most blocks that make sense, the time they take, what to type; A/A repeats left out."""
    found = open_questions.timed(
        [
            _open(),
            _open("ipip/pod", blocks_needed=30),
            _open("vxlan/pod#2", blocks_needed=90),
            _open("ipip/pod", metric="pdv_p99_ns", blocks_needed=4_000),
        ],
        PLAN,
    )
    (doubt,) = open_questions.of_open(found)
    assert doubt.code == "more_blocks_needed"
    assert doubt.message == (
        "3 comparisons between modes are inconclusive; about 30 blocks would settle 2 of them: "
        "25 more, 25 min 0 s measuring time"
    )
    assert doubt.advice == "bench run --blocks 30"
    assert doubt.evidence == (
        "rtt_app_ns.p99 of vxlan/pod: 12 blocks; rtt_app_ns.p99 of ipip/pod: 30 blocks"
    )


def test_where_blocks_do_not_help_it_says_so() -> None:
    """Thousands of blocks are no advice."""
    (doubt,) = open_questions.of_open([_open(blocks_needed=4_000)])
    assert "too large" in doubt.message
    assert doubt.advice == "re-run on a quieter machine, or with longer sessions"


def test_the_number_of_blocks_settles_the_comparison() -> None:
    """Of campaigns with as many blocks as asked for, nearly all have a verdict."""
    rng = np.random.default_rng(3)
    pilot = rng.normal(0.03, 0.06, 10)
    needed = verdicts.decide(pilot, 0.05).blocks_needed
    assert needed is not None
    words = [
        verdicts.decide(rng.normal(0.03, float(pilot.std(ddof=1)), needed), 0.05).verdict
        for _ in range(100)
    ]
    assert sum(word is verdicts.Word.INCONCLUSIVE for word in words) < 30


def test_a_run_says_how_much_longer() -> None:
    """Blocks in the comparison, in its reason and in a warning, each the same number."""
    summary = synthetic.bundle(3, 5, 2, synthetic.Truth(run_sd=0.08)).summary
    still = [c for c in summary.comparisons if c.verdict == "inconclusive" and "#" not in c.other]
    assert still
    for one in still:
        assert one.blocks_needed is None or one.blocks_needed > one.blocks
        assert one.blocks_needed is None or str(one.blocks_needed) in (one.reason or "")
    assert any(doubt.code == "more_blocks_needed" for doubt in summary.warnings)
    assert all(c.blocks_needed is None for c in summary.comparisons if c.verdict == "different")


ARMS = ("bgp/pod", "vxlan/pod", "vxlan/pod#2")


def _tables(repeat: float, blocks: int = 5) -> comparisons.Tables:
    """VXLAN 20 % above BGP in five blocks, and `repeat` times itself in its A/A repeat."""
    rng = np.random.default_rng(4)
    cells: Cells = {}
    for block in range(1, blocks + 1):
        for arm, level in zip(ARMS, (10_000.0, 12_000.0, 12_000.0 * repeat), strict=True):
            value = level * np.exp(rng.normal(0.0, 0.002))
            cells[arm, block] = {("n1", "n2"): np.full(2_000, value)}
    held: dict[str, Cells] = {metric.series: {} for metric in METRICS}
    held["rtt_kernel_ns"] = cells
    return comparisons.Tables(cells=held, losses={})


def test_a_clear_difference_is_settled_at_the_first_look() -> None:
    """Five quiet blocks and a sound A/A pair leave nothing open."""
    assert open_questions.undecided(_tables(1.0), ARMS, 50, after=5) == ()


def test_a_difference_inside_the_noise_floor_is_not_settled() -> None:
    """Where an arm differs from itself as much, the run goes on: the report would withdraw it."""
    found = open_questions.undecided(_tables(1.3), ARMS, 50, after=5)
    assert {name for name, _, _ in found} == {"rtt_kernel_ns.p50"}


def test_a_block_that_one_figure_lacks_keeps_no_run_going() -> None:
    """At the look after ten blocks nine differences are judged; after five, four are too few."""
    assert open_questions.undecided(_tables(1.0, blocks=9), ARMS, 50, after=10) == ()
    assert len(open_questions.undecided(_tables(1.0, blocks=4), ARMS, 50, after=5)) == 1


def test_between_looks_everything_is_open() -> None:
    """Four of fifty blocks are no look; at the last block nothing is open."""
    tables = _tables(1.0, blocks=4)
    assert {name for name, _, _ in open_questions.undecided(tables, ARMS, 50, after=4)} >= {
        "rtt_kernel_ns.p50",
        "rtt_app_ns.p99",
    }
    assert open_questions.undecided(tables, ARMS, 4, after=4) == ()
