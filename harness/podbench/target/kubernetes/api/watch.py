"""What a collection holds, kept up to date by list and watch.

A watch ends for many reasons, and none of them is an error: the server closes it after a while, a
proxy resets it, the version it started from is compacted (410 Gone, as a status or as an event).
Then it goes on from the last version seen, or lists anew.
Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from podbench.model.errors import ClusterError
from podbench.target.kubernetes.api.client import GONE, Api, ApiError
from podbench.target.kubernetes.api.refs import Object

WATCH_S = 240
"""The server ends a watch after this; a random end would come from it anyway."""
PAUSE_S = 0.5

Held = dict[str, Object]
"""Objects by `namespace/name`."""


async def changes(
    api: Api, path: str, query: Mapping[str, str] | None = None
) -> AsyncIterator[Held]:
    """Everything the collection holds: at once, and again after each change; never ends by itself.

    Raises:
        ApiError: The server refuses (not: goes away), or is away for longer than its patience.
    """
    asked = dict(query or {})
    while True:
        listed = await api.get(path, asked)
        held = {_key(each): each for each in listed.get("items") or []}
        yield dict(held)
        version = str(listed["metadata"]["resourceVersion"])
        async for version_or_held in _follow(api, path, asked, held, version):
            yield version_or_held


async def _follow(
    api: Api, path: str, query: Mapping[str, str], held: Held, version: str
) -> AsyncIterator[Held]:
    """Watches from a version on; returns when only a new list helps."""
    while True:
        asked = {
            **query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_S),
        }
        try:
            async for event in api.stream(path, asked):
                if event["type"] == "ERROR":
                    if event["object"].get("code") == GONE:
                        return
                    break
                version = event["object"]["metadata"]["resourceVersion"]
                if _take(held, event):
                    yield dict(held)
        except ApiError as error:
            if error.status == GONE:
                return
            if error.status not in (0, 429, 500, 502, 503, 504):
                raise
            # It may have been away for long: the list waits for it, and tells what was missed.
            await asyncio.sleep(PAUSE_S)
            return


def _take(held: Held, event: Object) -> bool:
    body = event["object"]
    match event["type"]:
        case "ADDED" | "MODIFIED":
            held[_key(body)] = body
        case "DELETED":
            held.pop(_key(body), None)
        case _:
            return False
    return True


def _key(body: Object) -> str:
    meta = body["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


async def until(
    api: Api,
    path: str,
    query: Mapping[str, str] | None,
    enough: Callable[[Held], bool],
    timeout_s: float,
) -> Held:
    """Waits until the collection is as wanted; returns what it holds then.

    Raises:
        ClusterError: It is not, in time.
        ApiError: The server refuses.
    """
    held: Held = {}
    try:
        async with asyncio.timeout(timeout_s):
            async for held in changes(api, path, query):
                if enough(held):
                    return held
    except TimeoutError:
        raise ClusterError(f"{path} is not as wanted after {timeout_s:g} s") from None
    raise AssertionError("a watch does not end by itself")
