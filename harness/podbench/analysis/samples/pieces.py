"""One table of latency rows, reduced: counts of what was sent, and round trips kept small.

What a stream settles by itself (losses, jitter, doubts, when it ran) is settled here, since a
stream lies in one piece. Round trips are carried on, four octets each, until their arm is whole
(`arm_figures`), because a pair's figures are over all its blocks.
"""

import msgspec

from podbench.analysis.samples import loss, loss_table, seconds, variation
from podbench.analysis.samples.compact import Small, small
from podbench.analysis.samples.loads import Loads
from podbench.analysis.samples.loss_table import LossTable
from podbench.analysis.samples.quality import Quality
from podbench.analysis.samples.residues import Residues
from podbench.analysis.samples.series import IDLE, LOADED, WARM
from podbench.analysis.samples.streams import StreamKey, Streams

MAX_EPISODES = 2_000
"""More cannot be read on a page; the longest are kept. Counts in the summary are complete."""


class Carried(msgspec.Struct, frozen=True, eq=False):
    """The round trips of one stream, in the order of sending."""

    key: StreamKey
    kernel: Small
    app: Small
    jitter_ns: float


class Gap(msgspec.Struct, frozen=True):
    """A run of probes lost one after the other."""

    key: StreamKey
    mono_ns: int
    length: int
    direction: str


class Part(msgspec.Struct, eq=False):
    """What pieces come to; `add` makes it grow."""

    residues: Residues
    carried: list[Carried] = []
    losses: dict[str, LossTable] = msgspec.field(default_factory=lambda: {WARM: {}, IDLE: {}})
    gaps: list[Gap] = []
    quality: Quality = msgspec.field(default_factory=Quality)
    loads: Loads = msgspec.field(default_factory=Loads)
    tails: seconds.Tails = {}
    warm: bool = False
    """Whether there is a warm phase."""

    def add(self, streams: Streams, zero_ns: int) -> None:
        """Takes one table in. `zero_ns`: the run's time zero."""
        self.carried += _carried(streams)
        for phase, into in self.losses.items():
            loss_table.merge(into, loss_table.of_phase(streams, phase))
        self.gaps += _gaps(streams)
        if len(self.gaps) > 2 * MAX_EPISODES:
            self.gaps = longest(self.gaps)
        self.warm |= loss_table.at_rest(streams) == WARM
        self.quality.add(streams)
        self.loads.add(streams)
        seconds.merge(self.tails, seconds.tails(streams, zero_ns))
        self.residues.add(streams)

    def merge(self, other: "Part") -> None:
        """Takes another unit's in; its streams are no longer carried."""
        for phase, into in self.losses.items():
            loss_table.merge(into, other.losses[phase])
        self.gaps = longest([*self.gaps, *other.gaps])
        self.warm |= other.warm
        self.quality.merge(other.quality)
        self.loads.merge(other.loads)
        seconds.merge(self.tails, other.tails)
        self.residues.merge(other.residues)


def order(key: StreamKey) -> tuple[str, str, str, str, int, int]:
    """What streams are sorted by."""
    return key.phase, key.arm, key.src, key.dst, key.block, key.round


def longest(gaps: list[Gap]) -> list[Gap]:
    """The longest 2,000, in stream order; of equally long ones the first."""
    held = sorted(gaps, key=lambda gap: (order(gap.key), gap.mono_ns))
    if len(held) > MAX_EPISODES:
        kept = sorted(held, key=lambda gap: -gap.length)[:MAX_EPISODES]
        held = sorted(kept, key=lambda gap: (order(gap.key), gap.mono_ns))
    return held


def _gaps(streams: Streams) -> list[Gap]:
    return [
        Gap(streams.keys[one.stream], int(streams.mono_ns[one.start]), one.length, one.direction)
        for one in loss.episodes(streams, MAX_EPISODES)
    ]


def _carried(streams: Streams) -> list[Carried]:
    """Streams of the phases that have figures."""
    arrival = streams.mono_ns + streams.late_ns + streams.app_ns
    jitter = variation.rfc3550_jitter_ns(streams.kernel_ns, arrival, streams.starts)
    kernel, app = small(streams.kernel_ns), small(streams.app_ns)
    starts = streams.starts.tolist()
    return [
        # Copies, so that each can go by itself once its pair is worked off.
        Carried(key, kernel[low:high].copy(), app[low:high].copy(), float(jitter[i]))
        for i, (key, low, high) in enumerate(
            zip(streams.keys, starts[:-1], starts[1:], strict=True)
        )
        if key.phase in {WARM, IDLE, LOADED}
    ]
