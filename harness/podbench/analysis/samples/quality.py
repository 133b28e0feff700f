"""How sound the rows are, counted while they are read: what `data_doubts` speaks of."""

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.analysis.samples.loads import PREFIX
from podbench.analysis.samples.streams import Streams


class Quality(msgspec.Struct):
    """Counts of rows; `add` and `merge` make them grow."""

    rows: int = 0
    late: int = 0
    """Sent more than half a gap after they were due (the gap: the stream's median)."""
    unusable: int = 0
    impossible: int = 0
    invalid: int = 0
    invalid_on_path: int = 0
    """Of the invalid ones, those whose kernel path latency counts nevertheless."""
    by_arm: dict[str, tuple[int, int]] = {}
    """(rows, invalid rows)."""
    stamps: dict[str, int] = {}
    reasons: dict[str, int] = {}

    def add(self, streams: Streams) -> None:
        """Takes one table in.

        Probes beside load steps are left out: there a late sender is a result of the load, and no
        figure at rest looks at them.
        """
        rest = _at_rest(streams)
        self.merge(
            Quality(
                rows=int(rest.sum()),
                late=_late(streams),
                unusable=streams.unusable,
                impossible=streams.impossible,
                invalid=int((rest & ~streams.valid).sum()),
                invalid_on_path=int((rest & streams.on_path & ~streams.valid).sum()),
                by_arm=_by_arm(streams),
                stamps=streams.stamps,
                reasons=streams.reasons,
            )
        )

    def merge(self, other: "Quality") -> None:
        """Adds another's counts."""
        for name in ("rows", "late", "unusable", "impossible", "invalid", "invalid_on_path"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for arm, (rows, invalid) in other.by_arm.items():
            held = self.by_arm.get(arm, (0, 0))
            self.by_arm[arm] = (held[0] + rows, held[1] + invalid)
        for own, more in ((self.stamps, other.stamps), (self.reasons, other.reasons)):
            for name, n in more.items():
                own[name] = own.get(name, 0) + n

    def reasons_in_order(self) -> tuple[str, ...]:
        """Why rows are not valid, the most frequent first."""
        return tuple(sorted(self.reasons, key=lambda reason: -self.reasons[reason]))


def _at_rest(streams: Streams) -> npt.NDArray[np.bool_]:
    """(rows,) whether a row is of no load step."""
    calm = np.array([not key.phase.startswith(PREFIX) for key in streams.keys], dtype=np.bool_)
    return calm[streams.stream_of_row] if len(calm) else np.empty(0, dtype=np.bool_)


def _by_arm(streams: Streams) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    starts = streams.starts.tolist()
    for key, low, high in zip(streams.keys, starts[:-1], starts[1:], strict=True):
        if key.phase.startswith(PREFIX):
            continue
        invalid = high - low - int(streams.valid[low:high].sum())
        rows, before = found.get(key.arm, (0, 0))
        found[key.arm] = (rows + high - low, before + invalid)
    return found


def _late(streams: Streams) -> int:
    late = 0
    ends = zip(streams.keys, streams.starts[:-1], streams.starts[1:], strict=True)
    for key, first, last in ends:
        if last - first > 2 and not key.phase.startswith(PREFIX):
            gap = float(np.median(np.diff(streams.mono_ns[first:last])))
            late += int((streams.late_ns[first:last] > gap / 2.0).sum())
    return late
