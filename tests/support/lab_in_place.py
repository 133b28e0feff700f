"""A lab whose pods stay while what carries their packets changes, as when a pool is edited.

One cluster pool holds the pods of all modes' agents. Each set of agents has its share of it here,
and all shares are carried alike: through one VXLAN device a node with Felix's routes, or over BIRD.
What Felix does on its way there (restarting, an MTU for new pods) is not shown.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any

import msgspec

from podbench.cni import registry
from podbench.cni.base import Laid, Pool
from podbench.model.arms import Mode
from podbench.target.lab import build, layout, tunnels
from podbench.target.lab.inside import with_netlink
from podbench.target.lab.layout import PodPlan
from podbench.target.lab.world import LabWorld, _LaidPool

SHARES = 2
"""A quarter of the pool for each set of agents."""


class InPlace:
    """The pods of one pool, and the mode that carries them."""

    def __init__(self, world: LabWorld, cidr: str, modes: Sequence[Mode]) -> None:
        self._world = world
        self._modes = tuple(modes)
        self._shares = list(ipaddress.ip_network(cidr).subnets(SHARES))
        self._carried: Mode | None = None
        self._sets: list[tuple[str, tuple[PodPlan, ...]]] = []
        self.stuck: set[Mode] = set()
        """Modes that the nodes do not follow to."""

    def lay(self) -> None:
        """Makes a pod for each mode's agents on every node; nothing carries their packets yet."""
        for number, mode in enumerate(self._modes):
            pool = self._pool(mode, str(self._shares[number]))
            pods = layout.plan_pods(pool, self._world._plans, "calico")
            for plan in pods:
                build.pod(plan, pool, "calico")
                self._world._hold(plan.name)
            laid = _LaidPool(pool, pods)
            laid.laid = Laid(pool=pool, implementation="in place")
            self._world._pools[mode] = laid
            self._sets.append((pool.cidr, pods))

    def _pool(self, mode: Mode, cidr: str) -> Pool:
        asked = registry.driver("calico").pool(mode, underlay_mtu=1500, equal_mtu=True)
        return msgspec.structs.replace(asked, cidr=cidr)

    async def carry(self, mode: Mode) -> None:
        """Changes what carries the pods' packets."""
        if mode == self._carried or mode in self.stuck:
            return
        await self._drop()
        self._carried = mode
        if mode == Mode.BGP:
            for cidr, pods in self._sets:
                await self._world.mesh.join(cidr, pods)
            return
        assert mode == Mode.VXLAN, f"the lab in place has no {mode}"
        (cidr, first), *others = self._sets
        pool = self._pool(mode, cidr)
        for own in first:
            tunnels.lay_vxlan(pool, own, first, 1500)
        for _, pods in others:
            for own in pods:
                _route(pool, own, first, pods)

    async def _drop(self) -> None:
        if self._carried is None:
            return
        for cidr, pods in self._sets:
            if self._carried == Mode.BGP:
                await self._world.mesh.leave(cidr)
            for own in pods:
                tunnels.remove(self._pool(self._carried, cidr), own, pods)


def _route(pool: Pool, own: PodPlan, ends: Sequence[PodPlan], pods: Sequence[PodPlan]) -> None:
    """Further blocks of each peer, through the same tunnel."""

    def work(netlink: Any) -> None:
        device = build.index(netlink, pool.device or "")
        for peer in pods:
            if peer.node != own.node:
                (end,) = (each for each in ends if each.node == peer.node)
                netlink.route(
                    "replace",
                    dst=peer.block,
                    gateway=end.tunnel_address,
                    oif=device,
                    proto=pool.route_protocol,
                    flags=["onlink"],
                )

    with_netlink(own.node.name, work)
