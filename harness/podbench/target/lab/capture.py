"""Captures our own probes on the nodes' underlay devices and counts them by outer header.

The strongest proof of a mode (`captured`): the packets themselves, read from packet sockets while
they leave a node. A packet counts by what wraps it (VXLAN by UDP port and its header, IPIP by
protocol 4, nothing) and by its inner addresses; all else is ignored. Frames are cut to what the
headers need and parsed in Python, so a window holds some ten thousand packets, not a transfer.
Source: packet(7); RFC 7348 section 5 (VXLAN), RFC 2003 section 3 (IPIP).
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Mapping

from podbench.cni.base import Seen
from podbench.model.errors import LabError
from podbench.target.lab.inside import inside
from podbench.wire import outer

UNDERLAY_DEVICE = "eth0"


class LabCapture:
    """A running capture; `cni.base.Capture`."""

    def __init__(self, sockets: Mapping[str, socket.socket]) -> None:
        self._sockets = sockets
        self._counts: dict[str, Counter[outer.Key]] = {node: Counter() for node in sockets}

    async def seen(self) -> tuple[Seen, ...]:
        """Stops and counts.

        Raises:
            LabError: The kernel dropped packets before they were read.
        """
        loop = asyncio.get_running_loop()
        for node, each in self._sockets.items():
            loop.remove_reader(each)
            self.drain(node)
        dropped = {node: outer.dropped(each) for node, each in self._sockets.items()}
        self.close()
        if any(dropped.values()):
            raise LabError(
                f"the capture lost packets ({dropped}), so it proves nothing",
                advice="leave --proof capture out, or ask again on an idle machine",
            )
        return tuple(
            Seen(node=node, src=src, dst=dst, encapsulation=name, packets=packets, vni=vni)
            for node, counts in self._counts.items()
            for (src, dst, name, vni), packets in counts.items()
        )

    def drain(self, node: str) -> None:
        """Reads what is there now."""
        outer.drain(self._sockets[node], self._counts[node])

    def close(self) -> None:
        """Closes the sockets; idempotent."""
        for each in self._sockets.values():
            each.close()


async def start(netns: Mapping[str, str | None], device: str = UNDERLAY_DEVICE) -> LabCapture:
    """Starts capturing on these nodes' underlay devices.

    Args:
        netns: Node's name -> its network namespace.
        device: The underlay device's name on each.

    Raises:
        LabError: A socket cannot be opened there.
    """
    sockets: dict[str, socket.socket] = {}
    capture = LabCapture(sockets)
    try:
        for node, name in netns.items():
            sockets[node] = inside(name, lambda: _open(device))
    except BaseException:
        capture.close()
        raise
    capture = LabCapture(sockets)
    loop = asyncio.get_running_loop()
    for node, each in sockets.items():
        loop.add_reader(each, capture.drain, node)
    return capture


def _open(device: str) -> socket.socket:
    try:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    except OSError as error:
        raise LabError(f"cannot open a capture socket: {error.strerror}") from error
    try:
        outer.listen(opened, device)
    except OSError as error:
        opened.close()
        raise LabError(f"cannot capture on {device}: {error.strerror}") from error
    return opened
