"""An API server stand-in for one test: started, with nodes, spoken to by our own client."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from support.apiserver.server import ApiServer
from support.apiserver.store import Place

from podbench.target.kubernetes.api.client import Api

LIMIT_S = 60.0

Object = dict[str, Any]
Scene = Callable[[ApiServer, Api], Awaitable[None]]


@contextlib.contextmanager
def kubeconfig(path: Path, content: Object) -> Iterator[None]:
    """Makes `content` be what kubectl would use, while the context lasts."""
    path.write_text(yaml.safe_dump(content), "utf-8")
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["KUBECONFIG"]
        else:
            os.environ["KUBECONFIG"] = before


@contextlib.asynccontextmanager
async def cluster(
    folder: Path, server: ApiServer | None = None, *, nodes: int = 3, patience_s: float = 5.0
) -> AsyncIterator[tuple[ApiServer, Api]]:
    """A stand-in with nodes n1, n2, ..., and a client of it."""
    async with server or ApiServer() as running:
        for number in range(1, nodes + 1):
            put(running, node(number))
        with kubeconfig(folder / "kubeconfig", running.kubeconfig()):
            async with Api(patience_s=patience_s) as api:
                yield running, api


def play(folder: Path, scene: Scene, *, patience_s: float = 5.0) -> None:
    """Runs a scene with a cluster; a hang is a failure."""

    async def run() -> None:
        async with cluster(folder, patience_s=patience_s) as (server, api):
            await scene(server, api)

    asyncio.run(asyncio.wait_for(run(), LIMIT_S))


def node(number: int, **labels: str) -> Object:
    """A worker that is ready."""
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": f"n{number}", "labels": {"kubernetes.io/os": "linux", **labels}},
        "spec": {},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": f"172.18.0.{number + 1}"}],
            "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux"},
            "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"},
        },
    }


def control_plane(number: int) -> Object:
    """A node that keeps pods out, as installers make it."""
    role = "node-role.kubernetes.io/control-plane"
    made = node(number, **{role: ""})
    made["spec"] = {"taints": [{"key": role, "effect": "NoSchedule"}]}
    return made


def put(server: ApiServer, body: Object) -> None:
    """Writes an object as if somebody else had."""
    from support.apiserver.kinds import plural_of

    group, plural = plural_of(body["kind"])
    meta = body["metadata"]
    server.store.put(Place(group, plural, meta.get("namespace", ""), meta["name"]), body)


def at(server: ApiServer, kind: str, name: str, namespace: str = "") -> Object | None:
    """What the server keeps."""
    from support.apiserver.kinds import plural_of

    group, plural = plural_of(kind)
    return server.store.get(Place(group, plural, namespace, name))


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; the scene's own limit bounds the wait."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.01)
