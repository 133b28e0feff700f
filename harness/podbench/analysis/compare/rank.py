"""Ranks campaigns, only as far as their intervals support it.

For one metric of one arm, all runs are compared pairwise; p values are corrected by Holm over these
pairs. A run's best rank is one after the number of runs shown to be better, its worst the rank
before those shown to be worse; undecided runs share ranks. (Confidence sets for
ranks by pairwise tests: Mogstad, Romano, Shaikh, Wilhelm, Review of Economic Studies 91 (2024)
476-518.)
"""

from collections.abc import Mapping, Sequence

import msgspec

from podbench.analysis.findings import aa
from podbench.analysis.stats import multiple
from podbench.analysis.stats.verdicts import Decision, Word


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Ranks of one run, 1 is best; `best` equals `worst` if the rank is settled."""

    run: int
    best: int
    worst: int


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Ranks of the runs, best first. `told_apart`: significant differences, of `pairs`."""

    metric: str
    row: str
    places: tuple[Place, ...]
    told_apart: int
    pairs: int

    @property
    def complete(self) -> bool:
        """True if every run has one rank."""
        return all(place.best == place.worst for place in self.places)


def rank(
    metric: str,
    row: str,
    decisions: Mapping[tuple[int, int], Decision],
    *,
    more_is_better: bool,
) -> Ranking | None:
    """Returns the ranking that pairwise decisions support; None if no two runs differ.

    Args:
        metric: to rank.
        row: the arms.
        decisions: by (i, j), of run j against run i, without refused pairs.
        more_is_better: the direction.
    """
    testable = {pair: d for pair, d in decisions.items() if d.p_value is not None}
    runs = sorted({run for pair in testable for run in pair})
    if len(testable) < len(runs) * (len(runs) - 1) // 2 or len(runs) < 2:
        # An untested pair leaves the order unknown.
        return None
    adjusted = multiple.holm([d.p_value or 0.0 for d in testable.values()])
    better: dict[int, set[int]] = {run: set() for run in runs}
    for (i, j), p in zip(testable, adjusted, strict=True):
        decision = testable[i, j]
        if decision.verdict is not Word.DIFFERENT or p >= aa.SIGNIFICANCE:
            continue
        j_wins = ((decision.ratio or 1.0) > 1.0) == more_is_better
        better[j if j_wins else i].add(i if j_wins else j)
    told = sum(len(beaten) for beaten in better.values())
    if not told:
        return None
    return Ranking(
        metric=metric,
        row=row,
        places=tuple(_places(runs, better)),
        told_apart=told,
        pairs=len(testable),
    )


def _places(runs: Sequence[int], better: Mapping[int, set[int]]) -> list[Place]:
    found = [
        Place(
            run=run,
            best=1 + sum(run in better[other] for other in runs),
            worst=len(runs) - len(better[run]),
        )
        for run in runs
    ]
    return sorted(found, key=lambda place: (place.best, place.worst, place.run))
