"""Runs to compare made by hand: chosen block statistics, without samples and without analysis."""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from support import results

from podbench.analysis.compare import side_by_side as compare
from podbench.analysis.compare import tails
from podbench.analysis.compare.bundle import Card, LeftOut, SideBySide
from podbench.analysis.compare.match import match_pairs
from podbench.analysis.compare.standings import Campaign
from podbench.analysis.figures.group_points import ALL, BlockLoss, BlockStat, GroupPoints
from podbench.analysis.samples.type_p import Seen
from podbench.analysis.stats.bursts import Session
from podbench.analysis.stats.sketch import LogHistogram, sketch

Levels = Mapping[tuple[str, str], float]
"""(arm, metric) -> the level its blocks lie round."""


def blocks(level: float, n: int, spread: float = 0.02, seed: int = 0) -> list[BlockStat]:
    """Block statistics round a level, as a pair of each and as the union."""
    noise = np.random.default_rng(seed).normal(0.0, spread, n)
    return [
        BlockStat(
            block=i + 1,
            mean_log=math.log(level) + float(noise[i]),
            union_log=math.log(level * 2) + float(noise[i]),
            pairs=2,
            n=2000,
        )
        for i in range(n)
    ]


def campaign(
    label: str,
    levels: Levels,
    *,
    n: int = 8,
    spread: float = 0.02,
    losses: Mapping[str, Sequence[int]] | None = None,
    groups: Sequence[str] = (ALL,),
    seen: Seen | None = None,
    changes: Mapping[str, object] | None = None,
    single: bool = False,
) -> Campaign:
    """A place with n campaigns, or with one of n blocks (`single`); `changes`: of its summary."""
    arms = dict.fromkeys(arm for arm, _ in levels)
    made = results.summary(*(results.pair(arm=arm) for arm in arms), **(changes or {}))
    made = msgspec.structs.replace(made, run_id=label, name=label)
    stats = {
        (arm, metric, group): blocks(level, n, spread, seed=hash_of(label, arm, metric))
        for (arm, metric), level in levels.items()
        for group in groups
    }
    lost = {
        (arm, ALL): [
            BlockLoss(
                block=i + 1,
                sent=1000,
                lost=count,
                episodes=count,
                sessions=(Session(block=i + 1, sent=1000, lost=count, squares=count, longest=1),),
            )
            for i, count in enumerate(counts)
        ]
        for arm, counts in (losses or {}).items()
    }
    return Campaign(
        card=Card(
            label=label,
            path=f"runs/{label}",
            summary=made,
            blocks=n,
            campaigns=1 if single else max(1, n),
        ),
        points=GroupPoints(
            stats=stats, losses=lost, seen=seen or Seen(), tails=_tails(label, levels)
        ),
    )


def _tails(label: str, levels: Levels) -> dict[tuple[str, str], LogHistogram]:
    """A right-skewed distribution round each median round trip."""
    found = {}
    for (arm, metric), level in levels.items():
        series, _, quantile = metric.rpartition(".")
        if quantile == "p50" and series in tails.SERIES:
            rng = np.random.default_rng(hash_of(label, arm, series))
            shape = np.exp(rng.normal(0.0, 0.1, 6000)) + rng.pareto(3.0, 6000) * 0.05
            found[arm, series] = sketch((level * shape).astype(np.int64))
    return found


def hash_of(*words: str) -> int:
    """The same number for the same words in every process."""
    return sum(ord(char) * (i + 1) for i, char in enumerate("/".join(words)))


def side_by_side(*runs: Campaign, left_out: Sequence[LeftOut] = ()) -> SideBySide:
    """These runs compared."""
    matching = match_pairs([run.card.summary for run in runs])
    return compare.compare("Side by side", runs, matching, left_out)
