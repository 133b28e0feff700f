"""Flannel: VXLAN or host-gw, one after the other; it cannot change its backend under workloads.

Its routes carry no protocol of their own: flanneld adds them without one, which the kernel keeps as
3 (boot). Source: flannel-io/flannel, pkg/backend/vxlan and pkg/backend/hostgw; the routes of a
running cluster are among the tests' fixtures.
"""

from podbench.cni.base import Origin, Pool
from podbench.cni.pooled import PooledDriver, unknown_mode
from podbench.model.arms import OVERHEAD_BYTES, Mode

VNI, UDP_PORT = 1, 8472
"""Flannel's defaults: the Linux kernel's port for VXLAN, older than the registered 4789."""
CIDR = "198.19.0.0/18"
"""In the second half of RFC 2544's block; one network, since one mode exists at a time."""
RTPROT_BOOT = 3


class Flannel(PooledDriver):
    """Flannel's modes and pools."""

    name = "flannel"
    side_by_side = False

    def modes(self) -> tuple[Mode, ...]:
        """VXLAN, host-gw."""
        return (Mode.VXLAN, Mode.HOST_GW)

    def pool(self, mode: Mode, *, underlay_mtu: int, equal_mtu: bool) -> Pool:
        """A mode's pool; with `equal_mtu` both get VXLAN's pod MTU.

        Raises:
            ConfigError: Flannel has no such mode.
        """
        if mode not in self.modes():
            raise unknown_mode(self.name, mode, self.modes())
        wrapped = mode == Mode.VXLAN
        return Pool(
            mode=mode,
            cidr=CIDR,
            pod_mtu=underlay_mtu - OVERHEAD_BYTES[Mode.VXLAN if equal_mtu else mode],
            origin=Origin.FLANNEL,
            route_protocol=RTPROT_BOOT,
            device=f"flannel.{VNI}" if wrapped else None,
            vni=VNI if wrapped else None,
            udp_port=UDP_PORT if wrapped else None,
        )
