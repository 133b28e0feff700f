"""Throughput by the iperf3 program: one-off servers and clients, the JSON of both ends kept raw.

What the JSON says is `podbench.wire.iperf3`'s business. A refusal, a crash or a hang is a `Ran`
with exit status, output and error: iperf3 -J exits 0 whatever happened, so its own `error` decides.
"""

import asyncio
import logging
import re
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

from podbench.model.errors import PrerequisiteError, ProbeError
from podbench.transport import children
from podbench.wire import iperf3, messages

logger = logging.getLogger(__name__)

HARD_STOP_S = 10.0
"""A client is ended this long after its planned end: a control connection may hang."""
CONNECT_TIMEOUT_MS = 5000
LISTEN_S = 5.0
LISTEN_TRIES = 3
GRACE_S = 1.0
COLLECT_S = 2.0
"""The server writes its JSON after the client has ended; give it this long before it is ended."""
SOCKET_BYTES = 4 << 20
"""UDP socket buffer wanted: with the default, loss was the receiver's socket, not the path."""
SOCKET_BYTES_ANYWHERE = 425_984
"""What iperf3 gets anywhere: twice the kernel's default limit of 212,992, as the kernel counts."""
TCP_LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


def parse_version(text: str) -> str | None:
    """`3.12` from the first line of `iperf3 --version`; None if it is something else."""
    match = re.match(r"iperf (\d+\.\d+(?:\.\d+)?\S*)", text)
    return match.group(1) if match else None


async def _find_version() -> str | None:
    try:
        program = children.find("iperf3", "iperf3")
    except PrerequisiteError:
        return None
    process = await asyncio.create_subprocess_exec(
        program, "--version", stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    output, _ = await process.communicate()
    return parse_version(output.decode(errors="replace"))


def choose_congestion(wanted: str | None) -> str | None:
    """The congestion control to pin, or None to leave the kernel's own (iperf3 reports which).

    Found by trying: what is loaded need not be allowed to a process without CAP_NET_ADMIN
    (tcp_allowed_congestion_control), and iperf3 ends when it may not have what it was told.
    """
    if wanted is None:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, wanted.encode())
        except OSError:
            return None
    return wanted


def choose_socket_bytes(limits: list[int]) -> int:
    """The UDP buffer to ask for: iperf3 refuses to run when the kernel grants less than asked.

    `limits` are net.core.rmem_max and wmem_max, if readable; getsockopt shows twice these.
    """
    return (
        min([SOCKET_BYTES, *(2 * limit for limit in limits)]) if limits else SOCKET_BYTES_ANYWHERE
    )


def listening_ports(table: str) -> set[int]:
    """Listening TCP ports in the text of /proc/net/tcp or tcp6."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3:4] == [TCP_LISTEN]}


def client_arguments(
    command: messages.Transfer,
    congestion: str | None,
    socket_bytes: int,
    version: str | None = None,
) -> list[str]:
    """The client's options. -Z is never among them: it would measure another sender."""
    options = ["-c", command.peer_address, "-p", str(command.peer_port), "-B", command.bind_address]
    options += ["-J", "-i", f"{command.interval_s:g}"]
    if command.total_bytes is None:
        options += ["-t", str(command.duration_s)]
    else:
        options += ["-n", str(command.total_bytes)]
    options += ["-P", str(command.streams), "--connect-timeout", str(CONNECT_TIMEOUT_MS)]
    if command.omit_s:
        options += ["-O", str(command.omit_s)]
    if command.protocol == "udp":
        options += ["-u", "-b", str(command.rate_bps or 0), "--dont-fragment"]
        options += ["-w", str(socket_bytes)]
        if command.packet_bytes is not None:
            options += ["-l", str(command.packet_bytes)]
        if command.pacing_timer_us is not None and iperf3.has_pacing_timer(version):
            options += ["--pacing-timer", str(command.pacing_timer_us)]
        return options
    if command.fq_rate_bps is not None:
        options += ["--fq-rate", str(command.fq_rate_bps)]
    if command.rate_bps is not None:
        options += ["-b", str(command.rate_bps)]
    return options + (["-C", congestion] if congestion else [])


def _read(path: str) -> str:
    try:
        return Path(path).read_text("ascii")
    except OSError:
        return ""


def _free_port(address: str) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise ProbeError(f"cannot listen on {address}: {error.strerror}") from error
        port: int = probe.getsockname()[1]
        return port


def _is_listening(port: int) -> bool:
    # Not by connecting: that would be the one test a one-off server serves.
    return any(port in listening_ports(_read(f"/proc/net/{name}")) for name in ("tcp", "tcp6"))


class _Program:
    """One running iperf3 and the collection of what it writes."""

    def __init__(self, process: Process, version: str, limit_s: float) -> None:
        self.process = process
        self._version = version
        self._limit_s = limit_s
        self._ended_by_us: str | None = None
        self._talk = asyncio.create_task(process.communicate())
        self.ran = asyncio.create_task(self._watch())

    async def _watch(self) -> messages.Ran:
        await asyncio.wait({self._talk}, timeout=self._limit_s)
        if not self._talk.done():
            await self.end(f"ended after {self._limit_s:g} s: it hung")
        output, errors = (data.decode(errors="replace") for data in await self._talk)
        own = iperf3.error_of(output) if output else None
        status = await self.process.wait()
        silent = None if output else (errors.strip() or f"no output, exit status {status}")
        reasons = [reason for reason in (self._ended_by_us, own, silent) if reason]
        return messages.Ran(
            program="iperf3",
            version=self._version,
            exit_status=status,
            output=output,
            error="; ".join(reasons) or None,
        )

    async def end(self, why: str) -> None:
        """Ends the program if it still runs; what it wrote until then is kept."""
        if self.process.returncode is None:
            self._ended_by_us = why
            await children.end(self.process, GRACE_S)


class Transfers:
    """The iperf3 programs of one agent."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._servers: dict[int, _Program] = {}
        self._clients: set[_Program] = set()

    async def version(self) -> str | None:
        """The version of the iperf3 installed here; None without one."""
        if self._version is None:
            self._version = await _find_version()
        return self._version

    async def _start(self, options: list[str], limit_s: float) -> _Program:
        program = children.find("iperf3", "iperf3")
        version = await self.version()
        process = await asyncio.create_subprocess_exec(
            *children.with_parent_death([str(program), *options]),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        return _Program(process, version or "unknown", limit_s)

    async def serve(self, command: messages.ServeTransfer) -> messages.Done:
        """Starts a one-off server on a free port; facts: `port`, `version`.

        Raises:
            ProbeError: It did not listen; carries its own error.
            PrerequisiteError: iperf3 is not installed.
        """
        reason = None
        for _ in range(LISTEN_TRIES):
            port = _free_port(command.bind_address)
            options = ["-s", "-1", "-J", "-p", str(port), "-B", command.bind_address]
            options += ["-i", f"{command.interval_s:g}"]
            options += ["--idle-timeout", str(max(1, round(command.lifetime_s)))]
            server = await self._start(options, command.lifetime_s)
            if await self._wait_listening(server, port):
                self._servers[port] = server
                return messages.Done(facts={"port": port, "version": await self.version()})
            await server.end("it did not listen")
            reason = (await server.ran).error
        raise ProbeError(f"iperf3 does not listen on {command.bind_address}: {reason}")

    async def _wait_listening(self, server: _Program, port: int) -> bool:
        try:
            async with asyncio.timeout(LISTEN_S):
                while server.process.returncode is None:
                    if _is_listening(port):
                        return True
                    await asyncio.sleep(0.005)
        except TimeoutError:
            pass
        return False

    async def run(self, command: messages.Transfer) -> messages.Ran:
        """Runs one client to its end, or ends it `HARD_STOP_S` after its planned end.

        Raises:
            PrerequisiteError: iperf3 is not installed.
        """
        texts = [_read(f"/proc/sys/net/core/{name}") for name in ("rmem_max", "wmem_max")]
        options = client_arguments(
            command,
            choose_congestion(command.congestion),
            choose_socket_bytes([int(text) for text in texts if text]),
            await self.version(),
        )
        client = await self._start(options, command.duration_s + command.omit_s + HARD_STOP_S)
        self._clients.add(client)
        try:
            return await client.ran
        finally:
            self._clients.discard(client)
            await client.end("the command was given up")

    async def collect(self, port: int) -> messages.Ran:
        """What the server on `port` wrote; one that still serves is ended.

        Raises:
            ProbeError: No server was started on that port.
        """
        server = self._servers.pop(port, None)
        if server is None:
            raise ProbeError(f"no iperf3 server was started on port {port}")
        await asyncio.wait({server.ran}, timeout=COLLECT_S)
        await server.end("ended: it was still serving when its result was asked for")
        return await server.ran

    async def close(self) -> None:
        """Ends every server and client."""
        programs = [*self._servers.values(), *self._clients]
        self._servers.clear()
        await asyncio.gather(*(program.end("the agent ended") for program in programs))
        await asyncio.gather(*(program.ran for program in programs), return_exceptions=True)
