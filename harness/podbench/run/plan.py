"""Blocks, visits and rounds: what will be measured, in which order, and how long it takes.

A block holds every arm once, in random order, and one arm twice (the A/A check); it is the unit of
analysis. A visit is one arm's place in a block; its rounds walk the mesh. Everything follows from
the specification and the seed, so a plan can be printed, kept and repeated. Next: run/session.py.
"""

import math
import random
from collections.abc import Sequence

import msgspec

from podbench.model.arms import Arm, Mode, Path
from podbench.model.errors import ConfigError
from podbench.model.units import show_duration
from podbench.run import mesh
from podbench.run.spec import DEFAULT_BLOCKS, RunSpec

WARM_POD_S = 1.05
"""A pair's p99 takes 1,000 answered probes; the margin lets a block lose a few and keep it."""
WARM_HOST_S = 0.5
IDLE_S = 1.5
TRANSFER_S = 1
WARM_PPS = 1000.0
IDLE_PPS = 20.0
LOADED_PPS = 100.0
OMIT_S = 0.3
"""Of a one-second transfer, this much is slow start; `omitted` in the samples."""
SETUP_S = 0.12
"""Commands, drain and collection around one measurement in the quiet windows."""
TRANSFER_SETUP_S = 0.4
"""Starting an iperf3 server and client, and taking their results."""
PROOF_S = 0.25
"""One pair's proof window with its counters and lookups."""
MAX_BLOCKS = 50
"""Looks are at 5, 10, 15, 20, 30 and 50 blocks; more do not narrow what matters."""
PRIOR_SD = {"rtt_kernel_ns.p50": 0.05, "rtt_kernel_ns.p99": 0.15, "goodput_bps.tcp.p50": 0.06}
"""Standard deviation of a block's log ratio, as seen on labs of this kind. Only the plan's
expectation rests on it; a report uses what the run itself showed."""

T_975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14)
"""Student's t at 97.5 % for 1 to 14 degrees of freedom; a plan must not wait for scipy to load."""


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One iperf3 transfer from `src` to `dst`."""

    src: str
    dst: str
    probe: str
    path: Path = Path.POD


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs that measure at the same time (`pairs`), then their transfers, one by one per node."""

    number: int
    phase: str
    """`warm`, or `idle` where all pairs run at once at 20 Hz."""
    pairs: tuple[tuple[str, str], ...]
    transfers: tuple[Transfer, ...] = ()


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's place in a block."""

    block: int
    order: int
    mode: Mode
    repeat: int
    rounds: tuple[Round, ...]

    @property
    def arm(self) -> Arm:
        """The pod-path arm; the host path is measured in the same rounds."""
        return Arm(self.mode, Path.POD, self.repeat)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    seed: int
    nodes: tuple[str, ...]
    modes: tuple[Mode, ...]
    aa_mode: Mode
    probes: tuple[str, ...]
    blocks: int
    visits: tuple[Visit, ...]
    block_s: float
    exclusive: bool

    @property
    def total_s(self) -> float:
        """Time the measuring should take, seconds."""
        return self.block_s * self.blocks

    @property
    def rounds(self) -> int:
        """All rounds of all visits."""
        return sum(len(visit.rounds) for visit in self.visits)


def draw(spec: RunSpec, nodes: Sequence[str], *, exclusive: bool) -> Plan:
    """Draws the plan of a run.

    Raises:
        ConfigError: The budget is too short for one block; says how long is needed.
    """
    aa_mode = spec.modes[0]
    rng = random.Random(spec.seed)  # noqa: S311 - a schedule, not a secret
    flips = {tuple(sorted(p)): rng.random() < 0.5 for m in mesh.matchings(nodes) for p in m}
    blocks, per_visit = _blocks_that_fit(spec, nodes, exclusive=exclusive)
    visits: list[Visit] = []
    for block in range(1, blocks + 1):
        arms = [(mode, 1) for mode in spec.modes] + [(aa_mode, 2)]
        rng.shuffle(arms)
        shape = _Shape(spec, tuple(nodes), block, per_visit, exclusive, flips)
        visits += [
            Visit(block=block, order=i, mode=mode, repeat=n, rounds=_rounds(shape, rng))
            for i, (mode, n) in enumerate(arms, 1)
        ]
    return Plan(
        seed=spec.seed,
        nodes=tuple(nodes),
        modes=spec.modes,
        aa_mode=aa_mode,
        probes=spec.probes,
        blocks=blocks,
        visits=tuple(visits),
        block_s=_block_s(spec, nodes, per_visit, exclusive=exclusive),
        exclusive=exclusive,
    )


def smallest_detectable_ratio(metric: str, blocks: int) -> float | None:
    """The smallest ratio an interval over this many blocks can be expected to tell from 1.

    Half the width of the 95 % t interval at `PRIOR_SD`; null with fewer than two blocks.
    """
    if blocks < 2:
        return None
    t = T_975[blocks - 2] if blocks - 2 < len(T_975) else 2.0
    return math.exp(t * PRIOR_SD[metric] / math.sqrt(blocks))


class _Shape(msgspec.Struct, frozen=True):
    """What a block's visits have in common."""

    spec: RunSpec
    nodes: tuple[str, ...]
    block: int
    transfers_per_visit: int
    exclusive: bool
    flips: dict[tuple[str, ...], bool]


def _rounds(shape: _Shape, rng: random.Random) -> tuple[Round, ...]:
    matchings = mesh.matchings(shape.nodes)
    rng.shuffle(matchings)
    groups = [g for m in matchings for g in mesh.split(m, exclusive=shape.exclusive)]
    carriers = _transfers(shape)
    rounds = []
    for number, group in enumerate(groups, 1):
        pairs = tuple(
            mesh.orient(p, shape.block, flipped=shape.flips[tuple(sorted(p))]) for p in group
        )
        here = {frozenset(pair) for pair in group}
        own = tuple(t for t in carriers if frozenset((t.src, t.dst)) in here)
        rounds.append(Round(number=number, phase="warm", pairs=pairs, transfers=own))
    if "latency" not in shape.spec.probes:
        return tuple(r for r in rounds if r.transfers)
    everyone = tuple(pair for r in rounds for pair in r.pairs)
    return (*rounds, Round(number=len(rounds) + 1, phase="idle", pairs=everyone))


def _transfers(shape: _Shape) -> tuple[Transfer, ...]:
    kinds = [p for p in shape.spec.probes if p.startswith("throughput")]
    pairs = mesh.rotating(
        mesh.directed_pairs(shape.nodes), shape.block, shape.transfers_per_visit, shape.spec.seed
    )
    pod = [Transfer(src=a, dst=b, probe=kind) for a, b in pairs for kind in kinds]
    # The host path carries one transfer a visit: the denominator of the goodput share.
    host = [
        Transfer(src=a, dst=b, probe=k, path=Path.HOST) for a, b in pairs[:1] for k in kinds[:1]
    ]
    return (*pod, *host)


def _blocks_that_fit(spec: RunSpec, nodes: Sequence[str], *, exclusive: bool) -> tuple[int, int]:
    """Blocks, and transfers per visit; the two depend on each other through the mesh's coverage."""
    directed = len(nodes) * (len(nodes) - 1)
    if spec.blocks is not None:
        per_visit = max(2, math.ceil(directed / spec.blocks))
        return spec.blocks, per_visit
    if spec.budget_s is None:
        return DEFAULT_BLOCKS, max(2, math.ceil(directed / DEFAULT_BLOCKS))
    for blocks in range(MAX_BLOCKS, 0, -1):
        per_visit = max(2, math.ceil(directed / blocks))
        if blocks * _block_s(spec, nodes, per_visit, exclusive=exclusive) <= spec.budget_s:
            return blocks, per_visit
    # One block need not cover every directed pair: two transfers a visit are the least.
    if _block_s(spec, nodes, 2, exclusive=exclusive) <= spec.budget_s:
        return 1, 2
    needed_s = math.ceil(_block_s(spec, nodes, 2, exclusive=exclusive))
    raise ConfigError(
        f"--budget: {show_duration(spec.budget_s)} is too short: a block takes {needed_s} s",
        advice=f"use --budget {needed_s}s or more, fewer --nodes, --modes or --probes",
    )


def _block_s(spec: RunSpec, nodes: Sequence[str], per_visit: int, *, exclusive: bool) -> float:
    groups = [g for m in mesh.matchings(nodes) for g in mesh.split(m, exclusive=exclusive)]
    pairs = len(nodes) * (len(nodes) - 1) // 2
    visit_s = pairs * PROOF_S
    if "latency" in spec.probes:
        visit_s += len(groups) * (WARM_POD_S + WARM_HOST_S + 2 * SETUP_S) + IDLE_S + SETUP_S
    kinds = [p for p in spec.probes if p.startswith("throughput")]
    if kinds:
        visit_s += (per_visit * len(kinds) + 1) * (TRANSFER_S + TRANSFER_SETUP_S)
    return visit_s * (len(spec.modes) + 1)
