"""A run directory is new, and each file in it is whole or absent."""

import errno
from pathlib import Path

import pytest

from podbench.model.arms import Arm, Mode
from podbench.model.errors import ConfigError, StoreError
from podbench.store import rundir


def test_create_and_open(tmp_path: Path) -> None:
    """A directory that was begun opens again."""
    made = rundir.create(tmp_path / "a" / "run")
    made.write_json(made.run_json, {"x": 1})
    assert made.read_json(rundir.open_existing(made.path).run_json, dict[str, int]) == {"x": 1}


def test_an_existing_directory_is_refused(tmp_path: Path) -> None:
    """Nothing already measured is overwritten."""
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"--out: .* already exists"):
        rundir.create(tmp_path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A path below a file is named with the option."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--out: cannot write"):
        rundir.create(tmp_path / "file" / "run")


def test_no_run_there(tmp_path: Path) -> None:
    """A directory without run.json is no run."""
    with pytest.raises(ConfigError, match=r"has no run.json"):
        rundir.open_existing(tmp_path)


@pytest.mark.parametrize("data", [b"{", b'{"a\xff": 1}'])
def test_a_damaged_record_is_named(tmp_path: Path, data: bytes) -> None:
    """Reading says which file is damaged."""
    made = rundir.create(tmp_path / "run")
    made.run_json.write_bytes(data)
    with pytest.raises(StoreError, match=r"run.json: damaged"):
        made.read_json(made.run_json, dict[str, int])


def test_a_full_disk_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the file keeps its former content and no part file stays."""
    path = tmp_path / "plan.json"
    rundir.write_whole(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="no space left"):
        rundir.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_places() -> None:
    """Files lie where the contract says."""
    run = rundir.RunDir(Path("r"))
    arm = Arm(Mode.VXLAN, repeat=2)
    assert run.samples("latency", 3, arm, 2) == Path(
        "r/samples/latency/block-003/vxlan-pod_2/round-02.parquet"
    )
    assert run.evidence(3, arm) == Path("r/evidence/block-003/vxlan-pod_2.json")
