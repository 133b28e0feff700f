"""A ranking of campaigns, only as far as their intervals support it.

For one figure of one arm all sides are compared two by two; p values come corrected by Holm over
the whole page. A run's best place is one after the number of runs shown to be better, its worst the
place before those shown to be worse; what is not told apart shares places. (Confidence sets for
ranks by pairwise tests: Mogstad, Romano, Shaikh, Wilhelm, Review of Economic Studies 91 (2024)
476-518.)
"""

from collections.abc import Mapping, Sequence

import msgspec

from podbench.analysis.stats.verdicts import Decision, Word


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One run's places, 1 the best; `best` equals `worst` where it is settled."""

    run: int
    best: int
    worst: int


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Places of the runs, best first. `told_apart`: pairs shown to differ, of `pairs`."""

    metric: str
    row: str
    places: tuple[Place, ...]
    told_apart: int
    pairs: int

    @property
    def complete(self) -> bool:
        """Whether every run has one place."""
        return all(place.best == place.worst for place in self.places)


def rank(
    metric: str,
    row: str,
    decisions: Mapping[tuple[int, int], Decision],
    *,
    more_is_better: bool,
) -> Ranking | None:
    """The ranking that pairwise decisions support; None where no two runs are told apart.

    Args:
        metric: what is ranked.
        row: the arms.
        decisions: by (i, j), of side j against side i, `different` only where the page's Holm says
            so; pairs that were refused are left out.
        more_is_better: the direction.
    """
    testable = {pair: d for pair, d in decisions.items() if d.p_value is not None}
    runs = sorted({run for pair in testable for run in pair})
    if len(testable) < len(runs) * (len(runs) - 1) // 2 or len(runs) < 2:
        # A pair without a test may hide any order.
        return None
    better: dict[int, set[int]] = {run: set() for run in runs}
    for (i, j), decision in testable.items():
        if decision.verdict is not Word.DIFFERENT or decision.ratio is None:
            continue
        j_wins = (decision.ratio > 1.0) == more_is_better
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
