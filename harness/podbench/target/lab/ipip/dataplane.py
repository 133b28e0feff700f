"""IPIP between the lab's nodes: by the kernel's device, else by eBPF at tc, else a refusal.

The kernel's device is Calico's `tunl0`: no remote of its own, each route names the peer
(`PEERBLOCK via PEERNODE dev tunl0 onlink`). The stand-in (`program`) makes the same packets at
the underlay device: its routes go `via PEERNODE dev eth0`, its per-peer counters stand for the
device's. Every result names the implementation in use: never simulated, never renamed.
Routes are a separate step, because a routing daemon may own them.
"""

import errno
import ipaddress
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from pyroute2.netlink.exceptions import NetlinkError

from podbench.cni.base import Origin, Pool
from podbench.model.arms import Mode
from podbench.model.errors import LabError
from podbench.model.facts import TunnelCount
from podbench.target.lab import facts
from podbench.target.lab.inside import inside_throwaway, with_netlink
from podbench.target.lab.ipip import bpf, program
from podbench.target.lab.ipip.assembler import assemble

KERNEL_DEVICE = "kernel device"
EBPF = "eBPF at tc"
"""The words of `Laid.implementation`."""
TUNNEL = "tunl0"
"""The ipip module's own device in each namespace, which Calico uses."""


TRIAL = "podbench0"
"""A device that lives in a throwaway namespace only."""
TRIAL_S = 30.0
TRIAL_ENDS = ("192.0.2.1", "192.0.2.2")
"""RFC 5737 addresses. Without ends of its own the trial would equal `tunl0`, which every namespace
has once the module is loaded, and the kernel would answer `File exists`."""


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """The ways to IPIP on this machine. A reason is null where the way works."""

    implementation: str | None
    """What `lay` would use; null if the arm cannot be measured."""
    device_reason: str | None
    ebpf_reason: str | None

    @property
    def reason(self) -> str | None:
        """Why IPIP does not work here; null if it does."""
        if self.implementation is not None:
            return None
        return f"{self.device_reason} and {self.ebpf_reason}"


class _Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """The tunnel of one node."""

    implementation: str
    device: str
    counters: bpf.Map | None = None


class IpipDataplane:
    """IPIP on the nodes of one lab. Calls block for a few ms and may come from any thread."""

    def __init__(self) -> None:
        self._tunnels: dict[str | None, _Tunnel] = {}

    def lay(
        self,
        netns: str | None,
        device: str,
        local_address: str,
        peers: Mapping[str, str],
        pool: Pool,
    ) -> str:
        """Sets up IPIP from this node to its peers, except for the routes (see `lay_routes`).

        Args:
            netns: The node's namespace.
            device: Its underlay device, such as `eth0`.
            local_address: Its address there.
            peers: Peer's underlay address -> the block of the pool that peer holds.
            pool: The pool, with its device's name and MTU.

        Returns:
            The implementation: `kernel device` or `eBPF at tc`.

        Raises:
            LabError: Neither works here; gives both reasons.
        """
        self.remove(netns)
        try:
            tunnel = _kernel_device(netns, pool)
        except LabError as no_device:
            try:
                tunnel = _programs(netns, device, local_address, peers, pool)
            except bpf.PermissionDenied as error:
                raise LabError(f"{no_device} and eBPF needs root") from error
            except LabError as error:
                raise LabError(f"{no_device} and the eBPF stand-in fails: {error}") from error
        self._tunnels[netns] = tunnel
        return tunnel.implementation

    def lay_routes(self, netns: str | None, peers: Mapping[str, str], pool: Pool) -> None:
        """Adds the route to each peer's block, with the pool's protocol number.

        Only where no routing daemon owns that protocol number: BIRD removes routes of protocol 12
        that it did not make. The route carries the pool's MTU, so that a packet too large for the
        tunnel is answered by the router and not lost after it.

        Raises:
            LabError: Nothing was laid on this node, or netlink refuses.
        """
        device = self.route_device(netns)
        onlink = ["onlink"] if device == self._tunnels[netns].device else []

        def work(netlink: Any) -> None:
            index = netlink.link_lookup(ifname=device)[0]
            for gateway, block in peers.items():
                netlink.route(
                    "replace",
                    dst=block,
                    gateway=gateway,
                    oif=index,
                    proto=pool.route_protocol,
                    metrics={"mtu": pool.pod_mtu},
                    flags=onlink,
                )

        with_netlink(netns, work)

    def route_device(self, netns: str | None) -> str:
        """The outgoing device of this pool's routes on a node.

        Raises:
            LabError: Nothing was laid on this node.
        """
        return self._laid(netns).device.removeprefix("ebpf:")

    def counts(self, netns: str | None, node: str) -> tuple[TunnelCount, ...]:
        """The tunnel's packets on a node: per peer by eBPF, else the device's; empty if not laid.

        Raises:
            LabError: The kernel refuses.
        """
        tunnel = self._tunnels.get(netns)
        if tunnel is None:
            return ()
        if tunnel.counters is None:
            return facts.device_counts(netns, node, tunnel.device)
        return tuple(
            TunnelCount(
                node=node,
                device=tunnel.device,
                peer=socket.inet_ntoa(peer),
                tx_packets=values[0],
                rx_packets=values[2],
                tx_bytes=values[1],
                rx_bytes=values[3],
            )
            for peer in sorted(tunnel.counters)
            for values in (struct.unpack("=5Q", tunnel.counters[peer]),)
        )

    def dropped(self, netns: str | None) -> dict[str, int]:
        """Packets dropped by the programs, by peer; empty with the kernel's device."""
        tunnel = self._tunnels.get(netns)
        if tunnel is None or tunnel.counters is None:
            return {}
        return {
            socket.inet_ntoa(peer): struct.unpack("=5Q", tunnel.counters[peer])[4]
            for peer in sorted(tunnel.counters)
        }

    def remove(self, netns: str | None) -> None:
        """Removes it from a node; idempotent, even if the namespace is gone."""
        tunnel = self._tunnels.pop(netns, None)
        if tunnel is None:
            return
        if tunnel.counters is not None:
            tunnel.counters.close()
        try:
            if tunnel.counters is not None:
                bpf.detach(netns, tunnel.device.removeprefix("ebpf:"))
            else:
                _remove_device(netns, tunnel.device)
        except LabError:
            return  # namespace or device are gone, and the programs with them

    def _laid(self, netns: str | None) -> _Tunnel:
        tunnel = self._tunnels.get(netns)
        if tunnel is None:
            raise LabError(f"no IPIP was laid on {netns or 'this node'}")
        return tunnel


def capability() -> Capability:
    """Tries both ways in a throwaway namespace; changes nothing on this machine."""
    device_reason = _trial(_try_device)
    ebpf_reason = _trial(_try_programs)
    implementation = None
    if device_reason is None:
        implementation = KERNEL_DEVICE
    elif ebpf_reason is None:
        implementation = EBPF
    return Capability(
        implementation=implementation, device_reason=device_reason, ebpf_reason=ebpf_reason
    )


def _kernel_device(netns: str | None, pool: Pool) -> _Tunnel:
    """Calico's device: no addresses; the route's gateway becomes the outer destination."""
    name = pool.device or TUNNEL

    def work(netlink: Any) -> None:
        _add_device(netlink, name)
        index = netlink.link_lookup(ifname=name)[0]
        netlink.link("set", index=index, mtu=pool.pod_mtu, state="up")

    with_netlink(netns, work)
    return _Tunnel(implementation=KERNEL_DEVICE, device=name)


def _add_device(netlink: Any, name: str, **ends: str) -> None:
    try:
        netlink.link("add", ifname=name, kind="ipip", **ends)
    except NetlinkError as error:
        # The module gives every namespace a `tunl0` of its own: then there is nothing to add.
        if error.code != errno.EEXIST or not netlink.link_lookup(ifname=name):
            raise LabError(f"kernel has no IPIP ({os.strerror(error.code)})") from error


def _add_trial(netlink: Any) -> None:
    local, remote = TRIAL_ENDS
    _add_device(netlink, TRIAL, ipip_local=local, ipip_remote=remote)


def _remove_device(netns: str | None, name: str) -> None:
    def work(netlink: Any) -> None:
        for index in netlink.link_lookup(ifname=name):
            netlink.link("set", index=index, state="down")
            try:
                netlink.link("del", index=index)
            except NetlinkError:
                continue  # the module's own device stays, down

    with_netlink(netns, work)


def _programs(
    netns: str | None, device: str, local_address: str, peers: Mapping[str, str], pool: Pool
) -> _Tunnel:
    addresses = program.Addresses(local=local_address, pool=pool.cidr)
    size = max(len(peers), 1)
    blocks = bpf.Map(bpf.TYPE_LPM_TRIE, 8, 4, size)
    try:
        counters = bpf.Map(bpf.TYPE_HASH, 4, program.COUNTER_BYTES, size)
        try:
            for peer, block in peers.items():
                network = ipaddress.IPv4Network(block)
                key = struct.pack("=I4s", network.prefixlen, network.network_address.packed)
                blocks[key] = socket.inet_aton(peer)
                counters[socket.inet_aton(peer)] = bytes(program.COUNTER_BYTES)
            _load_and_attach(netns, device, addresses, blocks, counters)
        except BaseException:
            counters.close()
            raise
    finally:
        blocks.close()  # the program holds it from here on
    return _Tunnel(implementation=EBPF, device=f"ebpf:{device}", counters=counters)


def _load_and_attach(
    netns: str | None,
    device: str,
    addresses: program.Addresses,
    blocks: bpf.Map,
    counters: bpf.Map,
) -> None:
    wrap = assemble(program.egress(addresses, blocks.descriptor, counters.descriptor))
    unwrap = assemble(program.ingress(addresses, counters.descriptor))
    with (
        bpf.program(wrap, "ipip_egress") as egress,
        bpf.program(unwrap, "ipip_ingress") as ingress,
    ):
        bpf.attach(netns, device, ingress=ingress, egress=egress)


def _trial(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except LabError as error:
        return str(error)
    return None


def _try_device() -> None:
    if os.geteuid() == 0:
        inside_throwaway(lambda: with_netlink(None, _add_trial))
        return
    # A process with threads cannot enter a user namespace: ask in a process of its own.
    command = ["unshare", "--user", "--map-root-user", "--net", "ip", "link", "add", TRIAL]
    command += ["type", "ipip", "local", TRIAL_ENDS[0], "remote", TRIAL_ENDS[1]]
    try:
        outcome = subprocess.run(
            command, capture_output=True, text=True, timeout=TRIAL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"cannot try an ipip device: {error}") from error
    if outcome.returncode != 0:
        raise LabError(f"kernel has no IPIP ({outcome.stderr.strip()})")


def _try_programs() -> None:
    pool = Pool(
        mode=Mode.IPIP, cidr="192.0.2.0/24", pod_mtu=1480, origin=Origin.BIRD, route_protocol=12
    )

    def body() -> None:
        peers = {"198.51.100.2": "192.0.2.128/26"}
        tunnel = _programs(None, "lo", "198.51.100.1", peers, pool)
        assert tunnel.counters is not None
        tunnel.counters.close()

    try:
        bpf.Map(bpf.TYPE_HASH, 4, 4, 1).close()
        inside_throwaway(body)
    except bpf.PermissionDenied as error:
        raise LabError("eBPF needs root") from error
