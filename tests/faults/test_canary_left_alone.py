"""The canary's agents when the orchestrator that began their watch is no more."""

import asyncio
import socket
import sys

from support import needs
from support.agents import N1, RUN, agent_process, short_directory

from podbench.transport.broker import private_broker
from podbench.transport.mqtt import MqttFleet
from podbench.wire import messages

pytestmark = needs.programs("mosquitto")

ORCHESTRATOR = f"""
import asyncio, sys
from podbench.transport.mqtt import MqttFleet
from podbench.wire import messages
async def main():
    async with MqttFleet("unix://" + sys.argv[1], run_id={RUN!r}) as fleet:
        order = messages.WatchPath(
            session_id=7, peer_address="127.0.0.1", peer_port=int(sys.argv[2]),
            lost_ratio=2.0, lease_s=1.0,
        )
        await fleet.ask({N1!r}, order, 60)
asyncio.run(main())
"""
"""Has a path watched, on which no loss is trouble: such a watch has no other end."""


def test_a_watch_ends_by_itself_after_its_orchestrator_was_killed() -> None:
    """SIGKILL: the agent stays, and sends nothing more once the lease is over."""

    async def play() -> None:
        with (
            short_directory() as directory,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        ):
            peer.bind(("127.0.0.1", 0))
            peer.setblocking(False)
            loop = asyncio.get_running_loop()
            async with private_broker(directory) as path, agent_process(path):
                orchestrator = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", ORCHESTRATOR, str(path), str(peer.getsockname()[1]))
                )
                await loop.sock_recv(peer, 1024)
                orchestrator.kill()
                await orchestrator.wait()
                async with MqttFleet(f"unix://{path}", run_id=RUN) as fleet:
                    await fleet.wait_ready([N1], 20)
                    while True:
                        reply = await fleet.ask(N1, messages.HoldWatch(hold_s=0.0), 10)
                        if not isinstance(reply.answer, messages.Done):
                            break
                        await asyncio.sleep(0.05)
                    assert reply.answer == messages.Failed(reason="this agent watches no path")

    asyncio.run(asyncio.wait_for(play(), 60))
