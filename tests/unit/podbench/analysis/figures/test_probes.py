"""Latency rows read from files, in pieces and by two processes, give the figures of one table."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import rundirs, synthetic

from podbench.analysis.bundle import Bundle
from podbench.analysis.figures import arms, probes
from podbench.analysis.samples import compact, pieces, residues
from podbench.analysis.samples.inputs import Inputs
from podbench.analysis.samples.source import Held, Piece
from podbench.analysis.samples.streams import COLUMNS, FloatArray, StreamKey
from podbench.analysis.stats import quantiles
from podbench.analysis.summarise import analyse
from podbench.store.latency_files import LatencyFiles
from podbench.store.rundir import RunDir

SHAPE = synthetic.Shape(nodes=4, blocks=3, kinds=(("tcp", 1),))
TRUTH = synthetic.Truth(loss_forward={"vxlan/pod": 0.02}, slow_node={"n2": 1.3})


class _Rounds:
    """A table cut by arm, block and round, in an order of no meaning."""

    def __init__(self, table: pd.DataFrame, *, unit: str | None = None) -> None:
        self._parts = {
            f"{arm} {block} {number}": part
            for (arm, block, number), part in table.groupby(["arm", "block", "round"])
        }
        self._unit = unit

    def pieces(self) -> Sequence[Piece]:
        """All parts."""
        names = sorted(self._parts, reverse=True)
        return [
            Piece(unit=self._unit or n.split()[0], name=n, rows=len(self._parts[n])) for n in names
        ]

    def read(self, piece: Piece, columns: Sequence[str]) -> pa.Table:
        """As Arrow, with those columns only."""
        return pa.Table.from_pandas(self._parts[piece.name][list(columns)], preserve_index=False)


def _uneven(made: Inputs) -> Inputs:
    """Two arms lose one pair each in one block, so that unions are over part of the pairs."""
    rows = made.latency
    assert rows is not None
    gone = (rows["arm"] == "vxlan/pod") & (rows["block"] == 2) & (rows["src"] == "n1")
    gone |= (rows["arm"] == "bgp/pod") & (rows["block"] == 3) & (rows["dst"] == "n3")
    return msgspec.structs.replace(made, latency=rows[~gone])


def _from(source: object, made: Inputs) -> Bundle:
    return analyse(msgspec.structs.replace(made, latency=None, latency_files=source))


@pytest.fixture(scope="module")
def made() -> Inputs:
    """A run of which arms lack different pairs."""
    return _uneven(synthetic.run(5, SHAPE, TRUTH))


def test_pieces_give_the_figures_of_the_whole(made: Inputs) -> None:
    """Every figure is the same to the last bit, whatever the pieces and their order."""
    assert made.latency is not None
    whole = analyse(made)
    assert any(c.blocks for c in whole.summary.comparisons if c.metric == "rtt_kernel_ns.p99")
    assert _from(_Rounds(made.latency), made) == whole
    assert _from(_Rounds(made.latency, unit="one"), made) == whole


def test_files_in_wrong_folders_still_make_one_arm(made: Inputs) -> None:
    """Units that share an arm are read again together."""
    rows = made.latency
    assert rows is not None

    class Mixed(_Rounds):
        def pieces(self) -> Sequence[Piece]:
            held = super().pieces()
            return [msgspec.structs.replace(one, unit=str(i % 3)) for i, one in enumerate(held)]

    assert _from(Mixed(rows), made) == analyse(made)


def test_two_processes_give_the_figures_of_one(
    made: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From files, by interpreters of their own: nothing changes."""
    rundirs.write(tmp_path / "run", made)
    files = LatencyFiles(RunDir(tmp_path / "run"))
    one = _from(files, made)
    assert one == analyse(made)
    monkeypatch.setattr(probes, "WORTH_A_PROCESS", 1)
    assert _from(files, made) == one


def test_rows_in_any_order(made: Inputs) -> None:
    """Shuffled rows are put in order of sending."""
    assert made.latency is not None
    mixed = made.latency.sample(frac=1.0, random_state=1)
    assert analyse(msgspec.structs.replace(made, latency=mixed)) == analyse(made)


def test_a_large_run_sketches_only_what_is_not_path(
    made: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit own host times are in buckets of 0.5 %; every other figure is the same."""
    exact = analyse(made)
    monkeypatch.setattr(residues, "EXACT_ROWS", 10)
    large = analyse(made)
    for one, other in zip(exact.summary.blame, large.summary.blame, strict=True):
        assert one.effect_ratio == pytest.approx(other.effect_ratio, rel=0.0101)
    none = {"blame": ()}
    assert msgspec.structs.replace(exact.summary, **none) == msgspec.structs.replace(
        large.summary, **none
    )


def test_samples_that_are_not_held_are_read_again(
    made: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large cells' variation is not kept for unions: where one is asked for, nothing changes."""
    assert made.latency is not None
    whole = analyse(made)
    monkeypatch.setattr(arms, "_plenty", lambda name, n: n > 0)
    assert _from(_Rounds(made.latency), made) == whole


def test_without_visits_time_begins_with_the_first_probe(made: Inputs) -> None:
    """The first probe of all pieces, not of the first piece."""
    assert made.latency is not None
    bare = msgspec.structs.replace(made, visits=(), host=None)
    found = _from(_Rounds(made.latency), bare)
    assert found.timeline[0].time_s == 1.0  # the idle regime comes first
    assert found == analyse(bare)


def test_a_held_table_is_one_piece() -> None:
    """And nothing at all is none."""
    assert Held(None).pieces() == []
    table = pd.DataFrame({"seq": [1, 2]})
    (piece,) = Held(table).pieces()
    assert piece.rows == 2
    assert len(Held(table).read(piece, COLUMNS)) == 2


def test_damaged_files_are_named_and_the_rest_is_shown(made: Inputs, tmp_path: Path) -> None:
    """Truncated, altered, without a column, of another format: each its sentence."""
    rundirs.write(tmp_path / "run", made)
    run = RunDir(tmp_path / "run")
    files = sorted((run.path / "samples/latency").rglob("*.parquet"))
    whole = len(analyse(made).summary.pairs)
    data = files[0].read_bytes()
    files[0].write_bytes(data[: len(data) // 2])
    altered = bytearray(files[1].read_bytes())
    altered[200 : len(altered) // 2] = bytes(len(altered) // 2 - 200)
    files[1].write_bytes(bytes(altered))
    table = pq.read_table(files[2])
    pq.write_table(table.drop_columns(["valid"]), files[2])
    pq.write_table(table.replace_schema_metadata({"podbench_format": "9"}), files[3])
    files[4].write_bytes(b"")
    found = _from(LatencyFiles(run), made)
    said = {damage.file: damage.reason for damage in found.damages}
    names = [str(path.relative_to(run.path)) for path in files[:5]]
    assert list(said) == names
    assert "Parquet" in said[names[0]]
    assert said[names[2]] == "lacks the columns valid"
    assert said[names[3]] == "is of format 9, and this version reads format 1"
    assert {"file_damaged"} <= {doubt.code for doubt in found.summary.warnings}
    # Only a pair that lay in damaged files alone is gone.
    assert whole - 5 <= len(found.summary.pairs) <= whole
    assert {arm.status for arm in found.summary.arms} == {"measured"}


def test_tail_quantiles_need_only_the_tail() -> None:
    """Of the largest values alone, p99 is that of all of them."""
    rng = np.random.default_rng(3)
    for n in (100, 1000, 50_000):
        ordered = np.sort(rng.lognormal(9, 1, n))
        kept = ordered[-quantiles.beyond(n, 0.99) :]
        assert len(kept) < n / 5 or n == 100
        assert quantiles.harrell_davis_of_tail(kept, n, 0.99) == pytest.approx(
            quantiles.harrell_davis(ordered, 0.99), rel=1e-12
        )


def test_weights_of_many_values_are_those_of_the_definition() -> None:
    """Where the density stands for the step, the quantile moves by less than a millionth."""
    from scipy import special

    n, q = 1_000_000, 0.5
    ordered = np.sort(np.random.default_rng(4).lognormal(9, 1, n))
    a = (n + 1) * q
    exact = float(np.diff(special.betainc(a, n + 1 - a, np.arange(n + 1) / n)) @ ordered)
    assert quantiles.harrell_davis(ordered, q) == pytest.approx(exact, rel=1e-7)


def _stream(phase: str, src: str, dst: str, block: int, values: FloatArray) -> pieces.Carried:
    key = StreamKey(phase, "vxlan/host", src, dst, block, 1, "ipv4")
    held = compact.small(values)
    return pieces.Carried(key=key, kernel=held, app=held, jitter_ns=0.0)


def test_at_rest_is_whichever_end_sent() -> None:
    """A transfer the other way than the warm probes of its block still has a round trip at rest."""
    rest, loaded = np.arange(1000.0, 1500.0), np.arange(9000.0, 9100.0)
    held = [
        _stream("warm", "n1", "n2", 1, rest),
        _stream("loaded", "n2", "n1", 1, loaded),
        _stream("warm", "n2", "n1", 2, rest * 3),  # no transfer in this block
        _stream("warm", "n1", "n3", 1, rest * 5),  # nor on this pair
    ]
    found = arms.figures("vxlan/host", held).loaded
    assert found is not None
    assert found.rest_p50_ns == pytest.approx(1249.5)
    assert found.rest_p99_ns is None
    assert found.loaded_p50_ns == pytest.approx(9049.5)
