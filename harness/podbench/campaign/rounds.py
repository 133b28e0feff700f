"""Carries out one round and puts it on disk.

A measurement that cannot be taken becomes a failure record or a row with its reason; it never ends
the round. Nothing is sent to or from an agent while a probe runs but the probe itself.
"""

import asyncio
import time

from podbench.campaign import latency, pairs, pairwise, plan, transfer
from podbench.campaign.agents import Crew, Outcome, Part
from podbench.campaign.journal import Entry, Journal
from podbench.campaign.ladder import step as ladder
from podbench.campaign.ladder.capacity import Capacity
from podbench.campaign.pace import Pace
from podbench.model.arms import Arm, Path
from podbench.store import samples
from podbench.store.rundir import RunDir
from podbench.store.samples import Scalar


async def measure(
    crew: Crew,
    visit: plan.Visit,
    planned: plan.Round,
    drawn: plan.Plan,
    capacity: Capacity | None = None,
) -> Outcome:
    """Measures one round of a visit: latency, then load steps, then transfers, batch by batch."""
    outcome = Outcome()
    climbs = "ladder" in drawn.probes
    if "latency" in drawn.probes:
        for stretch in _stretches(visit, planned, drawn.pace):
            if climbs and (stretch.path, stretch.phase) == (Path.POD, "warm"):
                await ladder.rest(crew, stretch, outcome)
            else:
                await latency.measure(crew, stretch, outcome)
    if capacity is not None:
        for steps in planned.climbs:
            climbing = (
                ladder.measure(crew, visit.mode, step, capacity, drawn.pace, outcome)
                for step in steps
            )
            await asyncio.gather(*climbing)
    if planned.phase == "warm":
        for name in pairwise.chosen(drawn.probes):
            for path in pairwise.PATHS:
                asked = (
                    pairs.measure(crew, visit.mode, name, path, pair, outcome)
                    for pair in planned.pairs
                )
                await asyncio.gather(*asked)
    for batch in planned.batches:
        await asyncio.gather(
            *(transfer.measure(crew, visit.mode, one, drawn.pace, outcome) for one in batch)
        )
    return outcome


def _stretches(visit: plan.Visit, planned: plan.Round, pace: Pace) -> list[latency.Stretch]:
    if planned.phase == "idle":
        steps = [(Path.POD, plan.IDLE_PPS, pace.idle_s)]
    else:
        steps = [
            (Path.POD, plan.WARM_PPS, pace.warm_pod_s),
            (Path.HOST, plan.WARM_PPS, pace.warm_host_s),
        ]
    return [
        latency.Stretch(
            pairs=planned.pairs,
            mode=visit.mode,
            path=path,
            phase=planned.phase,
            rate_pps=rate_pps,
            duration_s=duration_s,
        )
        for path, rate_pps, duration_s in steps
    ]


def keep(
    rundir: RunDir,
    journal: Journal,
    run_id: str,
    place: tuple[plan.Visit, plan.Round],
    got: Outcome,
) -> None:
    """Writes a round's samples, then the journal line that says they are whole.

    Raises:
        StoreError: The disk is full or lost; earlier rounds stay whole.
    """
    visit, planned = place
    for probe, by_path in (
        ("latency", got.latency),
        ("throughput", got.throughput),
        ("ladder", got.ladder),
        *got.pairwise.items(),
    ):
        for path, parts in by_path.items():
            arm = visit.arm.on(path)
            where = rundir.samples(probe, visit.block, arm, planned.number)
            samples.write(where, probe, [_placed(run_id, visit, planned, arm, p) for p in parts])
    for stem, text in got.raw.items():
        name = f"round-{planned.number:02d}-{stem}"
        rundir.write_raw(rundir.raw(visit.block, visit.arm, name), text)
    journal.write(
        Entry(
            event="round",
            wall_ns=time.time_ns(),
            block=visit.block,
            arm=visit.arm.name,
            round=planned.number,
            start_mono_ns=min((s.start_mono_ns for s in got.spans), default=None),
            end_mono_ns=max((s.end_mono_ns for s in got.spans), default=None),
            spans=tuple(got.spans),
            failures=tuple(got.failures),
        )
    )


def _placed(run_id: str, visit: plan.Visit, planned: plan.Round, arm: Arm, part: Part) -> Part:
    table, constants = part
    place: dict[str, Scalar] = {
        "run_id": run_id,
        "block": visit.block,
        "round": planned.number,
        "arm": arm.name,
        "mode": str(arm.mode),
        "path": str(arm.path),
    }
    return table, {**place, **constants}
