"""The latency files of a run as a source of pieces: a round's file each, an arm's folders together.

Only the columns asked for are read, one file at a time, so a run larger than memory can be
analysed. What analysis makes of it: `podbench.analysis.figures.probes`.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa

from podbench.analysis.samples.source import Piece
from podbench.store import samples
from podbench.store.rundir import RunDir


class LatencyFiles:
    """`podbench.analysis.samples.source.Source` over `samples/latency`."""

    def __init__(self, run: RunDir, files: Collection[Path] | None = None) -> None:
        """`files`: those that count; null: all."""
        self._path = run.path
        self._files = files

    def pieces(self) -> Sequence[Piece]:
        """All files, damaged ones too; the folder of an arm is its unit."""
        found = sorted((self._path / "samples" / "latency").rglob("*.parquet"))
        return [
            Piece(
                unit=path.parent.name,
                name=str(path.relative_to(self._path)),
                rows=samples.rows_of(path),
            )
            for path in found
            if self._files is None or path in self._files
        ]

    def read(self, piece: Piece, columns: Sequence[str]) -> pa.Table:
        """These columns of one file.

        Raises:
            StoreError: It is damaged or of another format.
        """
        return samples.read_columns(Path(self._path / piece.name), "latency", columns)
