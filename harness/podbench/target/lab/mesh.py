"""The lab's BGP mesh: one BIRD per node announces the node's blocks of every routed pool.

Pools join and leave while the daemons run, as IP pools do on a cluster; the daemons start with the
first and end with the last. What a daemon is told is `bird`'s matter.
"""

import asyncio
import subprocess
import time
from collections.abc import Sequence

from podbench.model.errors import LabError
from podbench.target.lab import bird, facts, namespaces
from podbench.target.lab.layout import NodePlan, PodPlan

UP_S = 30.0
"""The mesh is up in 1-3 s; a loaded machine may need a connect retry or two of 3 s."""
POLL_S = 0.1
BIRD_PROTOCOL = 12
"""rtm_protocol of what BIRD installs (linux/rtnetlink.h, RTPROT_BIRD)."""


class Mesh:
    """A full mesh between the nodes; no daemon runs until a pool joins."""

    def __init__(self, nodes: Sequence[NodePlan]) -> None:
        self._nodes = tuple(nodes)
        self._pools: dict[str, tuple[PodPlan, ...]] = {}
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        """The daemons by node; tests inject faults by ending them."""

    async def join(self, cidr: str, pods: Sequence[PodPlan]) -> None:
        """Announces a pool's blocks and returns once all routes to them are in the kernels.

        Raises:
            PrerequisiteError: BIRD is not installed.
            LabError: Routes are still missing after 30 s; names the nodes.
        """
        self._pools[cidr] = tuple(pods)
        await self._tell()
        await _until_routed(pods)

    async def leave(self, cidr: str) -> None:
        """Withdraws a pool's blocks; with the last pool the daemons end. Idempotent.

        With `persist` their routes stay behind then: who calls takes them away.

        Raises:
            LabError: A running daemon refuses.
        """
        if self._pools.pop(cidr, None) is None:
            return
        if self._pools:
            await self._tell()
            return
        daemons, self.daemons = self.daemons, {}
        for daemon in daemons.values():
            daemon.terminate()
        for daemon in daemons.values():
            await asyncio.to_thread(namespaces.end, daemon)

    async def renew(self, name: str) -> None:
        """Starts a node's daemon anew, after a loss, and returns once all routes are there again.

        Raises:
            LabError: Routes are still missing after 30 s.
        """
        node = next(each for each in self._nodes if each.name == name)
        lost = self.daemons[name]
        lost.kill()
        await asyncio.to_thread(namespaces.end, lost)
        self.daemons[name] = bird.start(node, self._text(node))
        for pods in self._pools.values():
            await _until_routed(pods)

    def _text(self, node: NodePlan) -> str:
        announced = [
            bird.Announced(cidr, pod.block)
            for cidr, pods in self._pools.items()
            for pod in pods
            if pod.node == node
        ]
        return bird.render(node, self._nodes, announced)

    async def _tell(self) -> None:
        for node in self._nodes:
            text = self._text(node)
            daemon = self.daemons.get(node.name)
            if daemon is None:
                self.daemons[node.name] = bird.start(node, text)
            elif daemon.poll() is None:
                await bird.reload(node, text)
            else:
                # Ended by somebody: a fault under test. It must not keep pools from leaving.
                bird.configure(node, text)


async def _until_routed(pods: Sequence[PodPlan]) -> None:
    """Polls the kernels until all routes are there: BIRD does not report when it is done.

    Raises:
        LabError: Some are missing after UP_S; names the nodes and gives BIRD's last word.
    """
    deadline = time.monotonic() + UP_S
    waiting = list(pods)
    while True:
        waiting = [pod for pod in waiting if not await _has_routes(pod, pods)]
        if not waiting:
            return
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(POLL_S)
    names = [pod.node.name for pod in waiting]
    raise LabError(
        f"BGP routes are missing on {', '.join(names)} after {UP_S:g} s; "
        f"BIRD on {names[0]}: {bird.log_tail(names[0])}"
    )


async def _has_routes(own: PodPlan, pods: Sequence[PodPlan]) -> bool:
    """Whether BIRD's routes to all peers' blocks are in the node's kernel and usable."""
    found = await asyncio.to_thread(facts.read_facts, own.node.name, own.node.name)
    usable = {
        route.dst
        for route in found.routes
        if route.protocol == BIRD_PROTOCOL and route.gateway is not None
    }
    return usable >= {peer.block for peer in pods if peer.node != own.node}
