"""The proof of a visit: by packets before its rounds, by route after them; kept as evidence."""

import asyncio
import time

import msgspec

from podbench.campaign import latency, plan
from podbench.campaign.agents import Crew
from podbench.cni.base import Driver, Groups, Probed, World
from podbench.model.arms import Mode
from podbench.model.errors import ProbeError, TransportError
from podbench.model.facts import ArmProof, NodeFacts
from podbench.model.nodes import Pod
from podbench.store.rundir import RunDir

PROOF_PPS = 2000.0
"""Fast enough that a window is a tenth of a second on the lab and 2.5 s on a cluster, slow enough
that nothing queues."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One visit's evidence file; `after` is the proof by route lookup once the rounds are done."""

    block: int
    arm: str
    mode: Mode
    wall_ns: int
    before: ArmProof
    after: ArmProof | None = None
    nodes: tuple[NodeFacts, ...] = ()
    earlier: tuple[ArmProof, ...] = ()
    """Proofs of the same visit from before an interruption."""


class Witness(msgspec.Struct, frozen=True):
    """Who proves: the driver knows what to look for, the world where."""

    driver: Driver
    world: World
    capture: bool
    """Whether outer headers are captured too (`--proof capture`)."""
    groups: Groups | None = None
    """The pairs to prove; null: all."""


async def gather(witness: Witness, crew: Crew, visit: plan.Visit, rundir: RunDir) -> Evidence:
    """Proves the mode by packets of our own and reads every node; writes the evidence file.

    Raises:
        StoreError: The file cannot be written.
    """

    async def probe(src: Pod, dst: Pod, probes: int) -> Probed:
        return await latency.answered(crew, src, dst, probes, PROOF_PPS)

    driver, world = witness.driver, witness.world
    capture = world.capture if witness.capture else None
    proof = await driver.verify(world, visit.mode, probe, capture=capture, groups=witness.groups)
    found = Evidence(
        block=visit.block,
        arm=visit.arm.name,
        mode=visit.mode,
        wall_ns=time.time_ns(),
        before=proof,
        nodes=await _read(world),
        earlier=_earlier(rundir, visit),
    )
    rundir.write_json(rundir.evidence(visit.block, visit.arm), found)
    return found


async def _read(world: World) -> tuple[NodeFacts, ...]:
    """Every node that can be read."""
    asked = [world.facts(node.name) for node in world.nodes]
    found = await asyncio.gather(*asked, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, ProbeError | TransportError):
            raise each
    return tuple(each for each in found if isinstance(each, NodeFacts))


def _earlier(rundir: RunDir, visit: plan.Visit) -> tuple[ArmProof, ...]:
    where = rundir.evidence(visit.block, visit.arm)
    if not where.exists():
        return ()
    before = rundir.read_json(where, Evidence)
    return (*before.earlier, before.before)


async def confirm(witness: Witness, visit: plan.Visit, rundir: RunDir) -> Evidence:
    """Looks the routes up once more after the visit's rounds and adds that to the file.

    Raises:
        StoreError: The file cannot be read or written.
    """
    where = rundir.evidence(visit.block, visit.arm)
    before = rundir.read_json(where, Evidence)
    after = await witness.driver.verify(witness.world, visit.mode, None, groups=witness.groups)
    both = msgspec.structs.replace(before, after=after)
    rundir.write_json(where, both)
    return both
