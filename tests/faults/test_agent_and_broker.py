"""What the control channel makes of deaths: an agent's, its children's, the broker's."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support import needs
from support.agents import N1, RUN, agent_process, proportional_kib, short_directory

from podbench.model.errors import TransportError
from podbench.transport.broker import private_broker
from podbench.transport.mqtt import MqttFleet
from podbench.wire import iperf3, messages
from podbench_agent import host

pytestmark = [
    needs.programs("mosquitto"),
    needs.programs("iperf3"),
]

READY_S = 20.0
LOOPBACK = "127.0.0.1"


def in_fleet(scene: Callable[[MqttFleet, Path], Awaitable[None]]) -> None:
    """Runs a scene with a broker and the orchestrator's side; a hang is a failure."""

    async def play() -> None:
        with short_directory() as directory:
            async with (
                private_broker(directory) as path,
                MqttFleet(f"unix://{path}", run_id=RUN) as fleet,
            ):
                await scene(fleet, path)

    asyncio.run(asyncio.wait_for(play(), 60))


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; the scene's own limit bounds the wait."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.01)


async def gone(pids: list[int]) -> None:
    """Returns once none of the processes runs."""
    await until(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_idle_agent_is_small() -> None:
    """Agent and measuring processes together hold less than 80 MB."""

    async def scene(fleet: MqttFleet, path: Path) -> None:
        async with agent_process(path) as agent:
            await fleet.wait_ready([N1], READY_S)
            assert len(host.descendants([agent.pid])) == 2
            assert proportional_kib(agent.pid) * 1024 < 80_000_000

    in_fleet(scene)


def test_killed_agent_fails_what_was_asked_of_it_and_leaves_nothing() -> None:
    """SIGKILL: the last will ends a pending ask, and the agent's children die with it."""

    async def scene(fleet: MqttFleet, path: Path) -> None:
        async with agent_process(path) as agent:
            await fleet.wait_ready([N1], READY_S)
            serve = messages.ServeTransfer(bind_address=LOOPBACK, lifetime_s=50)
            served = await fleet.ask(N1, serve, 10)
            assert isinstance(served.answer, messages.Done)
            transfer = messages.Transfer(
                peer_address=LOOPBACK,
                peer_port=int(served.answer.facts["port"] or 0),
                bind_address=LOOPBACK,
                protocol="tcp",
                duration_s=40,
            )
            asked = asyncio.create_task(fleet.ask(N1, transfer, 55))
            await until(lambda: len(host.descendants([agent.pid])) == 4)
            family = host.descendants([agent.pid])
            agent.kill()
            with pytest.raises(TransportError, match=r"Transfer to n1-vxlan.*went away"):
                await asked
            await gone(family)
            assert not fleet.agents[N1].online

    in_fleet(scene)


def test_agent_ends_on_sigterm_while_it_measures() -> None:
    """SIGTERM in the midst of a measurement: exit 0, a goodbye, no child left."""

    async def scene(fleet: MqttFleet, path: Path) -> None:
        async with agent_process(path) as agent:
            await fleet.wait_ready([N1], READY_S)
            port = int(fleet.agents[N1].capabilities["reflector_port"] or 0)
            session = messages.LatencySession(
                session_id=1, peer_address=LOOPBACK, peer_port=port, duration_s=30
            )
            family = host.descendants([agent.pid])
            asked = asyncio.create_task(fleet.ask(N1, messages.Measure(sessions=(session,)), 50))
            await fleet.ask(N1, messages.Reflect(session_ids=(1,)), 10)
            agent.terminate()
            with pytest.raises(TransportError, match="Measure to n1-vxlan"):
                await asked
            assert await agent.wait() == 0
            await gone(family)

    in_fleet(scene)


def test_agent_stays_through_a_new_broker() -> None:
    """The broker dies and another comes up on the same socket: the agent is found there again."""

    async def play() -> messages.Answer:
        with short_directory() as directory:
            async with (
                private_broker(directory) as path,
                agent_process(path),
                MqttFleet(f"unix://{path}", run_id=RUN) as fleet,
            ):
                await fleet.wait_ready([N1], READY_S)
                children = host.descendants([host.own_pid()])
                (broker,) = (pid for pid in children if _program(pid) == "mosquitto")
                os.kill(broker, signal.SIGKILL)
                await gone([broker])
                async with private_broker(directory):
                    await fleet.wait_ready([N1], READY_S)
                    reply = await fleet.ask(N1, messages.StartCounters(node="n1"), 20)
                    return reply.answer

    assert isinstance(asyncio.run(asyncio.wait_for(play(), 60)), messages.Done)


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip()
    except OSError:
        return ""


def test_dead_probe_process_is_an_answer_and_replaced() -> None:
    """A probe process killed while measuring gives a reason; the next one works again."""

    async def scene(fleet: MqttFleet, path: Path) -> None:
        async with agent_process(path) as agent:
            await fleet.wait_ready([N1], READY_S)
            port = int(fleet.agents[N1].capabilities["reflector_port"] or 0)
            prober = host.descendants([agent.pid])[0]

            def measure(duration_s: float) -> messages.Measure:
                session = messages.LatencySession(
                    session_id=1, peer_address=LOOPBACK, peer_port=port, duration_s=duration_s
                )
                return messages.Measure(sessions=(session,))

            asked = asyncio.create_task(fleet.ask(N1, measure(30), 50))
            await fleet.ask(N1, messages.Reflect(session_ids=tuple(range(1, 9))), 10)
            os.kill(prober, signal.SIGKILL)
            failed = await asked
            assert isinstance(failed.answer, messages.Failed)
            assert "died" in failed.answer.reason
            again = await fleet.ask(N1, measure(0.1), 30)
            assert isinstance(again.answer, messages.Done)
            assert len(again.tables["latency/1"]["seq"]) == 100

    in_fleet(scene)


def test_agent_without_iperf3_starts_and_says_so() -> None:
    """A missing program is announced as null, and a transfer is refused with the reason."""

    async def scene(fleet: MqttFleet, path: Path) -> None:
        async with agent_process(path, environment={"PATH": "/nonexistent"}):
            await fleet.wait_ready([N1], READY_S)
            assert fleet.agents[N1].capabilities["iperf3"] is None
            serve = messages.ServeTransfer(bind_address=LOOPBACK, lifetime_s=5)
            reply = await fleet.ask(N1, serve, 10)
            assert reply.answer == messages.Failed(reason="iperf3 is not installed")

    in_fleet(scene)


def test_agent_whose_port_is_taken_starts_and_says_so() -> None:
    """A reflector that cannot listen is announced as null, with the reason when it is asked."""

    async def scene(fleet: MqttFleet, path: Path) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
            holder.bind((LOOPBACK, 0))
            port = str(holder.getsockname()[1])
            async with agent_process(path, "--port", port):
                await fleet.wait_ready([N1], READY_S)
                assert fleet.agents[N1].capabilities["reflector_port"] is None
                reply = await fleet.ask(N1, messages.Reflect(session_ids=(1,)), 10)
                assert isinstance(reply.answer, messages.Failed)
                assert f"port {port}" in reply.answer.reason

    in_fleet(scene)


def test_transfer_to_a_dead_server_is_one_failed_row() -> None:
    """Nobody listens at the peer: the answer is a record that makes one failed row."""

    async def scene(fleet: MqttFleet, path: Path) -> None:
        async with agent_process(path):
            await fleet.wait_ready([N1], READY_S)
            transfer = messages.Transfer(
                peer_address=LOOPBACK, peer_port=9, bind_address=LOOPBACK, protocol="tcp"
            )
            reply = await fleet.ask(N1, transfer, 20)
            assert isinstance(reply.answer, messages.Ran)
            table = iperf3.rows(reply.answer.output, None, omit_s=0.3, reason=reply.answer.error)
            assert list(table["status"]) == ["failed"]
            assert "Connection refused" in table["reason"][0]

    in_fleet(scene)


def test_orchestrator_killed_takes_its_broker_along() -> None:
    """SIGKILL of the process that started it: the kernel ends the broker too."""
    program = """
import asyncio, sys
from pathlib import Path
from podbench.transport.broker import private_broker
async def main():
    async with private_broker(Path(sys.argv[1])):
        print("up", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""

    async def play() -> None:
        with short_directory() as directory:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, str(directory), stdout=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            assert await process.stdout.readline() == b"up\n"
            family = host.descendants([process.pid])
            assert [_program(pid) for pid in family] == ["mosquitto"]
            process.kill()
            await process.communicate()
            await gone(family)

    asyncio.run(asyncio.wait_for(play(), 60))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--broker", "http://x"), "broker 'http://x' is not one podbench can connect to"),
        (("--id", "a/b"), "cannot be a topic level"),
    ],
)
def test_agent_refuses_options_it_cannot_use(options: tuple[str, ...], complaint: str) -> None:
    """A wrong address or name ends the agent at once with a reason and no traceback."""

    async def play() -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "podbench_agent", "--id", "n1", "--broker", "unix:///x", "--run", "r"),
            *options,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()
        return process.returncode, errors.decode()

    status, errors = asyncio.run(asyncio.wait_for(play(), 60))

    assert status != 0
    assert complaint in errors
    assert "Traceback" not in errors
