"""Loss counted per pair and block, drawn together per pair and per arm.

Loss is counted at rest: over the warm probes, or the idle ones where nothing else was sent; never
over probes beside a transfer, which lose to its queue. Rows that are not valid count neither as
sent nor as lost. Definitions and intervals: `loss`.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from podbench.analysis.samples import loss
from podbench.analysis.samples.blocks import PairKey
from podbench.analysis.samples.series import IDLE, WARM
from podbench.analysis.samples.streams import Cell, IntArray, Streams
from podbench.model.summary import Interval, LossSummary


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """One pair in one block. `after`, `again`: see `loss.pairs_of_losses`."""

    sent: int
    lost_forward: int
    lost_backward: int
    lost_unknown: int
    after: int
    again: int

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
    after, again = loss.pairs_of_losses(valid & (status != 0), starts)
    counts = np.bincount(status[valid], minlength=6)
    return Tally(
        sent=int(valid.sum()),
        lost_forward=int(counts[loss.FORWARD]),
        lost_backward=int(counts[loss.BACKWARD]),
        lost_unknown=int(counts[loss.BACKWARD + 1 :].sum()),
        after=after,
        again=again,
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
                own[pair] = Tally(**sums)
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
    held: dict[tuple[str, str, str], list[list[Tally]]] = {}
    for (arm, _), of_block in sorted(counts.items()):
        for pair, tally in of_block.items():
            held.setdefault((arm, *pair), []).append([tally])
    found = {key: _summary(tallies) for key, tallies in held.items()}
    return {key: summary for key, summary in found.items() if summary is not None}


def of_arm(counts: LossTable, arm: str) -> LossSummary | None:
    """One arm over all pairs and blocks."""
    return _summary([list(by.values()) for (of, _), by in sorted(counts.items()) if of == arm])


def _summary(blocks: Sequence[Sequence[Tally]]) -> LossSummary | None:
    if not blocks:
        return None
    every = [tally for block in blocks for tally in block]
    sent, lost = _by_block(blocks)
    return LossSummary(
        sent=int(sent.sum()),
        lost_forward=sum(tally.lost_forward for tally in every),
        lost_backward=sum(tally.lost_backward for tally in every),
        lost_unknown=sum(tally.lost_unknown for tally in every),
        ratio=int(lost.sum()) / int(sent.sum()),
        ci95=_interval(sent, lost, every),
        episodes=sum(tally.lost - tally.again for tally in every),
    )


def _interval(sent: IntArray, lost: IntArray, every: Iterable[Tally]) -> Interval | None:
    every = list(every)
    after, again = sum(t.after for t in every), sum(t.again for t in every)
    independent = loss.isolated(lost, sent, after, again)
    return loss.ratio_interval(lost, sent, independent=independent)


def _by_block(blocks: Sequence[Sequence[Tally]]) -> tuple[IntArray, IntArray]:
    sent = np.array([sum(t.sent for t in block) for block in blocks], dtype=np.int64)
    lost = np.array([sum(t.lost for t in block) for block in blocks], dtype=np.int64)
    return sent, lost


class PairedLoss(msgspec.Struct, frozen=True, eq=False):
    """Two arms over the same pairs: (blocks,) counts of base and other."""

    blocks: tuple[int, ...]
    sent: tuple[IntArray, IntArray]
    lost: tuple[IntArray, IntArray]


def paired(counts: Mapping[tuple[str, int], dict[PairKey, Tally]], arms: PairKey) -> PairedLoss:
    """Counts by block of (base, other), over pairs both measured in it."""
    numbers = sorted({block for _, block in counts})
    held: tuple[list[list[Tally]], list[list[Tally]]] = ([], [])
    kept = []
    for block in numbers:
        base, other = (counts.get((arm, block), {}) for arm in arms)
        shared = sorted(base.keys() & other.keys())
        if shared:
            kept.append(block)
            held[0].append([base[pair] for pair in shared])
            held[1].append([other[pair] for pair in shared])
    (sent_a, lost_a), (sent_b, lost_b) = _by_block(held[0]), _by_block(held[1])
    return PairedLoss(tuple(kept), (sent_a, sent_b), (lost_a, lost_b))
