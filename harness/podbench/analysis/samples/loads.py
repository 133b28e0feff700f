"""STAMP rows beside load steps, kept by arm, phase and block until the curve is drawn.

They feed the load curve only: figures at rest, losses and blame rest on the warm and idle phases.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.analysis.samples.compact import Small, small
from podbench.analysis.samples.streams import Streams

PREFIX = "load-"
Place = tuple[str, str, int]
"""arm, phase, block."""


class Beside(msgspec.Struct, eq=False):
    """Probes beside one step in one block: round trips, and how many were lost."""

    app: list[Small] = []
    kernel: list[Small] = []
    """Of each stream apart: delay variation is from the stream's own minimum."""
    sent: int = 0
    lost: int = 0


class Loads(msgspec.Struct, eq=False):
    """All probes beside load; `add` and `merge` make it grow."""

    places: dict[Place, Beside] = {}

    def add(self, streams: Streams) -> None:
        """Takes one table's in."""
        starts = streams.starts.tolist()
        for key, low, high in zip(streams.keys, starts[:-1], starts[1:], strict=True):
            if not key.phase.startswith(PREFIX):
                continue
            held = self.places.setdefault((key.arm, key.phase, key.block), Beside())
            path = streams.on_path[low:high]
            held.app.append(_known(streams.app_ns[low:high]))
            held.kernel.append(_known(streams.kernel_ns[low:high]))
            held.sent += int(path.sum())
            held.lost += int((path & (streams.status[low:high] != 0)).sum())

    def merge(self, other: "Loads") -> None:
        """Adds another unit's."""
        for place, more in other.places.items():
            held = self.places.setdefault(place, Beside())
            held.app += more.app
            held.kernel += more.kernel
            held.sent += more.sent
            held.lost += more.lost


def phase(kind: str, share: float) -> str:
    """The phase of the rows beside a step."""
    return f"{PREFIX}{kind}-{round(100 * share)}"


def together(parts: list[Small]) -> npt.NDArray[np.float64]:
    """Sorted round trips of several streams, ns."""
    if not parts:
        return np.empty(0)
    return np.sort(np.concatenate(parts).astype(np.float64))


def _known(values: npt.NDArray[np.float64]) -> Small:
    return small(values[np.isfinite(values)]).copy()
