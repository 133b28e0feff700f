"""Limits held against results: pass, fail, cannot tell, and the exit code of each."""

from pathlib import Path

import msgspec
import pytest
from support import results

from podbench.gate import decision, slo
from podbench.gate.decision import Verdict
from podbench.model.errors import ConfigError, StoreError
from podbench.model.summary import ArmSummary, Pair, Rate, Summary


def judged(folder: Path, made: Summary, *limits: str) -> decision.Gate:
    """A gate of these flow-style limits on a saved summary."""
    run = results.save(folder / "run", made)
    path = folder / "slo.yaml"
    path.write_text("slos:\n" + "".join(f"- {{{limit}}}\n" for limit in limits), encoding="utf-8")
    return decision.judge(run, slo.read(path), path)


def app(low: float, value: float, high: float) -> Pair:
    """A pair whose app p99 has this interval, in ns."""
    return results.pair(app=results.quantiles(p99=(value, (low, high))))


@pytest.mark.parametrize(
    ("bounds", "limit", "verdict"),
    [
        ((1.0e6, 1.5e6, 1.9e6), "max: 2ms", Verdict.PASS),
        ((1.0e6, 1.5e6, 2.0e6), "max: 2ms", Verdict.PASS),
        ((1.0e6, 1.5e6, 2.1e6), "max: 2ms", Verdict.CANNOT_TELL),
        ((1.9e6, 2.5e6, 3.0e6), "max: 2ms", Verdict.CANNOT_TELL),
        ((2.1e6, 2.5e6, 3.0e6), "max: 2ms", Verdict.FAIL),
        ((2.1e6, 2.5e6, 3.0e6), "min: 2ms", Verdict.PASS),
        ((1.0e6, 1.5e6, 1.9e6), "min: 2ms", Verdict.FAIL),
        ((1.0e6, 2.5e6, 3.0e6), "min: 2ms", Verdict.CANNOT_TELL),
    ],
)
def test_the_whole_interval_decides(
    tmp_path: Path, bounds: tuple[float, float, float], limit: str, verdict: Verdict
) -> None:
    """A limit is kept or broken only by the whole interval, whatever the figure itself says."""
    found = judged(
        tmp_path, results.summary(app(*bounds)), f"metric: rtt_app_ns.p99, path: pod, {limit}"
    )
    assert found.verdict is verdict


def test_one_bad_pair_fails_the_limit(tmp_path: Path) -> None:
    """A limit holds for every matching pair, and each has its own verdict."""
    good, bad = results.quantiles(p99=(1e6, (9e5, 1.1e6))), results.quantiles(p99=(5e6, (4e6, 6e6)))
    open_ends = results.quantiles(p99=(2e6, (1e6, 4e6)))
    made = results.summary(
        results.pair("n1", "n2", app=good),
        results.pair("n2", "n1", app=bad),
        results.pair("n1", "n3", app=open_ends),
    )
    (outcome,) = judged(tmp_path, made, "metric: rtt_app_ns.p99, path: pod, max: 2ms").outcomes
    assert outcome.verdict is Verdict.FAIL
    assert [check.verdict for check in outcome.checks] == [
        Verdict.PASS,
        Verdict.FAIL,
        Verdict.CANNOT_TELL,
    ]


@pytest.mark.parametrize(
    ("verdict", "unknown", "code"),
    [
        (Verdict.PASS, None, 0),
        (Verdict.FAIL, None, 4),
        (Verdict.CANNOT_TELL, None, 3),
        (Verdict.CANNOT_TELL, "pass", 0),
        (Verdict.CANNOT_TELL, "fail", 4),
        (Verdict.FAIL, "pass", 4),
        (Verdict.PASS, "fail", 0),
    ],
)
def test_exit_codes(verdict: Verdict, unknown: str | None, code: int) -> None:
    """0 all pass, 4 one fails, 3 cannot tell unless --unknown settles it."""
    assert decision.exit_code(verdict, unknown) == code


def test_fail_outweighs_cannot_tell(tmp_path: Path) -> None:
    """With one limit broken and another open, the gate says no."""
    found = judged(
        tmp_path,
        results.summary(app(3e6, 4e6, 5e6)),
        "metric: rtt_app_ns.p99, path: pod, max: 2ms",
        "metric: rtt_kernel_ns.p99, path: pod, max: 2ms",
    )
    assert [outcome.verdict for outcome in found.outcomes] == [Verdict.FAIL, Verdict.CANNOT_TELL]
    assert found.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("made", "limit", "said"),
    [
        (results.pair(), "metric: rtt_app_ns.p99, path: pod, max: 2ms", "not measured: rtt_app_ns"),
        (
            results.pair(app=results.quantiles(n=500)),
            "metric: rtt_app_ns.p999, path: pod, max: 2ms",
            "500 samples are too few",
        ),
        (
            results.pair(app=results.quantiles(n=0)),
            "metric: rtt_app_ns.p99, path: pod, max: 2ms",
            "no probe of this pair came back",
        ),
        (
            results.pair(app=results.quantiles(p99=(1e6, (9e5, 1.1e6))), proof="fell back"),
            "metric: rtt_app_ns.p99, path: pod, max: 2ms",
            "these packets were not vxlan/pod: fell back (seen: bgp)",
        ),
        (
            results.pair(app=results.quantiles(p99=(1e6, None))),
            "metric: rtt_app_ns.p99, path: pod, max: 2ms",
            "no samples to make an interval from",
        ),
        (
            app(9e5, 1e6, 1.1e6),
            "metric: rtt_app_ns.p99, path: pod, max: 2ms, confidence: 99%",
            "no samples to make an interval from",
        ),
        (
            app(9e5, 1e6, 1.1e6),
            "metric: rtt_app_ns.mean, path: pod, max: 2ms",
            "no samples to make an interval from",
        ),
    ],
)
def test_what_cannot_be_told_says_why(tmp_path: Path, made: Pair, limit: str, said: str) -> None:
    """Every pair that cannot be judged gives its reason."""
    (outcome,) = judged(tmp_path, results.summary(made), limit).outcomes
    (check,) = outcome.checks
    assert check.verdict is Verdict.CANNOT_TELL
    assert said in check.reason


@pytest.mark.parametrize(
    ("limit", "verdict", "said"),
    [
        ("metric: loss.lost_forward, path: pod, max: 3", Verdict.PASS, "counted in this run"),
        ("metric: loss.lost_forward, path: pod, max: 1", Verdict.FAIL, "counted in this run"),
        ("metric: rtt_app_ns.max, path: pod, max: 100us", Verdict.PASS, "seen in this run"),
        ("metric: rtt_app_ns.max, path: pod, max: 80us", Verdict.FAIL, "seen in this run"),
    ],
)
def test_counts_and_extremes_are_facts(
    tmp_path: Path, limit: str, verdict: Verdict, said: str
) -> None:
    """What was counted or seen in the run needs no interval, and is said to be that."""
    made = results.pair(app=results.quantiles(), loss=results.lost(1000, 2, (0.0005, 0.007)))
    (outcome,) = judged(tmp_path, results.summary(made), limit).outcomes
    assert outcome.verdict is verdict
    assert said in outcome.checks[0].reason


def test_loss_and_goodput(tmp_path: Path) -> None:
    """Loss has an upper limit, goodput a lower one, both on their own intervals."""
    made = results.summary(
        results.pair(
            loss=results.lost(100_000, 20, (0.0001, 0.0003)), tcp=results.rate(6e9, (5.5e9, 6.5e9))
        )
    )
    found = judged(
        tmp_path,
        made,
        "metric: loss.ratio, path: pod, max: 0.1%",
        "metric: goodput_bps.tcp.p50, path: pod, min: 5Gbit/s",
        "metric: goodput_bps.tcp.p50, path: pod, min: 7Gbit/s",
        "metric: goodput_bps.tcp_8.p50, path: pod, min: 7Gbit/s",
    )
    assert [outcome.verdict for outcome in found.outcomes] == [
        Verdict.PASS,
        Verdict.PASS,
        Verdict.FAIL,
        Verdict.CANNOT_TELL,
    ]


def test_nothing_passes_on_a_void_run(tmp_path: Path) -> None:
    """A failed A/A check voids passes; what breaks a limit breaks it all the same."""
    made = results.summary(app(9e5, 1e6, 1.1e6), status="invalid")
    found = judged(
        tmp_path,
        made,
        "metric: rtt_app_ns.p99, path: pod, max: 2ms",
        "metric: rtt_app_ns.p99, path: pod, max: 1us",
    )
    assert [outcome.verdict for outcome in found.outcomes] == [Verdict.CANNOT_TELL, Verdict.FAIL]
    assert "void" in found.outcomes[0].checks[0].reason
    assert found.notes


def test_an_arm_that_was_not_measured(tmp_path: Path) -> None:
    """A limit on a missing arm repeats the arm's own reason."""
    gone = ArmSummary(
        arm="ipip/pod",
        mode="ipip",
        path="pod",
        implementation=None,
        pod_mtu=None,
        status="not measured",
        reason="kernel has no IPIP",
    )
    made = results.summary(app(9e5, 1e6, 1.1e6))
    made = msgspec.structs.replace(made, arms=(*made.arms, gone))
    (outcome,) = judged(
        tmp_path, made, "metric: rtt_app_ns.p99, path: pod, mode: ipip, max: 2ms"
    ).outcomes
    assert outcome.verdict is Verdict.CANNOT_TELL
    assert outcome.reason == "not measured: kernel has no IPIP"


def test_no_run_and_no_results(tmp_path: Path) -> None:
    """A directory without a run, one without results, and a damaged one are three sentences."""
    path = tmp_path / "slo.yaml"
    path.write_text("slos:\n- {metric: loss.ratio, path: pod, max: 1%}\n", encoding="utf-8")
    limits = slo.read(path)
    with pytest.raises(ConfigError, match="not a run directory"):
        decision.judge(tmp_path / "none", limits, path)
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match="not finished"):
        decision.judge(tmp_path / "begun", limits, path)
    for text, said in (
        ('{"format": 2}', "format 2, and this version reads format 1"),
        ("{", "damaged"),
        ('{"format": 1, "pairs": NaN}', "damaged"),
        ('{"format": 1, "run_id": "x"}', "damaged"),
        ("[]", "damaged"),
    ):
        (tmp_path / "begun" / "summary.json").write_text(text)
        with pytest.raises(StoreError, match=said):
            decision.judge(tmp_path / "begun", limits, path)


@pytest.mark.parametrize(
    ("rate", "limit", "verdict"),
    [
        (9.9e8, "min: 5Gbit/s", Verdict.CANNOT_TELL),
        (6e8, "min: 5Gbit/s", Verdict.FAIL),
        (9.9e8, "min: 500Mbit/s", Verdict.PASS),
        (9.9e8, "max: 2Gbit/s", Verdict.CANNOT_TELL),
    ],
)
def test_a_run_s_own_cap_breaks_no_limit(
    tmp_path: Path, rate: float, limit: str, verdict: Verdict
) -> None:
    """A cluster that was asked for 1 Gbit/s at most may well carry 5 Gbit/s."""
    tcp = Rate(p50=rate, min=rate, max=rate, n=20, ci95=(0.99 * rate, 1.01 * rate))
    made = results.summary(results.pair(tcp=tcp), spec={"transfer_most_bps": 1_000_000_000})
    found = judged(tmp_path, made, f"metric: goodput_bps.tcp.p50, path: pod, {limit}")
    assert found.verdict is verdict
    if verdict is Verdict.CANNOT_TELL:
        assert "own cap of 1 Gbit/s" in found.outcomes[0].checks[0].reason
