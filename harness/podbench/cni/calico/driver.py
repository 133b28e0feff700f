"""Calico: one pool per mode, side by side on every node, as temporary IP pools are on a cluster.

VXLAN routes are programmed by Felix (protocol 3, boot: known by their device), IPIP and plain ones
by BIRD (protocol 12), as is the default up to release 3.32; from 3.33 on Felix programs IPIP's too.
A world that cannot have it
so says what it laid instead. docs/architecture.md has the table of who programs what.
Source: projectcalico/calico, felix/fv (the routes' exact strings), confd's BIRD templates.
"""

from podbench.cni.base import Origin, Pool
from podbench.cni.pooled import PooledDriver, unknown_mode
from podbench.cni.proof.routes import BIRD, BOOT
from podbench.model.arms import OVERHEAD_BYTES, Mode

VNI, UDP_PORT = 4096, 4789
"""Calico's defaults; Flannel's differ, so both can run on one node."""

CIDRS = {
    # Inside 198.18.0.0/15, set aside for benchmarks by RFC 2544: no cluster's own pools lie there.
    Mode.VXLAN: "198.18.64.0/18",
    Mode.IPIP: "198.18.128.0/18",
    Mode.BGP: "198.18.192.0/18",
}
DEVICES = {Mode.VXLAN: "vxlan.calico", Mode.IPIP: "tunl0"}


class Calico(PooledDriver):
    """Calico's modes and pools."""

    name = "calico"
    side_by_side = True

    def modes(self) -> tuple[Mode, ...]:
        """VXLAN, IPIP, BGP."""
        return tuple(CIDRS)

    def pool(self, mode: Mode, *, underlay_mtu: int, equal_mtu: bool) -> Pool:
        """A mode's pool; with `equal_mtu` every pod gets the smallest MTU, VXLAN's.

        Raises:
            ConfigError: Calico has no such mode.
        """
        if mode not in CIDRS:
            raise unknown_mode(self.name, mode, self.modes())
        vxlan = mode == Mode.VXLAN
        return Pool(
            mode=mode,
            cidr=CIDRS[mode],
            pod_mtu=underlay_mtu - OVERHEAD_BYTES[Mode.VXLAN if equal_mtu else mode],
            origin=Origin.FELIX if vxlan else Origin.BIRD,
            route_protocol=BOOT if vxlan else BIRD,
            device=DEVICES.get(mode),
            vni=VNI if vxlan else None,
            udp_port=UDP_PORT if vxlan else None,
        )
