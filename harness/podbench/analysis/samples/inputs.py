"""What analysis is given: the facts of a run, by whoever read its directory, and its tables.

Nothing here is computed. `podbench.results` (or a test) fills an `Inputs`; `summarise.analyse`
turns it into a `Bundle`. The tables have exactly the columns of `podbench.store.schemas`; a table
that was not measured is None or empty.
"""

from typing import Literal

import msgspec
import pandas as pd

from podbench.analysis.bundle import ClusterFacts, Damage, PlanFacts
from podbench.analysis.samples.source import Source
from podbench.model.facts import ArmProof
from podbench.model.summary import Cni, NodeSummary
from podbench.model.traffic import Traffic


class ArmLaid(msgspec.Struct, frozen=True, kw_only=True):
    """One arm as the CNI driver laid it. `reason` says why it could not be; null when it was."""

    arm: str
    implementation: str | None = None
    pod_mtu: int | None = None
    reason: str | None = None


class VisitSpan(msgspec.Struct, frozen=True, kw_only=True):
    """When an arm was measured, on the orchestrator's CLOCK_MONOTONIC."""

    block: int
    arm: str
    start_mono_ns: int
    end_mono_ns: int


class BlockProof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of one arm, drawn in one block, for one kind of probe."""

    block: int
    proof: ArmProof
    kind: str = "latency"
    """Its packets are what was proven; `latency`: those of the proof window."""


class Unmeasured(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement that was planned and could not be taken; `kind` is its phase or probe."""

    block: int
    arm: str
    kind: str
    src: str
    dst: str
    reason: str


class Lacking(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of probe that was tried in every round and never came back."""

    kind: str
    tried: int
    reason: str
    """The last one."""


class EndCounted(msgspec.Struct, frozen=True, kw_only=True):
    """What one end threw away or could not do in a stretch of a round (journal, `counted`)."""

    block: int
    arm: str
    node: str
    end: str
    counts: dict[str, int]


class Inputs(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything `summarise.analyse` works on.

    `interrupted` is the journal's word that the run ended early; `shaped_rate_bps` is the link rate
    the lab was asked for, null where the link has no known rate; `most_bps` the most one transfer
    was allowed to send, null where it was as much as it could.
    """

    run_id: str
    name: str | None = None
    labels: dict[str, str] = {}
    started: str
    ended: str | None
    interrupted: bool = False
    target: Literal["lab", "kubernetes"]
    cni: Cni
    versions: dict[str, str | None] = {}
    spec: dict[str, object] = {}
    seed: int
    nodes: tuple[NodeSummary, ...] = ()
    method: str
    arms: tuple[ArmLaid, ...] = ()
    proofs: tuple[BlockProof, ...] = ()
    shaped_rate_bps: float | None = None
    most_bps: float | None = None
    plan: PlanFacts
    visits: tuple[VisitSpan, ...] = ()
    faults_injected: tuple[str, ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()
    refused: tuple[str, ...] = ()
    """Agents whose messages were dropped, a sentence each."""
    lacking: tuple[Lacking, ...] = ()
    counted: tuple[EndCounted, ...] = ()
    damages: tuple[Damage, ...] = ()
    cluster: ClusterFacts | None = None
    command: str | None = None
    latency: pd.DataFrame | None = None
    latency_files: Source | None = None
    """In place of `latency`, where rows are read as they are needed."""
    throughput: pd.DataFrame | None = None
    host: pd.DataFrame | None = None
    ladder: pd.DataFrame | None = None
    ceiling: pd.DataFrame | None = None
    """Transfers on the lab's shaped segment, columns as in `throughput`; `block` is the turn."""
    ceiling_bps: float | None = None
    """The segment's rate."""
    cpu_bound: bool = False
    """Whether CPUs, not a link, limit transfers: then no verdict rests on them."""
    traffic: tuple[Traffic, ...] = ()
    """A node's own traffic, as the user asked for it."""
