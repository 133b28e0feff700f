"""A probe of a pair exists by its file: found, planned, measured and written, or a row says why."""

import asyncio
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.specs import make_spec

from podbench.campaign import pairs, pairwise, plan, rounds
from podbench.campaign.agents import Crew, Outcome
from podbench.campaign.journal import Journal
from podbench.model.arms import Mode
from podbench.model.arms import Path as ArmPath
from podbench.model.nodes import AgentId, Node, Pod
from podbench.store import rundir as store
from podbench.store import schemas
from podbench.transport.base import Fleet, Reply
from podbench.wire import messages

DEMO = """
DURATION_S = 0.25

def settings(near, far):
    return {"bind_address": far.address}, {"bind_address": near.address}
"""


class FakeFleet:
    """Agents that answer at once; `refuse` is an agent that has no such probe."""

    def __init__(self, refuse: str | None = None) -> None:
        self.agents: dict[AgentId, messages.AgentStatus] = {}
        self.asked: list[tuple[AgentId, messages.RunProbe]] = []
        self._refuse = refuse

    async def ask(self, agent: AgentId, command: messages.Command, _: float) -> Reply:
        """A port, or two rows."""
        assert isinstance(command, messages.RunProbe)
        self.asked.append((agent, command))
        if agent == self._refuse:
            return Reply(messages.Failed(reason="no such probe"), {})
        if command.part == "serve":
            return Reply(messages.Done(facts={"port": 4711}), {})
        rows = {"start_mono_ns": np.array([5, 6]), "rtt_ns": np.array([70, 80])}
        return Reply(messages.Done(), {command.name: rows})


def _crew(fleet: FakeFleet) -> Crew:
    def node(number: int) -> Node:
        name = f"n{number}"
        pod = Pod(f"{name}-vxlan", name, Mode.VXLAN, f"10.1.0.{number}", AgentId(f"{name}-v"), 1450)
        return Node(name, f"192.0.2.{number}", AgentId(f"{name}-host"), 1500, (pod,))

    held: Fleet = fleet  # type: ignore[assignment] # the one method that is used
    return Crew([node(1), node(2)], held)


def _measure(fleet: FakeFleet, path: ArmPath) -> Outcome:
    outcome = Outcome()
    asyncio.run(pairs.measure(_crew(fleet), Mode.VXLAN, "rr", path, ("n1", "n2"), outcome))
    return outcome


def test_the_far_end_listens_before_the_near_one_asks() -> None:
    """On the host path the nodes' agents and addresses, on the pod path the pods'."""
    fleet = FakeFleet()
    _measure(fleet, ArmPath.HOST)
    (far, serve), (near, run) = fleet.asked
    assert (far, serve.part, serve.settings["bind_address"]) == ("n2-host", "serve", "192.0.2.2")
    assert (near, run.part, run.settings["peer_port"]) == ("n1-host", "run", 4711)
    assert run.settings["peer_address"] == "192.0.2.2"
    assert run.lasts_s == pairwise.load("rr").DURATION_S


def test_a_failed_probe_is_a_row_and_a_failure() -> None:
    """Null with its reason, never an absence."""
    outcome = _measure(FakeFleet(refuse="n2-v"), ArmPath.POD)
    ((rows, place),) = outcome.pairwise["rr"][ArmPath.POD]
    assert np.ma.getmaskarray(rows["rtt_ns"]).tolist() == [True]
    assert place["reason"] == "n2-v: no such probe"
    assert [(f.kind, f.src, f.dst) for f in outcome.failures] == [("rr", "n1", "n2")]


def test_a_file_in_the_folder_is_a_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, its share of a block's time, its rounds and its samples: nothing else is told."""
    (tmp_path / "demo.py").write_text(DEMO)
    monkeypatch.setattr(pairwise, "__path__", [*pairwise.__path__, str(tmp_path)])
    monkeypatch.setitem(schemas.BY_PROBE, "demo", schemas.BY_PROBE["rr"])
    assert set(pairwise.names()) == {"demo", "rr"}
    drawn, idle = (
        plan.draw(make_spec(blocks=1, probes=probes), ["n1", "n2"], exclusive=True)
        for probes in (("demo",), ("rr",))
    )
    both_paths_s = 2 * (pairwise.load("rr").DURATION_S - 0.25)
    assert idle.block_s - drawn.block_s == pytest.approx(both_paths_s * len(drawn.visits))

    rundir = store.create(tmp_path / "run")
    visit = next(v for v in drawn.visits if v.mode == Mode.VXLAN)
    (planned,) = [r for r in visit.rounds if r.phase == "warm"]
    got = asyncio.run(rounds.measure(_crew(FakeFleet()), visit, planned, drawn))
    rounds.keep(rundir, Journal(rundir.journal), "r", (visit, planned), got)
    files = sorted((rundir.path / "samples/demo").rglob("*.parquet"))
    assert [file.parent.name for file in files] == ["vxlan-host", "vxlan-pod"]
    table = pq.read_table(files[1])
    assert table["rtt_ns"].to_pylist() == [70, 80]
    assert set(table["src"].to_pylist()) | set(table["dst"].to_pylist()) == {"n1", "n2"}
