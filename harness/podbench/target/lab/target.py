"""The lab as a target: creates nodes, then starts agents and a broker on a Unix socket.

Everything runs inside `isolate.run_isolated`. The broker and the orchestrator live in the
isolation's own network namespace, the agents in those of their nodes and pods; they meet on a Unix
socket, so that no control traffic ever takes the network under test.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from podbench.model.nodes import AgentId, LabOptions, Node
from podbench.target.lab import bird, namespaces, starting, syscalls
from podbench.target.lab.supervision import BACK_S, Part, Supervisor
from podbench.target.lab.world import LabWorld
from podbench.transport.base import Fleet
from podbench.transport.broker import own_broker
from podbench.transport.mqtt import MqttFleet

GRACE_S = 2.5
"""An agent ends itself within 2 s of SIGTERM."""


class LabTarget:
    """Where `bench run` measures when there is no cluster (`target.base.Target`)."""

    name = "lab"
    exclusive = True
    aftermath = None
    """A lab is all its own."""

    def __init__(
        self, options: LabOptions, run_id: str, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._options = options
        self._run_id = run_id
        self._say = say

    def up(self) -> AbstractAsyncContextManager["LaidLab"]:
        """Makes the nodes; leaving takes everything away.

        Raises:
            LabError: The kernel refuses something.
        """
        return self._up()

    @contextlib.asynccontextmanager
    async def _up(self) -> AsyncIterator["LaidLab"]:
        async with LabWorld(self._options) as world:
            yield LaidLab(world, self._run_id, self._say)


class LaidLab:
    """A lab whose nodes exist (`target.base.LaidTarget`)."""

    def __init__(self, world: LabWorld, run_id: str, say: Callable[[str], None]) -> None:
        self._world = world
        self._run_id = run_id
        self._say = say
        self._supervisor = Supervisor()

    @property
    def world(self) -> LabWorld:
        """What CNI drivers work on."""
        return self._world

    @property
    def most_bps(self) -> int | None:
        """Nobody else uses a lab: no cap."""
        return None

    @property
    def detected(self) -> None:
        """A lab is no cluster: what it is made of is known."""

    def shaped(self, rate_bps: int) -> AbstractAsyncContextManager[None]:
        """Every node's link at this rate, or at the rate the lab was asked for.

        Raises:
            LabError: The kernel refuses.
        """
        return self._world.shaped(rate_bps)

    def deploy(self) -> AbstractAsyncContextManager[tuple[tuple[Node, ...], Fleet]]:
        """Starts one agent per node and per pod laid so far.

        The nodes come back with the agents' process ids, as the host sees them.

        Raises:
            LabError: An agent ended at once, or did not announce itself; with its last words.
            PrerequisiteError: mosquitto is not installed.
            TransportError: The broker does not come up.
        """
        return self._deploy()

    async def losses(self) -> int:
        """Broker, agents and routing daemons that were lost so far; once each works again.

        Raises:
            LabError: One was lost twice, or does not come back.
        """
        return await self._supervisor.losses()

    @contextlib.asynccontextmanager
    async def _deploy(self) -> AsyncIterator[tuple[tuple[Node, ...], Fleet]]:
        nodes = tuple(self._world.nodes)
        async with (
            own_broker(bird.RUN) as broker,
            MqttFleet(f"unix://{broker.path}", run_id=self._run_id) as fleet,
        ):
            agents: dict[AgentId, subprocess.Popen[bytes]] = {}
            try:
                places = _places(nodes)
                for name, node, address in places:
                    agents[name] = self._start(name, node, address, broker.path)
                await starting.until_ready(fleet, agents, {name: _log(name) for name in agents})
                self._supervisor = supervisor = Supervisor(self._say)
                supervisor.watch(Part("the broker", lambda: broker.pid, broker.start))
                for place in places:
                    supervisor.watch(self._agent(place, agents, fleet, broker.path))
                for daemon in self._world.mesh.daemons:
                    supervisor.watch(self._daemon(daemon))
                async with supervisor.running():
                    yield tuple(_with_pids(node, agents) for node in nodes), fleet
            finally:
                self._supervisor = Supervisor()
                await _end(list(agents.values()))

    def _agent(
        self,
        place: tuple[AgentId, Node, str],
        agents: dict[AgentId, subprocess.Popen[bytes]],
        fleet: MqttFleet,
        broker: Path,
    ) -> Part:
        name, node, address = place

        async def renew() -> None:
            lost = agents[name]
            lost.kill()
            await asyncio.to_thread(namespaces.end, lost)
            agents[name] = self._start(name, node, address, broker)
            await fleet.wait_renewed(name, agents[name].pid, BACK_S)

        return Part(f"agent {name}", lambda: _pid(agents[name]), renew)

    def _daemon(self, node: str) -> Part:
        mesh = self._world.mesh
        return Part(f"BIRD on {node}", lambda: _pid(mesh.daemons[node]), lambda: mesh.renew(node))

    def _start(
        self, name: AgentId, node: Node, address: str, broker: Path
    ) -> subprocess.Popen[bytes]:
        netns = node.name if name == node.agent else name
        with _log(name).open("ab") as log:
            return namespaces.spawn(
                netns,
                [
                    sys.executable,
                    # -P: a module in the user's working directory must not come before ours.
                    *("-P", "-m", "podbench_agent"),
                    *("--id", name, "--broker", f"unix://{broker}", "--run", self._run_id),
                    *("--bind", address, "--node", node.name),
                ],
                output=log,
            )


def _places(nodes: Sequence[Node]) -> list[tuple[AgentId, Node, str]]:
    """Agent, node and address to answer on, of every agent that is to run."""
    found = []
    for node in nodes:
        found.append((node.agent, node, node.address))
        found += [(pod.agent, node, pod.address) for pod in node.pods]
    return found


def _pid(process: "subprocess.Popen[bytes]") -> int | None:
    return None if process.poll() is not None else process.pid


def _log(name: str) -> Path:
    return bird.RUN / f"agent-{name}.log"


def _with_pids(node: Node, agents: dict[AgentId, subprocess.Popen[bytes]]) -> Node:
    def pid(name: AgentId) -> int:
        return syscalls.host_pid(agents[name].pid)

    pods = tuple(msgspec.structs.replace(pod, pid=pid(pod.agent)) for pod in node.pods)
    return msgspec.structs.replace(node, pid=pid(node.agent), pods=pods)


async def _end(agents: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ends all at once; the wait runs beside the loop, which still serves their last words."""
    for agent in agents:
        if agent.poll() is None:
            agent.terminate()
    deadline = time.monotonic() + GRACE_S
    for agent in agents:
        left = max(0.0, deadline - time.monotonic())
        await asyncio.to_thread(namespaces.end, agent, left)
