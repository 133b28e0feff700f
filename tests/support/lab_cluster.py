"""A stand-in cluster whose pods are real agents in lab namespaces, and `bench` started on it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from support import calico
from support.apiserver.lab_kubelet import LabKubelet
from support.apiserver.server import ApiServer
from support.bench import BENCH
from support.cluster import kubeconfig, node, put
from support.lab_in_place import InPlace

from podbench.model.arms import Mode
from podbench.target.lab.world import LabWorld

LIMIT_S = 150.0
ON_IT = ("--target", "kubernetes", "--context", "stand-in", "--yes", "--image", "agents:1")
"""What a program says to measure there."""


@contextlib.asynccontextmanager
async def lab_cluster(
    world: LabWorld,
    folder: Path,
    *,
    found: Mode | None = None,
    in_place: InPlace | None = None,
    **installed: Any,
) -> AsyncIterator[tuple[ApiServer, LabKubelet]]:
    """Calico on the lab's nodes; `found` is the mode of pods that name no pool.

    With `in_place` the cluster's pool can be changed under its pods, by its operator.
    """
    kubelet = LabKubelet(world, found, in_place)
    groups = {"projectcalico.org", "crd.projectcalico.org"}
    if in_place is not None:
        in_place.lay()
        groups.add("operator.tigera.io")
        installed["operator"] = True
    async with ApiServer(kubelet, groups=groups) as server:
        kubelet.store = server.store
        calico.install(server, **installed)
        for number in range(1, len(world.nodes) + 1):
            put(server, node(number))
        with kubeconfig(folder / "kubeconfig", server.kubeconfig()):
            yield server, kubelet


class Finished(msgspec.Struct):
    """A command that came to its end, and what it left in the cluster."""

    code: int
    out: str
    errors: str
    left: list[str] = []
    disorder: list[str] = []


async def started(
    *arguments: str, stdin: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    """`bench` as a user starts it; with nobody at its terminal, if not told otherwise."""
    return await asyncio.create_subprocess_exec(
        *BENCH,
        *arguments,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ,
    )


async def ended(process: asyncio.subprocess.Process) -> Finished:
    """What it said and how it ended; a hang is a failure."""
    out, errors = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), errors.decode())


async def bench(*arguments: str) -> Finished:
    """Runs `bench` to its end."""
    return await ended(await started(*arguments))
