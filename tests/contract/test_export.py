"""`bench export` and the examples of docs/export.md, on a made-up run with samples."""

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from support import rundirs, synthetic
from support.commands import run

from podbench.model.summary import Summary

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "export.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(name="made", scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """A run of three blocks with loss, its samples and its results."""
    folder = tmp_path_factory.mktemp("export") / "r"
    shape = synthetic.Shape(nodes=2, blocks=9, modes=("vxlan", "bgp"), host=False)
    truth = synthetic.Truth(loss_forward={"vxlan/pod": 0.01})
    return folder, rundirs.made_up(folder, 5, shape=shape, truth=truth)


@pytest.mark.parametrize("example", EXAMPLES, ids=["pandas", "polars", "duckdb"])
def test_examples_run_as_printed(
    made: tuple[Path, Summary],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    example: str,
) -> None:
    """The lines on the page, run where the page says, print every arm's median."""
    folder, _ = made
    monkeypatch.chdir(folder.parent)
    exec(compile(example.replace("runs/NAME", "r"), "docs/export.md", "exec"), {})
    printed = capsys.readouterr().out
    assert len(example.strip().splitlines()) <= 6
    for arm in ("vxlan/pod", "vxlan/pod#2", "bgp/pod", "bgp/host"):
        median = _median_us(folder, arm)
        line = next(line for line in printed.splitlines() if re.search(rf"\b{arm}(?![\w/#])", line))
        figures = [float(text) for text in re.findall(r"\d+\.\d+", line)]
        assert figures[-1] == pytest.approx(median, rel=1e-3), line


def _median_us(folder: Path, arm: str) -> float:
    rows = pd.read_parquet(folder / "samples" / "latency")
    kept = rows[(rows["arm"] == arm) & (rows["phase"] == "warm") & (rows["status"] == "ok")]
    return float(kept["rtt_kernel_ns"].median()) / 1000


def test_prometheus_counts_every_sample(
    made: tuple[Path, Summary], capsys: pytest.CaptureFixture[str]
) -> None:
    """Histogram counts are the samples' own, and each bucket holds what lies at or below it."""
    folder, summary = made
    code, out, _ = run(capsys, "export", str(folder), "--format", "prometheus")
    assert code == 0
    families = {family.name: family for family in text_string_to_metric_families(out)}
    rows = pd.read_parquet(folder / "samples" / "latency")
    kept = rows[(rows["arm"] == "vxlan/pod") & (rows["phase"] == "warm") & (rows["status"] == "ok")]
    samples = families["podbench_rtt_kernel_seconds"].samples
    mine = [sample for sample in samples if sample.labels["arm"] == "vxlan/pod"]
    assert next(s.value for s in mine if s.name.endswith("_count")) == len(kept)
    for sample in mine:
        if "le" in sample.labels:
            below = (kept["rtt_kernel_ns"] <= float(sample.labels["le"]) * 1e9).sum()
            assert sample.value == below
    total = next(s.value for s in mine if s.name.endswith("_sum"))
    assert total == pytest.approx(float(kept["rtt_kernel_ns"].sum()) / 1e9)
    lost = families["podbench_pair_probes_lost"].samples
    forward = sum(s.value for s in lost if s.labels["direction"] == "forward")
    assert forward == sum(p.loss.lost_forward for p in summary.pairs if p.loss) > 0


def test_csv_agrees_with_the_summary(
    made: tuple[Path, Summary], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Every figure in the file is the one in summary.json, to the last digit."""
    folder, summary = made
    where = tmp_path / "out.csv"
    code, out, err = run(capsys, "export", str(folder), "--format", "csv", "--out", str(where))
    assert (code, out) == (0, "")
    assert f"wrote {where}" in err
    rows = list(csv.DictReader(io.StringIO(where.read_text(encoding="utf-8"))))
    assert len({(r["arm"], r["src"], r["dst"], r["metric"]) for r in rows}) == len(rows)
    pair = rundirs.pair(summary, "vxlan/pod", "n1", "n2")
    place = ("vxlan/pod", "n1", "n2", "rtt_app_ns.p50")
    (row,) = [r for r in rows if (r["arm"], r["src"], r["dst"], r["metric"]) == place]
    assert pair.rtt_app_ns is not None
    assert float(row["value"]) == pair.rtt_app_ns.p50
    assert (float(row["ci95_low"]), float(row["ci95_high"])) == pair.rtt_app_ns.ci95["p50"]
    _, _, again = run(capsys, "export", str(folder), "--format", "csv", "--out", str(where))
    assert f"replaced {where}" in again


def test_markdown_and_junit(made: tuple[Path, Summary], capsys: pytest.CaptureFixture[str]) -> None:
    """Both are whole: every arm in the tables, every comparison a sentence or a case."""
    folder, summary = made
    code, out, _ = run(capsys, "export", str(folder), "--format", "markdown")
    assert code == 0
    assert "network namespaces on one machine" in out
    for arm in summary.arms:
        assert f"| {arm.arm} |" in out
    code, out, _ = run(capsys, "export", str(folder), "--format", "junit")
    cases = ET.fromstring(out.encode()).findall(".//testcase")
    assert code == 0
    assert sum(c.get("classname") == "comparisons" for c in cases) == len(summary.comparisons)


def test_a_damaged_sample_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One cut file: its name on stderr, exit 3, and the histogram of the rest."""
    shape = synthetic.Shape(nodes=2, blocks=2, modes=("bgp",), repeat=None, host=False)
    rundirs.made_up(tmp_path / "r", 1, shape=shape)
    victim = next((tmp_path / "r" / "samples" / "latency").rglob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:100])
    code, out, err = run(capsys, "export", str(tmp_path / "r"), "--format", "prometheus")
    assert code == 3
    assert str(victim.relative_to(tmp_path / "r")) in err
    assert any(f.type == "histogram" for f in text_string_to_metric_families(out))


def test_without_samples_there_are_no_histograms(
    made: tuple[Path, Summary], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A run whose samples were left behind still exports its figures."""
    folder, _ = made
    (tmp_path / "summary.json").write_bytes((folder / "summary.json").read_bytes())
    code, out, _ = run(capsys, "export", str(tmp_path), "--format", "prometheus")
    kinds = {family.type for family in text_string_to_metric_families(out)}
    assert code == 0
    assert "histogram" not in kinds
    assert "counter" in kinds


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--format", "xml"], 2, "--format: unknown 'xml'"),
        (["--format", "prom"], 2, "did you mean 'prometheus'"),
        (["--format", "csv", "--out", "/proc/none/x"], 1, "cannot write"),
    ],
)
def test_usage(
    made: tuple[Path, Summary],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    """A wrong format and a place that cannot be written are one sentence each."""
    found, _, err = run(capsys, "export", str(made[0]), *arguments)
    assert found == code
    assert said in err
    assert "Traceback" not in err
