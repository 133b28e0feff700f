"""Input that is not as it should be: a clear sentence each, and whatever is sound is still shown.

What one command alone meets is in its own tests: a limit on a figure that was not measured
(test_gate), a run compared with itself (test_compare), damaged samples for an export (test_export).
"""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import rundirs, synthetic
from support.commands import run

from podbench.analysis.bundle import Bundle
from podbench.analysis.findings import flagged
from podbench.analysis.samples.inputs import Inputs
from podbench.results import conclude as results
from podbench.store.rundir import RunDir

SHAPE = synthetic.Shape(nodes=2, blocks=3, kinds=(("tcp", 1),))


@pytest.fixture(name="made", scope="module")
def _made() -> Inputs:
    return synthetic.run(5, SHAPE)


def _first(rundir: RunDir, below: str) -> Path:
    return min((rundir.path / below).rglob("*.parquet"))


def _codes(bundle: Bundle) -> set[str]:
    return {doubt.code for doubt in bundle.summary.warnings}


def test_everything_at_once_is_reported_and_exits_3(
    made: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cut file, an altered one, one of another format: named on stderr, the page made, exit 3."""
    rundir = rundirs.finished(tmp_path / "run", made)
    files = sorted((rundir.path / "samples/latency").rglob("*.parquet"))[:2]
    files[0].write_bytes(files[0].read_bytes()[:-100])
    table = pq.read_table(files[1])
    pq.write_table(table.replace_schema_metadata({"podbench_format": "9"}), files[1])
    host = _first(rundir, "host")
    host.write_bytes(b"PAR1")
    code, out, err = run(capsys, "report", str(rundir.path), "--json")
    assert code == 3
    assert f"damaged: {files[0].relative_to(rundir.path)}: cannot be read as Parquet" in err
    assert "is of format 9, and this version reads format 1" in err
    assert f"damaged: {host.relative_to(rundir.path)}" in err
    assert "Traceback" not in err
    summary = json.loads(out)
    assert {one["verdict"] for one in summary["comparisons"]} >= {"different"}
    assert rundir.report_html.is_file()


@pytest.mark.parametrize("name", ["run.json", "plan.json"])
def test_a_record_that_cannot_be_read_is_named(
    made: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Without the record or the plan there is nothing to report: one sentence, exit 1."""
    rundir = rundirs.finished(tmp_path / "run", made)
    (rundir.path / name).write_text("{", encoding="utf-8")
    code, _, err = run(capsys, "report", str(rundir.path))
    assert code == 1
    assert f"{name}: damaged" in err
    assert "Traceback" not in err


def test_another_format_number_is_not_read(
    made: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run.json of a format to come may mean anything by the same names."""
    rundir = rundirs.finished(tmp_path / "run", made)
    held = json.loads(rundir.run_json.read_text(encoding="utf-8"))
    rundir.run_json.write_text(json.dumps({**held, "format": 9}), encoding="utf-8")
    code, _, err = run(capsys, "report", str(rundir.path))
    assert code == 1
    assert "run.json: format 9, and this version reads format 1" in err
    assert "use the version of podbench that wrote it" in err


def _without(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name])


def _not_a_number(name: str) -> Callable[[pa.Table], pa.Table]:
    def altered(table: pa.Table) -> pa.Table:
        values = pa.array(np.full(table.num_rows, np.nan))
        return table.set_column(table.schema.get_field_index(name), name, values)

    return altered


@pytest.mark.parametrize(
    ("below", "change", "said"),
    [
        ("samples/latency", _without("rtt_kernel_ns"), "lacks the columns rtt_kernel_ns"),
        ("samples/throughput", _without("direction"), "lacks the columns direction"),
        ("host", _without("mono_ns"), "lacks the columns mono_ns"),
        ("samples/latency", _not_a_number("rtt_kernel_ns"), "cannot be read as Parquet"),
    ],
)
def test_an_altered_file_is_named_and_left_out(
    made: Inputs,
    tmp_path: Path,
    below: str,
    change: Callable[[pa.Table], pa.Table],
    said: str,
) -> None:
    """A missing column, or not-a-numbers where whole nanoseconds belong."""
    rundir = rundirs.finished(tmp_path / "run", made)
    file = _first(rundir, below)
    pq.write_table(change(pq.read_table(file)), file)
    bundle = results.conclude(rundir)
    ((name, reason),) = [(damage.file, damage.reason) for damage in bundle.damages]
    assert name == str(file.relative_to(rundir.path))
    assert said in reason
    assert "file_damaged" in _codes(bundle)
    assert {arm.status for arm in bundle.summary.arms if arm.path == "pod"} == {"measured"}


def _holds_no_nan(value: object) -> bool:
    if isinstance(value, float):
        return bool(np.isfinite(value))
    if isinstance(value, dict):
        return all(map(_holds_no_nan, value.values()))
    return all(map(_holds_no_nan, value)) if isinstance(value, list) else True


def test_not_a_number_in_rates_and_counters(made: Inputs, tmp_path: Path) -> None:
    """NaN in a column that may hold it counts as missing: in no figure, and never in the JSON."""
    assert made.throughput is not None
    assert made.host is not None
    rates, host = made.throughput.copy(), made.host.copy()
    rates.loc[rates.index[::2], "bits_per_second"] = np.nan
    rates.loc[rates["arm"] == "bgp/pod", ["bits_per_second", "cpu_local_ratio"]] = np.nan
    host.loc[host.index[::2], "cpu_steal_ratio"] = np.nan
    held = msgspec.structs.replace(made, throughput=rates, host=host)
    bundle = results.conclude(rundirs.finished(tmp_path / "run", held))
    assert _holds_no_nan(msgspec.to_builtins(bundle))
    by_arm = {pair.arm: pair for pair in bundle.summary.pairs if pair.goodput_bps is not None}
    assert "vxlan/pod" in by_arm
    assert "bgp/pod" not in by_arm
    verdicts = {c.other: c.verdict for c in bundle.summary.comparisons if "goodput" in c.metric}
    assert verdicts["vxlan/pod"] == "not measured"


def test_an_empty_arm_is_named_and_the_rest_compared(made: Inputs, tmp_path: Path) -> None:
    """No row of one arm: `not measured` with its reason, the other mode's verdicts stand."""
    assert made.latency is not None
    assert made.throughput is not None
    gone = {
        name: table[~table["arm"].str.startswith("ipip")]
        for name, table in (("latency", made.latency), ("throughput", made.throughput))
    }
    held = msgspec.structs.replace(made, **gone)
    bundle = results.conclude(rundirs.finished(tmp_path / "run", held))
    arm = next(arm for arm in bundle.summary.arms if arm.arm == "ipip/pod")
    assert (arm.status, arm.reason) == ("not measured", "no sample was recorded")
    verdicts = {(c.metric, c.other): c.verdict for c in bundle.summary.comparisons}
    assert verdicts["rtt_kernel_ns.p50", "ipip/pod"] == "not measured"
    assert verdicts["rtt_kernel_ns.p50", "vxlan/pod"] == "different"
    assert any("ipip/pod not measured" in flag for flag in flagged.reasons(bundle))


def _clock_set(rows: pd.DataFrame) -> pd.DataFrame:
    """Kernel stamps of three probes that saw the wall clock set forward by two seconds."""
    rows = rows.copy()
    warm = rows[(rows["arm"] == "vxlan/pod") & (rows["phase"] == "warm")].index[:3]
    rows.loc[warm, "rtt_kernel_ns"] += 1_999_000_000
    return rows


def test_a_clock_that_jumped_moves_no_figure(made: Inputs, tmp_path: Path) -> None:
    """Round trips no program could have seen are left out and told; figures stay."""
    assert made.latency is not None
    sound = results.conclude(rundirs.finished(tmp_path / "sound", made))
    held = msgspec.structs.replace(made, latency=_clock_set(made.latency))
    bundle = results.conclude(rundirs.finished(tmp_path / "jumped", held))
    (doubt,) = [d for d in bundle.summary.warnings if d.code == "impossible_values"]
    assert doubt.message.startswith("3 RTTs are impossible")
    before, after = (
        next(p for p in b.summary.pairs if p.arm == "vxlan/pod").rtt_kernel_ns
        for b in (sound, bundle)
    )
    assert before is not None
    assert after is not None
    assert before.n - 3 <= after.n <= before.n
    assert after.max == pytest.approx(before.max, rel=0.5)


def test_a_clock_the_instrument_saw_jump_is_told(made: Inputs, tmp_path: Path) -> None:
    """Rows that the agents marked are counted under their reason."""
    assert made.latency is not None
    rows = made.latency.copy()
    marked = rows[(rows["arm"] == "bgp/pod") & (rows["phase"] == "warm")].index[:4]
    rows.loc[marked, "valid"] = False
    rows.loc[marked, "invalid_reason"] = "sender's clock stepped"
    held = msgspec.structs.replace(made, latency=rows)
    bundle = results.conclude(rundirs.finished(tmp_path / "run", held))
    (doubt,) = [d for d in bundle.summary.warnings if d.code == "clock_stepped"]
    assert doubt.message.startswith("a clock was set during the run: 4 probes")


def test_a_clock_that_the_host_saw_jump_is_told(made: Inputs, tmp_path: Path) -> None:
    """The wall clock moved against the monotonic one; one late reading of both is no step."""
    assert made.host is not None
    host = made.host.copy()
    host.loc[host.index[40], "wall_ns"] += 80_000_000
    late = msgspec.structs.replace(made, host=host)
    assert "clock_stepped" not in _codes(results.conclude(rundirs.finished(tmp_path / "a", late)))
    host.loc[host.index[100:], "wall_ns"] -= 3_000_000_000
    held = msgspec.structs.replace(made, host=host)
    bundle = results.conclude(rundirs.finished(tmp_path / "b", held))
    (doubt,) = [d for d in bundle.summary.warnings if d.code == "clock_stepped"]
    assert doubt.message == "the wall clock of machine was set 1 time during the run"
    assert doubt.evidence == "largest step: -3 s"
