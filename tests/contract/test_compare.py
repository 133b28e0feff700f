"""`bench compare`: what is written, what is printed, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
from support import results, rundirs, synthetic
from support.commands import run

SHAPE = synthetic.Shape(nodes=2, blocks=6, modes=("vxlan",), repeat=None, host=False)


@pytest.fixture(name="runs", scope="module")
def _runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: `a` and `b` alike, `slow` with 60 % longer round trips."""
    folder = tmp_path_factory.mktemp("compare")
    rundirs.made_up(folder / "a", 1, shape=SHAPE)
    rundirs.made_up(folder / "b", 2, shape=SHAPE, started="2026-08-02T12:00:00Z")
    slow = synthetic.Truth(rtt_ns={"vxlan": 24_000.0})
    rundirs.made_up(folder / "slow", 3, shape=SHAPE, truth=slow, started="2026-08-03T12:00:00Z")
    return folder


def test_a_page_and_a_document(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page is written, exit 0, and --json prints the contrasts in the contract's form."""
    page = tmp_path / "out.html"
    code, out, err = run(
        capsys, "compare", str(runs / "a"), str(runs / "slow"), "--out", str(page), "--json"
    )
    assert code == 0
    assert f"wrote {page}" in err
    found = {
        (c["metric"], c["base"]): c
        for c in json.loads(out)["comparisons"]
        if c["group"] == "all pairs"
    }
    kernel = found["rtt_kernel_ns.p50", "a:vxlan/pod"]
    assert kernel["verdict"] == "one campaign each"
    assert kernel["other"] == "slow:vxlan/pod"
    assert kernel["ratio"] == pytest.approx(1.6, rel=0.1)
    assert {each["verdict"] for each in found.values()} == {"one campaign each"}
    text = page.read_text(encoding="utf-8")
    assert "One campaign each" in text


def test_the_default_page_is_here(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """compare.html in the working directory, replaced only if it is a page of ours, and said."""
    monkeypatch.chdir(tmp_path)
    call = ("compare", str(runs / "a"), str(runs / "b"), "--name", "Nightly")
    code, out, err = run(capsys, *call)
    assert (code, out) == (0, "comparison: compare.html\n")
    assert "<h1>Nightly</h1>" in Path("compare.html").read_text(encoding="utf-8")
    assert "wrote compare.html" in err
    assert "replaced compare.html" in run(capsys, *call)[2]
    Path("compare.html").write_text("my notes", encoding="utf-8")
    code, _, err = run(capsys, *call)
    assert code == 2
    assert "is not a page of podbench" in err
    assert Path("compare.html").read_text(encoding="utf-8") == "my notes"


def test_itself_is_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One directory twice, by another way, and a copy of it are refused with a sentence."""
    shutil.copytree(runs / "a", tmp_path / "copy")
    (tmp_path / "link").symlink_to(runs / "a")
    for other in (runs / "a", tmp_path / "link", tmp_path / "copy"):
        code, _, err = run(
            capsys, "compare", str(runs / "a"), str(other), "--out", str(tmp_path / "x.html")
        )
        assert code == 2
        assert "cannot be compared with itself" in err
    assert not (tmp_path / "x.html").exists()


def test_a_run_that_cannot_be_read_is_left_out(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two sound runs are compared; the third is named. With one sound run there is no page."""
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "summary.json").write_text('{"format": 7}')
    page = tmp_path / "x.html"
    code, _, err = run(
        capsys, "compare", str(runs / "a"), str(bad), str(runs / "b"), "--out", str(page)
    )
    assert code == 0
    assert "left out" in err
    assert "format 7" in err
    assert "format 7" in page.read_text(encoding="utf-8")
    code, _, err = run(capsys, "compare", str(runs / "a"), str(bad), "--out", str(page))
    assert code == 1
    assert "fewer than two runs" in err
    assert "Traceback" not in err


def test_figures_made_anew_do_not_hide_a_copy(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy whose results were rewritten is the same run still."""
    shutil.copytree(runs / "a", tmp_path / "copy")
    rundirs.replace_summary(tmp_path / "copy", pairs=())
    code, _, err = run(
        capsys, "compare", str(runs / "a"), str(tmp_path / "copy"), "--out", str(tmp_path / "x")
    )
    assert code == 2
    assert "hold the same run" in err


def test_damaged_and_missing_samples(
    tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cut file is named and the rest compared; without samples figures are only described."""
    shutil.copytree(runs / "b", tmp_path / "cut")
    victim = next((tmp_path / "cut" / "samples" / "latency").rglob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:100])
    (tmp_path / "bare").mkdir()
    shutil.copy(runs / "slow" / "summary.json", tmp_path / "bare" / "summary.json")
    code, out, err = run(
        capsys, "compare", str(runs / "a"), str(tmp_path / "cut"), str(tmp_path / "bare"),
        "--out", str(tmp_path / "x.html"), "--json",
    )  # fmt: skip
    assert code == 0
    assert str(victim.relative_to(tmp_path / "cut")) in err
    found = json.loads(out)
    kernel = [c for c in found["comparisons"] if c["metric"] == "rtt_kernel_ns.p50"]
    designs = {(c["base_run"], c["other_run"]): c for c in kernel if c["row"] == "vxlan/pod"}
    assert all(each["ratio"] is not None and each["ci95"] is None for each in designs.values())
    assert "samples are missing" in designs[0, 2]["reason"]
    assert "no samples" in found["runs"][2]["note"]


@pytest.mark.parametrize("count", [1, 13])
def test_two_to_twelve(tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int) -> None:
    """Fewer than two or more than twelve runs are a usage error."""
    paths = [str(results.save(tmp_path / f"r{i}", results.summary(seed=i))) for i in range(count)]
    code, _, err = run(capsys, "compare", *paths, "--out", str(tmp_path / "x.html"))
    assert code == 2
    assert f"{count} run" in err
    assert "2 to 12" in err


def test_runs_without_any_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs with empty arms make a page that says so."""
    paths = [
        str(results.save(tmp_path / f"r{i}", results.summary(results.pair(), seed=i)))
        for i in range(2)
    ]
    page = tmp_path / "x.html"
    code, _, _ = run(capsys, "compare", *paths, "--out", str(page))
    assert code == 0
    assert "not measured" in page.read_text(encoding="utf-8")
