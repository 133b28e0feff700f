"""All latency rows of a run, read once and reduced: by two processes where there are many.

A unit (an arm's files) is read piece by piece (`pieces`), then its arms become figures
(`arm_figures`). Memory holds about 24 octets for each probe of the arms being read, and one piece
in full; afterwards what is left does not grow with the number of probes. Every figure is that of
the samples themselves; the one exception is `residues` beyond four million rows.
"""

import ctypes
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain

import msgspec
import pyarrow as pa

from podbench.analysis.bundle import Damage
from podbench.analysis.figures import arms as arm_figures
from podbench.analysis.figures.arms import ArmFigures
from podbench.analysis.figures.unions import Place, Unions
from podbench.analysis.samples import loss_table, pieces, residues, streams
from podbench.analysis.samples.blocks import Reduced
from podbench.analysis.samples.pieces import Part
from podbench.analysis.samples.series import PHASE_OF
from podbench.analysis.samples.source import Piece, Source
from podbench.model.errors import StoreError

PROCESSES = 2
WORTH_A_PROCESS = 4_000_000
"""Rows from which the second that another interpreter takes to start is worth it."""


class Unit(msgspec.Struct, eq=False):
    """What one unit comes to."""

    part: Part
    arms: list[ArmFigures] = []
    places: dict[Place, list[Piece]] = {}
    damages: list[Damage] = []


class Probes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything a run's latency rows say; `part` over all arms."""

    part: Part
    arms: dict[str, ArmFigures]
    cells: dict[str, Reduced]
    damages: tuple[Damage, ...] = ()

    @property
    def losses(self) -> loss_table.LossTable:
        """Counts at rest: of warm probes, or of idle ones where there is no warm phase."""
        return self.part.losses["warm" if self.part.warm else "idle"]


def read(source: Source, zero_ns: Callable[[Callable[[], int | None]], int]) -> Probes:
    """Reads and reduces all rows.

    Args:
        source: of the rows.
        zero_ns: the run's time zero, given a way to ask for the first probe's send time.
    """
    held = source.pieces()
    rows = sum(piece.rows for piece in held)
    task = _Task(source, zero_ns(lambda: _first_ns(source, held)), rows <= residues.EXACT_ROWS)
    by_unit: dict[str, list[Piece]] = {}
    for piece in held:
        by_unit.setdefault(piece.unit, []).append(piece)
    # The largest first: the last to end should be a small one.
    units = sorted(by_unit.values(), key=lambda unit: -sum(piece.rows for piece in unit))
    found = _all(task, units, apart=rows >= WORTH_A_PROCESS)
    shared = _shared(found)
    if shared:
        # Files lie in other folders than their rows say: an arm's figures need all of its rows.
        together = list(chain.from_iterable(units[i] for i in sorted(shared)))
        found = [one for i, one in enumerate(found) if i not in shared] + [task(together)]
    return _merged(source, found)


class _Task:
    """Reads one unit; sent to other processes."""

    def __init__(self, source: Source, zero_ns: int, exact: bool) -> None:  # noqa: FBT001
        self._source, self._zero_ns, self._exact = source, zero_ns, exact

    def __call__(self, unit: Sequence[Piece]) -> Unit:
        found = Unit(Part(residues.Residues(exact=self._exact)))
        for piece in unit:
            try:
                probes = streams.read(self._source.read(piece, streams.COLUMNS))
            except StoreError as error:
                found.damages.append(Damage(file=piece.name, reason=str(error)))
                continue
            found.part.add(probes, self._zero_ns)
            for place in {(key.arm, key.block) for key in probes.keys}:
                found.places.setdefault(place, []).append(piece)
        found.part.gaps = pieces.longest(found.part.gaps)
        by_arm: dict[str, list[pieces.Carried]] = {}
        for one in found.part.carried:
            by_arm.setdefault(one.key.arm, []).append(one)
        found.part.carried = []
        _give_back()
        for arm in sorted(by_arm):
            found.arms.append(arm_figures.figures(arm, by_arm.pop(arm)))
            _give_back()
        return found


def _give_back() -> None:
    """Returns freed memory to the system: allocators keep it, and the next arm adds to it."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc's; other libraries do without
        trim(0)


def _all(task: _Task, units: list[list[Piece]], *, apart: bool) -> list[Unit]:
    if not apart or len(units) < 2:
        return [task(unit) for unit in units]
    # Not forked: whoever calls may have threads, whose locks a fork would copy as they are.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        return list(pool.map(task, units))


def _shared(found: list[Unit]) -> set[int]:
    """Units that have an arm in common."""
    by_arm: dict[str, list[int]] = {}
    for i, unit in enumerate(found):
        for arm in unit.arms:
            by_arm.setdefault(arm.arm, []).append(i)
    return {i for held in by_arm.values() if len(held) > 1 for i in held}


def _first_ns(source: Source, held: Sequence[Piece]) -> int | None:
    """The first probe's send time; None where there is none."""
    firsts = []
    for piece in held:
        try:
            first = streams.first_mono_ns(source.read(piece, streams.PLACE_COLUMNS))
        except StoreError:
            continue  # told when the piece is read for its figures
        if first is not None:
            firsts.append(first)
    return min(firsts, default=None)


def _merged(source: Source, found: list[Unit]) -> Probes:
    part = Part(residues.Residues(exact=True))
    if found:
        part.residues.exact = found[0].part.residues.exact
    arms: dict[str, ArmFigures] = {}
    places: dict[Place, list[Piece]] = {}
    damages: list[Damage] = []
    for unit in found:
        part.merge(unit.part)
        arms |= {arm.arm: arm for arm in unit.arms}
        places |= unit.places
        damages += unit.damages
    wholes = {
        (name, (arm.arm, block)): whole
        for arm in arms.values()
        for (name, block), whole in arm.wholes.items()
    }
    union = Unions(source, wholes, places)
    cells = {name: Reduced(name, union) for name in PHASE_OF}
    for name in sorted(arms):
        for (series, block), digests in arms[name].digests.items():
            cells[series][name, block] = digests
    ordered = tuple(sorted(damages, key=lambda damage: damage.file))
    return Probes(part=part, arms=arms, cells=cells, damages=ordered)
