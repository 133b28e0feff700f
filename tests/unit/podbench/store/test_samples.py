"""Samples are written in one fixed schema, missing stays null, damage is named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from podbench.store import samples


def _rows() -> dict[str, np.ndarray]:
    return {
        "seq": np.arange(3),
        "rtt_kernel_ns": np.ma.MaskedArray([10, 20, 30], mask=[False, True, False]),
        "status": np.array(["ok", "lost_forward", "ok"]),
        "valid": np.array([True, True, True]),
    }


def test_missing_stays_null(tmp_path: Path) -> None:
    """A masked value, and a column nobody gave, come back as null and never as zero."""
    path = tmp_path / "samples/latency/block-001/vxlan-pod/round-01.parquet"
    samples.write(path, "latency", [(_rows(), {"arm": "vxlan/pod", "block": 1})])
    table, damaged = samples.read(tmp_path, "latency")
    assert not damaged
    assert table["rtt_kernel_ns"].isna().tolist() == [False, True, False]
    assert table["ttl"].isna().all()
    assert table["arm"].tolist() == ["vxlan/pod"] * 3
    assert table["status"].tolist() == ["ok", "lost_forward", "ok"]


def test_the_whole_tree_reads_at_once(tmp_path: Path) -> None:
    """One `pd.read_parquet` reads every round, as users are promised."""
    for number in (1, 2):
        path = tmp_path / f"block-001/vxlan-pod/round-{number:02d}.parquet"
        samples.write(path, "latency", [(_rows(), {"round": number})])
    assert len(pd.read_parquet(tmp_path)) == 6


def test_damage_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    """A truncated file comes back with its reason; whole ones are used."""
    whole = tmp_path / "a.parquet"
    samples.write(whole, "latency", [(_rows(), {})])
    (tmp_path / "b.parquet").write_bytes(whole.read_bytes()[:100])
    pd.DataFrame({"seq": [1]}).to_parquet(tmp_path / "c.parquet")
    table, damaged = samples.read(tmp_path, "latency")
    assert len(table) == 3
    reasons = {path.name: reason for path, reason in damaged}
    assert "cannot be read" in reasons["b.parquet"]
    assert "lacks the columns" in reasons["c.parquet"]


def test_an_unknown_column_is_a_mistake_of_ours(tmp_path: Path) -> None:
    """Only columns of the schema are written."""
    with pytest.raises(ValueError, match="no column rtt"):
        samples.write(tmp_path / "x.parquet", "latency", [({"rtt": np.arange(2)}, {})])


def test_an_empty_round_has_the_schema(tmp_path: Path) -> None:
    """A file without rows still has every column."""
    samples.write(tmp_path / "x.parquet", "host", [])
    assert "cpu_steal_ratio" in pd.read_parquet(tmp_path / "x.parquet").columns
