"""When transfers ran and when nothing did, read off the probes beside them; wall clock, ns."""

import msgspec
import numpy as np

from podbench.analysis.samples.series import IDLE, LOADED
from podbench.analysis.samples.streams import FloatArray, Streams

Window = tuple[float, float]
"""Wall clock, ns."""
Place = tuple[str, int, int, str, str]
"""arm, block, round, src, dst."""

WARM_UP_NS = 0.4e9
"""Slow start and iperf3's own start after the first probe beside it."""
_PAUSE_NS = 0.25e9
"""Probes of one transfer are 10 ms apart; a longer pause is the way to the next transfer."""


class Windows(msgspec.Struct):
    """When transfers ran, by place, and when each block was in the idle regime."""

    busy: dict[Place, list[Window]] = {}
    idle: dict[int, list[Window]] = {}

    def add(self, streams: Streams) -> None:
        """Takes one table's streams in."""
        starts = streams.starts.tolist()
        for key, low, high in zip(streams.keys, starts[:-1], starts[1:], strict=True):
            if key.phase == LOADED:
                found = _segments(streams.wall_ns[low:high])
                place = (key.arm, key.block, key.round, key.src, key.dst)
                self.busy[place] = [(first + WARM_UP_NS, last) for first, last in found]
            elif key.phase == IDLE:
                found = _segments(streams.wall_ns[low:high])
                self.idle.setdefault(key.block, []).extend(found)

    def merge(self, other: "Windows") -> None:
        """Adds another unit's."""
        self.busy.update(other.busy)
        for block, held in other.idle.items():
            self.idle.setdefault(block, []).extend(held)


def _segments(wall_ns: FloatArray) -> list[Window]:
    """Stretches of probes without a pause, in time order."""
    sent = np.sort(wall_ns[np.isfinite(wall_ns)])
    if len(sent) == 0:
        return []
    breaks = np.flatnonzero(np.diff(sent) > _PAUSE_NS) + 1
    return [(float(part[0]), float(part[-1])) for part in np.split(sent, breaks)]
