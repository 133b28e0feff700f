"""Serves watches: events, bookmarks, timeouts, 410 Gone."""

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web
from support.apiserver import admission
from support.apiserver.kinds import kind
from support.apiserver.store import Expired, Object, Place

if TYPE_CHECKING:
    from support.apiserver.server import ApiServer


def matches(body: Object, query: dict[str, str]) -> bool:
    """Whether label and field selectors (equality, existence) admit an object."""
    labels = body["metadata"].get("labels") or {}
    for part in filter(None, query.get("labelSelector", "").split(",")):
        key, equals, value = part.partition("=")
        if key not in labels or (equals and labels[key] != value.lstrip("=")):
            return False
    for part in filter(None, query.get("fieldSelector", "").split(",")):
        name, _, value = part.partition("=")
        found: Any = body
        for step in name.split("."):
            found = found.get(step) or {}
        if found != value:
            return False
    return True


async def serve_watch(
    request: web.Request, server: "ApiServer", place: Place, query: dict[str, str]
) -> web.StreamResponse:
    """One watch, until it times out, is closed by a fault, or its version is gone."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    limit_s = float(query.get("timeoutSeconds") or 300)
    if server.faults.watch_s is not None:
        limit_s = min(limit_s, server.faults.watch_s)
    # The client or a fault may have ended the connection.
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(limit_s):
            await _feed(response, request, server, place, query)
    return response


async def _feed(
    response: web.StreamResponse,
    request: web.Request,
    server: "ApiServer",
    place: Place,
    query: dict[str, str],
) -> None:
    version = int(query.get("resourceVersion") or server.store.version)

    async def send(kind_: str, body: Object) -> None:
        await response.write(json.dumps({"type": kind_, "object": body}).encode() + b"\n")

    def wanted(other: Place) -> bool:
        here = (other.group, other.plural) == (place.group, place.plural)
        return here and place.namespace in ("", other.namespace)

    async def bookmarks() -> None:
        while query.get("allowWatchBookmarks") == "true":
            await asyncio.sleep(server.bookmark_s)
            meta = {"resourceVersion": str(server.store.version), "creationTimestamp": None}
            await send("BOOKMARK", _typed(place, {"metadata": meta}))

    marking = asyncio.create_task(bookmarks())
    try:
        async for change in server.store.since(version, wanted):
            if server.faults.away and request.transport is not None:
                request.transport.abort()
                return
            if change is not None and matches(change.body, query):
                await send(change.type, _typed(place, change.body))
    except Expired:
        await send("ERROR", admission.version_gone(version, server.store.compacted))
    finally:
        marking.cancel()
        await asyncio.gather(marking, return_exceptions=True)


def _typed(place: Place, body: Object) -> Object:
    return {"kind": kind(place), "apiVersion": place.group, **body}
