"""The samples of a run, read a visit at a time: all rows of one arm in one block lie in one folder.

For whoever needs sums or block statistics and not the whole run in memory. `samples` reads the
files; nothing is computed here.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from podbench.analysis.samples import streams
from podbench.model.errors import StoreError
from podbench.store import samples
from podbench.store.rundir import RunDir


class Visits:
    """Reads visits in order; `damaged` grows by (file, reason) as files turn out unreadable."""

    def __init__(self, run: RunDir, files: Collection[Path] | None = None) -> None:
        """`files`: those that count; null: all."""
        self._run = run
        self._counted = files
        self._root = run.path / "samples"
        self.damaged: list[tuple[str, str]] = []

    def places(self) -> list[str]:
        """The folders of all visits below a probe's own (`block-001/vxlan-pod`), in order."""
        found = {
            str(path.parent.relative_to(self._root / probe))
            for probe in ("latency", "throughput")
            for path in self._of(self._root / probe)
        }
        return sorted(found)

    def latency(self, place: str) -> pa.Table | None:
        """One visit's probes, the columns analysis looks at; null where it has no file."""
        tables = []
        for path in self._files("latency", place):
            try:
                tables.append(samples.read_columns(path, "latency", streams.COLUMNS))
            except StoreError as error:
                self._note(path, str(error))
        return pa.concat_tables(tables) if tables else None

    def throughput(self, place: str) -> pd.DataFrame | None:
        """One visit's transfers; null where it has no file."""
        if not self._files("throughput", place):
            return None
        root = self._root / "throughput" / place
        table, damaged = samples.read(root, "throughput", self._counted)
        for path, reason in damaged:
            self._note(path, reason)
        return table

    def tables(self) -> Iterator[tuple[pa.Table | None, pd.DataFrame | None]]:
        """(latency, throughput) of one visit after the other."""
        for place in self.places():
            yield self.latency(place), self.throughput(place)

    def _files(self, probe: str, place: str) -> list[Path]:
        return self._of(self._root / probe / place)

    def _of(self, root: Path) -> list[Path]:
        found = sorted(root.rglob("*.parquet"))
        return [path for path in found if self._counted is None or path in self._counted]

    def _note(self, path: Path, reason: str) -> None:
        self.damaged.append((str(path.relative_to(self._run.path)), reason))
