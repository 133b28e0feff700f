"""How a run's samples were taken, read off the samples: rate, time stamps, sizes.

Type-P of RFC 2330 section 13, as far as rows show it. `comparable` refuses to put figures of
different Type-P side by side. What is asked for stands in run.json; this is what was done.
"""

from collections import Counter

import msgspec
import numpy as np
import pandas as pd

from podbench.analysis.samples.streams import Streams


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the samples themselves say about how they were taken; empty: no such samples."""

    rate_pps: dict[str, float] = {}
    """By phase: probes a second of one pair, the median over streams."""
    stamps: tuple[str, ...] = ()
    """Sources of the time stamps, most frequent first."""
    udp_bytes: tuple[int, ...] = ()
    """UDP payloads of the transfers, ascending."""
    late_ratio: float | None = None
    """Probes that left more than half a period late."""
    own_host_ns: float | None = None
    """Median over streams of the median own host time."""
    doubtful_ratio: float | None = None
    """Samples that are not valid."""


class Watch:
    """Gathers `Seen` from a run's visits."""

    def __init__(self) -> None:
        self._gaps_ns: dict[str, list[float]] = {}
        self._stamps: Counter[str] = Counter()
        self._udp_bytes: set[int] = set()
        self._own_host_ns: list[float] = []
        self._rows = self._late = self._doubtful = 0

    def latency(self, probes: Streams) -> None:
        """Takes one visit's streams in."""
        for i, key in enumerate(probes.keys):
            sent = probes.mono_ns[probes.starts[i] : probes.starts[i + 1]]
            if len(sent) > 1:
                gap = float(np.median(np.diff(sent)))
                self._gaps_ns.setdefault(key.phase, []).append(gap)
                late = probes.late_ns[probes.starts[i] : probes.starts[i + 1]]
                self._late += int((late > gap / 2.0).sum())
                self._rows += len(sent)
            host = probes.host_ns[probes.starts[i] : probes.starts[i + 1]]
            if np.isfinite(host).any():
                self._own_host_ns.append(float(np.nanmedian(host)))
        self._doubtful += int((~probes.valid).sum())
        self._stamps.update(probes.stamps)

    def throughput(self, table: pd.DataFrame | None) -> None:
        """Takes one visit's transfers in."""
        if table is None or table.empty:
            return
        sizes = table.loc[(table["protocol"] == "udp").fillna(value=False), "packet_bytes"]
        self._udp_bytes |= {int(size) for size in sizes.dropna().unique()}

    def seen(self) -> Seen:
        """What was seen so far."""
        gaps = {phase: float(np.median(held)) for phase, held in self._gaps_ns.items()}
        return Seen(
            rate_pps={phase: 1e9 / gap for phase, gap in gaps.items() if gap > 0.0},
            stamps=tuple(source for source, _ in self._stamps.most_common()),
            udp_bytes=tuple(sorted(self._udp_bytes)),
            late_ratio=self._late / self._rows if self._rows else None,
            own_host_ns=float(np.median(self._own_host_ns)) if self._own_host_ns else None,
            doubtful_ratio=self._doubtful / self._rows if self._rows else None,
        )
