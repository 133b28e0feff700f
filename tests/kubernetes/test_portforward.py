"""Port-forward as a real API server (Kubernetes 1.36) does it, and what is told when it fails."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.apiserver.kubelet import Kubelet
from support.apiserver.server import ApiServer
from support.cluster import Object, cluster, put

from podbench.model.errors import TransportError
from podbench.target.kubernetes.api.client import ApiError
from podbench.target.kubernetes.api.port_forward import PROTOCOL, forwarded
from podbench.target.kubernetes.api.refs import Ref

REAL: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "kubernetes" / "portforward.json").read_text("utf-8")
)
POD = Ref("Pod", "broker", "podbench-host")
PORT: int = REAL["listening"]["port"]


class Echo(Kubelet):
    """One port echoes; nobody listens on the others."""

    def __init__(self) -> None:
        super().__init__()
        self._echoing: set[asyncio.Task[None]] = set()

    async def connect(
        self, pod: Object, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a server that sends back what it gets."""
        if port != PORT:
            return await super().connect(pod, port)
        ours, theirs = socket.socketpair()
        self._echoing.add(asyncio.create_task(_echo(*await asyncio.open_connection(sock=theirs))))
        return await asyncio.open_connection(sock=ours)

    async def close(self) -> None:
        """Waits until all that was connected has ended."""
        await asyncio.gather(*self._echoing)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def _pod() -> Ref:
    return POD


def _put_pod(server: ApiServer) -> None:
    meta = {"name": POD.name, "namespace": POD.namespace}
    put(server, {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": {}, "status": {}})


async def _frames(session: aiohttp.ClientSession, server: ApiServer, port: int) -> list[bytes]:
    """What arrives by itself, until the connection ends."""
    url = f"{server.url}{POD.path}/portforward?ports={port}"
    headers = {"Authorization": "Bearer admin"}
    async with session.ws_connect(url, protocols=[PROTOCOL], headers=headers) as socket:
        assert socket.protocol == REAL["listening"]["protocol"]
        frames: list[bytes] = []
        async for message in socket:
            frames.append(message.data)
            if port == PORT and len(frames) == 2:
                break
        return frames


def test_the_stand_in_forwards_as_a_real_server(tmp_path: Path) -> None:
    """Refusal of JSON, first frames, error frame: as recorded."""

    async def run() -> None:
        kubelet = Echo()
        async with (
            cluster(tmp_path, ApiServer(kubelet)) as (server, _),
            aiohttp.ClientSession() as session,
        ):
            _put_pod(server)
            url = f"{server.url}{POD.path}/portforward?ports={PORT}"
            headers = {"Authorization": "Bearer admin", "Accept": "application/json"}
            async with session.get(url, headers=headers) as answer:
                refused = {"status": answer.status, "body": await answer.text()}
            assert refused == REAL["json_asked_for"]
            listening = await _frames(session, server, PORT)
            assert [each.hex() for each in listening] == REAL["listening"]["first_frames_hex"]
            nobody = REAL["nobody_listens"]
            *first, error = await _frames(session, server, nobody["port"])
            assert [each.hex() for each in first] == nobody["first_frames_hex"]
            assert error.startswith(nobody["error"].partition(" to pod")[0].encode())
            await kubelet.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_bytes_go_both_ways(tmp_path: Path) -> None:
    """What is sent to the local port comes back from the pod's."""

    async def run() -> None:
        kubelet = Echo()
        async with cluster(tmp_path, ApiServer(kubelet)) as (server, api):
            _put_pod(server)
            async with forwarded(api, _pod, PORT) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                sent = bytes(range(256)) * 1000
                writer.write(sent)
                assert await reader.readexactly(len(sent)) == sent
                writer.close()
                await writer.wait_closed()
            await kubelet.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_failed_forward_says_why(tmp_path: Path) -> None:
    """Whoever connected sees only that the connection ended; the run's error says what it was."""

    async def run() -> None:
        async with cluster(tmp_path, ApiServer(Echo())) as (server, api):
            _put_pod(server)

            async def connect() -> None:
                async with forwarded(api, _pod, PORT + 1) as port:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    assert await reader.read() == b""
                    writer.close()
                    raise TransportError("the broker cannot be reached")

            with pytest.raises(TransportError, match="error forwarding port") as caught:
                await connect()
            assert "the broker cannot be reached" in str(caught.value)
            assert "--broker" in (caught.value.advice or "")

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_handshake_that_is_refused_says_so(tmp_path: Path) -> None:
    """No such pod any more: the server's number is in the error."""

    async def run() -> None:
        async with cluster(tmp_path) as (_, api):

            async def connect() -> None:
                async with api.websocket(f"{POD.path}/portforward", {"ports": "1"}, PROTOCOL):
                    pass

            with pytest.raises(ApiError) as caught:
                await connect()
            assert caught.value.status == 404

    asyncio.run(asyncio.wait_for(run(), 20))
