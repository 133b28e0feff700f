"""Changing a cluster's own mode: written by the right object, waited for, rolled back, guarded."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from support import calico, flannel
from support.apiserver.server import ApiServer
from support.cluster import Object, at, cluster, put, until
from support.proofs import arm, unseen

from podbench.cni.detect.cluster import detect_cluster
from podbench.cni.edits import Recipe
from podbench.cni.recipes import recipe
from podbench.model.arms import Mode
from podbench.model.errors import ClusterError, InterferenceError, ProbeError
from podbench.model.facts import ArmProof
from podbench.target.kubernetes.api.client import Api, ApiError
from podbench.target.kubernetes.survey.collect import collect
from podbench.target.kubernetes.switch import convergence
from podbench.target.kubernetes.switch.change import Switch, Values
from podbench.target.kubernetes.switch.convergence import Turning

GROUPS = {"projectcalico.org", "crd.projectcalico.org", "operator.tigera.io"}
POOL = "default-ipv4-ippool"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convergence, "LOOK_S", 0.02)
    monkeypatch.setattr(convergence, "CONVERGE_S", 1.0)


class Stage:
    """A cluster whose nodes' routes follow its pool, or do not."""

    def __init__(self, server: ApiServer, switch: Switch) -> None:
        self.server, self.switch = server, switch
        self.said: list[str] = []
        self.turning = Turning(switch, self.said.append)
        self.stuck: Mode | None = None
        """What the nodes go on doing, whatever the pool says."""
        self.dark = False
        """Whether one of the two directions cannot be looked at."""
        self.hidden = False
        """Whether none can: proofs tell so pair by pair."""
        self.blind = 0
        """Looks that fail: an agent that is out of reach for a moment."""

    def routes(self) -> Mode:
        """The mode that the nodes' routes show."""
        if self.stuck is not None:
            return self.stuck
        spec = self.spec()
        if spec.get("vxlanMode", "Never") == "Always":
            return Mode.VXLAN
        return Mode.IPIP if spec.get("ipipMode", "Never") == "Always" else Mode.BGP

    def spec(self) -> Object:
        """The pool's specification."""
        pool = at(self.server, "IPPool", POOL)
        assert pool is not None
        spec: Object = pool["spec"]
        return spec

    async def turn(self, mode: Mode) -> str | None:
        """One turn, seen through these routes."""

        async def prove() -> ArmProof:
            if self.blind:
                self.blind -= 1
                raise ProbeError("n1-host: out of reach")
            return unseen(mode) if self.hidden else arm(mode, self.routes(), dark=self.dark)

        return await self.turning.turn(mode, prove)

    def writes(self) -> list[str]:
        """What was written since the last look, and forgets it."""
        found = [each for each in self.server.requests if each.split()[0] in ("PUT", "PATCH")]
        self.server.requests.clear()
        return [each.rpartition("/")[2] for each in found]


def on_calico(
    folder: Path, scene: Callable[[Stage], Awaitable[None]], *, operator: bool = False
) -> None:
    """Plays a scene on Calico, owned by an operator or not."""

    async def run() -> None:
        async with cluster(folder, ApiServer(groups=GROUPS)) as (server, api):
            calico.install(server, vxlan="CrossSubnet", operator=operator)
            switch = await prepared(api)
            await scene(Stage(server, switch))

    asyncio.run(asyncio.wait_for(run(), 40))


async def prepared(api: Api) -> Switch:
    """A switch that has read what it is going to change."""
    facts = await collect(api)
    switch = Switch(api, recipe(facts, detect_cluster(facts)))
    await switch.read()
    return switch


def test_each_turn_is_one_write_and_the_first_state_comes_back(tmp_path: Path) -> None:
    """VXLAN, BGP, BGP again, IPIP; then as found, field by field."""

    async def scene(stage: Stage) -> None:
        before = stage.spec()
        for mode, writes in ((Mode.VXLAN, 1), (Mode.BGP, 1), (Mode.BGP, 0), (Mode.IPIP, 1)):
            assert await stage.turn(mode) is None
            assert stage.routes() is mode
            assert stage.writes() == [POOL] * writes
        await stage.turning.back()
        assert stage.spec() == before

    on_calico(tmp_path, scene)


def test_the_operator_s_pool_is_reached_through_its_installation(tmp_path: Path) -> None:
    """Only the Installation is written; the pool follows, and goes back the same way."""

    async def scene(stage: Stage) -> None:
        assert await stage.turn(Mode.IPIP) is None
        assert stage.spec()["ipipMode"] == "Always"
        assert stage.writes() == ["default"]
        await stage.turning.back()
        assert stage.spec()["vxlanMode"] == "CrossSubnet"
        assert stage.writes() == ["default"]

    on_calico(tmp_path, scene, operator=True)


def test_an_operator_that_brings_no_pool_after_is_named(tmp_path: Path) -> None:
    """Older ones make pools once: the mode is not had, and the Installation is as before."""

    async def scene(stage: Stage) -> None:
        stage.server.controllers.operator_paused = True
        reason = await stage.turn(Mode.BGP)
        assert reason is not None
        assert f"IPPool {POOL} does not follow Installation default" in reason
        assert reason.endswith("rolled back")
        body = at(stage.server, "Installation", "default")
        assert body is not None
        assert body["spec"]["calicoNetwork"]["ipPools"][0]["encapsulation"] == "VXLANCrossSubnet"

    on_calico(tmp_path, scene, operator=True)


def test_a_mode_that_does_not_converge_is_rolled_back_and_the_next_one_tried(
    tmp_path: Path,
) -> None:
    """The reason says what was seen instead; the run goes on."""

    async def scene(stage: Stage) -> None:
        assert await stage.turn(Mode.VXLAN) is None
        stage.stuck = Mode.VXLAN
        reason = await stage.turn(Mode.IPIP)
        assert reason == (
            "did not converge in 1 s: 0 of 2 directed pairs take ipip, seen is vxlan; rolled back"
        )
        assert stage.spec()["vxlanMode"] == "Always"
        stage.stuck = None
        assert await stage.turn(Mode.BGP) is None

    on_calico(tmp_path, scene)


def test_a_roll_back_that_does_not_converge_ends_the_run(tmp_path: Path) -> None:
    """Nodes that follow neither way are nothing to measure on."""

    async def scene(stage: Stage) -> None:
        assert await stage.turn(Mode.VXLAN) is None
        turning_to_bgp = asyncio.create_task(stage.turn(Mode.IPIP))
        await until(lambda: stage.spec()["ipipMode"] == "Always")
        stage.stuck = Mode.BGP
        with pytest.raises(ClusterError, match="rolling the mode back did not converge"):
            await turning_to_bgp

    on_calico(tmp_path, scene)


def test_a_roll_back_that_nobody_sees_is_none(tmp_path: Path) -> None:
    """With every agent out of reach nobody can say that the mode as found is back."""

    async def scene(stage: Stage) -> None:
        assert await stage.turn(Mode.VXLAN) is None
        turning_to_ipip = asyncio.create_task(stage.turn(Mode.IPIP))
        await until(lambda: stage.spec()["ipipMode"] == "Always")
        stage.hidden = True
        with pytest.raises(ClusterError, match="rolling the mode back did not converge"):
            await turning_to_ipip

    on_calico(tmp_path, scene)


def test_an_agent_that_is_out_of_reach_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """A look that fails is no answer; the next one is."""

    async def scene(stage: Stage) -> None:
        stage.blind = 3
        assert await stage.turn(Mode.BGP) is None

    on_calico(tmp_path, scene)


def test_a_node_that_cannot_be_asked_keeps_no_mode_from_the_others(tmp_path: Path) -> None:
    """Dark before and dark after: the pairs that can be seen decide; seen before, it is missed."""

    async def scene(stage: Stage) -> None:
        stage.dark = True
        assert await stage.turn(Mode.BGP) is None
        stage.dark = False
        assert await stage.turn(Mode.VXLAN) is None
        turning_back = asyncio.create_task(stage.turn(Mode.BGP))
        await until(lambda: stage.spec()["vxlanMode"] == "Never")
        stage.dark = True
        reason = await turning_back
        assert reason is not None
        assert "1 of 2 directed pairs take bgp" in reason

    on_calico(tmp_path, scene)


def test_somebody_s_change_before_ours_is_not_written_over(tmp_path: Path) -> None:
    """Whatever field of the specification it was: told with it and with the writer, exit 3."""

    async def scene(stage: Stage) -> None:
        assert await stage.turn(Mode.VXLAN) is None
        pool = at(stage.server, "IPPool", POOL)
        assert pool is not None
        pool["spec"]["natOutgoing"] = True
        pool["metadata"]["managedFields"].append({"manager": "calicoctl", "time": "2999"})
        put(stage.server, pool)
        stage.writes()
        with pytest.raises(InterferenceError, match=r"\.spec\.natOutgoing.*calicoctl") as caught:
            await stage.turn(Mode.BGP)
        assert caught.value.exit_code == 3
        assert stage.writes() == []

    on_calico(tmp_path, scene)


def _between(stage: Stage, change: Callable[[Object], None], monkeypatch: Any) -> None:
    """Somebody writes the pool between our reading and our writing, once."""
    api = stage.switch._api
    replace = api.replace

    async def beaten(path: str, body: Object) -> Object:
        monkeypatch.setattr(api, "replace", replace)
        pool = at(stage.server, "IPPool", POOL)
        assert pool is not None
        change(pool)
        put(stage.server, pool)
        return await replace(path, body)

    monkeypatch.setattr(api, "replace", beaten)


def test_putting_back_at_the_end_costs_no_result(tmp_path: Path) -> None:
    """Somebody wrote it in the last moment: told, not written over, and left to undoing."""

    async def scene(stage: Stage) -> None:
        assert await stage.turn(Mode.BGP) is None
        pool = at(stage.server, "IPPool", POOL)
        assert pool is not None
        pool["spec"]["ipipMode"] = "CrossSubnet"
        put(stage.server, pool)
        await stage.turning.back()
        assert ".spec.ipipMode" in stage.said[-1]
        assert stage.spec()["ipipMode"] == "CrossSubnet"

    on_calico(tmp_path, scene)


def test_a_write_in_the_same_instant_is_a_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server refuses ours; theirs to the specification ends the run, and stays."""

    async def scene(stage: Stage) -> None:
        _between(stage, lambda pool: pool["spec"].update(disabled=True), monkeypatch)
        with pytest.raises(InterferenceError, match=r"\.spec\.disabled"):
            await stage.turn(Mode.BGP)
        assert stage.spec()["disabled"] is True
        assert stage.spec()["vxlanMode"] == "CrossSubnet"

    on_calico(tmp_path, scene)


def test_a_status_written_in_the_same_instant_is_gone_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Controllers write status all the time: ours goes on top of the newer object."""

    async def scene(stage: Stage) -> None:
        _between(stage, lambda pool: pool.update(status={"seen": 1}), monkeypatch)
        assert await stage.turn(Mode.BGP) is None
        found = at(stage.server, "IPPool", POOL)
        assert found is not None
        assert found["status"] == {"seen": 1}

    on_calico(tmp_path, scene)


def test_an_answer_that_is_lost_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written, and the connection broke: one write, and no conflict with ourselves."""

    async def scene(stage: Stage) -> None:
        api = stage.switch._api
        replace = api.replace

        async def lost(path: str, body: Object) -> Object:
            await replace(path, body)
            raise ApiError("reset", status=0)

        monkeypatch.setattr(api, "replace", lost)
        assert await stage.turn(Mode.BGP) is None
        assert stage.writes() == [POOL]

    on_calico(tmp_path, scene)


def test_labels_and_status_are_nobody_s_interference(tmp_path: Path) -> None:
    """They move the version of the object, not the mode: the newer object gets our fields."""

    async def scene(stage: Stage) -> None:
        pool = at(stage.server, "IPPool", POOL)
        assert pool is not None
        pool["metadata"]["labels"] = {"team": "net"}
        put(stage.server, pool)
        assert await stage.turn(Mode.BGP) is None
        found = at(stage.server, "IPPool", POOL)
        assert found is not None
        assert found["metadata"]["labels"] == {"team": "net"}
        assert await stage.switch.disturbances() == []

    on_calico(tmp_path, scene)


def test_a_controller_that_writes_it_back_is_seen(tmp_path: Path) -> None:
    """Of the object that was written, and of the one that was to follow."""

    async def scene(stage: Stage) -> None:
        assert await stage.turn(Mode.BGP) is None
        assert await stage.switch.disturbances() == []
        body = at(stage.server, "Installation", "default")
        assert body is not None
        body["spec"]["calicoNetwork"]["ipPools"][0]["encapsulation"] = "IPIP"
        put(stage.server, body)
        await until(lambda: stage.spec()["ipipMode"] == "Always")
        found = await stage.switch.disturbances()
        assert [each.partition(":")[0] for each in found] == [
            "Installation default",
            f"IPPool {POOL}",
        ]

    on_calico(tmp_path, scene, operator=True)


def test_a_change_that_the_server_refuses_leaves_the_mode_out(tmp_path: Path) -> None:
    """Validation or rights: its words, and everything as before."""

    async def scene(stage: Stage) -> None:
        assert await stage.turn(Mode.VXLAN) is None
        stage.server.denied.add(("admin", "update", "ippools"))
        reason = await stage.turn(Mode.BGP)
        assert reason is not None
        assert reason.startswith("the server refuses the change")
        assert "forbidden" in reason

    on_calico(tmp_path, scene)


def test_flannel_is_rolled_out_after_each_change(tmp_path: Path) -> None:
    """ConfigMap, then new pods on every node; both go back as they were."""

    async def run() -> None:
        async with cluster(tmp_path) as (server, api):
            flannel.install(server)
            await until(lambda: len(flannel.pods(server)) == 3)
            first = flannel.pods(server)
            switch = await prepared(api)

            def follows(mode: Mode) -> Mode:
                """Routes change where flanneld has started anew."""
                new = flannel.pods(server)
                return mode if len(new) == 3 and not set(new) & set(first) else Mode.VXLAN

            async def prove() -> ArmProof:
                return arm(Mode.HOST_GW, follows(Mode.HOST_GW))

            async def prove_quickly() -> ArmProof:
                """As if the nodes that take part were the first to be replaced."""
                return arm(Mode.VXLAN, Mode.VXLAN)

            turned = Turning(switch, lambda _: None)
            assert await turned.turn(Mode.HOST_GW, prove) is None
            assert json.loads(flannel.conf(server))["Backend"]["Type"] == "host-gw"
            second = flannel.pods(server)
            assert await turned.turn(Mode.VXLAN, prove_quickly) is None
            third = flannel.pods(server)
            assert (len(third), set(second) & set(third)) == (3, set())
            marked = at(server, "DaemonSet", "kube-flannel-ds", "kube-flannel")
            await switch.write(switch.first())
            assert flannel.conf(server) == flannel.CONF
            plain = at(server, "DaemonSet", "kube-flannel-ds", "kube-flannel")
            assert marked is not None
            assert plain is not None
            assert "podbench.io/backend" in json.dumps(marked["spec"])
            assert "podbench.io/backend" not in json.dumps(plain["spec"])

    asyncio.run(asyncio.wait_for(run(), 40))


class RollingOut:
    """A switch whose roll-out reaches a node a minute, by a clock that only it moves."""

    def __init__(self, nodes: int, stuck_at: int | None, clock: list[float]) -> None:
        self.recipe = Recipe(by="ConfigMap kube-flannel-cfg", edits={})
        self.rolled_out = nodes
        """Of the turn before."""
        self._nodes, self._stuck_at, self._clock = nodes, stuck_at, clock
        self._reached = 0
        self._limit: int | None = None

    def now(self) -> Values:
        """Nothing that matters here."""
        return {}

    def values(self, mode: Mode) -> Values:
        """As little."""
        return {}

    def stands(self, mode: Mode) -> bool:
        """It always is to be changed."""
        return False

    async def write(self, values: Values) -> None:
        """The first turn may be stuck; rolling back is not."""
        self._reached = 0
        self._stuck_at, self._limit = None, self._stuck_at

    async def followed(self) -> str | None:
        """One node more, a minute later."""
        self._clock[0] += 60.0
        if self._reached != self._limit:
            self._reached = min(self._reached + 1, self._nodes)
        self.rolled_out = self._reached
        told = f"{self._reached} of {self._nodes} nodes have the new pod"
        return None if self._reached == self._nodes else told


@pytest.mark.parametrize("stuck_at", [None, 3])
def test_a_roll_out_may_take_longer_the_more_nodes_there_are(
    monkeypatch: pytest.MonkeyPatch, stuck_at: int | None
) -> None:
    """Ten nodes in ten minutes converge; one that gets no further for 90 s is rolled back."""
    monkeypatch.setattr(convergence, "LOOK_S", 0.0)
    monkeypatch.setattr(convergence, "CONVERGE_S", 90.0)
    clock = [0.0]

    async def prove() -> ArmProof:
        return arm(Mode.VXLAN, Mode.VXLAN)

    async def run() -> str | None:
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock[0])
        switch = cast("Switch", cast("Any", RollingOut(10, stuck_at, clock)))
        return await Turning(switch, lambda _: None).turn(Mode.VXLAN, prove)

    assert asyncio.run(run()) == (
        None
        if stuck_at is None
        else "did not converge in 90 s after node 3 of its roll-out: "
        "3 of 10 nodes have the new pod; rolled back"
    )
    assert clock[0] > 600.0
