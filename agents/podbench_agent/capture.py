"""Counts our probes by outer header as they leave this node: the strongest proof of a mode.

Only a host agent that was given NET_RAW can, for runs that ask for it (`--proof capture`); the
socket is open in proof windows only. Packets between other addresses are read and forgotten.
"""

import asyncio
import socket
from collections import Counter

from podbench.model.errors import ProbeError
from podbench.wire import messages, outer


class Capture:
    """At most one running capture."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._counts: Counter[outer.Key] = Counter()
        self._ours: frozenset[str] = frozenset()

    def start(self, order: messages.StartCapture) -> None:
        """Starts counting.

        Raises:
            ProbeError: One runs already, or there is no right to a packet socket.
        """
        if self._socket is not None:
            raise ProbeError("this agent captures already")
        try:
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        except OSError as error:
            raise ProbeError(f"no packet socket, which takes NET_RAW: {error.strerror}") from error
        try:
            outer.listen(opened, order.device)
        except OSError as error:
            opened.close()
            raise ProbeError(f"cannot capture on {order.device}: {error.strerror}") from error
        self._counts, self._ours = Counter(), frozenset(order.addresses)
        self._socket = opened
        asyncio.get_running_loop().add_reader(opened, self._drain, opened)

    def _drain(self, opened: socket.socket) -> None:
        outer.drain(opened, self._counts, self._ours)

    def collect(self) -> messages.Captured:
        """Stops and returns the counts.

        Raises:
            ProbeError: None runs.
        """
        opened = self._socket
        if opened is None:
            raise ProbeError("this agent captures nothing")
        self._drain(opened)
        dropped = outer.dropped(opened)
        self.close()
        return messages.Captured(
            seen=tuple(
                messages.CapturedPackets(
                    src=src, dst=dst, encapsulation=name, vni=vni, packets=packets
                )
                for (src, dst, name, vni), packets in self._counts.items()
            ),
            dropped=dropped,
        )

    def close(self) -> None:
        """Closes the socket; idempotent."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
