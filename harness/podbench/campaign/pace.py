"""How long measurements take, and how many of them a run has: its pace and its size. Pure.

Next: plan.py draws the blocks, visits and rounds of that size.
"""

import math

import msgspec

from podbench.campaign import pairwise
from podbench.campaign.spec import DEFAULT_BLOCKS, RunSpec
from podbench.model.errors import ConfigError
from podbench.model.units import show_duration

MAX_BLOCKS = 50
"""Looks are at 5, 10, 15, 20, 30 and 50 blocks; more do not narrow what matters."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long each measurement takes; seconds."""

    warm_pod_s: float = 1.05
    """A pair's p99 takes 1,000 answered probes; the margin lets a block lose a few and keep it."""
    warm_host_s: float = 0.5
    idle_s: float = 1.5
    transfer_s: int = 1
    omit_s: float = 0.3
    """Of a transfer, this much is slow start; `omitted` in the samples."""
    setup_s: float = 0.12
    """Commands, drain and collection around one measurement in the quiet windows."""
    transfer_setup_s: float = 0.4
    """Starting an iperf3 server and client, and taking their results."""
    proof_s: float = 0.25
    """One proof window with its counters and lookups."""
    step_settle_s: float = 0.15
    """Of a load step, before its window: iperf3's start, slow start, placement of processes."""
    step_s: float = 0.6
    """The window in which busy CPU and interfaces are read."""
    step_tail_s: float = 0.08
    """The load goes on this long after the window."""
    step_setup_s: float = 0.3
    """Starting and ending a step's iperf3, and taking its results."""
    search_s: float = 10.0
    """The search for the ladder's capacity, once a run."""
    ceiling_s: int = 1
    """One transfer on the shaped segment."""


LAB_MESH: dict[str, float] = {"warm_pod_s": 0.5, "warm_host_s": 0.37, "idle_s": 1.0}
"""Where several pairs are measured one after another, a block's p99 is that of all its pairs'
probes together (analysis: unions), and a pair's own comes from several blocks."""
STEPS_PER_VISIT = 2
"""Of each kind."""

PACES = {
    "lab": (Pace(),),
    # Commands travel through the API server, a proof window takes 5,000 probes at 2,000 pps, and a
    # flow over a real network needs seconds to settle; the short transfers are for short budgets.
    "kubernetes": (
        Pace(
            transfer_s=12,
            omit_s=2.0,
            setup_s=0.5,
            transfer_setup_s=1.5,
            proof_s=4.0,
            step_settle_s=1.0,
            step_s=4.0,
            step_tail_s=0.5,
            step_setup_s=1.5,
            search_s=60.0,
        ),
        Pace(
            transfer_s=2,
            omit_s=0.5,
            setup_s=0.5,
            transfer_setup_s=1.5,
            proof_s=4.0,
            step_settle_s=0.7,
            step_s=2.0,
            step_tail_s=0.3,
            step_setup_s=1.5,
            search_s=40.0,
        ),
    ),
}
"""By target, the pace that is preferred first; the next where a budget leaves it too few blocks."""


class Size(msgspec.Struct, frozen=True):
    """How much is measured: blocks, groups of transfers in each visit, and at which pace."""

    blocks: int
    per_visit: int
    pace: Pace


def fitting(spec: RunSpec, groups: int, carriers: int) -> Size:
    """Blocks, and transfers per visit; the two depend on each other through the mesh's coverage.

    Of the target's paces, the first that gives enough blocks for an interval, else the shortest.

    Raises:
        ConfigError: The budget is too short for one block.
    """

    def size(blocks: int, pace: Pace) -> Size:
        return Size(blocks, min(carriers, max(2, math.ceil(carriers / blocks))), pace)

    def fits(asked: Size) -> bool:
        assert spec.budget_s is not None
        return asked.blocks * block_s(spec, groups, asked) <= spec.budget_s

    paces = PACES[spec.target]
    if spec.target == "lab" and groups > 1:
        paces = tuple(msgspec.structs.replace(pace, **LAB_MESH) for pace in paces)
    if spec.budget_s is None:
        return size(spec.blocks or DEFAULT_BLOCKS, paces[0])
    if spec.blocks is not None:
        exact = [size(spec.blocks, pace) for pace in paces]
        return next(filter(fits, exact), exact[-1])
    sizes = [
        size(blocks, pace) for pace in paces for blocks in range(MAX_BLOCKS, DEFAULT_BLOCKS - 1, -1)
    ]
    sizes += [size(blocks, paces[-1]) for blocks in range(DEFAULT_BLOCKS - 1, 0, -1)]
    # One block need not cover every directed pair: two transfers a visit are the least.
    least = Size(1, min(2, carriers), paces[-1])
    found = next(filter(fits, [*sizes, least]), None)
    if found is not None:
        return found
    needed_s = math.ceil(block_s(spec, groups, least))
    raise ConfigError(
        f"--budget: {show_duration(spec.budget_s)} is too short: a block takes {needed_s} s",
        advice=f"use --budget {needed_s}s or more, fewer --nodes, --modes or --probes",
    )


def block_s(spec: RunSpec, groups: int, size: Size) -> float:
    """How long a block of that size takes, seconds; `groups` of pairs measure one after another."""
    visit_s = sum(each_s * times for _, each_s, times in _parts(spec, groups, size))
    return visit_s * (len(spec.possible) + 1)


def _parts(spec: RunSpec, groups: int, size: Size) -> list[tuple[str, float, int]]:
    """What a visit is made of: name, seconds each, how often."""
    pace = size.pace
    parts = [("proof window", pace.proof_s, groups)]
    if "latency" in spec.probes:
        parts += [
            ("warm latency", pace.warm_pod_s + pace.setup_s, groups),
            ("host path", pace.warm_host_s + pace.setup_s, groups),
            ("idle latency", pace.idle_s + pace.setup_s, 1),
        ]
    if "ladder" in spec.probes:
        step_s = pace.step_settle_s + pace.step_s + pace.step_tail_s + pace.step_setup_s
        parts.append(("load step", step_s, 2 * STEPS_PER_VISIT))
    pairwise_s = pairwise.round_s(spec.probes, pace.setup_s)
    if pairwise_s:
        parts.append(("paths and connections", pairwise_s, groups))
    kinds = [p for p in spec.probes if p.startswith("throughput")]
    if kinds and size.per_visit:
        each_s = pace.transfer_s + pace.transfer_setup_s
        parts.append(("transfer", each_s, size.per_visit * len(kinds) + 1))
    return parts


def visit_parts(spec: RunSpec, groups: int, pace: Pace) -> tuple[str, ...]:
    """The arithmetic of one visit, a line for each part."""
    parts = _parts(spec, groups, Size(1, 0, pace))
    return tuple(f"{times} x {name} of {each_s:.2g} s" for name, each_s, times in parts)


def once_s(spec: RunSpec, ceilings: int, pace: Pace) -> float:
    """What a run measures once, seconds: the ladder's search, and `ceilings` shaped transfers."""
    search_s = pace.search_s if "ladder" in spec.probes else 0.0
    return search_s + ceilings * (pace.ceiling_s + pace.transfer_setup_s)
