"""Watches over a deployed run, and ends it within seconds when the cluster gets into trouble.

Four things are trouble: the lease is lost, a node that takes part goes NotReady, somebody changes
what the run made, the canary falls silent. The run is cancelled and ends with the reason.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from podbench.model.errors import ClusterError, InterferenceError
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.api.refs import Object, collection
from podbench.target.kubernetes.api.watch import changes
from podbench.target.kubernetes.deploy.creation import Deployment
from podbench.target.kubernetes.survey.nodes import ready

LOOK_S = 2.0
"""How often our own objects are looked at again."""


@contextlib.asynccontextmanager
async def guarded(
    deployment: Deployment, api: Api, nodes: Sequence[str], canary: asyncio.Future[None]
) -> AsyncIterator[None]:
    """Cancels what runs in the context when there is trouble, and raises the trouble instead.

    Args:
        deployment: Its lease and its objects are looked after.
        api: The cluster.
        nodes: Those that take part.
        canary: Fails when the cluster's own network is in trouble.

    Raises:
        ClusterError: The lease was lost, a node went NotReady, or the canary says so.
        InterferenceError: Somebody changed what the run had made.
    """
    inside = asyncio.current_task()
    assert inside is not None
    troubles: list[BaseException] = []

    def on_end(task: asyncio.Task[None]) -> None:
        # Whatever it is: a watch that ended would notice nothing any more.
        error = None if task.cancelled() else task.exception()
        if error is not None and not troubles:
            troubles.append(error)
            inside.cancel()

    watching = [
        asyncio.create_task(each)
        for each in (
            _failure(deployment.lease.lost),
            _failure(canary),
            _nodes(api, nodes, deployment),
            _objects(deployment),
        )
    ]
    for task in watching:
        task.add_done_callback(on_end)
    try:
        yield
    except asyncio.CancelledError:
        if not troubles:
            raise
        inside.uncancel()
        raise troubles[0] from None
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _failure(future: asyncio.Future[None]) -> None:
    await asyncio.shield(future)


async def _nodes(api: Api, names: Sequence[str], deployment: Deployment) -> None:
    async for held in changes(api, collection("Node")):
        by_name = {each["metadata"]["name"]: each for each in held.values()}
        lost = [name for name in names if name not in by_name or not ready(by_name[name])]
        if lost and deployment.begun:
            said = ", ".join(f"{name} went NotReady{_why(by_name.get(name))}" for name in lost)
            raise ClusterError(
                f"{said} while measuring, so the run ends",
                advice="what was measured is kept; `bench resume` goes on when the node is back",
            )


def _why(node: Object | None) -> str:
    """What the node's own status says of it."""
    if node is None:
        return " (it is no longer in the cluster)"
    conditions = (node.get("status") or {}).get("conditions") or []
    told = next((each.get("message") for each in conditions if each.get("type") == "Ready"), None)
    return f" ({str(told).rstrip('.')})" if told else ""


async def _objects(deployment: Deployment) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        if deployment.complete and (found := await deployment.interference()):
            raise InterferenceError(
                f"somebody else changed what this run had made: {'; '.join(found)}",
                advice="find out which controller or person it was; nothing was written over",
            )
