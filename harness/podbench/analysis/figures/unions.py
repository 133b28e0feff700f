"""Quantiles of several pairs' samples together, for arms that are compared over the same pairs.

Where the pairs asked for are all that an arm has in a block, they were made when it was read. Where
arms lost different pairs, or one lost so much that samples are needed that were not held, the block
is read once more: exact, and rare enough to be worth it.
"""

from collections.abc import Mapping

import numpy as np

from podbench.analysis.figures.arms import QUANTILES_OF, Whole
from podbench.analysis.samples import streams
from podbench.analysis.samples.blocks import PairKey
from podbench.analysis.samples.series import PHASE_OF, cells_of, values_of
from podbench.analysis.samples.source import Piece, Source
from podbench.analysis.samples.streams import FloatArray
from podbench.analysis.stats import quantiles

Place = tuple[str, int]
"""arm, block."""


class Unions:
    """Answers `blocks.Union`."""

    def __init__(
        self,
        source: Source,
        wholes: Mapping[tuple[str, Place], Whole],
        pieces: Mapping[Place, list[Piece]],
    ) -> None:
        self._source, self._wholes, self._pieces = source, wholes, pieces
        self._parts: dict[tuple[str, Place, frozenset[PairKey]], dict[float, float | None]] = {}

    def __call__(
        self, series: str, place: Place, pairs: tuple[PairKey, ...], q: float
    ) -> float | None:
        """The q-quantile of a series over these pairs in this arm and block."""
        whole, asked = self._wholes.get((series, place)), frozenset(pairs)
        if whole is not None and whole.pairs == asked:
            return whole.quantiles[q]
        if (series, place, asked) not in self._parts:
            self._read(PHASE_OF[series], place, asked)
        return self._parts[series, place, asked][q]

    def _read(self, phase: str, place: Place, asked: frozenset[PairKey]) -> None:
        held: dict[str, list[FloatArray]] = {
            name: [] for name, of in PHASE_OF.items() if of == phase
        }
        for piece in self._pieces[place]:
            probes = streams.read(self._source.read(piece, streams.COLUMNS))
            cells = cells_of(probes, values_of(probes))
            for name, parts in held.items():
                by_pair = cells[name].get(place, {})
                parts += [part for pair, part in by_pair.items() if pair in asked]
        for name, parts in held.items():
            ordered = np.sort(np.concatenate(parts or [np.empty(0)]))
            found = {q: quantiles.quantile(ordered, q) for q in QUANTILES_OF[name]}
            self._parts[name, place, asked] = found
