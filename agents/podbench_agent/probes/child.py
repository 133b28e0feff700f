"""A separate measurement process: started once, used over a socket pair, replaced when it dies.

The agent's side is asynchronous; the child's side (`serve`) is plain. Used by latency.py and
reflector.py. What the child measures is not known here.

The child is forked, which takes milliseconds, while the agent has one thread only; later ones
(after a death) are started as fresh interpreters, since forking with threads is not safe.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable

import msgspec

from podbench.model.errors import PodbenchError, ProbeError
from podbench.wire import columns
from podbench_agent import timestamping

_log = logging.getLogger(__name__)

_LENGTH_BYTES = 4


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of a child: packed tables by name and small facts, or the reason for failure."""

    tables: dict[str, bytes] = {}
    facts: dict[str, int | float | str] = {}
    error: str | None = None


Serve = Callable[[socket.socket], None]
"""Main function of a child: answers requests until the socket's other end closes."""

_decode_result = msgspec.msgpack.Decoder(Result).decode
_encode = msgspec.msgpack.Encoder().encode


def read_frame(channel: socket.socket) -> bytes | None:
    """Child side: reads one request; null once the agent closes the channel."""
    head = _read_exactly(channel, _LENGTH_BYTES)
    return None if head is None else _read_exactly(channel, int.from_bytes(head, "big"))


def _read_exactly(channel: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def frame(body: bytes) -> bytes:
    """Prefixes a message with its length."""
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def answer(channel: socket.socket, handle: Callable[[bytes], Result]) -> None:
    """Child side: answers every request until the channel closes.

    A request that cannot be carried out is answered with its reason; the child lives on.
    """
    while (body := read_frame(channel)) is not None:
        try:
            result = handle(body)
        except (PodbenchError, OSError, msgspec.DecodeError, ValueError) as error:
            result = Result(error=str(error))
        channel.sendall(frame(_encode(result)))


def run_child(serve: Serve, channel: socket.socket) -> None:
    """Child process edge: dies with its agent, reports a crash on stderr, never returns."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # A signal to the whole process group is the agent's to answer: the channel then closes.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # A session of its own is a scheduling group of its own (autogroup, where the kernel has it
        # on): what else was started from the same shell does not eat this process's share.
        with contextlib.suppress(PermissionError):
            os.setsid()
        timestamping.die_with_parent(signal.SIGKILL)
        serve(channel)
        status = 0
    except Exception:  # noqa: BLE001  the edge of a process: its stderr is all there is
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


class Child:
    """Agent side of one measurement process.

    Args:
        module: Import path of the module that holds `serve`, runnable as `python -m module FD`.
        serve: The child's main function.
        setup: Sent to every new child before anything else.
    """

    def __init__(self, module: str, serve: Serve, setup: bytes) -> None:
        self._module = module
        self._serve = serve
        self._setup = setup
        self._channel: socket.socket | None = None
        self._pid: int | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Process ID of the current child."""
        return self._pid

    def start(self) -> Result:
        """Starts the child and waits until it is ready.

        Returns:
            The answer to `setup`.

        Raises:
            ProbeError: It could not be set up, or died at once.
        """
        ours, theirs = socket.socketpair()
        self._channel = ours
        if threading.active_count() == 1:
            self._pid = os.fork()
            if self._pid == 0:
                ours.close()
                run_child(self._serve, theirs)
        else:
            command = [sys.executable, "-m", self._module, str(theirs.fileno())]
            self._popen = subprocess.Popen(command, pass_fds=[theirs.fileno()])
            self._pid = self._popen.pid
        theirs.close()
        ours.sendall(frame(self._setup))
        body = read_frame(ours)
        if body is None:
            raise self._died()
        ours.setblocking(False)  # noqa: FBT003  socket's own signature
        return self._checked(body)

    async def ask(self, body: bytes, timeout_s: float) -> Result:
        """Sends one request and waits for its answer. Requests run one after another.

        Raises:
            ProbeError: The child refuses, dies or does not answer in time; in the latter two cases
                the next request finds a new one.
        """
        async with self._turn:
            if self._channel is None:
                self.start()
            try:
                answered = await asyncio.wait_for(self._exchange(body), timeout_s)
            except TimeoutError:
                self.stop()
                raise ProbeError(
                    f"{self._module} gave no answer within {timeout_s:.1f} s"
                ) from None
            if answered is None:
                raise self._died()
            return self._checked(answered)

    async def _exchange(self, body: bytes) -> bytes | None:
        loop = asyncio.get_running_loop()
        channel = self._channel
        assert channel is not None
        try:
            await loop.sock_sendall(channel, frame(body))
            head = await self._receive(loop, channel, _LENGTH_BYTES)
            return head and await self._receive(loop, channel, int.from_bytes(head, "big"))
        except (BrokenPipeError, ConnectionResetError):
            return None

    @staticmethod
    async def _receive(
        loop: asyncio.AbstractEventLoop, channel: socket.socket, size: int
    ) -> bytes | None:
        parts = bytearray()
        while len(parts) < size:
            part = await loop.sock_recv(channel, min(size - len(parts), 1 << 20))
            if not part:
                return None
            parts += part
        return bytes(parts)

    @staticmethod
    def _checked(body: bytes) -> Result:
        result = _decode_result(body)
        if result.error is not None:
            raise ProbeError(result.error)
        return result

    def _died(self) -> ProbeError:
        pid = self._pid
        code = self._reap(kill=False)
        how = "without a trace" if code is None else _describe(code)
        _log.warning("measurement process died", extra={"child": pid, "how": how})
        return ProbeError(f"{self._module} (process {pid}) died: {how}")

    def _reap(self, *, kill: bool) -> int | None:
        """Reaps the child; returns its exit code (negative: the signal), null if unknown."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        pid, self._pid = self._pid, None
        if pid is None:
            return None
        code = None if kill else self._exit_code(pid, patience_s=0.1)
        if code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            code = self._exit_code(pid, patience_s=5.0)
        self._popen = None
        return code

    def _exit_code(self, pid: int, patience_s: float) -> int | None:
        deadline = time.monotonic() + patience_s
        while True:
            if self._popen is not None:
                if (code := self._popen.poll()) is not None:
                    return code
            else:
                with contextlib.suppress(ChildProcessError):
                    done, status = os.waitpid(pid, os.WNOHANG)
                    if done:
                        return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                return None
            time.sleep(0.002)

    def stop(self) -> None:
        """Stops the child; the next `ask` starts another."""
        self._reap(kill=True)


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def unpack_tables(result: Result) -> dict[str, columns.Table]:
    """Unpacks the tables of an answer."""
    return {name: columns.unpack(data) for name, data in result.tables.items()}
