"""Cilium, observed only: a tunnel (VXLAN, Geneve) or the routes that are there.

Its eBPF programs decide at the pods' devices, and in tunnel mode its routes lead into
`cilium_host`, so that a route lookup says little: counters of its tunnel devices and captures do.
Routes that it installs bear the kernel's own number, which names nobody. Source: cilium/cilium,
pkg/datapath/linux.
"""

from podbench.cni.base import Pool
from podbench.cni.pooled import PooledDriver, unknown_mode
from podbench.model.arms import OVERHEAD_BYTES, Mode

TUNNELS = {
    # Device and Cilium's default port.
    Mode.VXLAN: ("cilium_vxlan", 8472),
    Mode.GENEVE: ("cilium_geneve", 6081),
}


class Cilium(PooledDriver):
    """Cilium's modes. One at a time, and none that podbench would change."""

    name = "cilium"
    side_by_side = False

    def modes(self) -> tuple[Mode, ...]:
        """VXLAN, Geneve, native."""
        return (*TUNNELS, Mode.NATIVE)

    def pool(self, mode: Mode, *, underlay_mtu: int, equal_mtu: bool) -> Pool:
        """A mode as Cilium has it; with `equal_mtu` every pod gets the smallest MTU.

        Raises:
            ConfigError: Cilium has no such mode.
        """
        if mode not in self.modes():
            raise unknown_mode(self.name, mode, self.modes())
        device, port = TUNNELS.get(mode, (None, None))
        return Pool(
            mode=mode,
            cidr="",
            pod_mtu=underlay_mtu - OVERHEAD_BYTES[Mode.VXLAN if equal_mtu else mode],
            origin=None,
            route_protocol=None,
            device=device,
            # Cilium's VNIs are the senders' identities.
            udp_port=port,
        )
