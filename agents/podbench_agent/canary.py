"""The canary: ten probes a second on one path, for as long as a run lasts and says that it does.

It runs in the agent's own event loop, which is idle while a round measures, and talks to the peer's
reflector. So its round trips hold the scheduler's time: good for milliseconds, which is what
trouble is made of, and no measurement. What counts as trouble is `watch`'s matter.
"""

import asyncio
import contextlib
import time
from typing import Any

from podbench.model.errors import ProbeError, RemoteProtocolError
from podbench.wire import messages, ntp, stamp
from podbench_agent.watch import STALL_NS, Watch


class Canary:
    """At most one watch at a time. `key` authenticates, as it does all STAMP of a run."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._watch: Watch | None = None
        self._end = asyncio.Event()
        self._held_until_ns = 0
        self._kept_ns = 0

    async def watch(self, order: messages.WatchPath) -> messages.Watched:
        """Watches until there is trouble, `end`, or nobody said `keep` for the order's lease.

        Raises:
            ProbeError: One watch runs already, or there is no socket to the peer.
        """
        if self._watch is not None:
            raise ProbeError("this agent watches a path already")
        self._watch, self._end = Watch(order), asyncio.Event()
        self._held_until_ns = 0
        self._kept_ns = time.monotonic_ns()
        try:
            return await self._run(self._watch, order)
        finally:
            self._watch = None

    def keep(self) -> None:
        """Begins the lease anew.

        Raises:
            ProbeError: Nothing is watched.
        """
        self._under_way()
        self._kept_ns = time.monotonic_ns()

    def hold(self, hold_s: float) -> None:
        """Sends nothing for so long; what is on its way is not judged.

        Raises:
            ProbeError: Nothing is watched.
        """
        self._under_way().forget()
        self._held_until_ns = time.monotonic_ns() + int(hold_s * 1e9)

    def end(self) -> None:
        """Ends the watch, if one runs."""
        self._end.set()

    def _under_way(self) -> Watch:
        if self._watch is None:
            raise ProbeError("this agent watches no path")
        return self._watch

    async def _run(self, watch: Watch, order: messages.WatchPath) -> messages.Watched:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Answers(watch, order.session_id, self._key),
                remote_addr=(order.peer_address, order.peer_port),
            )
        except OSError as error:
            raise ProbeError(f"no socket to {order.peer_address}: {error}") from error
        try:
            return await self._send(watch, order, transport)
        finally:
            transport.close()

    async def _send(
        self, watch: Watch, order: messages.WatchPath, transport: asyncio.DatagramTransport
    ) -> messages.Watched:
        step_ns = int(1e9 / order.rate_pps)
        due_ns = time.monotonic_ns()
        number, trouble = 0, None
        lease_ns = int(order.lease_s * 1e9)
        while trouble is None and not self._end.is_set():
            now_ns = time.monotonic_ns()
            if now_ns - self._kept_ns > lease_ns:
                break
            if now_ns - due_ns > STALL_NS:
                watch.stalled()
                due_ns = now_ns
            if now_ns >= self._held_until_ns:
                transport.sendto(self._probe(number, order.session_id))
                watch.sent(number, now_ns)
                number += 1
            trouble = watch.trouble(now_ns)
            due_ns += step_ns
            with contextlib.suppress(TimeoutError):
                pause_s = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
                await asyncio.wait_for(self._end.wait(), pause_s)
        return watch.report(trouble)

    def _probe(self, number: int, session_id: int) -> bytes:
        packet = stamp.SenderPacket(
            sequence=number, timestamp=ntp.ns_to_ntp(time.time_ns()), session_id=session_id
        )
        return stamp.encode_sender(packet, self._key)


class _Answers(asyncio.DatagramProtocol):
    """Takes the reflector's answers in. A refusal by ICMP is one more probe without an answer."""

    def __init__(self, watch: Watch, session_id: int, key: bytes | None) -> None:
        self._watch = watch
        self._session_id = session_id
        self._key = key

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """One answer; what is none is none."""
        del addr  # the socket is connected: there is one peer
        now_ns = time.monotonic_ns()
        with contextlib.suppress(RemoteProtocolError):
            answer = stamp.decode_reflector(data, self._key)
            if answer.session_id == self._session_id:
                self._watch.answered(answer.sender_sequence, now_ns)
