"""A run with a budget stops when every headline comparison is decided, and says what is open."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec
import pytest
from support import synthetic
from support.specs import make_spec

from podbench.analysis.samples.inputs import Inputs
from podbench.campaign import looks, plan, record, session
from podbench.campaign.journal import DECIDED, LOOK, Entry, Journal
from podbench.campaign.progress import Silent
from podbench.cni.base import World
from podbench.model.arms import Mode
from podbench.results import gather
from podbench.store import rundir as store
from podbench.store.rundir import RunDir

NODES = ("n1", "n2")
STEADY = synthetic.Truth(
    rtt_ns={"vxlan": 30_000.0, "bgp": 8_000.0},
    app_extra_ns=1_000.0,
    ar1=0.0,
    run_sd=0.0005,
    pair_sd=0.0,
    drift_sd=0.0,
    tail_share=0.0,
    goodput_run_sd=0.0005,
)
"""Modes so far apart, and so steady, that five blocks decide everything."""
NOISY = synthetic.Truth(rtt_ns={"vxlan": 8_100.0, "bgp": 8_000.0}, run_sd=0.10)


class Said(Silent):
    """Keeps what looks left open."""

    def __init__(self) -> None:
        self.open: list[tuple[int, list[str]]] = []

    def looked(self, block: int, still_open: Sequence[str]) -> None:
        """Keeps a look."""
        self.open.append((block, list(still_open)))


def _begun(budget_s: float | None) -> record.RunRecord:
    spec = make_spec(blocks=None if budget_s else 15, budget_s=budget_s)
    return record.RunRecord(
        run_id="r",
        name=None,
        labels={},
        status="running",
        started=record.now(),
        ended=None,
        target="lab",
        spec=spec,
        options={},
        seed=spec.seed,
        versions={},
    )


def _look(
    tmp_path: Path,
    truth: synthetic.Truth,
    *,
    block: int = 5,
    budget_s: float | None = 900.0,
) -> tuple[bool, Said, RunDir]:
    rundir = store.create(tmp_path / "r")
    begun = _begun(budget_s)
    drawn = plan.draw(begun.spec, NODES, exclusive=True)
    shape = synthetic.Shape(nodes=2, blocks=5, modes=("vxlan", "bgp"), host=False)

    def gathered(_: RunDir, __: record.RunRecord) -> Inputs:
        return synthetic.run(3, shape, truth)

    said = Said()
    stopped = asyncio.run(looks.settled(gathered, rundir, begun, drawn, block, said))
    return stopped, said, rundir


def test_it_stops_when_everything_is_decided(tmp_path: Path) -> None:
    """The look is journalled as the one that decided, and planned blocks end there."""
    stopped, said, rundir = _look(tmp_path, STEADY)
    assert stopped
    assert said.open == [(5, [])]
    entries = Journal(rundir.journal).entries()
    assert [(e.event, e.block) for e in entries] == [(DECIDED, 5)]
    assert "every headline comparison is decided" in (entries[0].note or "")


def test_it_goes_on_and_names_what_is_open(tmp_path: Path) -> None:
    """An open comparison keeps the run going and is told to the user and to the journal."""
    stopped, said, rundir = _look(tmp_path, NOISY)
    assert not stopped
    ((block, names),) = said.open
    assert block == 5
    (entry,) = Journal(rundir.journal).entries()
    assert entry.event == LOOK
    assert "rtt_kernel_ns.p50 of vxlan/pod against bgp/pod" in names
    assert entry.note == "; ".join(names)


@pytest.mark.parametrize(("block", "budget_s"), [(4, 900.0), (5, None)])
def test_no_look_is_due(tmp_path: Path, block: int, budget_s: float | None) -> None:
    """Between looks, and where a number of blocks was asked for, nothing is looked at."""
    stopped, said, rundir = _look(tmp_path, STEADY, block=block, budget_s=budget_s)
    assert not stopped
    assert not said.open
    assert not Journal(rundir.journal).entries()


def test_one_mode_uses_its_budget(tmp_path: Path) -> None:
    """Where nothing is compared nothing is decided, and the time given is measured."""
    rundir = store.create(tmp_path / "r")
    begun = _begun(900.0)
    spec = msgspec.structs.replace(make_spec(blocks=6), modes=(Mode.BGP,))
    drawn = plan.draw(spec, NODES, exclusive=True)
    shape = synthetic.Shape(nodes=2, blocks=5, modes=("bgp",), host=False)

    def gathered(_: RunDir, __: record.RunRecord) -> Inputs:
        return synthetic.run(3, shape, STEADY)

    assert not asyncio.run(looks.settled(gathered, rundir, begun, drawn, 5, Said()))
    assert not Journal(rundir.journal).entries()


def test_a_decided_run_is_complete() -> None:
    """Blocks that were not needed any more are not missing."""
    drawn = plan.draw(make_spec(blocks=6), NODES, exclusive=True)
    entries = [
        Entry(event="round", wall_ns=1, block=v.block, arm=v.arm.name, round=r.number)
        for v in drawn.visits
        if v.block <= 5
        for r in v.rounds
    ]
    entries.append(Entry(event=DECIDED, wall_ns=2, block=5))
    facts = gather.plan_facts(drawn, entries, absent=())
    assert (facts.blocks_planned, facts.blocks_done) == (5, 5)
    assert facts.decided_early
    assert facts.looks == (5,)


def test_a_mode_that_cannot_be_had_leaves_no_gap() -> None:
    """A block is whole when every arm that exists here was measured."""
    drawn = plan.draw(make_spec(blocks=1), NODES, exclusive=True)
    entries = [
        Entry(event="round", wall_ns=1, block=v.block, arm=v.arm.name, round=r.number)
        for v in drawn.visits
        if v.mode != Mode.IPIP
        for r in v.rounds
    ]
    assert gather.plan_facts(drawn, entries, absent=()).blocks_done == 0
    assert gather.plan_facts(drawn, entries, absent=(Mode.IPIP,)).blocks_done == 1


def test_a_session_looks_after_a_blocks_last_visit_and_then_measures_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look a block, none that the journal has already; a deciding one ends the measuring."""
    asked: list[int] = []

    async def decided(*given: object) -> bool:
        asked.append(int(str(given[4])))
        return asked[-1] == 2

    monkeypatch.setattr(looks, "settled", decided)
    running = session.Session(store.create(tmp_path / "r"), _begun(900.0), Silent(), gather.inputs)
    running.plan = plan.draw(running.record.spec, NODES, exclusive=True)
    running.journal.write(Entry(event=LOOK, wall_ns=1, block=1))
    for visit in running.plan.visits:
        asyncio.run(running._look(visit))
    assert asked == [2]
    nowhere = cast("World", object())
    later = [visit for visit in running.plan.visits if visit.block == 3]
    measured = [asyncio.run(running._turned(nowhere, v, list(running.plan.modes))) for v in later]
    assert measured == [False] * len(later)
    assert later
