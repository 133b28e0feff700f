"""What agents measured while the API server, and with it the way to the broker, was away."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from support import needs
from support.agents import N1, RUN, short_directory
from support.apiserver.kubelet import Kubelet
from support.apiserver.server import ApiServer
from support.apiserver.store import Object
from support.cluster import cluster, put, until

from podbench.target.kubernetes.api import port_forward
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.api.refs import Ref
from podbench.transport.base import Reply
from podbench.transport.broker import private_broker
from podbench.transport.mqtt import MqttFleet, serve_agent
from podbench.wire import messages

pytestmark = needs.programs("mosquitto")

BROKER = Ref("Pod", "podbench-broker", "podbench-host")
AWAY_S = 4.0
PATIENCE_S = 20.0
LIMIT_S = 3.0
"""Of what is asked: less than the server is away, as a round's is less than half a minute."""
ASKED = messages.RunProbe(name="samples", part="run", columns=("rtt_ns",))
"""A command that is answered with a table of one column."""
ROWS = 200_000
"""Some megabytes: an answer of many parts."""


class Node(Kubelet):
    """The broker's node: a port of its pod is a broker's socket here, until the way is cut."""

    def __init__(self, broker: Path) -> None:
        super().__init__()
        self._broker = broker
        self._ways: list[asyncio.StreamWriter] = []

    async def connect(
        self, pod: Object, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects to the broker."""
        reader, writer = await asyncio.open_unix_connection(self._broker)
        self._ways.append(writer)
        return reader, writer

    def cut(self) -> None:
        """Ends every connection, as a server that goes away does."""
        for each in self._ways:
            each.close()
        self._ways.clear()


class Agent:
    """Answers once it is told to, with a table; counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.done = asyncio.Event()

    async def handle(self, command: messages.Command) -> Reply:
        """Measures for as long as it takes."""
        self.asked += 1
        await self.done.wait()
        return Reply(messages.Done(), {ASKED.name: {"rtt_ns": np.arange(ROWS)}})


async def lose_the_way(server: ApiServer, node: Node) -> None:
    """The server goes: nothing new gets through, and what is open ends."""
    server.faults.away = True
    node.cut()


@pytest.mark.parametrize("when", ["while it measures", "while results travel"])
def test_results_arrive_once_the_server_is_back(tmp_path: Path, when: str) -> None:
    """The command is carried out once, and its answer comes whole over a new connection."""

    async def scene(server: ApiServer, api: Api, node: Node, agent: Agent) -> Reply:
        async def find() -> Ref:
            return BROKER

        async with (
            port_forward.forwarded(api, find, 18883) as port,
            MqttFleet(f"mqtt://127.0.0.1:{port}", run_id=RUN, away_s=PATIENCE_S) as fleet,
        ):
            await fleet.wait_ready([N1], 10)
            asking = asyncio.create_task(fleet.ask(N1, ASKED, LIMIT_S))
            await until(lambda: agent.asked > 0)
            if when == "while results travel":
                agent.done.set()
                await asyncio.sleep(0.1)
            await lose_the_way(server, node)
            agent.done.set()
            await asyncio.sleep(AWAY_S)
            server.faults.away = False
            return await asking

    async def run() -> tuple[Reply, int]:
        agent, stop = Agent(), asyncio.Event()
        with short_directory() as folder:
            async with private_broker(folder) as broker:
                node = Node(broker)
                serving = asyncio.create_task(serve(broker, agent, stop))
                async with cluster(tmp_path, ApiServer(node), patience_s=PATIENCE_S) as (
                    server,
                    api,
                ):
                    meta = {"name": BROKER.name, "namespace": BROKER.namespace}
                    spec = {"nodeName": "n1", "containers": []}
                    put(server, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
                    reply = await scene(server, api, node, agent)
                stop.set()
                await serving
        return reply, agent.asked

    reply, asked = asyncio.run(asyncio.wait_for(run(), 60))
    assert asked == 1
    assert isinstance(reply.answer, messages.Done)
    np.testing.assert_array_equal(reply.tables[ASKED.name]["rtt_ns"], np.arange(ROWS))


async def serve(broker: Path, agent: Agent, stop: asyncio.Event) -> None:
    """The agent's own side: it is on the broker's node's network and loses nothing."""
    status = messages.AgentStatus(agent=N1, pid=1, online=True)
    await serve_agent(
        f"unix://{broker}", run_id=RUN, status=status, handler=agent.handle, stop=stop
    )
