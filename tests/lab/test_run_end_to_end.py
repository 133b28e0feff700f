"""`bench run` on the lab, as a user starts it: what it leaves, and how it ends when interrupted."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binomtest
from support import needs
from support.bench import BEGUN_S, bench, small_run, wait_for

from podbench.analysis.findings import flagged
from podbench.results import conclude
from podbench.store import schemas
from podbench.store.rundir import RunDir
from podbench.wire import fates

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(300),
    needs.lab(),
]

WARM_LATE_NS = 500_000
"""Half the period of the warm probes, 1 kHz: what leaves later is late."""
LATENCY_COLUMNS = [
    "run_id",
    "block",
    "round",
    "arm",
    "mode",
    "path",
    "family",
    "src",
    "dst",
    "session_id",
    "src_port",
    "seq",
    "phase",
    "intended_mono_ns",
    "sent_wall_ns",
    "rtt_kernel_ns",
    "rtt_app_ns",
    "reflector_ns",
    "host_ns",
    "late_ns",
    "ttl",
    "status",
    "duplicates",
    "duplicates_forward",
    "duplicates_backward",
    "reordered",
    "reordered_forward",
    "reordered_backward",
    "reorder_extent",
    "stamp_source",
    "valid",
    "invalid_reason",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of two nodes and two blocks."""
    out = tmp_path_factory.mktemp("run") / "r"
    done = bench(
        *("run", "--cni", "calico", "--nodes", "2", "--blocks", "2", "--seed", "5"),
        *("--probes", "latency,ladder,ceiling,throughput", "--out", str(out), "--json"),
    )
    assert done.returncode in {0, 3}, done.stderr
    assert re.fullmatch("r-[0-9a-f]{8}", json.loads(done.stdout)["run_id"])
    return out


@pytest.fixture(scope="module")
def summary(finished: Path) -> dict[str, object]:
    """Its summary.json."""
    loaded: dict[str, object] = json.loads((finished / "summary.json").read_text())
    return loaded


def test_files_of_the_contract(finished: Path) -> None:
    """Everything that the contract names is there, and the page is one file without a network."""
    for name in ("run.json", "plan.json", "journal.jsonl", "summary.json", "report.html"):
        assert (finished / name).stat().st_size > 0
    page = (finished / "report.html").read_text()
    assert "network namespaces on one machine, not your cluster" in page
    assert 'src="http' not in page


def test_samples_have_the_contract_columns(finished: Path) -> None:
    """The tree reads with one call and every column; both directions have rows of their own."""
    rows = pd.read_parquet(finished / "samples" / "latency")
    assert list(rows.columns) == LATENCY_COLUMNS
    steps = {phase for phase in set(rows["phase"]) if re.fullmatch(r"load-(bulk|small)-\d+", phase)}
    assert set(rows["phase"]) - steps == {"idle", "warm", "loaded"}
    warm = rows[(rows["phase"] == "warm") & (rows["arm"] == "bgp/pod")]
    assert set(zip(warm["src"], warm["dst"], strict=True)) == {("n1", "n2"), ("n2", "n1")}
    ok = rows[(rows["status"] == "ok") & rows["valid"]]
    parts = ok["rtt_kernel_ns"] + ok["reflector_ns"] + ok["host_ns"]
    assert (parts == ok["rtt_app_ns"]).all()
    assert (ok["rtt_kernel_ns"] > 0).all()


def test_every_file_has_the_one_schema(finished: Path) -> None:
    """Each Parquet file is self-describing: all columns, with meaning, no folder partitions."""
    files = list((finished / "samples").rglob("*.parquet"))
    assert files
    for path in files:
        probe = path.relative_to(finished / "samples").parts[0]
        assert pq.read_schema(path).equals(schemas.BY_PROBE[probe])


def test_arms_are_proven(summary: dict[str, object]) -> None:
    """Each measured pod arm has a proof by counted packets for every directed pair."""
    arms = summary["arms"]
    assert isinstance(arms, list)
    pod = [a for a in arms if a["path"] == "pod" and a["status"] == "measured"]
    assert {"vxlan/pod", "bgp/pod", "vxlan/pod#2"} <= {a["arm"] for a in pod}
    for arm in pod:
        proof = arm["proof"]
        assert (proof["verdict"], proof["method"]) == ("match", "counted")
        assert proof["pairs_matched"] == proof["pairs_total"] == 2
    assert {a["arm"] for a in arms if a["path"] == "host"} >= {"vxlan/host", "bgp/host"}


def test_pairs_have_figures(finished: Path, summary: dict[str, object]) -> None:
    """Each directed pair's figures are those of its valid samples."""
    rows = pd.read_parquet(finished / "samples" / "latency")
    # A session off its schedule, as on a busy machine, still tells the path's latency.
    on_path = rows["valid"] | rows["invalid_reason"].isin(fates.HOST_REASONS)
    # A probe sent late counts for loss, not for round trips (docs/statistics.md).
    punctual = rows["rtt_kernel_ns"].notna() & (rows["late_ns"] <= WARM_LATE_NS)
    warm = rows[(rows["phase"] == "warm") & on_path & punctual & (rows["arm"] == "bgp/pod")]
    pairs = summary["pairs"]
    assert isinstance(pairs, list)
    pod = [p for p in pairs if p["arm"] == "bgp/pod"]
    assert {(p["src"], p["dst"]) for p in pod} == {("n1", "n2"), ("n2", "n1")}
    for pair in pod:
        own = warm[(warm["src"] == pair["src"]) & (warm["dst"] == pair["dst"])]
        assert pair["rtt_kernel_ns"]["n"] == len(own)
        found = pair["rtt_kernel_ns"]["p50"]
        assert found == pytest.approx(own["rtt_kernel_ns"].median(), rel=0.05)
        assert pair["loss"]["ratio"] < 0.01
        felt = own[own["valid"]]["rtt_app_ns"]
        assert pair["rtt_app_ns"]["n"] == len(felt)
        assert felt.empty or pair["rtt_app_ns"]["p50"] > found


def test_the_ladder_was_climbed(finished: Path, summary: dict[str, object]) -> None:
    """Every arm of a block climbed the same steps; each has its probes, its JSON and its reason."""
    steps = pd.read_parquet(finished / "samples" / "ladder")
    loaded = steps[steps["offered_share"] > 0]
    assert len(loaded) == 2 * 4 * 4  # blocks, arms, steps
    for _, block in loaded.groupby("block"):
        climbed = {
            arm: set(zip(own["kind"], own["offered_share"], strict=True))
            for arm, own in block.groupby("arm")
        }
        assert len({frozenset(one) for one in climbed.values()}) == 1
    assert (loaded["reached"] | loaded["not_reached_reason"].notna()).all()
    assert set(steps["busy_method"].dropna()) <= {"idle", "ticks"}
    phases = set(pd.read_parquet(finished / "samples" / "latency")["phase"])
    sent = loaded[loaded["duration_s"].notna()]
    for kind, share in set(zip(sent["kind"], sent["offered_share"], strict=True)):
        assert f"load-{kind}-{round(100 * share)}" in phases
    if len(sent):
        assert list((finished / "raw").rglob("*load-*-client.json.gz"))
    prices = summary["cpu_price"]
    assert isinstance(prices, list)
    assert {(p["mode"], p["kind"]) for p in prices} == {
        (mode, kind) for mode in ("vxlan", "ipip", "bgp") for kind in ("bulk", "small")
    }
    assert all(p["value"] is not None or p["reason"] for p in prices)


def test_headers_cost_what_arithmetic_says(finished: Path, summary: dict[str, object]) -> None:
    """On the shaped segment each mode reaches its own ceiling within a point."""
    wrapped = summary["encapsulation"]
    assert isinstance(wrapped, list)
    assert {one["share_of"] for one in wrapped} == {"shaped rate"}
    for one in wrapped:
        short = one["predicted_goodput_share"] - one["measured_goodput_share"]
        assert -0.01 <= short <= 0.01, one["mode"]
    assert pd.read_parquet(finished / "samples" / "ceiling")["reason"].dropna().empty


def test_run_json_lists_the_labs_processes(finished: Path) -> None:
    """Every node and pod names the process that held its namespace, as the host saw it."""
    record = json.loads((finished / "run.json").read_text())
    assert record["status"] == "complete"
    for node in record["nodes"]:
        assert node["pid"] > 1
        assert all(pod["pid"] > 1 for pod in node["pods"])


def test_report_again(finished: Path) -> None:
    """`bench report` re-analyses; a damaged file is named, the rest shown, exit 3."""
    again = bench("report", str(finished), "--quiet")
    assert again.returncode in {0, 3}
    victim = next((finished / "samples" / "latency").rglob("*.parquet"))
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    try:
        damaged = bench("report", str(finished))
    finally:
        victim.write_bytes(whole)
    assert damaged.returncode == 3
    assert victim.name in damaged.stderr


def _concluded(run: Path) -> tuple[Any, list[str]]:
    """The results of a run directory, and its flags with the files it names."""
    bundle = conclude.conclude(RunDir(run))
    named = [f"{damage.file}: {damage.reason}" for damage in bundle.damages]
    return bundle.summary, flagged.reasons(bundle) + named


def _sent(summary: Any) -> int:
    return sum(pair.loss.sent for pair in summary.pairs if pair.loss is not None)


def _empty(file: Path) -> None:
    pq.write_table(pq.read_table(file).slice(0, 0), file)


def _double(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table, table]), file)


def _flip(file: Path) -> None:
    """One bit, where page checksums and digest see it and nothing else might."""
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 4
    file.write_bytes(data)


LATENCY = "samples/latency/block-001"
FILE = "round-01.parquet"
CUT: dict[str, tuple[Callable[[Path], None], str]] = {
    "transfers removed": (lambda run: shutil.rmtree(run / "samples/throughput"), "is missing"),
    "a block removed": (lambda run: shutil.rmtree(run / LATENCY), "is missing"),
    "a file removed": (lambda run: next((run / LATENCY).rglob(FILE)).unlink(), "is missing"),
    "host counters removed": (lambda run: next((run / "host").rglob(FILE)).unlink(), "is missing"),
    "a file emptied": (lambda run: _empty(next((run / LATENCY).rglob(FILE))), "is empty"),
    "rows doubled": (
        lambda run: _double(next((run / LATENCY).rglob(FILE))),
        "were written: left out",
    ),
    "a bit flipped": (lambda run: _flip(next((run / LATENCY).rglob(FILE))), "was altered"),
}
STRANGE: dict[str, Callable[[Path], object]] = {
    "a block twice": lambda run: shutil.copytree(run / LATENCY, run / f"{LATENCY}.bak"),
    "a file twice": lambda run: shutil.copy(
        next((run / LATENCY).rglob(FILE)), next((run / LATENCY).rglob(FILE)).with_name("x.parquet")
    ),
    "another run's host": lambda run: shutil.copytree(run / "host", run / "host/old"),
}


@pytest.mark.parametrize("name", list(CUT))
def test_samples_that_are_gone_or_altered_are_named(
    finished: Path, tmp_path: Path, name: str
) -> None:
    """The journal says what was written: what is not so any more is named and counts as missing."""
    run = tmp_path / "r"
    shutil.copytree(finished, run)
    cut, said = CUT[name]
    cut(run)
    summary, named = _concluded(run)
    assert summary.status == "partial"
    assert any(said in each for each in named)
    assert any("planned blocks are whole" in each for each in named)


@pytest.mark.parametrize("name", list(STRANGE))
def test_files_that_no_round_wrote_are_named_and_left_out(
    finished: Path, tmp_path: Path, name: str
) -> None:
    """A copy beside the original is not counted twice."""
    run = tmp_path / "r"
    shutil.copytree(finished, run)
    before, _ = _concluded(run)
    STRANGE[name](run)
    summary, named = _concluded(run)
    assert any("is no file of this run: left out" in each for each in named)
    assert summary.status == "complete"
    assert _sent(summary) == _sent(before)


@pytest.mark.parametrize("lines", [None, 3])
def test_a_missing_or_cut_journal_is_named(
    finished: Path, tmp_path: Path, lines: int | None
) -> None:
    """What was measured is shown; not that nothing was measured."""
    run = tmp_path / "r"
    shutil.copytree(finished, run)
    before, _ = _concluded(run)
    journal = run / "journal.jsonl"
    kept = journal.read_text().splitlines(keepends=True)
    journal.unlink()
    if lines is not None:
        journal.write_text("".join(kept[:lines]))
    summary, named = _concluded(run)
    assert any(each.startswith("journal.jsonl: ") for each in named)
    assert not any("planned blocks" in each for each in named)
    assert _sent(summary) == _sent(before)


def test_a_copied_round_in_anothers_place_is_found_without_a_journal(
    finished: Path, tmp_path: Path
) -> None:
    """Rows say themselves which block, round and arm they are of."""
    run = tmp_path / "r"
    shutil.copytree(finished, run)
    (run / "journal.jsonl").unlink()
    first = next((run / LATENCY).rglob(FILE))
    shutil.copy(first, Path(str(first).replace("block-001", "block-002")))
    _, named = _concluded(run)
    assert any("holds rows of another block" in each for each in named)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """A run that has put its first round on disk and goes on."""
    out = tmp_path / "r"
    process = subprocess.Popen(
        small_run(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    journal = out / "journal.jsonl"
    wait_for(lambda: journal.exists() and '"event":"round"' in journal.read_text(), BEGUN_S)
    yield process, out
    if process.poll() is None:
        process.kill()
        process.wait()


def _lab_pids(out: Path) -> list[int]:
    nodes = json.loads((out / "run.json").read_text())["nodes"]
    return [n["pid"] for n in nodes] + [p["pid"] for n in nodes for p in n["pods"]]


def _gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_interrupted_then_resumed(started: tuple["subprocess.Popen[bytes]", Path]) -> None:
    """SIGINT ends it early with exit 130 and keeps the rounds; `resume` does only the rest."""
    process, out = started
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert _gone(_lab_pids(out))
    assert json.loads((out / "run.json").read_text())["status"] == "interrupted"
    kept = {p: p.stat().st_mtime_ns for p in (out / "samples").rglob("*.parquet")}
    assert kept
    done = bench("resume", str(out))
    assert done.returncode in {0, 3}, done.stderr
    assert all(p.stat().st_mtime_ns == before_ns for p, before_ns in kept.items())
    assert json.loads((out / "summary.json").read_text())["status"] == "complete"


def test_killed_leaves_nothing(started: tuple["subprocess.Popen[bytes]", Path]) -> None:
    """SIGKILL takes every namespace and process along; the rounds stay readable."""
    process, out = started
    pids = _lab_pids(out)
    assert pids
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: _gone(pids), 60)
    assert bench("report", str(out)).returncode in {0, 3}
    assert (out / "report.html").exists()


def test_one_percent_loss_comes_back(tmp_path: Path) -> None:
    """Injected forward loss is reported as forward loss, as much as was injected."""
    out = tmp_path / "r"
    done = bench("run", "--nodes", "2", "--blocks", "2", "--modes", "bgp", "--probes", "latency",
                 "--lab-loss", "n1>n2=1%", "--seed", "4", "--out", str(out))  # fmt: skip
    assert done.returncode in {0, 3}, done.stderr
    found = json.loads((out / "summary.json").read_text())
    loss = {(p["src"], p["dst"]): p["loss"] for p in found["pairs"] if p["arm"] == "bgp/pod"}
    forth, back = loss["n1", "n2"], loss["n2", "n1"]
    assert forth["lost_forward"] > 0
    assert forth["lost_backward"] == forth["lost_unknown"] == 0
    # A 95 % interval misses one run in twenty, so the test asks for one in ten thousand.
    counts = binomtest(forth["lost_forward"], forth["sent"])
    wide = counts.proportion_ci(0.9999, "exact")
    assert wide.low <= 0.01 <= wide.high
    assert wide.low <= forth["ci95"][0] < forth["ci95"][1] <= wide.high
    assert back["lost_backward"] > 0
    assert back["lost_forward"] == back["lost_unknown"] == 0
    assert "n1 &gt; n2" in (out / "report.html").read_text()
