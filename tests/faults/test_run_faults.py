"""What a whole run does when the disk is full; what becomes of lost parts is test_lost_parts."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import needs
from support.bench import bench

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(300),
    needs.lab(),
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a round or two."""
    where = tmp_path / "small"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(where)], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield where
    subprocess.run(["umount", str(where)], check=True)


@pytest.mark.root
def test_a_full_disk_stops_the_run_and_loses_nothing(small_disk: Path) -> None:
    """Exit 1 with one sentence and the way out; what was written is whole and still shown."""
    out = small_disk / "r"
    done = bench("run", "--nodes", "2", "--blocks", "3", "--probes", "latency", "--out", str(out))
    assert done.returncode == 1
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(out.rglob("*.part"))
    rounds = (out / "journal.jsonl").read_text().count('"event":"round"')
    assert rounds >= 1
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    again = bench("report", str(out), "--quiet")
    assert again.returncode in {0, 3}, again.stderr
    assert json.loads((out / "summary.json").read_text())["status"] == "partial"
