"""What `run.json` says of a run, its nodes and its agents."""

import re
from pathlib import Path

import pytest
from support.specs import make_spec

from podbench.campaign import record
from podbench.campaign.options.table import Options
from podbench.model.arms import Mode
from podbench.model.nodes import AgentId, Node, Pod
from podbench.store import rundir as store
from podbench.wire.messages import AgentStatus

LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
"""A label's value, as Kubernetes takes it."""


@pytest.mark.parametrize(
    "name", ["20261125T010203Z-kubernetes-calico", "my run!", "-", "ä", "x" * 99]
)
def test_a_run_s_id_can_be_a_label(name: str) -> None:
    """Whatever the directory is called; a name that can be kept is what it begins with."""
    found = record.run_id(Path("/runs") / name)
    assert LABEL.fullmatch(found)
    if LABEL.fullmatch(name):
        assert found.startswith(f"{name}-")


def test_two_runs_of_one_name_are_two(tmp_path: Path) -> None:
    """`--out run` of two people on one cluster; run.json keeps the id, and reading makes none."""
    ids = set()
    for who in ("one", "other"):
        (tmp_path / who).mkdir()
        rundir = store.create(tmp_path / who / "run")
        record.begin(rundir, Options(), make_spec())
        ids |= {rundir.read_json(rundir.run_json, record.RunRecord).run_id for _ in range(2)}
    assert len(ids) == 2


def test_an_arm_has_the_smallest_mtu_of_its_pods() -> None:
    """As its agents read it, once there are any."""
    arm = record.ArmRecord(mode=Mode.BGP, implementation="x", pod_mtu=1500)
    assert record.with_mtu(arm, []).pod_mtu == 1500
    nodes = [_node("n1", 1450), _node("n2", 1400)]
    assert record.with_mtu(arm, nodes).pod_mtu == 1400


def _node(name: str, mtu: int) -> Node:
    pod = Pod(f"p-{name}", name, Mode.BGP, "192.0.2.1", AgentId(f"{name}-bgp"), mtu)
    return Node(name, "192.0.2.2", AgentId(f"{name}-host"), 1500, pods=(pod,))


def test_versions_of_agents_that_differ_are_all_told() -> None:
    """Their iperf3 and their own; absent is null."""

    def status(name: str, version: str, iperf3: str | None) -> AgentStatus:
        return AgentStatus(
            agent=AgentId(name), online=True, version=version, capabilities={"iperf3": iperf3}
        )

    agents = {AgentId(n): status(n, "1", v) for n, v in (("a", "3.16"), ("b", "3.12"))}
    assert record.versions_in(agents) == {"podbench_agent": "1", "iperf3": "3.12, 3.16"}
    assert record.versions_in({AgentId("a"): status("a", "1", None)})["iperf3"] is None
