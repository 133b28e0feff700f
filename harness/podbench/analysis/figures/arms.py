"""All streams of one arm to its figures: pairs, moments, block digests, tails.

Worked off a few pairs at a time, so that beside the round trips carried (`pieces`, eight octets a
probe) only one chunk's samples are there in full. Of every cell stays a digest; of all cells of a
block together stay the quantiles that comparisons may ask for.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from podbench.analysis.bundle import LoadedPoint, TailCurve
from podbench.analysis.figures import estimates, pairs, shapes, variance
from podbench.analysis.figures.pairs import PairLatency
from podbench.analysis.samples import compact, series
from podbench.analysis.samples.blocks import Digest, PairKey, clock_step
from podbench.analysis.samples.compact import Small, full
from podbench.analysis.samples.metrics import METRICS, SHIFTS
from podbench.analysis.samples.pieces import Carried, order
from podbench.analysis.samples.series import PHASE_OF
from podbench.analysis.samples.streams import Cell, FloatArray, Rtts
from podbench.analysis.stats import effective, quantiles

QUANTILES_OF: dict[str, tuple[float, ...]] = {
    name: tuple(sorted({m.q for m in (*METRICS, *SHIFTS.get(name, ())) if m.series == name}))
    for name in PHASE_OF
}
"""Whatever a comparison may ask of a cell."""
_CHUNK_ROWS = 200_000
_PLENTY = 2
"""A cell with twice the samples its quantiles need hardly stands beside one with too few of them:
then its samples are not held for unions, unless drawn. Where it does, `unions` reads them again."""


class Whole(msgspec.Struct, frozen=True):
    """All samples of one arm, block and series together: of which pairs, and their quantiles."""

    pairs: frozenset[PairKey]
    quantiles: dict[float, float | None]


class ArmFigures(msgspec.Struct, eq=False):
    """What is known of one arm once all its rows were read.

    Digests and wholes by (series, block).
    """

    arm: str
    pairs: dict[PairKey, PairLatency] = {}
    moments: dict[str, estimates.Moments] = {}
    digests: dict[tuple[str, int], dict[PairKey, Digest]] = {}
    wholes: dict[tuple[str, int], Whole] = {}
    tails: list[TailCurve] = []
    loaded: LoadedPoint | None = None


class _Pools(msgspec.Struct, eq=False):
    """Samples of many pairs, kept small.

    `parts` by (series, block); `rest`: warm ones of pairs that were measured beside a transfer in
    the same block, whichever end sent.
    """

    parts: dict[tuple[str, int], list[Small]] = {}
    rest: list[Small] = []
    loaded: frozenset[tuple[frozenset[str], int]] = frozenset()
    """(both ends, block) of what was measured beside a transfer."""
    dropped: set[tuple[str, int]] = set()
    """(series, block) of which some cells' samples are not held: see `_PLENTY`."""
    sessions: dict[str, list[variance.Session]] = {}


def figures(arm: str, carried: list[Carried]) -> ArmFigures:
    """All figures of one arm; empties `carried` as it goes."""
    found, pools = ArmFigures(arm), _Pools(loaded=_loaded(carried))
    for held in _chunks(carried):
        rtts = _together(held)
        jitter = np.array([one.jitter_ns for one in held])
        _add(found, pools, rtts, jitter)
    found.moments = {name: estimates.moments(held) for name, held in pools.sessions.items()}
    _pooled(found, pools)
    return found


def _loaded(carried: Sequence[Carried]) -> frozenset[tuple[frozenset[str], int]]:
    """Transfers go both ways, probes at rest from one end only: a round trip has no direction."""
    keys = [one.key for one in carried if one.key.phase == series.LOADED]
    return frozenset((frozenset((key.src, key.dst)), key.block) for key in keys)


def _chunks(carried: list[Carried]) -> Iterator[list[Carried]]:
    """Whole pairs, both directions together, in order, about 200,000 rows at a time."""
    by_pair: dict[tuple[str, ...], list[Carried]] = {}
    while carried:
        one = carried.pop()
        by_pair.setdefault(tuple(sorted((one.key.src, one.key.dst))), []).append(one)
    chunk: list[Carried] = []
    rows = 0
    for pair in sorted(by_pair):
        held = by_pair.pop(pair)
        chunk += held
        rows += sum(len(one.kernel) for one in held)
        if rows >= _CHUNK_ROWS:
            yield sorted(chunk, key=lambda one: order(one.key))
            chunk, rows = [], 0
    if chunk:
        yield sorted(chunk, key=lambda one: order(one.key))


def _together(held: Sequence[Carried]) -> Rtts:
    lengths = [len(one.kernel) for one in held]
    return Rtts(
        keys=tuple(one.key for one in held),
        starts=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        kernel_ns=np.concatenate([full(one.kernel) for one in held]),
        app_ns=np.concatenate([full(one.app) for one in held]),
    )


def _add(found: ArmFigures, pools: _Pools, rtts: Rtts, jitter_ns: FloatArray) -> None:
    values = series.values_of(rtts)
    by_pair: dict[PairKey, dict[str, list[Cell]]] = {}
    for phase in (series.WARM, series.IDLE, series.LOADED):
        for cell in rtts.cells(phase):
            held = by_pair.setdefault((cell.key.src, cell.key.dst), {})
            held.setdefault(phase, []).append(cell)
    for pair, cells in sorted(by_pair.items()):
        reverse = by_pair.get((pair[1], pair[0]), {})
        found.pairs[pair] = pairs.latency(cells, values, jitter_ns, reverse)
        ends = frozenset(pair)
        for name, phase in PHASE_OF.items():
            for cell in cells.get(phase, ()):
                ordered = _cell(found, pools, name, cell, values[name][cell.start : cell.stop])
                if name == "rtt_kernel_ns" and (ends, cell.key.block) in pools.loaded:
                    pools.rest.append(ordered)


def _cell(found: ArmFigures, pools: _Pools, name: str, cell: Cell, part: FloatArray) -> Small:
    """One pair in one block: its digest, its session, its samples for the pools."""
    key, pair = cell.key, (cell.key.src, cell.key.dst)
    known = part[np.isfinite(part)]
    ordered = compact.ordered(known)
    n = len(ordered)
    at = {
        q: quantiles.harrell_davis(ordered, q)
        for q in QUANTILES_OF[name]
        if quantiles.supported(n, q)
    }
    found.digests.setdefault((name, key.block), {})[pair] = Digest(n, at, clock_step(ordered))
    sessions = pools.sessions.setdefault(name, [])
    if n:
        sessions.append(variance.session(pair, known, effective.n_effective([known])))
    if name in shapes.DRAWN or not _plenty(name, n):
        pools.parts.setdefault((name, key.block), []).append(ordered)
    else:
        pools.dropped.add((name, key.block))
    return ordered


def _plenty(name: str, n: int) -> bool:
    return all(quantiles.supported(n // _PLENTY, q) for q in QUANTILES_OF[name])


def _pooled(found: ArmFigures, pools: _Pools) -> None:
    """Unions by block, then tails over all blocks."""
    for name in PHASE_OF:
        blocks = sorted(block for of, block in pools.parts if of == name)
        held = []
        for block in blocks:
            parts = pools.parts.pop((name, block))
            if (name, block) in pools.dropped:
                continue
            ordered = np.sort(np.concatenate(parts))
            found.wholes[name, block] = _whole(found.digests[name, block], name, ordered)
            held.append(ordered)
        if not held or name not in shapes.DRAWN:
            continue
        ordered = np.sort(np.concatenate(held)) if len(held) > 1 else held[0]
        curve = shapes.tail(found.arm, name, ordered)
        if curve is not None:
            found.tails.append(curve)
        if name == "rtt_loaded_ns":
            rest = np.sort(np.concatenate(pools.rest)) if pools.rest else np.empty(0)
            found.loaded = shapes.loaded(found.arm, rest, ordered)


def _whole(digests: dict[PairKey, Digest], name: str, ordered: Small) -> Whole:
    return Whole(
        frozenset(pair for pair, digest in digests.items() if digest.n),
        {q: quantiles.quantile(ordered, q) for q in QUANTILES_OF[name]},
    )
