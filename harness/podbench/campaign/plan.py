"""Blocks, visits and rounds: what will be measured, in which order, and how long it takes.

A block holds every arm once, in random order, and one arm twice (the A/A check); it is the unit of
analysis. A visit is one arm's place in a block; its rounds walk the mesh. Everything follows from
the specification and the seed, so a plan can be printed, kept and repeated. Next:
campaign/session.py.
"""

import math
import random
from collections.abc import Sequence

import msgspec

from podbench.campaign import mesh, pairwise
from podbench.campaign.ladder import design
from podbench.campaign.pace import Pace, block_s, fitting, once_s
from podbench.campaign.spec import CEILING, LADDER, RunSpec
from podbench.model.arms import Arm, Mode, Path
from podbench.model.errors import ConfigError

CEILING_TURNS = 3
"""Transfers a mode on the shaped segment, each on a pair of its own."""
CEILING_BPS = 200_000_000
"""What two cores fill without segmentation offloads, in every mode."""
WARM_PPS = 1000.0
IDLE_PPS = 20.0
LOADED_PPS = 100.0


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


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the ladder: a share of the common capacity, from `src` to `dst`."""

    kind: str
    share: float
    src: str
    dst: str


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """One TCP transfer of a mode on the lab's shaped segment; `turn` counts from 1."""

    turn: int
    mode: Mode
    src: str
    dst: str


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs that measure at the same time (`pairs`), then their transfers.

    Of these, consecutive ones that share no node run at the same time (`batches`).
    """

    number: int
    phase: str
    """`warm`, or `idle` where all pairs run at once at 20 Hz."""
    pairs: tuple[tuple[str, str], ...]
    transfers: tuple[Transfer, ...] = ()
    steps: tuple[Step, ...] = ()
    """Load steps, after latency; consecutive ones of the same kind and share run together."""

    @property
    def batches(self) -> list[list[Transfer]]:
        """The transfers by what runs at the same time: no node is in two of them."""
        found: list[list[Transfer]] = []
        busy: set[str] = set()
        for each in self.transfers:
            if not found or busy & {each.src, each.dst}:
                found.append([])
                busy = set()
            found[-1].append(each)
            busy |= {each.src, each.dst}
        return found

    @property
    def climbs(self) -> list[list[Step]]:
        """The load steps by what runs at the same time: one kind and share, disjoint pairs."""
        found: dict[tuple[str, float], list[Step]] = {}
        for each in self.steps:
            found.setdefault((each.kind, each.share), []).append(each)
        return list(found.values())


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
    pace: Pace = Pace()
    groups: tuple[tuple[mesh.Pair, ...], ...] = ()
    """The pairs that are measured, in groups that may measure at the same time."""
    ceilings: tuple[Ceiling, ...] = ()
    """Transfers on the lab's shaped segment, after all blocks."""
    once_s: float = 0.0
    """What is measured once a run: the ladder's search, and the ceilings."""

    @property
    def total_s(self) -> float:
        """Time the measuring should take, seconds."""
        return self.block_s * self.blocks + self.once_s

    @property
    def rounds(self) -> int:
        """All rounds of all visits."""
        return sum(len(visit.rounds) for visit in self.visits)


def draw(spec: RunSpec, nodes: Sequence[str], *, exclusive: bool) -> Plan:
    """Draws the plan of a run.

    Raises:
        ConfigError: None of the modes can be had, or the budget is too short for one block; says
            how long is needed.
    """
    if not spec.possible:
        reasons = "; ".join(f"{mode}: {why}" for mode, why in spec.refused.items())
        raise ConfigError(
            f"--modes: none of them is possible here: {reasons}",
            advice="use --method observe, which measures the network as configured",
        )
    rng = random.Random(spec.seed)  # noqa: S311 - a schedule, not a secret
    matchings = mesh.sampled(nodes, rng)
    flips = {tuple(sorted(p)): rng.random() < 0.5 for m in matchings for p in m}
    groups = [tuple(g) for m in matchings for g in mesh.split(m, exclusive=exclusive)]
    carriers = mesh.directed(mesh.without(groups, spec.light))
    size = fitting(spec, len(groups), len(carriers))
    aa_mode = spec.possible[0]
    visits: list[Visit] = []
    arms: list[tuple[Mode, int]] = []
    for block in range(1, size.blocks + 1):
        arms = _order(spec, arms, block, rng)
        shape = _Shape(
            spec,
            matchings,
            block,
            size.per_visit,
            exclusive,
            flips,
            carriers,
            design.of_block(spec.seed, block) if LADDER in spec.probes else (),
        )
        visits += [
            Visit(block=block, order=i, mode=mode, repeat=n, rounds=_rounds(shape, rng))
            for i, (mode, n) in enumerate(arms, 1)
        ]
    ceilings = _ceilings(spec, carriers, rng) if CEILING in spec.probes else ()
    return Plan(
        seed=spec.seed,
        nodes=tuple(nodes),
        modes=spec.possible,
        aa_mode=aa_mode,
        probes=spec.probes,
        blocks=size.blocks,
        visits=tuple(visits),
        block_s=block_s(spec, len(groups), size),
        exclusive=exclusive,
        pace=size.pace,
        groups=tuple(groups),
        ceilings=ceilings,
        once_s=once_s(spec, len(ceilings), size.pace),
    )


def _ceilings(
    spec: RunSpec, carriers: Sequence[tuple[mesh.Pair, ...]], rng: random.Random
) -> tuple[Ceiling, ...]:
    """Every mode on as many pairs, one after the other, modes in random order for each pair."""
    found = []
    for turn, group in enumerate(carriers[:CEILING_TURNS], 1):
        modes = list(spec.possible)
        rng.shuffle(modes)
        src, dst = group[0]
        found += [Ceiling(turn=turn, mode=mode, src=src, dst=dst) for mode in modes]
    return tuple(found)


def smallest_detectable_ratio(metric: str, blocks: int) -> float | None:
    """The smallest ratio an interval over this many blocks can be expected to tell from 1.

    Half the width of the 95 % t interval at `PRIOR_SD`; null with fewer than two blocks.
    """
    if blocks < 2:
        return None
    t = T_975[blocks - 2] if blocks - 2 < len(T_975) else 2.0
    return math.exp(t * PRIOR_SD[metric] / math.sqrt(blocks))


def _order(
    spec: RunSpec, before: Sequence[tuple[Mode, int]], block: int, rng: random.Random
) -> list[tuple[Mode, int]]:
    """A block's arms, mode and repeat: in random order, the first mode twice.

    Modes that are switched one after the other cost a change of everything each time. There every
    second block mirrors the one before (ABBA: a drift takes from all arms alike), and the first
    mode, at both ends, has a change between its two visits, so that the A/A check holds it too.
    """
    first, *others = spec.possible
    if spec.method != "switch":
        arms = [(first, 1), *((mode, 1) for mode in others), (first, 2)]
        rng.shuffle(arms)
        return arms
    if block % 2 == 0:
        return list(reversed(before))
    ends = [(first, 1), (first, 2)]
    rng.shuffle(ends)
    rng.shuffle(others)
    return [ends[0], *((mode, 1) for mode in others), ends[1]]


class _Shape(msgspec.Struct, frozen=True):
    """What a block's visits have in common."""

    spec: RunSpec
    matchings: list[list[mesh.Pair]]
    block: int
    transfers_per_visit: int
    exclusive: bool
    flips: dict[tuple[str, ...], bool]
    carriers: list[tuple[mesh.Pair, ...]]
    """What carries transfers, in turn."""
    steps: tuple[tuple[str, float], ...]
    """Kind and share of the block's load steps."""


def _rounds(shape: _Shape, rng: random.Random) -> tuple[Round, ...]:
    matchings = list(shape.matchings)
    rng.shuffle(matchings)
    groups = [g for m in matchings for g in mesh.split(m, exclusive=shape.exclusive)]
    carriers = _transfers(shape)
    loads = list(shape.steps)
    rng.shuffle(loads)
    loaded = mesh.rotating(shape.carriers, shape.block, 1, shape.spec.seed)
    climbed = [
        Step(kind=kind, share=share, src=a, dst=b)
        for kind, share in loads
        for group in loaded
        for a, b in group
    ]
    rounds = []
    for number, group in enumerate(groups, 1):
        pairs = tuple(
            mesh.orient(p, shape.block, flipped=shape.flips[tuple(sorted(p))]) for p in group
        )
        here = {frozenset(pair) for pair in group}
        own = tuple(t for t in carriers if frozenset((t.src, t.dst)) in here)
        steps_here = tuple(s for s in climbed if frozenset((s.src, s.dst)) in here)
        rounds.append(
            Round(number=number, phase="warm", pairs=pairs, transfers=own, steps=steps_here)
        )
    if "latency" not in shape.spec.probes:
        light = pairwise.chosen(shape.spec.probes)
        return tuple(r for r in rounds if r.transfers or r.steps or light)
    everyone = tuple(pair for r in rounds for pair in r.pairs)
    return (*rounds, Round(number=len(rounds) + 1, phase="idle", pairs=everyone))


def _transfers(shape: _Shape) -> tuple[Transfer, ...]:
    kinds = [p for p in shape.spec.probes if p.startswith("throughput")]
    carriers = mesh.rotating(
        shape.carriers, shape.block, shape.transfers_per_visit, shape.spec.seed
    )
    pod = [
        Transfer(src=a, dst=b, probe=kind) for group in carriers for kind in kinds for a, b in group
    ]
    # The host path carries one transfer a visit: the denominator of the goodput share.
    host = [
        Transfer(src=a, dst=b, probe=kind, path=Path.HOST)
        for group in carriers[:1]
        for kind in kinds[:1]
        for a, b in group
    ]
    return (*pod, *host)
