"""The lab as CNI drivers see it: pools are applied and removed, facts are read.

`LabWorld` owns every namespace and daemon it creates and removes them on exit; so does the end of
the isolation around it. It knows pools, not CNIs: which pools exist, their names and numbers
come from the drivers in `podbench.cni`.
"""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from podbench.cni.base import PROOF_PROBES, Laid, Origin, Pool
from podbench.model.arms import Mode
from podbench.model.errors import LabError
from podbench.model.facts import ArmProof, Flow, NodeFacts, Route, TunnelCount
from podbench.model.nodes import AgentId, LabOptions, Node, Pod, source_of
from podbench.target.lab import (
    bird,
    build,
    capture,
    facts,
    layout,
    namespaces,
    shape,
    syscalls,
    tunnels,
)
from podbench.target.lab.capture import LabCapture
from podbench.target.lab.ipip import dataplane
from podbench.target.lab.ipip.dataplane import IpipDataplane
from podbench.target.lab.layout import NodePlan, PodPlan
from podbench.target.lab.mesh import Mesh
from podbench.wire import rtnetlink

HOLDER = ("sleep", "infinity")
"""Gives a namespace a process id that people and tools can enter (`nsenter -t`)."""


class _LaidPool:
    """One pool and its pods."""

    def __init__(self, pool: Pool, pods: Sequence[PodPlan]) -> None:
        self.asked = pool
        self.laid = Laid(pool=pool, implementation=None)
        self.pods = tuple(pods)


class LabWorld:
    """N nodes on one underlay; `apply` and `remove` add and delete pools.

    An async context manager: entering creates the nodes, with the faults that the options set.
    """

    def __init__(self, options: LabOptions) -> None:
        self._options = options
        self._plans = layout.plan_nodes(options.nodes)
        self._pools: dict[Mode, _LaidPool] = {}
        self._holders: dict[str, subprocess.Popen[bytes]] = {}
        self.burners: list[subprocess.Popen[bytes]] = []
        self._ipip = IpipDataplane()
        self.mesh = Mesh(self._plans)
        """The routing daemons, for fault injection."""

    async def __aenter__(self) -> Self:
        """Creates underlay and nodes.

        Raises:
            LabError: The kernel refuses something.
        """
        try:
            build.underlay(self._options)
            for plan in self._plans:
                build.node(plan, self._options)
                self._hold(plan.name)
            shape.apply(self._options, self._plans)
            await asyncio.to_thread(build.await_underlay, len(self._plans))
            self.burners = shape.burn(self._options.cpu_noise)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops daemons and removes namespaces."""
        await self._close()

    @property
    def options(self) -> LabOptions:
        """The options of this lab."""
        return self._options

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes and their pods; process ids are those of the namespaces' holders."""
        return tuple(self._node(plan) for plan in self._plans)

    @property
    def equal_mtu(self) -> bool:
        """Whether all pods get the smallest MTU (`--equal-mtu`)."""
        return self._options.equal_mtu

    @property
    def proof_probes(self) -> int:
        """No other traffic is on the wire."""
        return PROOF_PROBES

    def quiet(self, nodes: Sequence[str]) -> contextlib.AbstractAsyncContextManager[None]:
        """Only probes are on the wire."""
        del nodes
        return contextlib.nullcontext()

    async def capture(self, nodes: Sequence[str]) -> LabCapture:
        """Starts counting pod packets by outer header on these nodes' underlay devices.

        Raises:
            LabError: A capture socket cannot be opened.
        """
        return await capture.start({node: node for node in nodes}, layout.UPLINK)

    @property
    def implementations(self) -> dict[Mode, str | None]:
        """The implementation of each mode (`kernel device`, `eBPF at tc`, `routed`)."""
        return {mode: pool.laid.implementation for mode, pool in self._pools.items()}

    def pids(self) -> dict[str, Any]:
        """Process ids as seen from the host, in the format of run.json."""
        return describe_pids(self.nodes)

    async def apply(self, pool: Pool) -> Laid:
        """Creates the pool, one pod on every node, and the routes to them.

        A kernel without IPIP is no error: the result carries the reason.

        Raises:
            LabError: The kernel refuses something else.
            PrerequisiteError: BIRD is not installed.
        """
        known = self._pools.get(pool.mode)
        if known is not None and known.asked == pool:
            return known.laid
        await self.remove(known.laid.pool if known is not None else pool)
        pods = layout.plan_pods(pool, self._plans, self._options.layout)
        laid = _LaidPool(pool, pods)
        self._pools[pool.mode] = laid
        try:
            for plan in pods:
                build.pod(plan, pool, self._options.layout)
                self._hold(plan.name)
            shape.settle_pods(self._options, pods)
            laid.laid = await self._connect(pool, pods)
        except BaseException:
            await self.remove(pool)
            raise
        if laid.laid.implementation is None:
            await self.remove(pool)
        return laid.laid

    async def remove(self, pool: Pool) -> None:
        """Removes a pool's pods, devices, routes and daemons; idempotent.

        Raises:
            LabError: The kernel refuses.
        """
        laid = self._pools.pop(pool.mode, None)
        if laid is None:
            return
        await self.mesh.leave(laid.laid.pool.cidr)
        for plan in laid.pods:
            if pool.mode == Mode.IPIP:
                self._ipip.remove(plan.node.name)
            tunnels.remove(laid.laid.pool, plan, laid.pods)
            self._release(plan.name)
            build.remove_pod(plan)
            if self._options.layout == "flannel":
                build.remove_device(plan.node.name, layout.FLANNEL_BRIDGE)

    @contextlib.asynccontextmanager
    async def shaped(self, rate_bps: int) -> AsyncIterator[None]:
        """Shapes every node's link, offloads off, and puts back what was; not what is shaped.

        Raises:
            LabError: The kernel refuses.
        """
        if self._options.rate_bps is not None:
            yield
            return
        pods = [pod for pool in self._pools.values() for pod in pool.pods]
        before = await asyncio.to_thread(shape.begin, self._plans, pods, rate_bps, self._options)
        try:
            yield
        finally:
            await asyncio.to_thread(shape.end, self._plans, before)

    @property
    def turns(self) -> bool:
        """Pods are created with their mode."""
        return False

    async def turn(self, mode: Mode, prove: Callable[[], Awaitable[ArmProof]]) -> None:
        """Nothing to do: packets take what was applied."""

    async def facts(self, node: str) -> NodeFacts:
        """Reads one node.

        Raises:
            LabError: The namespace is gone, or BIRD answers nonsense.
        """
        sessions = await bird.sessions(node) if self.mesh.daemons else None
        return await asyncio.to_thread(facts.read_facts, node, node, sessions)

    async def lookup(self, node: str, address: str, flow: Flow | None = None) -> Route:
        """Asks the node's kernel which way its pod's packets to this address go.

        Raises:
            LabError: The namespace is gone.
        """
        source = None if flow is None else source_of(self.nodes, node, address)
        return await asyncio.to_thread(facts.lookup, node, address, source, flow)

    async def tunnel_counts(self, node: str, pool: Pool) -> tuple[TunnelCount, ...]:
        """Packet counters of the pool's tunnel on a node, by device or by peer; empty if none.

        Raises:
            LabError: The namespace is gone.
        """
        if pool.mode == Mode.IPIP:
            return await asyncio.to_thread(self._ipip.counts, node, node)
        if pool.device is None:
            return ()
        return await asyncio.to_thread(facts.device_counts, node, node, pool.device)

    def _node(self, plan: NodePlan) -> Node:
        pods = (
            Pod(
                name=pod.name,
                node=plan.name,
                mode=mode,
                address=pod.address,
                agent=AgentId(pod.name),
                mtu=pool.laid.pool.pod_mtu,
                pid=self._pid(pod.name),
            )
            for mode, pool in self._pools.items()
            for pod in pool.pods
            if pod.node == plan
        )
        return Node(
            name=plan.name,
            address=plan.address,
            agent=plan.agent,
            mtu_underlay=self._options.underlay_mtu,
            pods=tuple(pods),
            pid=self._pid(plan.name),
            kernel=os.uname().release,
            cpu_model=rtnetlink.cpu_model(),
        )

    def _pid(self, name: str) -> int | None:
        holder = self._holders.get(name)
        return None if holder is None else syscalls.host_pid(holder.pid)

    def _hold(self, name: str) -> None:
        self._holders[name] = namespaces.spawn(name, HOLDER)

    def _release(self, name: str) -> None:
        holder = self._holders.pop(name, None)
        if holder is not None:
            namespaces.end(holder)

    async def _connect(self, pool: Pool, pods: Sequence[PodPlan]) -> Laid:
        """Connects the pool's pods across nodes."""
        match pool.mode:
            case Mode.VXLAN:
                for own in pods:
                    tunnels.lay_vxlan(pool, own, pods, self._options.underlay_mtu)
                    self._finish_felix(pool, own)
                return Laid(pool=pool, implementation="kernel device")
            case Mode.HOST_GW:
                for own in pods:
                    tunnels.lay_routes(pool, own, pods)
                return Laid(pool=pool, implementation="routed")
            case Mode.BGP:
                await self.mesh.join(pool.cidr, pods)
                return Laid(pool=pool, implementation="routed")
            case Mode.IPIP:
                return await self._connect_ipip(pool, pods)
            case _:
                raise LabError(f"the lab has no mode {pool.mode}")

    async def _connect_ipip(self, pool: Pool, pods: Sequence[PodPlan]) -> Laid:
        made = set()
        for own in pods:
            peers = {peer.node.address: peer.block for peer in pods if peer.node != own.node}
            try:
                made.add(
                    self._ipip.lay(own.node.name, layout.UPLINK, own.node.address, peers, pool)
                )
            except LabError as error:
                return Laid(pool=pool, implementation=None, reason=str(error))
        (implementation,) = made
        if implementation == dataplane.KERNEL_DEVICE:
            # Only Calico's own BIRD can point a route at tunl0 (krt_tunnel); so the routes are laid
            # as Felix lays them, which is Calico's default from 3.33 on.
            pool = msgspec.structs.replace(
                pool, origin=Origin.FELIX, route_protocol=build.FELIX_PROTOCOL
            )
        if pool.origin == Origin.BIRD:
            await self.mesh.join(pool.cidr, pods)
            return Laid(pool=pool, implementation=implementation)
        for own in pods:
            peers = {peer.node.address: peer.block for peer in pods if peer.node != own.node}
            self._ipip.lay_routes(own.node.name, peers, pool)
            self._finish_felix(pool, own)
        return Laid(pool=pool, implementation=implementation)

    def _finish_felix(self, pool: Pool, own: PodPlan) -> None:
        if self._options.layout == "calico":
            tunnels.lay_blackhole(pool, own)

    async def _close(self) -> None:
        for laid in list(self._pools.values()):
            await self.remove(laid.laid.pool)
        for burner in self.burners:
            namespaces.end(burner)
        for plan in self._plans:
            self._release(plan.name)
            namespaces.destroy(plan.name)
        namespaces.destroy(layout.UNDERLAY)


def describe_pids(nodes: Sequence[Node]) -> dict[str, Any]:
    """Process ids of nodes and pods, in the format of run.json."""
    return {
        "nodes": [
            {
                "name": node.name,
                "pid": node.pid,
                "pods": [{"name": pod.name, "mode": pod.mode, "pid": pod.pid} for pod in node.pods],
            }
            for node in nodes
        ]
    }
