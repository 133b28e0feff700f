"""The canary's orchestrator side, with agents that are plain answers."""

import asyncio
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import msgspec
import pytest
from support.cluster import until

from podbench.model.errors import ClusterError
from podbench.model.nodes import AgentId
from podbench.target.kubernetes.guard import canary
from podbench.target.kubernetes.guard.canary import Perch, Watchman
from podbench.transport.base import Reply
from podbench.wire import messages


def perches(count: int) -> tuple[Perch, ...]:
    """Nodes n1, n2, ..."""
    return tuple(
        Perch(
            node=f"n{n}",
            host=AgentId(f"n{n}-host"),
            host_address=f"172.18.0.{n}",
            pod=AgentId(f"n{n}-canary"),
            pod_address=f"10.0.0.{n}",
        )
        for n in range(1, count + 1)
    )


class Agents:
    """A fleet whose agents watch until told otherwise."""

    def __init__(self, count: int) -> None:
        names = [each for perch in perches(count) for each in (perch.host, perch.pod)]
        self.agents = {
            name: messages.AgentStatus(
                agent=name, online=True, pid=1, capabilities={"reflector_port": "8620"}
            )
            for name in names
        }
        self.gone: set[AgentId] = set()
        self.held: dict[AgentId, float] = {}
        self.kept: Counter[AgentId] = Counter()
        self.orders: dict[AgentId, messages.WatchPath] = {}
        self._ends: dict[AgentId, asyncio.Future[str | None]] = {}
        self._all = asyncio.Event()

    async def wait_ready(self, agents: Collection[AgentId], timeout_s: float) -> None:
        """They are."""

    async def begun(self) -> None:
        """Returns once every agent watches."""
        await self._all.wait()

    def lapse(self, agent: str) -> None:
        """Lets a watch's lease be over."""
        self._ends[AgentId(agent)].set_result(None)

    def trouble(self, agent: str, why: str) -> None:
        """Lets an agent's path be in trouble."""
        self._ends[AgentId(agent)].set_result(why)

    async def ask(self, agent: AgentId, command: messages.Command, timeout_s: float) -> Reply:
        """Answers as agents do."""
        match command:
            case messages.WatchPath():
                self.orders[agent] = command
                self._ends[agent] = asyncio.get_running_loop().create_future()
                if len(self._ends) == len(self.agents):
                    self._all.set()
                return Reply(_watched(await self._ends[agent]), {})
            case messages.KeepWatch():
                self.kept[agent] += 1
            case messages.HoldWatch():
                self.held[agent] = command.hold_s
            case messages.EndWatch():
                if not self._ends[agent].done():
                    self._ends[agent].set_result(None)
        return Reply(messages.Done(), {})


def _watched(trouble: str | None) -> messages.Watched:
    return messages.Watched(
        trouble=trouble,
        sent=10,
        lost=0,
        unjudged=0,
        stalls=0,
        baseline_ns=1,
        p50_ns=1,
        p99_ns=1,
        max_ns=1,
    )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "LOOK_S", 0.02)
    monkeypatch.setattr(canary, "BLIND_S", 0.1)


def watchman(folder: Path, *, saturate: bool = False, pods: bool = True) -> Watchman:
    """One that tells nobody."""
    return Watchman(lambda _: None, saturate=saturate, pods=pods, folder=folder)


def test_every_node_is_an_end_of_both_paths() -> None:
    """A ring of each kind; under `switch` of the host path only."""
    ways = canary.ring(perches(3), pods=True)
    assert [str(way) for way in ways if way.path == "pod"] == [
        "pod path n1 > n2",
        "pod path n2 > n3",
        "pod path n3 > n1",
    ]
    assert len(ways) == 6
    assert {way.path for way in canary.ring(perches(3), pods=False)} == {"host"}


def test_trouble_ends_the_run_with_its_path(tmp_path: Path) -> None:
    """Said by whichever agent; the account stays in the run directory."""

    async def scene() -> None:
        agents = Agents(3)
        watching = watchman(tmp_path)
        async with watching.watching(agents, agents.gone.__contains__, perches(3)):
            await agents.begun()
            agents.trouble("n2-host", "half is lost")
            with pytest.raises(ClusterError, match="host path n2 > n3: half is lost"):
                await asyncio.wait_for(asyncio.shield(watching.trouble), 5)

    asyncio.run(scene())
    (stretch,) = canary.read(tmp_path)
    assert "half is lost" in (stretch.trouble or "")
    assert len(stretch.accounts) == 6


def test_a_peer_that_went_away_is_no_trouble(tmp_path: Path) -> None:
    """Its paths are out of watch; with the last of a kind the run ends."""

    async def scene() -> None:
        agents = Agents(3)
        watching = watchman(tmp_path)
        async with watching.watching(agents, agents.gone.__contains__, perches(3)):
            await agents.begun()
            agents.gone.add(AgentId("n2-canary"))
            agents.trouble("n1-canary", "all is lost")
            await asyncio.sleep(0.3)
            assert not watching.trouble.done()
            agents.gone.update({AgentId("n1-canary"), AgentId("n3-canary")})
            with pytest.raises(ClusterError, match="no pod path is watched any more"):
                await asyncio.wait_for(asyncio.shield(watching.trouble), 5)

    asyncio.run(asyncio.wait_for(scene(), 20))


def test_watches_are_kept_and_one_that_ended_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a machine that slept: no trouble, and the account says why it was over."""
    monkeypatch.setattr(canary, "RENEW_S", 0.02)

    async def scene() -> None:
        agents = Agents(2)
        watching = watchman(tmp_path)
        async with watching.watching(agents, agents.gone.__contains__, perches(2)):
            await agents.begun()
            await until(lambda: all(agents.kept[each] >= 2 for each in agents.agents))
            del agents.orders[AgentId("n1-host")]
            agents.lapse("n1-host")
            await until(lambda: "n1-host" in agents.orders)
        assert not watching.trouble.done()
        assert {each.lease_s for each in agents.orders.values()} == {canary.LEASE_S}

    asyncio.run(asyncio.wait_for(scene(), 20))
    (stretch,) = canary.read(tmp_path)
    ended = [each.ended for each in stretch.accounts if each.way.sender == "n1-host"]
    assert ended == ["its lease was over", "told to end"]


def test_a_path_goes_on_when_the_last_window_is_over(tmp_path: Path) -> None:
    """Windows of two pairs overlap on the path between them."""

    async def scene() -> None:
        agents = Agents(4)
        watching = watchman(tmp_path)
        async with watching.watching(agents, agents.gone.__contains__, perches(4)):
            await agents.begun()
            async with watching.held(["n1", "n2"]):
                async with watching.held(["n3", "n4"]):
                    assert set(agents.held) == {f"n{n}-canary" for n in range(1, 5)}
                # n2 > n3 and n4 > n1 are still near n1 and n2.
                assert [name for name, held in agents.held.items() if not held] == ["n3-canary"]
            assert not any(agents.held.values())
        assert not watching.trouble.done()

    asyncio.run(asyncio.wait_for(scene(), 20))


def test_under_saturation_only_silence_is_trouble(tmp_path: Path) -> None:
    """The run's own queues delay and drop."""

    async def scene() -> set[tuple[float, float | None]]:
        agents = Agents(2)
        watching = watchman(tmp_path, saturate=True)
        async with watching.watching(agents, agents.gone.__contains__, perches(2)):
            await agents.begun()
            return {(each.lost_ratio, each.delay_s) for each in agents.orders.values()}

    assert asyncio.run(asyncio.wait_for(scene(), 20)) == {(0.9, None)}


def test_a_starved_cpu_is_named_with_its_node() -> None:
    """What answers waited for, and what the network took; a short wait is not worth a line."""
    way = canary.Way(
        path="host",
        src="n1",
        dst="n2",
        sender=AgentId("n1-host"),
        reflector=AgentId("n2-host"),
        address="192.0.2.2",
    )
    quiet = _watched(None)
    starved = msgspec.structs.replace(
        quiet, network_p50_ns=310_000, own_wait_max_ns=2_000_000, reflector_wait_max_ns=171_000_000
    )
    assert canary._starved(way, quiet) is None
    assert canary._starved(way, starved) == (
        "canary: host path n1 > n2: answers waited up to 171 ms for the CPU of n2; the network took"
        " 0.31 ms (median)"
    )
