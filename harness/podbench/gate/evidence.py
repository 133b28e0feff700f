"""What a gate can find out about a run beyond its summary.json: intervals from the samples.

The samples are read once, and only when a limit asks for what summary.json does not hold: another
confidence than 95 %, a figure without an interval of its own, a comparison with another run.
"""

import functools

from podbench.analysis.compare import comparable
from podbench.analysis.figures import group_points, pair_intervals
from podbench.analysis.figures.dotted import Figure
from podbench.analysis.figures.group_points import GroupPoints
from podbench.analysis.figures.pair_intervals import Found
from podbench.model.summary import Pair
from podbench.results import saved
from podbench.store.rundir import RunDir

STATED = 0.95
"""The confidence of every interval in summary.json."""


class Evidence:
    """One run: its results, and on demand the block statistics of its pairs."""

    def __init__(self, run: RunDir, label: str, names: frozenset[str]) -> None:
        """`names`: the metrics that limits will ask about."""
        self.run = run
        self.label = label
        self.summary = saved.summary(run)
        self._names = names

    @functools.cached_property
    def _read(self) -> saved.Points:
        pairs = {(pair.src, pair.dst) for pair in self.summary.pairs}
        return saved.points(
            self.run,
            group_points.every_pair(pairs),
            group_points.wanted(self._names),
            samples=True,
        )

    @property
    def points(self) -> GroupPoints:
        """Block statistics of every pair."""
        return self._read.points

    @property
    def trouble(self) -> str | None:
        """Why the samples may not be used; null where they may."""
        if not self._read.any_samples:
            return f"{self.label} has no samples to make an interval from"
        if self._read.damages:
            first = self._read.damages[0]
            return f"its samples are damaged: {first.file} {first.reason}"
        return None

    def side(self) -> comparable.Side:
        """The run as it is compared with another."""
        return comparable.Side(label=self.label, summary=self.summary, seen=self._read.points.seen)

    def interval(self, pair: Pair, figure: Figure, value: float, level: float) -> Found:
        """An interval from the samples, or why there is none."""
        if self.trouble is not None:
            return Found(None, self.trouble)
        return pair_intervals.interval(self.points, pair, figure, value, level)
