"""summary.json, format 1: every name users may rely on is there, null where it does not apply.

The names are written out here a second time on purpose: renaming a field in the code must not
rename the promise.
"""

import json
import re

import msgspec
import pandas as pd
import pytest
from support import ladders, synthetic

from podbench.analysis.summarise import analyse

SUMMARY = """format run_id name labels started ended status target cni versions spec seed nodes
    method arms estimates pairs comparisons overlay_tax noise_floor aa_check blame encapsulation
    cpu_price load_curve at_traffic recommendation warnings family controls"""
QUANTILES = "p50 p90 p99 p999 min max mean sd n n_effective ci95"
RATE = "p50 min max n ci95"
RECORDS = {
    "cni": "name version requested detected_from",
    "nodes": """name zone region provider residency kernel cpu_model mtu_pod mtu_underlay
        kube_proxy_mode steal_ratio""",
    "nodes.steal_ratio": "p50 p99 max",
    "arms": "arm mode path implementation pod_mtu status reason proof",
    "arms.proof": "verdict method observed route_origin pairs_matched pairs_total",
    "estimates": "arm metric value unit ci95 n n_effective blocks mean sd variance_share",
    "estimates.variance_share": "within_session between_blocks between_pairs",
    "pairs": """src dst arm family proof rtt_kernel_ns rtt_app_ns pdv_p99_ns ipdv_p50_ns
        rfc3550_jitter_ns loss goodput_bps small_packets_pps rtt_loaded_ns retransmit_ratio""",
    "pairs.proof": "verdict method observed",
    "pairs.rtt_kernel_ns": QUANTILES,
    "pairs.rtt_app_ns": QUANTILES,
    "pairs.rtt_loaded_ns": QUANTILES,
    "pairs.loss": "sent lost_forward lost_backward lost_unknown ratio ci95 episodes",
    "pairs.goodput_bps": "tcp tcp_8 udp",
    "pairs.goodput_bps.tcp": RATE,
    "pairs.small_packets_pps": RATE,
    "comparisons": """metric base other path ratio ci95 difference unit blocks verdict margin
        smallest_detectable_ratio p_adjusted in_family""",
    "family": "control alpha members first_screen",
    "controls": "metric kind ratio ci95 passed",
    "overlay_tax": "mode metric pod host difference ci95 unit verdict",
    "aa_check": "passed comparisons false_alarms",
    "blame": "kind subject metric effect_ratio z evidence",
    "encapsulation": """mode overhead_bytes pod_mtu predicted_goodput_share measured_goodput_share
        share_of""",
    "cpu_price": """mode kind unit value ci95 base difference difference_ci95 verdict steps_reached
        busy_method reason""",
    "load_curve": """arm kind offered_share offered_bps offered_pps rtt_app_ns rtt_kernel_ns
        pdv_p99_ns loss_ratio busy_cores ci95 reached""",
    "load_curve.rtt_app_ns": "p50 p99",
    "at_traffic": """name bps pps mode cores_per_node ci95 extra_cores_per_node
        extra_cores_cluster rtt_app_ns verdict reason""",
    "recommendation": "mode because unless confidence next_step",
    "warnings": "code message advice evidence",
}
VERDICTS = {"different", "equivalent", "small", "inconclusive", "not measured"}
STATUSES = {"complete", "partial", "invalid"}


def _summary(shape: synthetic.Shape, truth: synthetic.Truth | None = None) -> dict[str, object]:
    """What is written to disk, read back without any record of ours."""
    made = synthetic.run(6, shape, truth)
    climbed = ladders.rows(ladders.Ladder())
    beside = ladders.probes(climbed, count=50)
    latency = beside if made.latency is None else pd.concat([made.latency, beside])
    made = msgspec.structs.replace(made, ladder=climbed, latency=latency)
    written = msgspec.json.encode(analyse(made).summary)
    found: dict[str, object] = json.loads(written)
    return found


@pytest.fixture(name="full", scope="module")
def _full() -> dict[str, object]:
    """Five nodes, one of them slow, transfers of every kind: each record occurs."""
    shape = synthetic.Shape(
        nodes=5,
        blocks=5,
        kinds=(("tcp", 1), ("tcp", 8), ("udp", 64)),
        not_measured={"ipip": "kernel has no IPIP"},
        modes=("vxlan", "bgp"),
    )
    return _summary(shape, synthetic.Truth(slow_node={"n2": 1.8}))


def _at(summary: dict[str, object], place: str) -> list[dict[str, object]]:
    """Every record at a dotted place; lists on the way are walked, nulls left out."""
    held: list[object] = [summary]
    for name in place.split("."):
        below: list[object] = []
        for one in held:
            assert isinstance(one, dict)
            value = one[name]
            below += value if isinstance(value, list) else [value]
        held = [one for one in below if one is not None]
    return [one for one in held if isinstance(one, dict)]


def test_every_name_at_the_top(full: dict[str, object]) -> None:
    """All of section 4's first level, and the format number."""
    assert set(SUMMARY.split()) <= full.keys()
    assert full["format"] == 1
    assert full["status"] in STATUSES


@pytest.mark.parametrize("place", RECORDS)
def test_every_name_of_every_record(full: dict[str, object], place: str) -> None:
    """Each record has all its names, whichever of them are null."""
    records = _at(full, place)
    assert records, f"this run has no {place} to look at"
    for record in records:
        assert not set(RECORDS[place].split()) - record.keys()


@pytest.mark.parametrize(
    "shape",
    [
        synthetic.Shape(nodes=2, blocks=1, throughput=False, host=False, repeat=None),
        synthetic.Shape(nodes=2, blocks=0, throughput=False, host=False),
    ],
    ids=["one block of latency", "nothing measured"],
)
def test_what_does_not_apply_is_null_and_there(shape: synthetic.Shape) -> None:
    """A run with hardly anything has the same names as a full one."""
    summary = _summary(shape)
    assert set(SUMMARY.split()) <= summary.keys()
    for place in ("cni", "nodes", "arms", "estimates", "pairs", "comparisons", "warnings"):
        for record in _at(summary, place):
            assert not set(RECORDS[place].split()) - record.keys()
    for pair in _at(summary, "pairs"):
        assert pair["goodput_bps"] is None
        assert pair["rtt_loaded_ns"] is None
    assert not re.search(r"NaN|Infinity", json.dumps(summary))


def test_words_and_directions(full: dict[str, object]) -> None:
    """Verdicts are the five words; the base has the least encapsulation; ratio is other/base."""
    compared = _at(full, "comparisons")
    assert {one["verdict"] for one in compared} <= VERDICTS
    between = [one for one in compared if "#" not in str(one["other"])]
    assert {one["base"] for one in between} == {"bgp/pod"}
    slower = next(
        c for c in between if (c["metric"], c["other"]) == ("rtt_kernel_ns.p50", "vxlan/pod")
    )
    assert isinstance(slower["ratio"], float)
    assert isinstance(slower["difference"], float)
    assert slower["ratio"] > 1.0
    assert slower["difference"] > 0.0
    gone = [one for one in compared if one["other"] == "ipip/pod"]
    assert {one["verdict"] for one in gone} == {"not measured"}


def test_metrics_are_dotted_places(full: dict[str, object]) -> None:
    """Whatever is called a metric between modes can be looked up in a pair under that name."""
    pair = next(p for p in _at(full, "pairs") if p["goodput_bps"] and p["rtt_loaded_ns"])
    for one in _at(full, "comparisons"):
        held: object = pair
        for name in str(one["metric"]).split("."):
            if held is None:  # a kind of transfer that this pair has not
                break
            assert isinstance(held, dict)
            assert name in held, one["metric"]
            held = held[name]


def test_quantiles_are_null_below_ten_samples_beyond(full: dict[str, object]) -> None:
    """Null exactly where n (1 - q) is below 10."""
    for pair in _at(full, "pairs"):
        for series in ("rtt_kernel_ns", "rtt_loaded_ns"):
            found = pair[series]
            if not isinstance(found, dict):
                continue
            for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)):
                assert (found[name] is None) == (found["n"] * (1.0 - q) < 10.0 - 1e-9)
