"""Which runs a folder holds, and what the word `latest` means."""

import json
from pathlib import Path

import msgspec
import pytest
from support import commands, rundirs, synthetic

from podbench.campaign import record
from podbench.model.errors import ConfigError
from podbench.results import listing

SHAPE = synthetic.Shape(nodes=2, blocks=5, modes=("vxlan", "bgp"), host=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`runs/` with an old run, a campaign one level deeper, a damaged run and a stray file."""
    folder = tmp_path_factory.mktemp("here") / "runs"
    made = msgspec.structs.replace(synthetic.run(1, SHAPE), name="x\x1b[31mred")
    for place, started in (("old", "2026-01-01T00:00:00Z"), ("twice/01", "2026-02-01T00:00:00Z")):
        rundir = rundirs.finished(folder / place, made)
        begun = rundir.read_json(rundir.run_json, record.RunRecord)
        rundir.write_json(rundir.run_json, msgspec.structs.replace(begun, started=started))
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{")
    (folder / "notes.txt").write_text("none of ours")
    return folder


def test_runs_are_listed_newest_first(runs: Path) -> None:
    """Blocks come from plan and journal, a damaged run is named with its trouble, last."""
    new, old, broken = listing.runs(runs)
    assert (new.path, new.cni, new.blocks_done, new.blocks_planned) == (
        str(runs / "twice" / "01"), "calico", 5, 5,
    )  # fmt: skip
    assert old.path == str(runs / "old")
    assert broken.trouble is not None
    assert "run.json" in broken.trouble


def test_latest_is_the_newest_run_of_the_folder(
    runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Any other word is a path, and where there is no run `latest` says so."""
    monkeypatch.chdir(runs.parent)
    assert listing.located("latest") == Path("runs/twice/01")
    assert listing.located("somewhere") == Path("somewhere")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="latest: no run in"):
        listing.located("latest")
    Path("latest").mkdir()
    assert listing.located("latest") == Path("latest")


def test_ls_prints_a_table_without_a_users_control_characters(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line a run, and the same as one JSON document."""
    code, out, _ = commands.run(capsys, "ls", str(runs))
    assert code == 0
    assert "\x1b" not in out
    assert [line.split()[0] for line in out.splitlines()] == [
        "RUN", str(runs / "twice" / "01"), str(runs / "old"), str(runs / "broken"),
    ]  # fmt: skip
    _, out, _ = commands.run(capsys, "ls", str(runs), "--json")
    assert [each["name"] for each in json.loads(out)["runs"]] == ["x\x1b[31mred"] * 2 + [None]


def test_a_folder_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with what to type."""
    code, _, err = commands.run(capsys, "ls", "/nowhere")
    assert code == 2
    assert "/nowhere: no such folder" in err
