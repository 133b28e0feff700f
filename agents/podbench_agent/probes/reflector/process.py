"""The reflector as the agent sees it: a process that answers STAMP requests, and its log.

`ReflectorWorker` is the agent's side, `serve` the child's; the loop itself is reflector/loop.py.
"""

import gc
import os
import resource
import socket
import sys
import threading
import time
import traceback
from collections.abc import Collection

import msgspec
import numpy as np

from podbench.model.errors import ProbeError
from podbench.wire import buffers, columns
from podbench.wire.replies import STAMP_SOURCES
from podbench_agent import timestamping
from podbench_agent.endpoints import endpoint
from podbench_agent.probes import child, ownwatch
from podbench_agent.probes.reflector.loop import Reflector
from podbench_agent.probes.reflector.rules import Rules
from podbench_agent.probes.reflector.sessions import Refused, Session, log_table

DEFAULT_PORT = 8620
"""STAMP's own port, 862, needs a capability."""
_ANSWER_S = 20.0


class _Setup(msgspec.Struct, frozen=True):
    address: str
    port: int
    rules: Rules


class _Request(msgspec.Struct, frozen=True):
    """Admit SSIDs, or hand over their log and forget them; always answered with counters."""

    admit: tuple[int, ...] = ()
    collect: tuple[int, ...] = ()


_encode = msgspec.msgpack.encode
_decode_setup = msgspec.msgpack.Decoder(_Setup).decode
_decode_request = msgspec.msgpack.Decoder(_Request).decode


def open_socket(address: str, port: int) -> socket.socket:
    """The reflector's UDP socket.

    Raises:
        ProbeError: The address or port cannot be had; says which.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        buffers.widen(sock, timestamping.RECEIVE_BUFFER_BYTES)
        timestamping.receive_ttl(sock)
        sock.bind(endpoint(address, port))
    except OSError as error:
        sock.close()
        raise ProbeError(
            f"cannot listen on {address} port {port}: {error.strerror or error}",
            advice="choose another address or port",
        ) from error
    return sock


class _Start(msgspec.Struct, frozen=True):
    """What the counters were when a session was admitted."""

    mono_ns: int
    totals: dict[str, int]


class _Control:
    """The child's control thread: admits and collects while the main thread answers."""

    def __init__(self, reflector: Reflector, sock: socket.socket) -> None:
        self._reflector = reflector
        self._sock = sock
        self._latest = self._now()
        self._begun: dict[int, _Start] = {}
        """By SSID: one session's admission does not hide what befell another before it."""

    def handle(self, body: bytes) -> child.Result:
        """Carries out one request."""
        request = _decode_request(body)
        reflector = self._reflector
        reflector.collect()
        tables: dict[str, bytes] = {}
        if request.admit:
            self._take(request.admit)
            reflector.gate.admitted.update(request.admit)
            self._begin(request.admit)
        start = self._start_of(request.collect)
        if request.collect:
            stepped = self._stepped_since(start)
            sessions, refused = self._take(request.collect)
            table = log_table(sessions, reflector.stamp_code, clock_step=stepped, refused=refused)
            tables["reflections"] = columns.pack(table)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        facts = self._since(start) | {"cpu_ns": round((usage.ru_utime + usage.ru_stime) * 1e9)}
        return child.Result(tables=tables, facts=dict(facts))

    def _begin(self, ssids: tuple[int, ...]) -> None:
        """From here on counters are those of these sessions.

        Of the clock is kept what the oldest session that is open may still be asked for.
        """
        self._reflector.clock.note()
        self._latest = self._now()
        self._begun.update(dict.fromkeys(ssids, self._latest))
        self._reflector.clock.forget(min(start.mono_ns for start in self._begun.values()))

    def _start_of(self, ssids: tuple[int, ...]) -> _Start:
        """When the first of these was admitted; without one the last admission, or the start."""
        known = [self._begun.pop(ssid) for ssid in ssids if ssid in self._begun]
        return min(known, key=lambda start: start.mono_ns, default=self._latest)

    def _stepped_since(self, start: _Start) -> bool:
        self._reflector.clock.note()
        span = np.array([[start.mono_ns], [time.monotonic_ns()]])
        return bool(self._reflector.clock.stepped(span[0], span[1])[0])

    def _now(self) -> _Start:
        unread, own = ownwatch.unread(), self._reflector.own
        own.note()
        own.thin()
        watched_ns, waited_ns, throttled_ns = own.totals()
        totals = msgspec.structs.asdict(self._reflector.counters) | {
            "rx_drops": timestamping.drops(self._sock),
            "csum_errors": unread.checksum,
            "buffer_errors": unread.buffer,
            "watched_ns": watched_ns,
            "waited_ns": waited_ns,
            "throttled_ns": throttled_ns,
        }
        return _Start(time.monotonic_ns(), totals)

    def _since(self, start: _Start) -> dict[str, int]:
        found = {name: value - start.totals[name] for name, value in self._now().totals.items()}
        thrown = ownwatch.Unread(found["csum_errors"], found.pop("buffer_errors"))
        found["rx_drops"] = ownwatch.buffer_drops(found["rx_drops"], thrown)
        return found

    def _take(self, ssids: tuple[int, ...]) -> tuple[list[Session], dict[int, list[Refused]]]:
        """Ends the admission of these SSIDs and takes their sessions and refused requests out."""
        reflector = self._reflector
        reflector.gate.admitted.difference_update(ssids)
        gone = set(ssids)
        keys = [key for key in list(reflector.sessions) if key[1] in gone]
        kept = reflector.gate.refused
        refused = {s: kept.pop(s) for s in ssids if s in kept}
        return [reflector.sessions.drop(key) for key in keys], refused


def serve(channel: socket.socket) -> None:
    """The child: answers on its UDP socket, and on the channel in a thread, until that closes."""
    body = child.read_frame(channel)
    if body is None:
        return
    setup = _decode_setup(body)
    try:
        sock = open_socket(setup.address, setup.port)
        reflector = Reflector(sock, setup.rules, timestamping.choose_source())
    except ProbeError as error:
        channel.sendall(child.frame(_encode(child.Result(error=str(error)))))
        return
    facts = {
        "port": sock.getsockname()[1],
        "stamp_source": STAMP_SOURCES[reflector.stamp_code],
    }
    channel.sendall(child.frame(_encode(child.Result(facts=facts))))
    answering = threading.Thread(target=_answer, args=(reflector,), daemon=True, name="answer")
    answering.start()
    child.answer(channel, _Control(reflector, sock).handle)


def _answer(reflector: Reflector) -> None:
    """The answering thread: if it fails the whole child does, so that the agent learns of it."""
    try:
        timestamping.sharpen_timers()
        timestamping.shorten_slice()
        gc.freeze()  # what was imported stays: collections look at what answering makes only
        reflector.serve()
    finally:
        traceback.print_exc()
        os._exit(1)


class ReflectorWorker:
    """Answers STAMP requests in a process of its own.

    `start` it before other threads exist, so that it can be forked.

    Args:
        address: Own address to answer on.
        port: UDP port; 0 lets the kernel choose.
        rules: Whom to answer.
    """

    def __init__(self, address: str, port: int = DEFAULT_PORT, rules: Rules | None = None) -> None:
        setup = _Setup(address, port, rules or Rules())
        self._child = child.Child(__name__, serve, _encode(setup))
        self.port = port
        self.stamp_source = "unknown"

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return self._child.pid

    def start(self) -> None:
        """Starts the process; when this returns it answers.

        Raises:
            ProbeError: The address or port cannot be had.
        """
        facts = self._child.start().facts
        self.port, self.stamp_source = int(facts["port"]), str(facts["stamp_source"])

    async def admit(self, session_ids: Collection[int]) -> None:
        """Answers these SSIDs (every one, not a group's first) from now on, with fresh logs.

        Raises:
            ProbeError: The worker died or hung.
        """
        await self._ask(_Request(admit=tuple(session_ids)))

    async def collect(
        self, session_ids: Collection[int]
    ) -> tuple[columns.Table, dict[str, int | float | str]]:
        """Hands over the log of these SSIDs and answers them no more.

        Returns:
            The reflections table (wire/fates.py) and the counters since their admission: what was
            answered and dropped, `rx_drops` (own buffer) and `csum_errors` (network namespace),
            `waited_ns` and `throttled_ns` of `watched_ns`; and `cpu_ns` since the start.

        Raises:
            ProbeError: The worker died or hung.
        """
        result = await self._ask(_Request(collect=tuple(session_ids)))
        return child.unpack_tables(result)["reflections"], result.facts

    async def counters(self) -> dict[str, int | float | str]:
        """The counters alone.

        Raises:
            ProbeError: The worker died or hung.
        """
        return (await self._ask(_Request())).facts

    async def _ask(self, request: _Request) -> child.Result:
        return await self._child.ask(_encode(request), _ANSWER_S)

    def stop(self) -> None:
        """Ends the process."""
        self._child.stop()


if __name__ == "__main__":
    child.run_child(serve, socket.socket(fileno=int(sys.argv[1])))
