"""Carries out one round and puts it on disk.

A measurement that cannot be taken becomes a failure record or a row with its reason; it never ends
the round. Nothing is sent to or from an agent while a probe runs but the probe itself.
"""

import asyncio
import time
from collections.abc import Iterable

import msgspec

from podbench.campaign import latency, loads, pairs, pairwise, plan, transfer
from podbench.campaign.agents import Crew, Outcome, Part
from podbench.campaign.journal import Entry, Journal, Kept, kept, lost
from podbench.campaign.ladder import step as ladder
from podbench.campaign.ladder.capacity import Capacity
from podbench.campaign.pace import Pace
from podbench.cni.base import LoadMeter
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
    meter: LoadMeter | None = None,
) -> Outcome:
    """Measures one round of a visit: latency, then load steps, then transfers, batch by batch.

    With a meter each load is proven by its own packets.
    """
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
            async with loads.proven(meter, _ends(steps), outcome):
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
        over_pods = [one for one in batch if one.path is Path.POD]
        async with loads.proven(meter, _ends(over_pods), outcome):
            await asyncio.gather(
                *(transfer.measure(crew, visit.mode, one, drawn.pace, outcome) for one in batch)
            )
    return outcome


def _ends(loaded: Iterable[plan.Step | plan.Transfer]) -> list[str]:
    return [name for one in loaded for name in (one.src, one.dst)]


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
    counters: Kept | None = None,
) -> None:
    """Writes a round's samples, then the journal line that says they are whole.

    A round that was lost before and is lost again leaves what there is as it is.

    Raises:
        StoreError: The disk is full or lost; earlier rounds stay whole.
    """
    visit, planned = place
    entry = _entry(visit, planned, got)
    if lost(entry) and _known(journal, entry):
        journal.note(
            "lost again", f"block {visit.block} {visit.arm.name} round {planned.number} again"
        )
        return
    files = [] if counters is None else [counters]
    for probe, by_path in (
        ("latency", got.latency),
        ("throughput", got.throughput),
        ("ladder", got.ladder),
        *got.pairwise.items(),
    ):
        for path, parts in by_path.items():
            arm = visit.arm.on(path)
            where = rundir.samples(probe, visit.block, arm, planned.number)
            rows = [_placed(run_id, visit, planned, arm, p) for p in parts]
            files.append(kept(rundir, where, samples.write(where, probe, rows)))
    for stem, text in got.raw.items():
        name = f"round-{planned.number:02d}-{stem}"
        rundir.write_raw(rundir.raw(visit.block, visit.arm, name), text)
    journal.write(msgspec.structs.replace(entry, kept=tuple(files)))


def _entry(visit: plan.Visit, planned: plan.Round, got: Outcome) -> Entry:
    return Entry(
        event="round",
        wall_ns=time.time_ns(),
        block=visit.block,
        arm=visit.arm.name,
        round=planned.number,
        start_mono_ns=min((s.start_mono_ns for s in got.spans), default=None),
        end_mono_ns=max((s.end_mono_ns for s in got.spans), default=None),
        spans=tuple(got.spans),
        failures=tuple(got.failures),
        proofs=tuple(got.proofs),
    )


def _known(journal: Journal, entry: Entry) -> bool:
    """Whether this round has a line already."""
    place = (entry.block, entry.arm, entry.round)
    return any((e.block, e.arm, e.round) == place for e in journal.entries() if e.event == "round")


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
