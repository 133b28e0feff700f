"""A run as CSV, OpenMetrics and JUnit, from results made by hand."""

import csv
import io
from xml.etree import ElementTree as ET

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from support import bundles, results
from support.bundle_cases import Case

from podbench.analysis.samples.histograms import BOUNDS_NS, Histogram
from podbench.export import csv as export_csv
from podbench.export import junit as export_junit
from podbench.export import openmetrics
from podbench.model.summary import Doubt, Summary


def table(summary: Summary) -> list[dict[str, str]]:
    """The CSV read back."""
    return list(csv.DictReader(io.StringIO(export_csv.render(summary))))


def test_csv_holds_every_pair_and_metric() -> None:
    """A row for each pair and figure of every quantity the run has, null as an empty cell."""
    made = results.summary(
        results.pair("n1", "n2", app=results.quantiles(p50=(2.0, (1.0, 3.0)))),
        results.pair("n2", 'n"3,', loss=results.lost(100, 1, (0.001, 0.05))),
    )
    rows = table(made)
    by_place = {(row["src"], row["dst"], row["metric"]): row for row in rows}
    assert len(by_place) == len(rows)
    first = by_place["n1", "n2", "rtt_app_ns.p50"]
    assert {k: first[k] for k in ("unit", "value", "ci95_low", "ci95_high", "n", "proof")} == {
        "unit": "ns",
        "value": "2.0",
        "ci95_low": "1.0",
        "ci95_high": "3.0",
        "n": "5000",
        "proof": "match",
    }
    assert by_place["n1", "n2", "rtt_app_ns.p99"]["value"] == ""
    assert by_place["n2", 'n"3,', "rtt_app_ns.p50"]["value"] == ""
    assert by_place["n2", 'n"3,', "loss.ratio"]["value"] == "0.01"
    assert not any(row["metric"].startswith("goodput") for row in rows)


def test_csv_of_a_run_without_pairs_is_its_head() -> None:
    """Nothing measured is a table without rows, not a failure."""
    assert export_csv.render(results.summary()) == ",".join(export_csv.HEAD) + "\n"


@pytest.mark.parametrize(
    "case",
    [
        Case(),
        Case(all_lost=True),
        Case(missing="ipip"),
        Case(blocks=1, nodes=2),
        Case(nodes=4, zones=2, names=('a"b', "new\nline", "back\\slash", "ü")),
    ],
)
def test_openmetrics_parses(case: Case) -> None:
    """Every kind of run gives a valid exposition, every sample with the run's id."""
    summary = bundles.make_bundle(case).summary
    families = list(text_string_to_metric_families(openmetrics.render(summary)))
    assert len(families) > 10
    for family in families:
        assert family.documentation
        assert all(sample.labels["run_id"] == summary.run_id for sample in family.samples)
        if family.type == "gauge" and family.name.endswith("seconds"):
            assert family.unit == "seconds"


def test_openmetrics_uses_base_units() -> None:
    """Seconds, bytes a second and ratios; counters for probes; bounds in families of their own."""
    made = results.summary(
        results.pair(
            app=results.quantiles(p99=(2e6, (1e6, 4e6))),
            loss=results.lost(1000, 20, (0.01, 0.03)),
            tcp=results.rate(8e9, (4e9, 9.6e9)),
        ),
        versions={"iperf3": "3.12"},
        labels={"env": "lab"},
    )
    text = openmetrics.render(made)
    samples = {
        (s.name, s.labels.get("stat"), s.labels.get("direction")): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
    assert samples["podbench_pair_rtt_app_seconds", "p99", None] == pytest.approx(2e-3)
    assert samples["podbench_pair_rtt_app_ci95_low_seconds", "p99", None] == pytest.approx(1e-3)
    assert samples["podbench_pair_goodput_bytes_per_second", "p50", None] == 1e9
    assert samples["podbench_pair_goodput_ci95_high_bytes_per_second", "p50", None] == 1.2e9
    assert samples["podbench_pair_loss_ratio", None, None] == 0.02
    assert samples["podbench_pair_probes_sent_total", None, None] == 1000
    assert samples["podbench_pair_probes_lost_total", None, "forward"] == 20
    assert 'label_env="lab"' in text
    assert 'iperf3_version="3.12"' in text


def test_openmetrics_histograms_share_their_bounds() -> None:
    """Arms of one series have the same buckets, as far as any of them needs, and +Inf."""
    at = BOUNDS_NS.index(1000)
    size = len(BOUNDS_NS)
    fast = Histogram(
        arm="bgp/pod",
        series="rtt_kernel_ns",
        cumulative=tuple(4 if i >= at else 0 for i in range(size)),
        n=4,
        sum_ns=4000,
    )
    slow = Histogram(
        arm="vxlan/pod",
        series="rtt_kernel_ns",
        cumulative=tuple(2 if i >= at + 2 else 0 for i in range(size)),
        n=2,
        sum_ns=4000,
    )
    text = openmetrics.render(results.summary(), [fast, slow])
    family = next(f for f in text_string_to_metric_families(text) if f.type == "histogram")
    bounds = [
        [s.labels["le"] for s in family.samples if s.labels["arm"] == arm and "le" in s.labels]
        for arm in ("bgp/pod", "vxlan/pod")
    ]
    assert bounds[0] == bounds[1] == ["1e-06", "1.5e-06", "2e-06", "+Inf"]


def junit(summary: Summary) -> dict[str, str]:
    """Each test case's outcome."""
    root = ET.fromstring(export_junit.render(summary).encode())
    found = {}
    for case in root.iter("testcase"):
        tags = [child.tag for child in case if child.tag in {"failure", "skipped"}]
        found[f"{case.get('classname')}: {case.get('name')}"] = tags[0] if tags else "pass"
    return found


def test_junit_of_a_sound_run() -> None:
    """A whole run passes; what is inconclusive is skipped."""
    found = junit(bundles.make_bundle().summary)
    assert found["run: status"] == "pass"
    assert found["run: A/A check"] == "pass"
    assert found["arms: vxlan/pod measured"] == "pass"
    assert found["proofs: bgp/pod is what it is called"] == "pass"
    assert "failure" not in found.values()


def test_junit_of_a_flagged_run() -> None:
    """A void run, a missing arm, a false proof and lost samples are failures."""
    summary = bundles.make_bundle(Case(missing="ipip")).summary
    arms = tuple(
        msgspec.structs.replace(
            arm, proof=msgspec.structs.replace(arm.proof, verdict="fell back", observed="routed")
        )
        if arm.proof is not None and arm.arm == "vxlan/pod"
        else arm
        for arm in summary.arms
    )
    doubt = Doubt(code="samples_invalid", message="5 % of the samples are not valid")
    found = junit(msgspec.structs.replace(summary, status="invalid", arms=arms, warnings=(doubt,)))
    assert found["run: status"] == "failure"
    assert found["arms: ipip/pod measured"] == "failure"
    assert found["proofs: vxlan/pod is what it is called"] == "failure"
    assert found["warnings: samples_invalid"] == "failure"
