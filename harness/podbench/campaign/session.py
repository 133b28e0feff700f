"""The session: start nodes, set up modes, deploy agents, measure and keep every round.

This file is the spine; each step is a module of its own. It knows no CNI, no namespace and no MQTT.
Above: cli/run.py. What it writes is all that analysis needs.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from podbench.campaign import (
    ceiling,
    cost,
    counters,
    evidence,
    inventory,
    looks,
    plan,
    plausible,
    record,
    rounds,
)
from podbench.campaign.agents import Crew
from podbench.campaign.journal import DECIDED, LOOKS, REFUSED, Journal, latest
from podbench.campaign.ladder import step
from podbench.campaign.progress import Progress
from podbench.cni import base as cni
from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.model.errors import LabError, PrerequisiteError
from podbench.model.nodes import Node
from podbench.store.rundir import RunDir
from podbench.target.base import LaidTarget, Target
from podbench.transport.base import Fleet, refused

T = TypeVar("T")
ATTEMPTS = 3
"""At one round, in which broker, agents or routing daemons are lost: each may be once."""


class Session:
    """A run in progress: its directory, journal, record and progress."""

    def __init__(
        self, rundir: RunDir, started: record.RunRecord, progress: Progress, read: looks.Read
    ) -> None:
        self.rundir = rundir
        self.journal = Journal(rundir.journal)
        self.record = started
        self.progress = progress
        self.read = read
        self.driver = registry.driver(started.spec.cni)
        self.settled = any(e.event == DECIDED for e in self.journal.entries())
        """Whether a look found every comparison decided, so that no more need be measured."""
        self.gone: set[inventory.Place] = set()
        """Rounds whose samples are not on disk any more: they are measured again."""

    async def run(self, target: Target) -> None:
        """Measures every round that the journal does not list yet.

        Raises:
            PodbenchError: It cannot go on; what was measured is kept.
        """
        async with target.up() as laid:
            self.plan = self._plan(target, laid)
            for stage in self._stages(laid.world):
                modes = await self._lay(laid.world, stage)
                async with laid.deploy() as (nodes, fleet):
                    self._note_deployed(nodes, fleet, laid.most_bps)
                    self._note_cluster(laid, nodes)
                    crew = Crew(nodes, fleet, spin=self.record.spec.spin, shared=target.exclusive)
                    async with counters.running(crew, exclusive=target.exclusive) as ticks:
                        await self._find_capacity(crew, modes, laid.most_bps)
                        for visit in stage:
                            if await self._turned(laid.world, visit, modes):
                                await self._visit(laid, crew, ticks, visit)
                            await self._look(visit)
                        await self._ceilings(laid, crew, modes, stage)
                    self._note_refused(fleet)
                await self._unlay(laid.world, modes)

    async def _turned(self, world: cni.World, visit: plan.Visit, modes: list[Mode]) -> bool:
        """Whether the visit has to be measured and packets take its mode.

        A mode that cannot be had is taken from `modes`: what did not converge once costs no more.
        """
        if visit.mode not in modes or self.settled or not self._missing(visit):
            return False
        reason = await self.driver.turn(world, visit.mode, self.plan.groups or None)
        if reason is None:
            return True
        modes.remove(visit.mode)
        self._save(arms=tuple(record.lost(arm, visit.mode, reason) for arm in self.record.arms))
        self.journal.note("lost", f"{visit.mode}: {reason}")
        self.progress.say(f"{visit.mode}: not measured: {reason}")
        return False

    async def _visit(
        self, laid: LaidTarget, crew: Crew, ticks: counters.Ticks, visit: plan.Visit
    ) -> None:
        capture, groups = self.record.spec.proof_capture, self.plan.groups or None
        witness = evidence.Witness(self.driver, laid.world, capture, groups)
        found = await self._whole(
            laid, "proof", lambda: evidence.gather(witness, crew, visit, self.rundir)
        )
        proof = found.before
        self.progress.visit_proven(visit, proof.verdict, proof.pairs_matched, proof.pairs_total)
        meter = self.driver.meter(laid.world, visit.mode)
        for planned in self._missing(visit):
            self.progress.round_begins(visit, planned)
            got = await self._whole(
                laid,
                f"round {planned.number}",
                partial(
                    rounds.measure,
                    crew,
                    visit,
                    planned,
                    self.plan,
                    self.record.capacity,
                    meter,
                ),
            )
            place = (visit, planned)
            host = await ticks.keep(self.rundir, self.record.run_id, *place)
            rounds.keep(self.rundir, self.journal, self.record.run_id, place, got, host)
            self.gone.discard((visit.block, visit.arm.name, planned.number))
            self.progress.round_done(visit, planned, len(got.failures))
        await evidence.confirm(witness, visit, self.rundir)

    def _note_refused(self, fleet: Fleet) -> None:
        """Tells of messages that came by an agent's topic and were not its own, or malformed."""
        for agent, each in sorted(refused(fleet).items()):
            said = f"{agent}: {each.count} messages were dropped; the first {each.why}"
            self.journal.note(REFUSED, said)
            self.progress.say(said)

    async def _whole(self, laid: LaidTarget, what: str, measure: Callable[[], Awaitable[T]]) -> T:
        """Measures; once more where a part of the instrument was lost meanwhile.

        Raises:
            LabError: Parts are lost again and again: nothing is kept of it.
        """
        for _ in range(ATTEMPTS):
            before = await laid.losses()
            found = await measure()
            if await laid.losses() == before:
                return found
            self.progress.say(f"{what} is measured again")
        raise LabError(
            f"parts of the lab were lost in each of {ATTEMPTS} attempts at {what}",
            advice="find out what ends them; `bench resume` goes on after the last whole round",
        )

    async def _find_capacity(self, crew: Crew, modes: Sequence[Mode], most_bps: int | None) -> None:
        """The loads that the ladder's steps are shares of: once a run, kept in run.json."""
        if "ladder" not in self.plan.probes or self.record.capacity is not None or not modes:
            return
        steps = [s for v in self.plan.visits for r in v.rounds for s in r.steps]
        if not steps:
            return
        pair = (steps[0].src, steps[0].dst)
        self.progress.say("searching for the highest load that every mode sustains")
        found = await step.find(crew, modes, pair, self.plan.pace, most_bps)
        self._save(capacity=found)
        self.progress.say(step.said(found))

    async def _ceilings(
        self, laid: LaidTarget, crew: Crew, modes: Sequence[Mode], stage: Sequence[plan.Visit]
    ) -> None:
        """Transfers on the shaped segment that this stage's pods can carry."""
        blocks = {visit.block for visit in stage}
        wanted = [
            one
            for one in ceiling.missing(self.plan, self.journal)
            if one.mode in modes and (len(stage) > 1 or one.turn in blocks)
        ]
        if not wanted:
            return
        async with laid.shaped(plan.CEILING_BPS):
            await ceiling.settled()
            for one in wanted:
                self.progress.say(f"ceiling {one.mode} {one.src}>{one.dst}")
                entry = await ceiling.measure(
                    crew, one, self.plan.pace, self.rundir, self.record.run_id
                )
                self.journal.write(entry)

    async def _look(self, visit: plan.Visit) -> None:
        """After a block's last visit: whether the comparisons are decided."""
        block = [v for v in self.plan.visits if v.block == visit.block]
        looked = any(e.block == visit.block for e in self.journal.entries() if e.event in LOOKS)
        if visit is block[-1] and not looked and not self.settled:
            self.settled = await looks.settled(
                self.read, self.rundir, self.record, self.plan, visit.block, self.progress
            )

    def _missing(self, visit: plan.Visit) -> list[plan.Round]:
        done = self.journal.rounds_done()
        return [
            r
            for r in visit.rounds
            if (visit.block, visit.arm, r.number) not in done
            or (visit.block, visit.arm.name, r.number) in self.gone
        ]

    def _plan(self, target: Target, laid: LaidTarget) -> plan.Plan:
        if self.rundir.plan_json.exists():
            drawn = plausible.read_plan(self.rundir)
        else:
            names = [node.name for node in laid.world.nodes]
            drawn = plan.draw(self.record.spec, names, exclusive=target.exclusive)
            self.rundir.write_json(self.rundir.plan_json, drawn)
        entries = latest(self.journal.entries())
        if entries:
            self.gone = set(inventory.take(self.rundir, drawn, entries).lost)
        self.progress.planned(drawn, len(self.journal.rounds_done()) - len(self.gone))
        return drawn

    def _stages(self, world: cni.World) -> Iterable[Sequence[plan.Visit]]:
        """Visits whose pods exist concurrently: all of them, or one after the other."""
        if world.turns or self.record.spec.method != "switch":
            yield self.plan.visits
        else:
            for visit in self.plan.visits:
                if self._missing(visit) and not self.settled:
                    yield [visit]

    async def _lay(self, world: cni.World, stage: Sequence[plan.Visit]) -> list[Mode]:
        spec = self.record.spec
        wanted = [m for m in self.plan.modes if any(v.mode == m for v in stage)]
        laid = await self.driver.lay(world, wanted)
        arms = {arm.mode: arm for arm in (*record.refused(spec), *self.record.arms)}
        for mode, what in laid.items():
            arms[mode] = record.ArmRecord(
                mode=mode,
                implementation=what.implementation,
                pod_mtu=what.pool.pod_mtu,
                reason=what.reason,
            )
            if what.reason is not None:
                self.progress.say(f"{mode}: not measured: {what.reason}")
        self._save(arms=tuple(arms[m] for m in spec.modes if m in arms))
        exist = [mode for mode, what in laid.items() if what.reason is None]
        if not exist and (world.turns or spec.method != "switch"):
            raise PrerequisiteError(
                "none of the modes can be set up here: "
                + "; ".join(f"{mode}: {what.reason}" for mode, what in laid.items()),
                advice="`bench doctor` lists what is missing and how to fix it",
            )
        return exist

    async def _unlay(self, world: cni.World, modes: Sequence[Mode]) -> None:
        for mode in modes:
            await self.driver.remove(world, mode)

    def _note_deployed(self, nodes: Sequence[Node], fleet: Fleet, most_bps: int | None) -> None:
        """Records nodes, pods, MTUs and the agents' versions."""
        self._save(
            nodes=tuple(record.node(each) for each in nodes),
            most_bps=most_bps,
            # What became of an earlier attempt says nothing of what stands now.
            aftermath=None,
            arms=tuple(record.with_mtu(arm, nodes) for arm in self.record.arms),
            versions={**self.record.versions, **record.versions_in(fleet.agents)},
        )

    def _note_cluster(self, laid: LaidTarget, nodes: Sequence[Node]) -> None:
        """Records every detected setting of a cluster's network, with its source or the reason.

        With what agents read, the plan's bytes are said again: until now the NICs were assumed.
        """
        if laid.detected is not None:
            self.rundir.write_json(self.rundir.cluster_json, laid.detected)
        if self.record.spec.cluster is not None:
            told = cost.once_known(self.plan, nodes, laid.most_bps)
            if told is not None:
                self.progress.say(told)

    def _save(self, **changes: object) -> None:
        self.record = msgspec.structs.replace(self.record, **changes)
        self.rundir.write_json(self.rundir.run_json, self.record)
