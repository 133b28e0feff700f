"""The whole analysis on made-up runs: truths come back, and nothing breaks it."""

from collections.abc import Callable

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from support import synthetic

from podbench.analysis.bundle import Bundle
from podbench.analysis.findings import data_caveats
from podbench.analysis.samples.inputs import BlockProof, Inputs
from podbench.analysis.summarise import analyse
from podbench.model.facts import Verdict
from podbench.model.summary import Comparison, Summary
from podbench.store import samples, schemas

RTTS = ["rtt_kernel_ns", "rtt_app_ns", "reflector_ns", "host_ns"]


@pytest.fixture(scope="module")
def whole() -> Bundle:
    """The usual run: three nodes, five blocks, three modes and the repeat."""
    return analyse(synthetic.run(1))


def _found(summary: Summary, metric: str, other: str) -> Comparison:
    return next(c for c in summary.comparisons if (c.metric, c.other) == (metric, other))


def test_truth_is_inside_the_intervals(whole: Bundle) -> None:
    """The ratio of VXLAN to plain routing, and what it adds to the host path."""
    found = _found(whole.summary, "rtt_kernel_ns.p50", "vxlan/pod")
    assert found.base == "bgp/pod"
    assert found.verdict == "different"
    assert found.ci95 is not None
    assert found.ci95[0] < 15_000 / 8_800 < found.ci95[1]
    tax = next(t for t in whole.summary.overlay_tax if t.mode == "vxlan")
    assert tax.ci95 is not None
    assert tax.ci95[0] < 7_300 < tax.ci95[1]


def test_ratio_difference_and_estimates_agree(whole: Bundle) -> None:
    """No two figures of a comparison contradict each other, nor the arms' own."""
    found = _found(whole.summary, "rtt_kernel_ns.p50", "vxlan/pod")
    values = {e.arm: e.value for e in whole.summary.estimates if e.metric == "rtt_kernel_ns.p50"}
    assert values["vxlan/pod"] == pytest.approx((values["bgp/pod"] or 0) * (found.ratio or 0))
    apart = (values["vxlan/pod"] or 0) - (values["bgp/pod"] or 0)
    assert found.difference == pytest.approx(apart, rel=0.01)
    assert found.difference_ci95 is not None
    assert found.difference_ci95[0] < (found.difference or 0) < found.difference_ci95[1]


def test_survives_json(whole: Bundle) -> None:
    """Plain numbers only: the bundle is written down and read back equal."""
    data = msgspec.json.encode(whole)
    assert msgspec.json.decode(data, type=Bundle) == whole


def test_parquet_types_change_nothing(whole: Bundle) -> None:
    """Tables as the store reads them, masked integers and all, give the same figures."""
    made = synthetic.run(1)
    tables: dict[str, pd.DataFrame] = {}
    for probe in ("latency", "throughput", "host"):
        held = pa.Table.from_pandas(
            getattr(made, probe), schema=schemas.BY_PROBE[probe], preserve_index=False
        )
        tables[probe] = held.to_pandas(types_mapper=samples._NULLABLE.get)
    again = analyse(msgspec.structs.replace(made, **tables))
    assert again.summary == whole.summary


def test_phases_never_mix(whole: Bundle) -> None:
    """Warm, idle and loaded figures are those of their own probes."""
    pair = next(p for p in whole.summary.pairs if p.arm == "vxlan/pod" and p.rtt_loaded_ns)
    assert pair.rtt_kernel_ns is not None
    assert pair.rtt_idle_ns is not None
    assert pair.rtt_loaded_ns is not None
    warm = pair.rtt_kernel_ns.p50 or 0.0
    assert pair.rtt_idle_ns.p50 == pytest.approx(4 * warm, rel=0.15)
    assert pair.rtt_loaded_ns.p50 == pytest.approx(6 * warm, rel=0.15)
    assert pair.rtt_kernel_ns.n % 1000 == 0


def test_pairs_are_as_the_rows_have_them(whole: Bundle) -> None:
    """Six directed pairs, none mirrored: their blocks add up to the five measured."""
    held = [p for p in whole.summary.pairs if p.arm == "bgp/pod" and p.rtt_kernel_ns]
    n = {(p.src, p.dst): p.rtt_kernel_ns.n for p in held if p.rtt_kernel_ns}
    assert n["n1", "n2"] + n["n2", "n1"] == 5000
    assert n["n1", "n2"] != n["n2", "n1"]


def test_unsupported_quantiles_are_null(whole: Bundle) -> None:
    """p99.9 needs 10,000 samples: two or three blocks of a pair have fewer, all pairs have more."""
    pair = next(p for p in whole.summary.pairs if p.arm == "bgp/pod" and p.rtt_kernel_ns)
    assert pair.rtt_kernel_ns is not None
    assert pair.rtt_kernel_ns.p999 is None
    assert pair.rtt_kernel_ns.ci95["p999"] is None
    tail = next(t for t in whole.tails if (t.arm, t.metric) == ("bgp/pod", "rtt_kernel_ns"))
    assert tail.q[-1] == 0.9992
    assert list(tail.value_ns) == sorted(tail.value_ns)


def test_one_coarse_pair_is_one_pair(whole: Bundle) -> None:
    """The evidence of a warning agrees with its number, too."""
    pair = next(p for p in whole.summary.pairs if p.rtt_kernel_ns)
    assert pair.rtt_kernel_ns is not None
    coarse = msgspec.structs.replace(
        pair, rtt_kernel_ns=msgspec.structs.replace(pair.rtt_kernel_ns, coarse=("p99",))
    )
    assert [d.evidence for d in data_caveats.of_pairs([coarse])] == ["p99: 1 pair"]
    assert [d.evidence for d in data_caveats.of_pairs([coarse] * 2)] == ["p99: 2 pairs"]


def test_repeat_goes_into_floor_and_check(whole: Bundle) -> None:
    """The A/A pair is compared, floors every headline metric, and is no mode of its own."""
    summary = whole.summary
    assert _found(summary, "rtt_kernel_ns.p50", "vxlan/pod#2").base == "vxlan/pod"
    assert summary.aa_check is not None
    assert summary.aa_check.passed is True
    assert {"rtt_kernel_ns.p50", "rtt_kernel_ns.p99", "pdv_p99_ns"} <= summary.noise_floor.keys()
    assert not [c for c in summary.comparisons if c.base == "bgp/pod" and "#" in c.other]
    assert {t.mode for t in summary.overlay_tax} == {"vxlan", "ipip", "bgp"}


def test_variance_shares(whole: Bundle) -> None:
    """Three shares that add up to one, beside mean and standard deviation."""
    found = next(e for e in whole.summary.estimates if e.metric == "rtt_kernel_ns.p50")
    assert found.mean is not None
    assert found.sd is not None
    assert found.variance_share is not None
    share = found.variance_share
    total = share.within_session + share.between_blocks + share.between_pairs
    assert total == pytest.approx(1.0)
    assert found.n_effective is not None
    assert found.n_effective < found.n / 3


def test_below_resolution_is_not_different() -> None:
    """300 ns of 3 µs are 10 %, and still less than the stamps can tell apart."""
    truth = synthetic.Truth(
        rtt_ns={"vxlan": 3_300.0, "bgp": 3_000.0}, run_sd=0.001, drift_sd=0.0, pair_sd=0.0
    )
    shape = synthetic.Shape(modes=("vxlan", "bgp"), repeat="bgp", throughput=False, host=False)
    found = _found(
        analyse(synthetic.run(1, shape, truth)).summary, "rtt_kernel_ns.p50", "vxlan/pod"
    )
    assert found.verdict == "inconclusive"
    assert found.reason is not None
    assert "resolution of this measurement" in found.reason


def test_equal_modes_are_equivalent() -> None:
    """Two modes without a difference between them are shown to be equal within the margin."""
    truth = synthetic.Truth(rtt_ns={"vxlan": 29_000.0, "bgp": 29_000.0}, run_sd=0.01)
    shape = synthetic.Shape(modes=("vxlan", "bgp"), blocks=8, throughput=False, host=False)
    found = _found(
        analyse(synthetic.run(4, shape, truth)).summary, "rtt_kernel_ns.p50", "vxlan/pod"
    )
    assert found.verdict == "equivalent"


def test_loss_of_one_mode_is_different() -> None:
    """1% against none: different, by the counts' difference; none against none stays open."""
    shape = synthetic.Shape(throughput=False, host=False)
    truth = synthetic.Truth(loss_forward={"vxlan/pod": 0.01})
    summary = analyse(synthetic.run(2, shape, truth)).summary
    lossy = _found(summary, "loss.ratio", "vxlan/pod")
    assert lossy.verdict == "different"
    assert lossy.difference == pytest.approx(0.01, abs=0.003)
    clean = _found(summary, "loss.ratio", "ipip/pod")
    assert (clean.ratio, clean.ci95, clean.verdict) == (None, None, "inconclusive")
    assert clean.reason is not None
    assert "none of 15000" in clean.reason


def test_five_losses_are_no_verdict() -> None:
    """One lost probe in each block of one arm is not enough to call it different."""
    made = synthetic.run(2, synthetic.Shape(nodes=2, throughput=False, host=False))
    rows = made.latency
    assert rows is not None
    held = rows[(rows["arm"] == "vxlan/pod") & (rows["phase"] == "warm")]
    first = held.groupby("block").head(1).index
    rows.loc[first, "status"] = "lost_forward"
    rows.loc[first, RTTS] = pd.NA
    found = _found(analyse(made).summary, "loss.ratio", "vxlan/pod")
    assert found.verdict == "inconclusive"
    assert found.reason is not None
    assert "chance" in found.reason


def test_mode_that_could_not_be_laid() -> None:
    """It is an arm with its reason, and `not measured` in the comparisons."""
    shape = synthetic.Shape(
        modes=("vxlan", "bgp"), not_measured={"ipip": "kernel has no IPIP"}, throughput=False
    )
    summary = analyse(synthetic.run(1, shape)).summary
    arm = next(a for a in summary.arms if a.arm == "ipip/pod")
    assert (arm.status, arm.reason) == ("not measured", "kernel has no IPIP")
    found = _found(summary, "rtt_kernel_ns.p50", "ipip/pod")
    assert (found.verdict, found.reason, found.ratio) == (
        "not measured",
        "kernel has no IPIP",
        None,
    )
    assert "arm_not_measured" in {d.code for d in summary.warnings}


def _none_came_back(made: Inputs) -> Inputs:
    assert made.latency is not None
    rows = made.latency.copy()
    rows["status"] = "lost_unknown"
    rows[RTTS] = pd.NA
    return msgspec.structs.replace(made, latency=rows)


def _one_pair(made: Inputs) -> Inputs:
    assert made.latency is not None
    rows = made.latency
    rows = rows[(rows["src"] == "n1") & (rows["dst"] == "n2")]
    return msgspec.structs.replace(made, latency=rows, throughput=None)


def _no_stamps(made: Inputs) -> Inputs:
    assert made.latency is not None
    return msgspec.structs.replace(
        made, latency=made.latency.assign(rtt_kernel_ns=np.nan, stamp_source="user")
    )


ODD: dict[str, Callable[[Inputs], Inputs]] = {
    "nothing": lambda i: msgspec.structs.replace(
        i, latency=None, throughput=None, host=None, visits=(), proofs=()
    ),
    "empty": lambda i: msgspec.structs.replace(
        i,
        latency=None if i.latency is None else i.latency.iloc[:0],
        throughput=None if i.throughput is None else i.throughput.iloc[:0],
        host=None if i.host is None else i.host.iloc[:0],
    ),
    "latency only": lambda i: msgspec.structs.replace(i, throughput=None, host=None),
    "throughput only": lambda i: msgspec.structs.replace(i, latency=None, host=None),
    "all lost": _none_came_back,
    "one pair": _one_pair,
    "no stamps": _no_stamps,
    "no visits": lambda i: msgspec.structs.replace(i, visits=()),
}


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("how", ODD)
def test_odd_runs_are_still_summarised(how: str, blocks: int) -> None:
    """Whatever is missing, the rest is there and can be written down."""
    made = ODD[how](synthetic.run(1, synthetic.Shape(nodes=2, blocks=blocks)))
    bundle = analyse(made)
    assert msgspec.json.decode(msgspec.json.encode(bundle), type=Bundle) == bundle
    assert bundle.summary.status in {"complete", "invalid"}


def test_all_lost_is_a_loss_of_one() -> None:
    """Every probe lost: ratio 1, no quantile, the doubt named."""
    made = _none_came_back(synthetic.run(1, synthetic.Shape(nodes=2, blocks=2)))
    summary = analyse(made).summary
    pair = next(p for p in summary.pairs if p.arm == "vxlan/pod" and p.loss)
    assert pair.loss is not None
    assert pair.loss.ratio == 1.0
    assert pair.rtt_kernel_ns is not None
    assert (pair.rtt_kernel_ns.n, pair.rtt_kernel_ns.p50) == (0, None)
    assert "arm_lost_everything" in {d.code for d in summary.warnings}


def test_one_block_has_no_intervals() -> None:
    """Point figures, no interval, `inconclusive` and the doubt that says why."""
    summary = analyse(synthetic.run(1, synthetic.Shape(blocks=1))).summary
    assert {c.verdict for c in summary.comparisons if c.metric != "loss.ratio"} <= {
        "inconclusive",
        "not measured",
    }
    assert all(e.ci95 is None for e in summary.estimates if e.metric != "loss.ratio")
    assert {"few_blocks", "aa_missing"} <= {d.code for d in summary.warnings}


def test_modes_that_took_turns_are_confounded_with_the_cluster_s_state() -> None:
    """On a cluster, not on the lab, where each visit begins anew; Flannel's authors are quoted."""
    made = synthetic.run(1, synthetic.Shape(nodes=2, blocks=2, throughput=False, host=False))
    there = msgspec.structs.replace(made, target="kubernetes", method="switch")
    (doubt,) = (d for d in analyse(there).summary.warnings if d.code == "cluster_state_confounded")
    assert "reprogramming every node" in doubt.message
    flannel = msgspec.structs.replace(made.cni, name="flannel")
    (told,) = (
        d.message
        for d in analyse(msgspec.structs.replace(there, cni=flannel)).summary.warnings
        if d.code == "cluster_state_confounded"
    )
    assert "does not support" in told
    here = msgspec.structs.replace(made, method="switch")
    assert "cluster_state_confounded" not in {d.code for d in analyse(here).summary.warnings}


def test_a_mode_lost_on_the_way_is_told_with_its_reason() -> None:
    """It keeps what was measured before; nothing else is said to be lost."""
    made = synthetic.run(1, synthetic.Shape(nodes=2, blocks=2, throughput=False, host=False))
    arms = tuple(
        msgspec.structs.replace(each, reason="did not converge") if each.arm == "bgp/pod" else each
        for each in made.arms
    )
    summary = analyse(msgspec.structs.replace(made, arms=arms)).summary
    lost = [d for d in summary.warnings if d.code == "mode_lost"]
    assert [(d.evidence, "bgp/pod" in d.message) for d in lost] == [("did not converge", True)]
    assert next(a.status for a in summary.arms if a.arm == "bgp/pod") == "measured"


def test_invalid_rows_are_left_out_and_counted() -> None:
    """A tenth invalid: out of every figure, flagged; one row: left out, not flagged."""
    made = synthetic.run(1, synthetic.Shape(nodes=2, blocks=2, throughput=False, host=False))
    rows = made.latency
    assert rows is not None
    rows.loc[rows.index % 10 == 0, "valid"] = False
    rows.loc[rows.index % 10 == 0, "rtt_kernel_ns"] = 10**12
    summary = analyse(made).summary
    assert max(p.rtt_kernel_ns.max or 0 for p in summary.pairs if p.rtt_kernel_ns) < 10**9
    assert "samples_invalid" in {d.code for d in summary.warnings}
    rows["valid"] = True
    rows.loc[0, "valid"] = False
    codes = {d.code for d in analyse(made).summary.warnings}
    assert "samples_left_out" in codes
    assert "samples_invalid" not in codes


def test_impossible_and_homeless_rows_are_reported() -> None:
    """A negative round trip is masked, a row without an arm left out; both are doubts."""
    made = synthetic.run(1, synthetic.Shape(nodes=2, blocks=2, throughput=False, host=False))
    rows = made.latency
    assert rows is not None
    rows.loc[100:104, "rtt_kernel_ns"] = -5
    rows.loc[200:209, "arm"] = None
    warnings = {d.code: d.message for d in analyse(made).summary.warnings}
    assert warnings["impossible_values"].startswith("5 ")
    assert warnings["samples_unusable"].startswith("10 ")


def test_status_follows_plan_and_check() -> None:
    """Missing blocks or an interruption: partial; a repeat that differs from itself: invalid."""
    shape = synthetic.Shape(nodes=2, blocks=2, planned=5, throughput=False, host=False)
    made = synthetic.run(1, shape)
    assert analyse(made).summary.status == "partial"
    stopped = synthetic.run(1, synthetic.Shape(nodes=2, blocks=2))
    assert analyse(msgspec.structs.replace(stopped, interrupted=True)).summary.status == "partial"
    odd = synthetic.run(1, synthetic.Shape(nodes=2, throughput=False, host=False))
    assert odd.latency is not None
    repeat = odd.latency["arm"] == "vxlan/pod#2"
    odd.latency.loc[repeat, RTTS] = odd.latency.loc[repeat, RTTS] * 2
    summary = analyse(odd).summary
    assert summary.status == "invalid"
    assert summary.aa_check is not None
    assert summary.aa_check.passed is False


def test_the_worst_proof_speaks_for_an_arm() -> None:
    """A mode that fell back in one block of five is not a match, and the block is named."""
    made = synthetic.run(1, synthetic.Shape(nodes=2, blocks=2, throughput=False, host=False))
    proof = msgspec.structs.replace(
        made.proofs[-1].proof, verdict=Verdict.FELL_BACK, observed="ipip", warnings=("odd_route",)
    )
    bad = BlockProof(block=1, proof=proof)
    summary = analyse(msgspec.structs.replace(made, proofs=(bad, *made.proofs[3:]))).summary
    arm = next(a for a in summary.arms if a.arm == "bgp/pod")
    assert arm.proof is not None
    assert arm.proof.verdict == "fell back"
    found = {d.code: d for d in summary.warnings}
    assert found["proof_not_match"].evidence == "blocks 1"
    assert "odd route" in found["proof_warning"].message


def test_time_line_and_visits(whole: Bundle) -> None:
    """Seconds from the first visit, host and probes side by side, orders from 1 to 4."""
    assert whole.visits[0].start_s == 0.0
    assert {point.order for point in whole.block_points if "host" not in point.arm} == {1, 2, 3, 4}
    assert {point.node for point in whole.timeline} == {"machine"}
    both = [p for p in whole.timeline if p.cpu_busy_ratio and p.rtt_kernel_p99_ns]
    assert len(both) > 50
    assert {point.arm for point in whole.loaded} == {
        "vxlan/pod",
        "vxlan/pod#2",
        "ipip/pod",
        "bgp/pod",
    }
    assert all(p.rest_p50_ns is not None for p in whole.loaded)
    assert all((p.loaded_p50_ns or 0) > (p.rest_p50_ns or 0) for p in whole.loaded)


def test_a_tax_never_contradicts_its_interval() -> None:
    """Where the tax is called different or small, its interval in units excludes zero."""
    noisy = synthetic.Truth(run_sd=0.15, drift_sd=0.05)
    for seed in range(6):
        for tax in synthetic.bundle(nodes=2, blocks=4, seed=seed, truth=noisy).summary.overlay_tax:
            if tax.verdict in {"different", "small"}:
                assert tax.ci95 is not None
                assert tax.ci95[0] > 0 or tax.ci95[1] < 0
            if tax.ci95 is not None and tax.difference is not None:
                assert tax.ci95[0] <= tax.difference <= tax.ci95[1]
