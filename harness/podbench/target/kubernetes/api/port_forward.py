"""The way to the broker through the API server: a local port, each connection a websocket.

The client library's asyncio flavour has no port-forward. On the websocket every message begins with
a channel number: 0 the data, 1 errors; the first message of each carries the port (two octets).
Source: k8s.io/kubelet, pkg/cri/streaming/portforward/websocket.go.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp

from podbench.model.errors import ClusterError, TransportError
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.api.refs import Ref

logger = logging.getLogger(__name__)

PROTOCOL = "v4.channel.k8s.io"
DATA, ERROR = 0, 1
PIECE_BYTES = 32 * 1024
RATE_BYTES_PER_S = 8_000_000
"""The most that results take of the API server, which others need too."""

FindPod = Callable[[], Awaitable[Ref]]
"""Names the pod to connect to: anew for each connection, since it may have been replaced."""


@contextlib.asynccontextmanager
async def forwarded(
    api: Api, find: FindPod, port: int, *, rate_bytes_per_s: float = RATE_BYTES_PER_S
) -> AsyncIterator[int]:
    """Forwards a local port to a pod's while the context lasts; gives the local port's number.

    Raises:
        TransportError: From inside, with what the port-forward says where it had just failed: all
            that whoever connected saw was the connection's end.
    """
    forward = _Forward(api, find, port, rate_bytes_per_s)
    server = await asyncio.start_server(forward.connected, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    except TransportError as error:
        if forward.failed is None:
            raise
        raise TransportError(
            f"{error}; the port-forward through the API server failed: {forward.failed}",
            advice="`kubectl port-forward` shows whether others get through; or use --broker",
        ) from error
    finally:
        server.close()
        await forward.close()


class _Forward:
    def __init__(self, api: Api, find: FindPod, port: int, rate_bytes_per_s: float) -> None:
        self._api = api
        self._find = find
        self._port = port
        self._rate = rate_bytes_per_s
        self._tasks: set[asyncio.Task[None]] = set()
        self.failed: str | None = None
        """Why the newest connection could not be forwarded; null where it could."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one local connection; its end is the websocket's, and the other way round."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except (ClusterError, TransportError, OSError) as error:
            # Whoever connected sees the connection end and tries again, as with any broker.
            self.failed = str(error)
            logger.warning("port-forward ended", extra={"why": str(error)})
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pod = await self._find()
        path = f"{pod.path}/portforward"
        async with self._api.websocket(path, {"ports": str(self._port)}, PROTOCOL) as socket:
            sending = asyncio.create_task(_send(reader, socket))
            try:
                await self._receive(socket, writer)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _receive(
        self, socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter
    ) -> None:
        opened: set[int] = set()
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel not in opened:
                opened.add(channel)
                data = data[2:]
            if channel == ERROR and data:
                raise TransportError(f"port-forward: {data.decode('utf-8', 'replace')}")
            if channel == DATA and data:
                self.failed = None
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(len(data) / self._rate)

    async def close(self) -> None:
        """Ends all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    while data := await reader.read(PIECE_BYTES):
        await socket.send_bytes(bytes([DATA]) + data)
    await socket.close()
