"""Faults of a known size: link rate, one-way loss, CPU noise. Off unless asked for.

- Rate: HTB at the switch's port to every node (the bridge's end of the node's link), with 24 octets
  a packet added to the 14 that the kernel counts: preamble 8, frame check 4, gap 12 (IEEE 802.3).
  Not at the node's own end: a packet's length is counted there before a tc program wraps it (kernel
  net/core/dev.c, qdisc_pkt_len_init), so IPIP by eBPF came out 1 point above its ceiling; and a
  local queue would push back on the host path's sender, but not on a pod's.
  Segmentation offloads go off on the underlay and in the pods while it is on: HTB would count a
  super-packet's headers once, and tunnels would seem to beat the wire.
- Loss: nftables at the receiving node's underlay device (netdev ingress), by the sender's Ethernet
  address: it hits whatever crosses the underlay in that direction, pod or host, wrapped or not,
  after a capture has seen it. ARP and BGP sessions pass: the fault is in the data, not in the lab's
  own control. With offloads on, a TCP super-packet is lost whole.
- CPU noise: processes that burn a fixed share of one CPU each, and end after a time whatever
happens.
"""

import array
import fcntl
import math
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from podbench.model.errors import ConfigError, LabError
from podbench.model.nodes import LabOptions, Loss
from podbench.target.lab import burner, layout, namespaces
from podbench.target.lab.build import index
from podbench.target.lab.inside import inside, with_netlink
from podbench.target.lab.layout import NodePlan, PodPlan
from podbench.transport import children

FRAMING_BYTES = 24
"""Preamble 8 + frame check sequence 4 + inter-packet gap 12; the kernel's length has the header's
14."""

QUEUE_S = 0.02
"""Depth of the shaper's queue at its rate: enough for TCP to fill the link, not a second of
delay."""
MIN_QUEUE_PACKETS = 50

SIOCETHTOOL = 0x8946
OFFLOADS = {"TSO": 0x1F, "GSO": 0x24, "GRO": 0x2C}
"""ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO (linux/ethtool.h)."""

LOSS_SCALE = 1_000_000
"""`numgen random mod` this: ratios resolve to one in a million."""


def apply(options: LabOptions, nodes: Sequence[NodePlan]) -> None:
    """Puts rate and losses on the underlay.

    Raises:
        ConfigError: A loss names a node that does not exist.
        PrerequisiteError: nftables is not installed.
        LabError: The kernel refuses.
    """
    if options.rate_bps is not None:
        for node in nodes:
            offloads_off(node.name, layout.UPLINK)
            offloads_off(layout.UNDERLAY, node.name)
            limit_rate(node.name, options.rate_bps, options.underlay_mtu)
    by_receiver: dict[str, list[Loss]] = {}
    for loss in options.losses:
        by_receiver.setdefault(loss.dst, []).append(loss)
    known = {node.name: node for node in nodes}
    for name, losses in by_receiver.items():
        missing = {name, *(loss.src for loss in losses)} - known.keys()
        if missing:
            raise ConfigError(
                f"--lab-loss names {', '.join(sorted(missing))}, which does not exist"
            )
        _lose(name, loss_rules(losses, known))


def settle_pods(options: LabOptions, pods: Sequence[PodPlan]) -> None:
    """Prepares new pods for a rate limit.

    Raises:
        LabError: The kernel refuses.
    """
    if options.rate_bps is not None:
        for pod in pods:
            offloads_off(pod.name, layout.UPLINK)
            offloads_off(pod.node.name, pod.host_device)


Offloads = dict[tuple[str, str], dict[str, bool]]
"""By namespace and device: which offloads were on."""


def begin(
    nodes: Sequence[NodePlan], pods: Sequence[PodPlan], rate_bps: int, options: LabOptions
) -> Offloads:
    """Shapes the links of a lab that stands; returns what `end` puts back.

    Raises:
        LabError: The kernel refuses.
    """
    devices = [(node.name, layout.UPLINK) for node in nodes]
    devices += [(layout.UNDERLAY, node.name) for node in nodes]
    devices += [(pod.name, layout.UPLINK) for pod in pods]
    devices += [(pod.node.name, pod.host_device) for pod in pods]
    before = {place: offloads(*place) for place in devices}
    for place in devices:
        offloads_off(*place)
    for node in nodes:
        limit_rate(node.name, rate_bps, options.underlay_mtu)
    return before


def end(nodes: Sequence[NodePlan], before: Offloads) -> None:
    """Removes the shapers and turns back on the offloads that were on.

    Raises:
        LabError: The kernel refuses.
    """

    def work(netlink: Any) -> None:
        for node in nodes:
            netlink.tc("del", "htb", index(netlink, node.name), 0x10000)

    with_netlink(layout.UNDERLAY, work)
    for (netns, device), states in before.items():
        _set_offloads(netns, device, states)


def limit_rate(port: str, rate_bps: int, mtu: int) -> None:
    """Shapes what leaves the underlay's bridge by one port, towards one node.

    Raises:
        LabError: The kernel refuses.
    """
    rate = rate_bps // 8
    frame = mtu + 14 + FRAMING_BYTES
    packets = max(MIN_QUEUE_PACKETS, math.ceil(rate * QUEUE_S / frame))
    # A bucket of 1 ms or 10 frames: as small as timers allow, so that the rate holds within a test.
    bucket = max(rate // 1000, 10 * frame)

    def work(netlink: Any) -> None:
        device = index(netlink, port)
        netlink.tc("add", "htb", device, 0x10000, default=0x10)
        netlink.tc(
            "add-class",
            "htb",
            device,
            0x10010,
            parent=0x10000,
            rate=rate,
            ceil=rate,
            burst=bucket,
            cburst=bucket,
            overhead=FRAMING_BYTES,
            quantum=10 * frame,
        )
        netlink.tc("add", "pfifo", device, 0x100000, parent=0x10010, limit=packets)

    with_netlink(layout.UNDERLAY, work)


def offloads_off(netns: str, device: str) -> None:
    """Turns segmentation offloads off, as `ethtool -K DEVICE tso off gso off gro off`.

    Raises:
        LabError: The kernel refuses.
    """
    _set_offloads(netns, device, dict.fromkeys(OFFLOADS, False))


def offloads(netns: str, device: str) -> dict[str, bool]:
    """Which segmentation offloads are on.

    Raises:
        LabError: The kernel refuses.
    """

    def body() -> dict[str, bool]:
        # A command that reads is one below the one that sets.
        return {n: bool(_ethtool(netns, device, (n, c - 1), 0)) for n, c in OFFLOADS.items()}

    return inside(netns, body)


def _set_offloads(netns: str, device: str, states: dict[str, bool]) -> None:
    def body() -> None:
        for name, on in states.items():
            _ethtool(netns, device, (name, OFFLOADS[name]), int(on))

    inside(netns, body)


def _ethtool(netns: str, device: str, command: tuple[str, int], value: int) -> int:
    """One ioctl on one offload, in the present namespace; returns the value it leaves."""
    cell = array.array("I", [command[1], value])
    pointer, _ = cell.buffer_info()
    request = struct.pack("16sP16x", device.encode(), pointer)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            fcntl.ioctl(control, SIOCETHTOOL, request)
        except OSError as error:
            raise LabError(
                f"cannot turn {command[0]} off on {device} in {netns}: {error}"
            ) from error
    return cell[1]


def loss_rules(losses: Sequence[Loss], nodes: dict[str, NodePlan]) -> str:
    """The nftables script of one receiving node."""
    lines = []
    for loss in losses:
        match = f"ether saddr {nodes[loss.src].mac} ether type ip"
        share = round(loss.ratio * LOSS_SCALE)
        # nftables refuses a comparison that is always true.
        chance = f"numgen random mod {LOSS_SCALE} < {share} " if share < LOSS_SCALE else ""
        lines.append(f"    {match} {chance}counter drop")
    return "\n".join(
        [
            "table netdev podbench {",
            "  chain loss {",
            f'    type filter hook ingress device "{layout.UPLINK}" priority 0; policy accept;',
            "    tcp dport 179 accept",
            "    tcp sport 179 accept",
            *lines,
            "  }",
            "}\n",
        ]
    )


def _lose(netns: str, rules: str) -> None:
    program = children.find("nft", "nftables")

    def body() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program), "-f", "-"], input=rules, capture_output=True, text=True, check=False
        )

    result = inside(netns, body)
    if result.returncode != 0:
        raise LabError(f"nftables refuses the loss in {netns}: {result.stderr.strip()}")


def burn(count: int) -> list[subprocess.Popen[bytes]]:
    """Starts CPU burners; the caller ends them."""
    script = str(Path(burner.__file__))
    return [
        namespaces.spawn(layout.UNDERLAY, [sys.executable, "-S", "-E", script])
        for _ in range(count)
    ]
