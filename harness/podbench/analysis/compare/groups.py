"""Several campaigns of one place drawn together: each becomes one observation of the group."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from podbench.analysis.compare.standings import Campaign
from podbench.analysis.figures.group_points import BlockLoss, BlockStat, GroupPoints
from podbench.analysis.samples.type_p import Seen
from podbench.analysis.stats.sketch import LogHistogram


def together(label: str, runs: Sequence[Campaign]) -> Campaign:
    """One column of the page from several campaigns; `blocks` of its points are campaigns.

    Args:
        label: the column's name.
        runs: one or more; the first's summary stands for the settings of all.
    """
    first = runs[0].card
    notes = [f"{run.card.label}: {run.card.note}" for run in runs if run.card.note]
    card = msgspec.structs.replace(
        first,
        label=label,
        path=", ".join(run.card.path for run in runs),
        blocks=len(runs),
        campaigns=len(runs),
        damages=tuple(damage for run in runs for damage in run.card.damages),
        note="; ".join(notes) or None,
        flags=tuple(f"{run.card.label}: {flag}" for run in runs for flag in run.card.flags),
    )
    keys = dict.fromkeys(key for run in runs for key in run.points.stats)
    places = dict.fromkeys(place for run in runs for place in run.points.losses)
    points = GroupPoints(
        stats={
            key: [
                stat
                for number, run in enumerate(runs, 1)
                if (stat := _mean(number, run.points.stats.get(key, []))) is not None
            ]
            for key in keys
        },
        losses={
            place: [
                _sum(number, run.points.losses[place])
                for number, run in enumerate(runs, 1)
                if place in run.points.losses
            ]
            for place in places
        },
        seen=_seen([run.points.seen for run in runs]),
        tails=_tails(runs),
    )
    return Campaign(card=card, points=points, sides=tuple(run.side for run in runs))


def _mean(number: int, stats: Sequence[BlockStat]) -> BlockStat | None:
    """A campaign's blocks as one observation."""
    if not stats:
        return None

    def over(logs: Sequence[float | None]) -> float | None:
        known = [log for log in logs if log is not None]
        return math.fsum(known) / len(known) if known and len(known) == len(logs) else None

    return BlockStat(
        block=number,
        mean_log=over([stat.mean_log for stat in stats]),
        union_log=over([stat.union_log for stat in stats]),
        pairs=max(stat.pairs for stat in stats),
        n=sum(stat.n for stat in stats),
    )


def _sum(number: int, losses: Sequence[BlockLoss]) -> BlockLoss:
    return BlockLoss(
        block=number,
        sent=sum(one.sent for one in losses),
        lost=sum(one.lost for one in losses),
        episodes=sum(one.episodes for one in losses),
        sessions=tuple(session for one in losses for session in one.sessions),
    )


def _tails(runs: Sequence[Campaign]) -> dict[tuple[str, str], LogHistogram]:
    found: dict[tuple[str, str], LogHistogram] = {}
    for run in runs:
        for key, held in run.points.tails.items():
            found[key] = found[key].merge(held) if key in found else held
    return found


def _seen(every: Sequence[Seen]) -> Seen:
    """The first campaign's, with the machine's troubles averaged over all."""

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    return msgspec.structs.replace(
        every[0],
        late_ratio=mean([one.late_ratio for one in every]),
        own_host_ns=mean([one.own_host_ns for one in every]),
        doubtful_ratio=mean([one.doubtful_ratio for one in every]),
    )
