"""The canary: ten probes a second on one path, for as long as a run lasts and says that it does.

It runs in the agent's own event loop, which is idle while a round measures, and talks to the peer's
reflector. Answers are stamped by the kernel on arrival at both ends, so that what a busy machine
keeps them waiting is told from the network. What counts as trouble is `watch`'s matter.
"""

import asyncio
import contextlib
import socket
import time

from podbench.model.errors import ProbeError, RemoteProtocolError
from podbench.wire import messages, ntp, stamp
from podbench_agent import timestamping
from podbench_agent.watch import STALL_NS, Shares, Watch

ANSWER_BYTES = 2048


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
            sock = _connected(order.peer_address, order.peer_port)
        except OSError as error:
            raise ProbeError(f"no socket to {order.peer_address}: {error}") from error
        answers = _Answers(sock, watch, order.session_id, self._key)
        loop.add_reader(sock, answers.read)
        try:
            return await self._send(watch, order, sock)
        finally:
            loop.remove_reader(sock)
            sock.close()

    async def _send(
        self, watch: Watch, order: messages.WatchPath, sock: socket.socket
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
                watch.sent(number, now_ns)
                # A refusal by ICMP, or a full buffer, is one more probe without an answer.
                with contextlib.suppress(OSError):
                    sock.send(self._probe(number, order.session_id))
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


def _connected(address: str, port: int) -> socket.socket:
    """A socket to one peer whose datagrams the kernel stamps on arrival, where it does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect((address, port))
        with contextlib.suppress(ProbeError):
            timestamping.enable(sock, stamp_code=None, receive=True)
    except BaseException:
        sock.close()
        raise
    return sock


class _Answers:
    """Takes the reflector's answers in."""

    def __init__(
        self, sock: socket.socket, watch: Watch, session_id: int, key: bytes | None
    ) -> None:
        self._sock = sock
        self._watch = watch
        self._session_id = session_id
        self._key = key

    def read(self) -> None:
        """All that there are; what is none is none."""
        while True:
            try:
                data, ancillary, _, _ = self._sock.recvmsg(
                    ANSWER_BYTES, timestamping.ANCILLARY_BYTES
                )
            except BlockingIOError:
                return
            except OSError:
                # What ICMP said of an earlier probe: that one stays without an answer.
                continue
            now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
            arrived_ns, _ = timestamping.read_ancillary(ancillary)
            with contextlib.suppress(RemoteProtocolError):
                answer = stamp.decode_reflector(data, self._key)
                if answer.session_id == self._session_id:
                    shares = _shares(answer, arrived_ns, wall_ns) if arrived_ns else None
                    self._watch.answered(answer.sender_sequence, now_ns, shares)


def _shares(answer: stamp.ReflectorPacket, arrived_ns: int, read_ns: int) -> Shares:
    """Of a round trip: less what both ends' programs kept it, by the kernel's receive stamps."""
    there_ns = stamp.timestamp_ns(answer.timestamp, answer.error_bits) - stamp.timestamp_ns(
        answer.receive_timestamp, answer.error_bits
    )
    sent_ns = ntp.ntp_to_ns(answer.sender_timestamp)
    return Shares(
        network=arrived_ns - sent_ns - there_ns, reflector=there_ns, own=read_ns - arrived_ns
    )
