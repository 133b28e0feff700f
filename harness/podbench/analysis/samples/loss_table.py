"""Loss counted per pair and block, drawn together per pair and per arm.

Loss is counted at rest: over the warm probes, or the idle ones where nothing else was sent; never
over probes beside a transfer, which lose to its queue. Rows that are not valid count neither as
sent nor as lost. Definitions: `loss`; intervals: `stats.bursts`.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from podbench.analysis.samples import loss
from podbench.analysis.samples.blocks import PairKey
from podbench.analysis.samples.series import IDLE, WARM
from podbench.analysis.samples.streams import Cell, IntArray, Streams
from podbench.analysis.stats import bursts
from podbench.model.summary import LossSummary, NoneLost


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """One pair in one block: one session. Episodes: `loss.runs`."""

    sent: int
    lost_forward: int
    lost_backward: int
    lost_unknown: int
    episodes: int
    squares: int
    longest: int

    @property
    def lost(self) -> int:
        """Lost in any direction."""
        return self.lost_forward + self.lost_backward + self.lost_unknown


LossTable = dict[tuple[str, int], dict[PairKey, Tally]]
"""By (arm, block), then by directed pair."""


def _tally(streams: Streams, cell: Cell) -> Tally:
    rows = slice(cell.start, cell.stop)
    valid, status = streams.on_path[rows], streams.status[rows]
    starts = streams.starts[cell.first : cell.last + 1] - cell.start
    found = loss.runs(valid & (status != 0), starts)
    counts = np.bincount(status[valid], minlength=6)
    return Tally(
        sent=int(valid.sum()),
        lost_forward=int(counts[loss.FORWARD]),
        lost_backward=int(counts[loss.BACKWARD]),
        lost_unknown=int(counts[loss.BACKWARD + 1 :].sum()),
        episodes=found.number,
        squares=found.squares,
        longest=found.longest,
    )


def of_phase(streams: Streams, phase: str) -> LossTable:
    """Counts of all arms in one phase; a cell where nothing valid was sent is absent."""
    found: LossTable = {}
    for cell in streams.cells(phase):
        key = cell.key
        tally = _tally(streams, cell)
        if tally.sent:
            found.setdefault((key.arm, key.block), {})[key.src, key.dst] = tally
    return found


def merge(into: LossTable, more: LossTable) -> None:
    """Adds counts of other streams."""
    for place, by_pair in more.items():
        own = into.setdefault(place, {})
        for pair, tally in by_pair.items():
            held = own.get(pair)
            if held is not None:
                more_of = msgspec.structs.asdict(tally)
                sums = {name: n + more_of[name] for name, n in msgspec.structs.asdict(held).items()}
                own[pair] = Tally(**{**sums, "longest": max(held.longest, tally.longest)})
            else:
                own[pair] = tally


def at_rest(streams: Streams) -> str:
    """The phase loss is counted in: warm, or idle where there is no warm one."""
    return WARM if any(key.phase == WARM for key in streams.keys) else IDLE


def table(streams: Streams) -> LossTable:
    """Counts of all arms at rest."""
    return of_phase(streams, at_rest(streams))


def by_pair(counts: LossTable) -> dict[tuple[str, str, str], LossSummary]:
    """By (arm, src, dst), over all blocks; absent where nothing (valid) was sent."""
    held: dict[tuple[str, str, str], list[tuple[int, Tally]]] = {}
    for (arm, block), of_block in sorted(counts.items()):
        for pair, tally in of_block.items():
            held.setdefault((arm, *pair), []).append((block, tally))
    found = {key: _summary(tallies) for key, tallies in held.items()}
    return {key: summary for key, summary in found.items() if summary is not None}


def of_arm(counts: LossTable, arm: str) -> LossSummary | None:
    """One arm over all pairs and blocks."""
    return _summary(
        [
            (block, tally)
            for (of, block), by in sorted(counts.items())
            if of == arm
            for tally in by.values()
        ]
    )


def sessions(held: Iterable[tuple[int, Tally]]) -> list[bursts.Session]:
    """As intervals take them: (block, tally) of every pair in every block."""
    return [
        bursts.Session(
            block=block,
            sent=tally.sent,
            lost=tally.lost,
            squares=tally.squares,
            longest=tally.longest,
        )
        for block, tally in held
    ]


def _summary(held: Sequence[tuple[int, Tally]]) -> LossSummary | None:
    every = [tally for _, tally in held]
    sent, lost = sum(tally.sent for tally in every), sum(tally.lost for tally in every)
    if not sent:
        return None
    none = bursts.readings(sent) if lost == 0 else None
    return LossSummary(
        sent=sent,
        lost_forward=sum(tally.lost_forward for tally in every),
        lost_backward=sum(tally.lost_backward for tally in every),
        lost_unknown=sum(tally.lost_unknown for tally in every),
        ratio=lost / sent,
        ci95=bursts.interval(sessions(held)),
        episodes=sum(tally.episodes for tally in every),
        longest=max(tally.longest for tally in every),
        sessions=len(every),
        none_lost=None
        if none is None
        else NoneLost(
            below_if_single=none.single, below_if_bursts=none.burst, burst_packets=none.packets
        ),
    )


class PairedLoss(msgspec.Struct, frozen=True, eq=False):
    """Two arms over the same pairs, base and other: (blocks,) counts, and their sessions."""

    blocks: tuple[int, ...]
    sent: tuple[IntArray, IntArray]
    lost: tuple[IntArray, IntArray]
    sessions: tuple[list[bursts.Session], list[bursts.Session]]
    episodes: tuple[int, int]


def paired(counts: Mapping[tuple[str, int], dict[PairKey, Tally]], arms: PairKey) -> PairedLoss:
    """Counts by block of (base, other), over pairs both measured in it."""
    kept: dict[int, tuple[list[Tally], list[Tally]]] = {}
    for number in sorted({block for _, block in counts}):
        base, other = (counts.get((arm, number), {}) for arm in arms)
        shared = sorted(base.keys() & other.keys())
        if shared:
            kept[number] = [base[pair] for pair in shared], [other[pair] for pair in shared]

    def one(side: int) -> tuple[IntArray, IntArray, list[bursts.Session], int]:
        held = [(block, tally) for block, both in kept.items() for tally in both[side]]
        sent = [sum(tally.sent for tally in both[side]) for both in kept.values()]
        lost = [sum(tally.lost for tally in both[side]) for both in kept.values()]
        episodes = sum(tally.episodes for _, tally in held)
        return np.array(sent, np.int64), np.array(lost, np.int64), sessions(held), episodes

    a, b = one(0), one(1)
    return PairedLoss(tuple(kept), (a[0], b[0]), (a[1], b[1]), (a[2], b[2]), (a[3], b[3]))
