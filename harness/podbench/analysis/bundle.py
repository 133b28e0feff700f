"""What analysis hands to whoever shows it: one immutable bundle. Its public part is `summary`.

The report draws from this and computes nothing. All series are plain tuples, so the bundle can be
written down, compared and built by hand in tests.
"""

import msgspec

from podbench.model.summary import Summary


class TailCurve(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's distribution, all pairs, to the last quantile supported (n*(1-q) >= 10)."""

    arm: str
    metric: str
    """`rtt_kernel_ns`, `rtt_app_ns`, `rtt_idle_ns`, `rtt_loaded_ns`."""
    q: tuple[float, ...]
    value_ns: tuple[float, ...]


class BlockPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's statistic in one block: what the intervals rest on.

    `order` is the visit's place in its block.
    """

    block: int
    order: int
    arm: str
    metric: str
    value: float


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """When an arm was measured, on the run's clock (seconds since its first visit)."""

    block: int
    arm: str
    start_s: float
    end_s: float


class TimePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One second of the run: what the host did beside what the probes saw."""

    time_s: float
    node: str
    cpu_busy_ratio: float | None = None
    cpu_steal_ratio: float | None = None
    cpu_softirq_ratio: float | None = None
    rtt_kernel_p99_ns: float | None = None
    rtt_app_p99_ns: float | None = None


class LossEpisode(msgspec.Struct, frozen=True, kw_only=True):
    """One run of consecutive lost probes in one session."""

    arm: str
    src: str
    dst: str
    block: int
    time_s: float
    length: int
    direction: str


class LoadedPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Latency beside a transfer: the same pairs' p50/p99 at rest and under load."""

    arm: str
    rest_p50_ns: float | None
    rest_p99_ns: float | None
    loaded_p50_ns: float | None
    loaded_p99_ns: float | None
    n: int


class ArmProofDetail(msgspec.Struct, frozen=True, kw_only=True):
    """The worst proof of one kind of probe on one directed pair of an arm, with its evidence."""

    arm: str
    src: str
    dst: str
    verdict: str
    method: str
    observed: str | None
    route_origin: str | None
    evidence: dict[str, str | int | float | None] = {}
    kind: str = "latency"
    warnings: tuple[str, ...] = ()


class NodeEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What of a figure belongs to one node, in all pod arms together (median polish, `blame`).

    1.08 as a sender: pairs in which it sends have 8 % more than the median node's. `z` is the
    robust score of both directions together, positive where it is worse.
    """

    metric: str
    node: str
    sender_ratio: float
    receiver_ratio: float
    z: float


class ClusterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run on a cluster was, what it made there, and what became of that."""

    context: str
    server: str
    left_out: tuple[tuple[str, str], ...] = ()
    """Nodes that took no part, each with the reason."""
    looked: bool = False
    """Whether the run came to look what is left; false: what follows is empty."""
    made: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the run that could not be read; everything else is still shown."""

    file: str
    reason: str


class PlanFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was planned and what was done."""

    blocks_planned: int
    blocks_done: int
    visits: int
    rounds: int
    measuring_s: float
    arms_in_block: tuple[str, ...]
    looks: tuple[int, ...] = ()
    """Blocks after which the run asked whether every comparison was decided."""
    decided_early: bool = False
    """Whether it then stopped before its budget was used."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a report shows."""

    summary: Summary
    plan: PlanFacts
    tails: tuple[TailCurve, ...] = ()
    block_points: tuple[BlockPoint, ...] = ()
    visits: tuple[Visit, ...] = ()
    timeline: tuple[TimePoint, ...] = ()
    episodes: tuple[LossEpisode, ...] = ()
    loaded: tuple[LoadedPoint, ...] = ()
    proofs: tuple[ArmProofDetail, ...] = ()
    damages: tuple[Damage, ...] = ()
    effects: tuple[NodeEffect, ...] = ()
    """Of every node; empty below four nodes, where a node cannot be told from a pair."""
    cluster: ClusterFacts | None = None
    command: str | None = None
    """The command that measures the same once more; null where it is not known."""
    faults_injected: tuple[str, ...] = ()
    """Known faults the user asked for (`loss n1>n2 1 %`, `link rate 200 Mbit/s`), named in the
    report."""
