"""Results through the API server: a port-forward that breaks in the middle of a batch goes on."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import needs
from support.apiserver.kubelet import Kubelet
from support.apiserver.server import ApiServer
from support.apiserver.store import Object
from support.cluster import cluster, put

from podbench.model.nodes import AgentId
from podbench.target.kubernetes.api import port_forward
from podbench.target.kubernetes.api.refs import Ref
from podbench.transport import mqtt
from podbench.transport.base import Reply
from podbench.transport.broker import private_broker
from podbench.wire import batches, messages

pytestmark = needs.programs("mosquitto")

AGENT = AgentId("n1-vxlan")
ASKED = messages.RunProbe(name="samples", part="run", columns=("mono_ns",))
"""A command that is answered with a table of one column."""
NOISE = np.random.default_rng(1).integers(0, 2**62, 400_000)
"""3.2 MB that no compression makes less."""


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory whose path fits a Unix socket; pytest's own may not."""
    with tempfile.TemporaryDirectory(prefix="pb-") as name:
        yield Path(name)


class BrokerKubelet(Kubelet):
    """The broker's pod is a real mosquitto; every connection to it is counted."""

    def __init__(self, socket: Path) -> None:
        super().__init__()
        self._socket = socket
        self.connections = 0

    async def connect(
        self, pod: Object, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Into the pod."""
        self.connections += 1
        return await asyncio.open_unix_connection(str(self._socket))


def _pod() -> Object:
    meta = {"name": "broker", "namespace": "podbench-host"}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": {}}


async def _collect(folder: Path, socket: Path, cuts: list[int]) -> tuple[Reply, int, int, int]:
    """Asks for the noise through a forward that is cut after so many octets, again and again.

    Returns:
        The reply, how often the command was carried out, connections, octets that came down.
    """
    carried_out = 0

    async def handler(command: messages.Command) -> Reply:
        nonlocal carried_out
        carried_out += 1
        return Reply(messages.Done(), {ASKED.name: {"mono_ns": NOISE}})

    stop = asyncio.Event()
    status = messages.AgentStatus(agent=AGENT, online=True, pid=1)
    serving = asyncio.create_task(
        mqtt.serve_agent(f"unix://{socket}", run_id="r", status=status, handler=handler, stop=stop)
    )
    kubelet = BrokerKubelet(socket)
    server = ApiServer(kubelet)
    server.faults.cuts = cuts
    async with cluster(folder, server) as (_, api):
        put(server, _pod())

        async def find() -> Ref:
            return Ref("Pod", "broker", "podbench-host")

        async with (
            port_forward.forwarded(api, find, 18883, rate_bytes_per_s=1e9) as port,
            mqtt.MqttFleet(f"mqtt://127.0.0.1:{port}", run_id="r") as fleet,
        ):
            await fleet.wait_ready([AGENT], 10)
            reply = await fleet.ask(AGENT, ASKED, 40)
        down = server.faults.forwarded_bytes
    stop.set()
    await serving
    return reply, carried_out, kubelet.connections, down


def test_a_broken_forward_goes_on_where_it_broke(tmp_path: Path, short_dir: Path) -> None:
    """The command is carried out once, and parts that came are not sent again."""

    async def scene() -> tuple[Reply, int, int, int]:
        async with private_broker(short_dir) as socket:
            return await _collect(tmp_path, socket, [1_000_000, 1_500_000])

    reply, carried_out, connections, down = asyncio.run(asyncio.wait_for(scene(), 60))

    np.testing.assert_array_equal(reply.tables[ASKED.name]["mono_ns"], NOISE)
    assert (carried_out, connections) == (1, 3)
    # What was on its way when it broke comes twice: less than the broker had in flight.
    assert NOISE.nbytes < down < NOISE.nbytes + 2 * 20 * batches.PART_BYTES
    assert down < 2 * NOISE.nbytes
