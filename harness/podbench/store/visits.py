"""The samples of a run, read a visit at a time: all rows of one arm in one block lie in one folder.

For whoever needs sums or block statistics and not the whole run in memory. `samples` reads the
files; nothing is computed here.
"""

from collections.abc import Iterator

import pandas as pd

from podbench.store import samples
from podbench.store.rundir import RunDir


class Visits:
    """Reads visits in order; `damaged` grows by (file, reason) as files turn out unreadable."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._root = run.path / "samples"
        self.damaged: list[tuple[str, str]] = []

    def places(self) -> list[str]:
        """The folders of all visits below a probe's own (`block-001/vxlan-pod`), in order."""
        found = {
            str(path.parent.relative_to(self._root / probe))
            for probe in ("latency", "throughput")
            for path in (self._root / probe).rglob("*.parquet")
        }
        return sorted(found)

    def read(self, probe: str, place: str) -> pd.DataFrame | None:
        """One probe's rows of one visit; null where it has no folder."""
        folder = self._root / probe / place
        if not folder.is_dir():
            return None
        table, damaged = samples.read(folder, probe)
        self.damaged += [
            (str(path.relative_to(self._run.path)), reason) for path, reason in damaged
        ]
        return table

    def tables(self) -> Iterator[tuple[pd.DataFrame | None, pd.DataFrame | None]]:
        """(latency, throughput) of one visit after the other."""
        for place in self.places():
            yield self.read("latency", place), self.read("throughput", place)
