"""What of a round trip is not path: own host time by initiator, residence by reflector.

All arms together, warm probes. Their p99 is what the split rule of `blame` looks at. Samples are
kept whole in runs of up to four million rows; beyond, in a log-histogram per node (`sketch`,
relative error at most 0.5 %, far below the margin of 10 %).
"""

import msgspec
import numpy as np

from podbench.analysis.samples.series import WARM
from podbench.analysis.samples.streams import FloatArray, Streams
from podbench.analysis.stats import quantiles, sketch

EXACT_ROWS = 4_000_000
HOST, REFLECTOR = "host", "reflector"
Q = 0.99


Place = tuple[str, str, int]
"""kind, node, block."""


class Residues(msgspec.Struct):
    """By (kind, node, block): samples, or their sketches. `exact`: which; one run uses one kind."""

    exact: bool
    samples: dict[Place, list[FloatArray]] = {}
    sketches: dict[Place, sketch.LogHistogram] = {}

    def add(self, streams: Streams) -> None:
        """Takes the warm probes of one piece in."""
        for i, key in enumerate(streams.keys):
            if key.phase == WARM:
                rows = slice(int(streams.starts[i]), int(streams.starts[i + 1]))
                self._take((HOST, key.src, key.block), streams.host_ns[rows])
                self._take((REFLECTOR, key.dst, key.block), streams.reflector_ns[rows])

    def _take(self, place: Place, values: FloatArray) -> None:
        known = values[np.isfinite(values)]
        if self.exact:
            self.samples.setdefault(place, []).append(known)
        else:
            made = sketch.sketch(np.rint(known).astype(np.int64))
            held = self.sketches.get(place)
            self.sketches[place] = made if held is None else held.merge(made)

    def merge(self, other: "Residues") -> None:
        """Adds another unit's."""
        for place, values in other.samples.items():
            self.samples.setdefault(place, []).extend(values)
        for place, made in other.sketches.items():
            held = self.sketches.get(place)
            self.sketches[place] = made if held is None else held.merge(made)

    def log_p99(self, kind: str, nodes: list[str]) -> FloatArray:
        """(blocks, nodes) log p99; NaN where too few samples support it."""
        blocks = sorted({place[2] for place in (*self.samples, *self.sketches)})
        found = np.full((len(blocks), len(nodes)), np.nan)
        for row, block in enumerate(blocks):
            for column, node in enumerate(nodes):
                value = self._p99((kind, node, block))
                if value is not None and value > 0.0:
                    found[row, column] = np.log(value)
        return found

    def _p99(self, place: Place) -> float | None:
        if not self.exact:
            held = self.sketches.get(place)
            return None if held is None else held.quantile_ns(Q)
        parts = self.samples.get(place)
        return quantiles.quantile(np.sort(np.concatenate(parts)), Q) if parts else None


def of(streams: Streams) -> Residues:
    """The residues of one table, whole."""
    found = Residues(exact=True)
    found.add(streams)
    return found
