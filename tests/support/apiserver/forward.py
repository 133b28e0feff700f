"""Port-forward over a websocket, as a kubelet streams it: channel 0 data, channel 1 errors."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web
from support.apiserver.store import Object

if TYPE_CHECKING:
    from support.apiserver.server import ApiServer, Faults

PROTOCOL = "v4.channel.k8s.io"
PIECE_BYTES = 16 * 1024
NOT_ACCEPTABLE = "406: Not Acceptable\n\nAvailable representations: "


async def forward(
    request: web.Request, server: "ApiServer", pod: Object | None
) -> web.StreamResponse:
    """Connects the websocket to a pod's port."""
    if pod is None:
        return web.Response(status=404, text="pod not found")
    if request.headers.get("Accept", "*/*") != "*/*":
        # As a real one: the route has no media type that could be asked for.
        return web.Response(status=406, text=NOT_ACCEPTABLE)
    port = int(request.query["ports"])
    socket = web.WebSocketResponse(protocols=[PROTOCOL], max_msg_size=0)
    await socket.prepare(request)
    # Both channels begin by naming the port.
    for channel in (0, 1):
        await socket.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))
    try:
        reader, writer = await server.kubelet.connect(pod, port)
    except OSError as error:
        await socket.send_bytes(b"\x01" + f"error forwarding port {port}: {error}".encode())
        # No closing handshake: the connection just ends.
        if request.transport is not None:
            request.transport.close()
        return socket
    down = asyncio.create_task(_down(reader, socket, server.faults))
    with contextlib.suppress(ConnectionError):
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data[:1] == b"\x00":
                writer.write(message.data[1:])
                await writer.drain()
    down.cancel()
    await asyncio.gather(down, return_exceptions=True)
    writer.close()
    return socket


async def _down(
    reader: asyncio.StreamReader, socket: web.WebSocketResponse, faults: "Faults"
) -> None:
    left = faults.cuts.pop(0) if faults.cuts else None
    while data := await reader.read(PIECE_BYTES):
        if left is not None:
            left -= len(data)
            if left < 0:
                break
        faults.forwarded_bytes += len(data)
        await socket.send_bytes(b"\x00" + data)
    await socket.close()
