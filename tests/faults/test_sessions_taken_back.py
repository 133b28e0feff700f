"""Sessions of a measurement that failed: the reflector is to answer them no more."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable

import pytest
from support import needs
from support.agents import N1, RUN, agent_process, short_directory

from podbench.campaign import latency
from podbench.campaign.agents import SOURCE_PORTS, Crew, Outcome
from podbench.model.arms import Mode, Path
from podbench.model.errors import ProbeError
from podbench.model.nodes import AgentId, Node, Pod
from podbench.transport.base import Reply
from podbench.transport.broker import private_broker
from podbench.transport.mqtt import MqttFleet, serve_agent
from podbench.wire import messages, stamp
from podbench_agent import host

pytestmark = needs.programs("mosquitto")

LOOPBACK = "127.0.0.1"
USED = range(1, 1 + 2 * SOURCE_PORTS)
"""SSIDs of the first two measurements."""
UNUSED = 60_000
N2 = AgentId("n2-vxlan")


def _node(name: str, agent: AgentId) -> Node:
    pod = Pod(name, name, Mode.VXLAN, LOOPBACK, agent, 1450)
    return Node(name, LOOPBACK, agent, 1500, pods=(pod,))


def _broken(befalls: Callable[[], None]) -> Callable[[messages.Command], Awaitable[Reply]]:
    """A sender that fails; before it says so, something befalls the reflector."""

    async def handle(command: messages.Command) -> Reply:
        befalls()
        raise ProbeError("the sender is broken")

    return handle


class Scene:
    """A real reflector at n1 and a sender at n2 that fails."""

    def __init__(self, crew: Crew, agent_pid: int) -> None:
        self.crew = crew
        self.agent_pid = agent_pid
        self.reflector_pid = host.descendants([agent_pid])[-1]
        self.outcome = Outcome()

    async def measure(self) -> None:
        """Latency from n2 to n1."""
        stretch = latency.Stretch(
            pairs=(("n2", "n1"),),
            mode=Mode.VXLAN,
            path=Path.POD,
            phase="warm",
            rate_pps=100.0,
            duration_s=0.1,
        )
        await latency.measure(self.crew, stretch, self.outcome)

    async def prove(self) -> None:
        """Probes of a proof window."""
        near, far = self.crew.nodes["n2"].pods[0], self.crew.nodes["n1"].pods[0]
        await latency.answered(self.crew, near, far, 9, 9.0)

    async def still_answered(self) -> int:
        """How many requests the reflector answers now, one of each SSID that was used."""
        port = self.crew.port(N1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for ssid in USED:
                packet = stamp.SenderPacket(sequence=0, timestamp=1 << 32, session_id=ssid)
                sock.sendto(stamp.encode_sender(packet), (LOOPBACK, port))
            while True:
                told = await self.crew.ask(N1, messages.CollectReflections(session_ids=(UNUSED,)))
                assert isinstance(told.answer, messages.Done)
                answered, refused = (told.answer.facts[n] for n in ("answered", "unprovisioned"))
                assert isinstance(answered, int)
                assert isinstance(refused, int)
                if answered + refused >= len(USED):
                    return answered


def play(scene: Callable[[Scene], Awaitable[None]], *, killed: bool = False) -> None:
    """Runs a scene; `killed`: the reflector's process dies while the sender is at work."""

    async def run() -> None:
        with short_directory() as directory:
            async with (
                private_broker(directory) as path,
                agent_process(path) as agent,
                MqttFleet(f"unix://{path}", run_id=RUN) as fleet,
            ):
                await fleet.wait_ready([N1], 20)
                crew = Crew([_node("n1", N1), _node("n2", N2)], fleet)
                played = Scene(crew, agent.pid)

                def befalls() -> None:
                    if killed:
                        os.kill(played.reflector_pid, signal.SIGKILL)

                stop = asyncio.Event()
                status = messages.AgentStatus(agent=N2, online=True, pid=1)
                serving = asyncio.create_task(
                    serve_agent(
                        f"unix://{path}",
                        run_id=RUN,
                        status=status,
                        handler=_broken(befalls),
                        stop=stop,
                    )
                )
                await fleet.wait_ready([N2], 20)
                await scene(played)
                stop.set()
                await serving

    asyncio.run(asyncio.wait_for(run(), 60))


def test_what_a_failed_sender_was_admitted_for_is_taken_back() -> None:
    """After a stretch, and after a proof window."""

    async def scene(played: Scene) -> None:
        await played.measure()
        assert [each.reason for each in played.outcome.failures] == [
            "n2-vxlan: the sender is broken"
        ]
        assert await played.still_answered() == 0
        with pytest.raises(ProbeError, match="the sender is broken"):
            await played.prove()
        assert await played.still_answered() == 0

    play(scene)


def test_a_reflector_that_is_gone_hides_nothing() -> None:
    """It cannot take anything back: what is told is the sender's failure, once."""

    async def scene(played: Scene) -> None:
        await played.measure()
        assert [each.reason for each in played.outcome.failures] == [
            "n2-vxlan: the sender is broken"
        ]
        assert played.outcome.spans == []
        assert played.reflector_pid not in host.descendants([played.agent_pid])

    play(scene, killed=True)
