"""Block statistics of groups of pairs: what intervals between campaigns rest on.

A group is all pairs, the pairs of two zones, or one directed pair. Its statistic in a block is the
one of `blocks`: the mean over its pairs of log quantile, or, where a pair's samples are too few,
the log quantile of all its samples together. Both are kept, because two campaigns are compared on
the same one. Loss is counted. A visit (one arm in one block) is worked off at a time, so memory
holds one visit's samples, not a run's.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from podbench.analysis.samples import loss_table, series, streams, transfers
from podbench.analysis.samples.blocks import Cells, PairKey
from podbench.analysis.samples.loss_table import LossTable
from podbench.analysis.samples.metrics import METRICS, Metric
from podbench.analysis.samples.source import Table
from podbench.analysis.samples.type_p import Seen, Watch
from podbench.analysis.stats import bursts, quantiles
from podbench.analysis.stats.sketch import LogHistogram, sketch

FloatArray = npt.NDArray[np.float64]

ALL = "all pairs"


class BlockStat(msgspec.Struct, frozen=True, kw_only=True):
    """A group's log statistic in one block; null where it cannot be had that way."""

    block: int
    mean_log: float | None
    union_log: float | None
    pairs: int
    n: int


class BlockLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Probes of a group in one block; each pair in it is a session."""

    block: int
    sent: int
    lost: int
    episodes: int
    sessions: tuple[bursts.Session, ...]


class GroupPoints(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run's samples say about its groups, blocks in order.

    `stats` by (arm, metric, group), `losses` by (arm, group).
    """

    stats: dict[tuple[str, str, str], list[BlockStat]]
    losses: dict[tuple[str, str], list[BlockLoss]]
    seen: Seen = Seen()
    tails: dict[tuple[str, str], LogHistogram] = {}
    """All pairs and blocks together, by (arm, series); empty where it was not asked for."""
    samples: dict[tuple[str, str, str], list[npt.NDArray[np.float32]]] = {}
    """Each session's sorted samples by (arm, series, group of one pair); empty unless asked for."""

    def arms(self) -> tuple[str, ...]:
        """Arms that have any point, in name order."""
        return tuple(sorted({key[0] for key in (*self.stats, *self.losses)}))

    def logs(self, arm: str, metric: str, group: str, *, union: bool) -> FloatArray:
        """(blocks,) log statistics of one kind; blocks that lack it are left out."""
        held = self.stats.get((arm, metric, group), [])
        found = [stat.union_log if union else stat.mean_log for stat in held]
        return np.array([log for log in found if log is not None], dtype=np.float64)

    def needs_union(self, arm: str, metric: str, group: str) -> bool:
        """Whether some pair of the group had too few samples for a quantile of its own."""
        held = self.stats.get((arm, metric, group), [])
        return any(stat.mean_log is None for stat in held)


Groups = Mapping[PairKey, Sequence[str]]
"""The groups each directed pair belongs to; a pair that is not named belongs to none."""


def pair_group(src: str, dst: str) -> str:
    """The group of one directed pair."""
    return f"{src} > {dst}"


def collect(
    visits: Iterable[tuple[Table | None, pd.DataFrame | None]],
    groups: Groups,
    metrics: Sequence[Metric] = METRICS,
    tails: Sequence[str] = (),
    *,
    samples: bool = False,
) -> GroupPoints:
    """The points of a run from its visits' (latency, throughput) tables.

    Args:
        visits: each table with the columns of `podbench.store.schemas`; all rows of one arm in one
            block lie in one visit.
        groups: which groups a pair counts in.
        metrics: what to make statistics of.
        tails: series to keep whole distributions of, as log histograms.
        samples: whether to keep the samples of the metrics' series, pair by pair.
    """
    found, watch = GroupPoints(stats={}, losses={}, tails={}, samples={}), Watch()
    for latency, throughput in visits:
        probes = streams.read(latency)
        values = series.values_of(probes)
        cells = series.cells_of(probes, values)
        _add_tails(cells, tails, found)
        rates = transfers.cells_of(transfers.intervals(throughput))
        _add_stats({**cells, **rates}, groups, metrics, found)
        if samples:
            _add_samples({**cells, **rates}, {metric.series for metric in metrics}, found)
        _add_losses(loss_table.table(probes), groups, found)
        watch.latency(probes)
        watch.throughput(throughput)
    for stats in found.stats.values():
        stats.sort(key=lambda stat: stat.block)
    for losses in found.losses.values():
        losses.sort(key=lambda one: one.block)
    return msgspec.structs.replace(found, seen=watch.seen())


def _add_tails(cells: Mapping[str, Cells], wanted: Sequence[str], found: GroupPoints) -> None:
    for name in wanted:
        for (arm, _), by_pair in cells[name].items():
            whole = np.concatenate(list(by_pair.values())).astype(np.int64)
            held = found.tails.get((arm, name), LogHistogram())
            found.tails[arm, name] = held.merge(sketch(whole))


def _add_samples(cells: Mapping[str, Cells], wanted: Iterable[str], found: GroupPoints) -> None:
    for name in wanted:
        for (arm, _), by_pair in cells.get(name, {}).items():
            for pair, part in by_pair.items():
                if len(part):
                    held = found.samples.setdefault((arm, name, pair_group(*pair)), [])
                    held.append(np.sort(part).astype(np.float32))


def _members(pairs: Iterable[PairKey], groups: Groups) -> dict[str, list[PairKey]]:
    found: dict[str, list[PairKey]] = {}
    for pair in pairs:
        for group in groups.get(pair, ()):
            found.setdefault(group, []).append(pair)
    return found


def _add_stats(
    cells: Mapping[str, Cells], groups: Groups, metrics: Sequence[Metric], found: GroupPoints
) -> None:
    for metric in metrics:
        for (arm, block), by_pair in cells.get(metric.series, {}).items():
            filled = {pair: part for pair, part in by_pair.items() if len(part)}
            logs = {pair: _log(part, metric) for pair, part in filled.items()}
            for group, pairs in _members(filled, groups).items():
                stat = _stat(block, metric, {p: filled[p] for p in pairs}, [logs[p] for p in pairs])
                found.stats.setdefault((arm, metric.name, group), []).append(stat)


def _log(part: FloatArray, metric: Metric) -> float | None:
    value = quantiles.quantile(part, metric.q, tail_rule=metric.tail_rule)
    return None if value is None or value <= 0.0 else math.log(value)


def _stat(
    block: int, metric: Metric, parts: Mapping[PairKey, FloatArray], logs: Sequence[float | None]
) -> BlockStat:
    known = [log for log in logs if log is not None]
    mean = sum(known) / len(known) if len(known) == len(logs) else None
    union = mean
    if len(parts) > 1 and metric.tail_rule:
        union = _log(np.sort(np.concatenate(list(parts.values()))), metric)
    return BlockStat(
        block=block,
        mean_log=mean,
        union_log=union,
        pairs=len(parts),
        n=sum(len(part) for part in parts.values()),
    )


def _add_losses(table: LossTable, groups: Groups, found: GroupPoints) -> None:
    for (arm, block), by_pair in table.items():
        for group, pairs in _members(by_pair, groups).items():
            tallies = [by_pair[pair] for pair in pairs]
            found.losses.setdefault((arm, group), []).append(
                BlockLoss(
                    block=block,
                    sent=sum(tally.sent for tally in tallies),
                    lost=sum(tally.lost for tally in tallies),
                    episodes=sum(tally.episodes for tally in tallies),
                    sessions=tuple(loss_table.sessions((block, tally) for tally in tallies)),
                )
            )


def every_pair(pairs: Iterable[PairKey]) -> dict[PairKey, tuple[str, ...]]:
    """Each pair in a group of its own only: what a limit on every pair asks for."""
    return {pair: (pair_group(*pair),) for pair in pairs}


def wanted(names: Iterable[str]) -> tuple[Metric, ...]:
    """The metrics among these names that have block statistics."""
    asked = set(names)
    return tuple(metric for metric in METRICS if metric.name in asked)
