"""`bench gate` as docs/gate.md promises it: exit codes, files, and what is printed where."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support import results, rundirs, synthetic
from support.commands import run

from podbench.store.rundir import RunDir

FAST = results.quantiles(p99=(1e6, (9e5, 1.1e6)))


@pytest.fixture(name="saved")
def _saved(tmp_path: Path) -> Path:
    """A run with a pair that is fast and one that is slow."""
    slow = results.quantiles(p99=(5e6, (4e6, 6e6)))
    made = results.summary(
        results.pair("n1", "n2", app=FAST), results.pair("n2", "n<1>", app=slow), name="a | b"
    )
    return results.save(tmp_path / "run", made)


def slo(run_dir: Path, *limits: str) -> str:
    """The path of an SLO file with these flow-style limits."""
    path = run_dir.parent / "slo.yaml"
    path.write_text("slos:\n" + "".join(f"- {{{limit}}}\n" for limit in limits), encoding="utf-8")
    return str(path)


PASSES = "metric: rtt_app_ns.p99, path: pod, dst: n2, max: 2ms"
FAILS = "metric: rtt_app_ns.p99, path: pod, max: 2ms"
OPEN = "metric: rtt_kernel_ns.p99, path: pod, max: 2ms"


@pytest.mark.parametrize(
    ("limits", "extra", "code"),
    [
        ([PASSES], [], 0),
        ([PASSES, FAILS], [], 4),
        ([PASSES, OPEN], [], 3),
        ([PASSES, OPEN], ["--unknown", "pass"], 0),
        ([PASSES, OPEN], ["--unknown", "fail"], 4),
        ([OPEN, FAILS], [], 4),
    ],
)
def test_exit_codes(
    saved: Path,
    capsys: pytest.CaptureFixture[str],
    limits: list[str],
    extra: list[str],
    code: int,
) -> None:
    """0 all pass, 4 one fails, 3 cannot tell; --unknown settles only the last."""
    assert run(capsys, "gate", str(saved), "--slo", slo(saved, *limits), *extra)[0] == code


def test_usage_errors_exit_2(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown metric, a missing run and an unknown word are sentences on stderr, exit 2."""
    for where, limit, extra, said in (
        (saved, "metric: rtt_app_ns.p9, path: pod, max: 2ms", [], "did you mean 'rtt_app_ns.p9"),
        (saved / "none", PASSES, [], "not a run directory"),
        (saved, PASSES, ["--unknown", "maybe"], "--unknown"),
    ):
        code, out, err = run(capsys, "gate", str(where), "--slo", slo(saved, limit), *extra)
        assert (code, out) == (2, "")
        assert said in err
        assert "Traceback" not in err


def test_junit_and_markdown(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A test case for each limit and pair; names cannot break either file."""
    xml, table = saved.parent / "gate.xml", saved.parent / "gate.md"
    code, _, _ = run(
        capsys, "gate", str(saved), "--slo", slo(saved, FAILS, OPEN),
        "--junit", str(xml), "--markdown", str(table),
    )  # fmt: skip
    assert code == 4
    root = ET.fromstring(xml.read_bytes())
    assert {name: root.get(name) for name in ("tests", "failures")} == {
        "tests": "4",
        "failures": "1",
    }
    assert sum(int(suite.get("skipped", "")) for suite in root) == 2
    (failed,) = root.iter("failure")
    assert "breaks max 2ms" in str(failed.get("message"))
    names = [case.get("name") for case in root.iter("testcase")]
    assert "vxlan/pod n2 > n<1>" in names
    text = table.read_text(encoding="utf-8")
    assert "a \\| b" in text
    assert "n&lt;1>" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {4, 5}


def test_json_is_one_document(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints the verdicts and nothing else on stdout."""
    code, out, _ = run(capsys, "gate", str(saved), "--slo", slo(saved, FAILS, PASSES), "--json")
    found = json.loads(out)
    assert (found["verdict"], found["exit_code"], code) == ("fail", 4, 4)
    first = found["slos"][0]
    assert (first["metric"], first["unit"], first["max"]) == ("rtt_app_ns.p99", "ns", 2e6)
    assert [pair["verdict"] for pair in first["pairs"]] == ["pass", "fail"]


def test_another_format_is_named(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A summary of another format number, and a damaged one, exit 1 with one sentence."""
    for text, said in (('{"format": 99}', "format 99"), ('{"format": 1, "run', "damaged")):
        (saved / "summary.json").write_text(text)
        code, _, err = run(capsys, "gate", str(saved), "--slo", slo(saved, PASSES))
        assert code == 1
        assert said in err
        assert "Traceback" not in err


@pytest.fixture(name="measured", scope="module")
def _measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three made-up runs with samples: `a`, `b` alike, `slow` with 40 % longer round trips."""
    folder = tmp_path_factory.mktemp("runs")
    shape = synthetic.Shape(nodes=2, blocks=16, modes=("vxlan",), repeat=None, host=False)
    rundirs.made_up(folder / "a", 1, shape=shape)
    rundirs.made_up(folder / "b", 2, shape=shape)
    slow = synthetic.Truth(rtt_ns={"vxlan": 21_000.0})
    rundirs.made_up(folder / "slow", 3, shape=shape, truth=slow)
    return folder


def test_against_an_earlier_run(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run like its baseline passes, a slower one fails, and itself is refused."""
    limit = "metric: rtt_kernel_ns.p50, path: pod, baseline: {}, worse_by: {}"
    for name, baseline, worse, code in (
        ("b", "a", "20%", 0),
        ("slow", "a", "20%", 4),
        ("b", "a", "0.1%", 3),
    ):
        path = slo(measured / name, limit.format(baseline, worse))
        assert run(capsys, "gate", str(measured / name), "--slo", path)[0] == code, (name, worse)
    code, _, err = run(
        capsys, "gate", str(measured / "a"), "--slo", slo(measured / "a", limit.format("a", "5%"))
    )
    assert code == 2
    assert "is the run itself" in err


def test_intervals_from_the_samples(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other confidences, and jitter, take their intervals from the samples; more is wider."""
    path = slo(
        measured / "a",
        "metric: rtt_kernel_ns.p50, path: pod, max: 50us, confidence: 99.9%",
        "metric: rtt_kernel_ns.p50, path: pod, max: 50us",
        "metric: pdv_p99_ns, path: pod, max: 1ms",
        "metric: loss.ratio, path: pod, max: 5%, confidence: 99%",
    )
    code, out, _ = run(capsys, "gate", str(measured / "a"), "--slo", path, "--json")
    assert code == 0
    wide, narrow, jitter, loss = (one["pairs"][0]["interval"] for one in json.loads(out)["slos"])
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert jitter is not None
    assert loss[0] == 0.0


def test_damaged_samples_are_no_ground_to_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would need a damaged file cannot be told; what summary.json holds still can."""
    shape = synthetic.Shape(nodes=2, blocks=10, modes=("vxlan",), repeat=None, host=False)
    rundirs.made_up(tmp_path / "r", 1, shape=shape)
    victim = next((RunDir(tmp_path / "r").path / "samples" / "latency").rglob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:200])
    path = slo(
        tmp_path / "r",
        "metric: pdv_p99_ns, path: pod, max: 1s",
        "metric: rtt_kernel_ns.p50, path: pod, max: 1s",
    )
    code, out, _ = run(capsys, "gate", str(tmp_path / "r"), "--slo", path, "--json")
    jitter, median = json.loads(out)["slos"]
    assert code == 3
    assert "damaged" in jitter["pairs"][0]["reason"]
    assert median["verdict"] == "pass"
