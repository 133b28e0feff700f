"""A run directory from a stranger: read as data, whatever it holds."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import rundirs, synthetic
from support.commands import run

from podbench.analysis.samples.inputs import Inputs
from podbench.campaign.journal import Journal
from podbench.model.errors import ConfigError, StoreError
from podbench.store import guarded, lock, rundir, samples, schemas
from podbench.store.rundir import RunDir


@pytest.fixture(name="made", scope="module")
def _made() -> Inputs:
    return synthetic.run(5, synthetic.Shape(nodes=2, blocks=3, kinds=(("tcp", 1),)))


def _first(held: RunDir, below: str) -> Path:
    return min((held.path / below).rglob("*.parquet"))


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize(
    ("plant", "why"),
    [
        (lambda path: path.symlink_to("/etc/passwd"), "leads out of the run directory"),
        (lambda path: path.symlink_to("/nowhere/yet"), "leads out of the run directory"),
        (os.mkfifo, "is a named pipe"),
        (_socket, "is a socket"),
    ],
)
@pytest.mark.parametrize("name", ["summary.json", "journal.jsonl", "samples/latency/x.parquet"])
def test_what_no_run_holds_is_refused_by_name(
    tmp_path: Path,
    made: Inputs,
    capsys: pytest.CaptureFixture[str],
    plant: Callable[[Path], None],
    why: str,
    name: str,
) -> None:
    """Links out, pipes (which would hang), sockets: exit 2 at once, nothing opened or written."""
    held = rundirs.finished(tmp_path / "run", made)
    path = held.path / name
    path.unlink(missing_ok=True)
    plant(path)
    for command in ("report", "export"):
        code, _, err = run(
            capsys, command, str(held.path), *(["--format", "csv"] if command == "export" else [])
        )
        assert code == 2
        assert name.rpartition("/")[2] in err
        assert why in err


def test_a_link_to_a_folder_outside_takes_no_samples(tmp_path: Path, made: Inputs) -> None:
    """`samples -> /somewhere`: a resumed run would write there."""
    held = rundirs.finished(tmp_path / "run", made)
    (held.path / "samples").rename(tmp_path / "elsewhere")
    (held.path / "samples").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="leads out"):
        rundir.open_existing(held.path)


def test_new_files_follow_no_link_and_have_no_name_to_guess(tmp_path: Path) -> None:
    """Neither the old temporary name nor the file's own, planted as links, leads anywhere."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    where = tmp_path / "run"
    where.mkdir()
    for name in (".summary.json.part", "summary.json", "journal.jsonl"):
        (where / name).symlink_to(victim)
    rundir.write_whole(where / "summary.json", b"{}")
    assert (where / "summary.json").read_bytes() == b"{}"
    assert not (where / "summary.json").is_symlink()
    with pytest.raises(StoreError):
        Journal(where / "journal.jsonl").note("begun")
    assert victim.read_text() == "untouched"
    assert {each.name for each in where.iterdir()} == {
        *(".summary.json.part", "summary.json", "journal.jsonl")
    }


def test_sizes_and_rows_have_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file larger than any of a run, and one that unpacks to more: refused by name."""
    large = tmp_path / "run.json"
    with large.open("wb") as file:
        file.truncate(guarded.MOST_JSON_BYTES + 1)
    with pytest.raises(StoreError, match=r"run\.json: 256 MiB, more than"):
        RunDir(tmp_path).read_json(large, dict[str, object])
    rows = tmp_path / "x.parquet"
    monkeypatch.setattr(samples, "MOST_ROWS", 1000)
    column = pa.array([None] * 1001, pa.string())
    fields = [
        pa.nulls(1001, each.type) if each.type != pa.string() else column
        for each in schemas.LATENCY
    ]
    pq.write_table(pa.Table.from_arrays(fields, schema=schemas.LATENCY), rows)
    with pytest.raises(StoreError, match="states 1001 rows"):
        samples.read_columns(rows, "latency", ["seq"])
    assert samples.rows_of(rows) == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda plan: plan["nodes"].append("../../etc"), "node '../../etc'"),
        (lambda plan: plan["visits"][0].update(block=-1), "block -1"),
        (lambda plan: plan["visits"][0].update(repeat=10**9), "repeat"),
        (lambda plan: plan["visits"][0]["rounds"][0].update(number=10**9), "round"),
        (lambda plan: plan["visits"][0]["rounds"][0].update(phase="../x"), "phase"),
        (lambda plan: plan["visits"][0]["rounds"][0].update(pairs=[["n1", "/tmp/x"]]), "/tmp/x"),
        (
            lambda plan: plan["visits"][0]["rounds"][0].update(
                transfers=[{"src": "n1", "dst": "n2", "probe": "../../x"}]
            ),
            "probe",
        ),
    ],
)
def test_a_plan_names_what_a_run_can_have(
    tmp_path: Path,
    made: Inputs,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, list[dict[str, object]]]], None],
    why: str,
) -> None:
    """Its names become files and commands when a run is gone on with."""
    held = rundirs.finished(tmp_path / "run", made)
    plan = json.loads(held.plan_json.read_bytes())
    change(plan)
    held.plan_json.write_text(json.dumps(plan))
    code, _, err = run(capsys, "report", str(held.path))
    assert code == 1
    assert "plan.json: damaged" in err
    assert why in err


def test_a_journal_names_what_a_run_can_have(tmp_path: Path) -> None:
    """Lines of other arms, blocks and paths than any run's are passed over, as damaged ones are."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.note("begun")
    line = {"event": "round", "wall_ns": 1, "block": 1, "arm": "vxlan/pod", "round": 1}
    span = {
        "kind": "warm",
        "path": "../x",
        "src": None,
        "dst": None,
        "start_mono_ns": 1,
        "end_mono_ns": 2,
    }
    odd = [
        {**line, "arm": "../../x"},
        {**line, "arm": "vxlan/pod#999999999999"},
        {**line, "block": -1},
        {**line, "round": 10**12},
        {**line, "spans": [span]},
    ]
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.writelines(msgspec.json.encode(each) + b"\n" for each in [*odd, line])
        file.write(b'{"event":' + b"[" * 100_000 + b"\n")
    assert [each.event for each in journal.entries()] == ["begun", "round"]


def test_one_writer_per_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second one is refused with the first's process id; death opens the lock, whatever kills."""
    program = (
        "import sys, time; from pathlib import Path; from podbench.store import lock\n"
        "with lock.held(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=f"process {owner.pid} writes to it"):
            lock.held(tmp_path).__enter__()
        owner.kill()
        owner.wait()
    assert (tmp_path / lock.NAME).exists()
    (tmp_path / ".samples.0123.part").touch()
    with lock.held(tmp_path):
        assert json.loads((tmp_path / lock.NAME).read_bytes())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nor a pipe waited for."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / lock.NAME).symlink_to(tmp_path / "victim")
    with pytest.raises(StoreError), lock.held(tmp_path / "a"):
        pass
    assert not (tmp_path / "victim").exists()


def test_a_run_that_ended_before_its_plan_says_what_to_do(
    tmp_path: Path, made: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted early: nothing to report, and how to go on."""
    held = rundirs.finished(tmp_path / "run", made)
    held.plan_json.unlink()
    code, _, err = run(capsys, "report", str(held.path))
    assert code == 2
    assert "ended before its first round" in err
    assert f"`bench resume {held.path}`" in err
