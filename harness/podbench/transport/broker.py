"""A private broker for one run: mosquitto on a Unix socket and on nothing else.

The lab's control traffic goes through here, so that it never takes the network under test.
Clients are in `transport.mqtt`.
"""

import asyncio
import contextlib
import os
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from pathlib import Path

from podbench.model.errors import ConfigError, TransportError
from podbench.transport import children

SOCKET_NAME = "mqtt.sock"
LOG_NAME = "mosquitto.log"
SOCKET_PATH_BYTES = 107
"""sun_path holds 108 octets with its closing NUL (unix(7))."""
READY_S = 10.0
GRACE_S = 2.0

_CONFIG = """\
listener 0 {socket}
allow_anonymous true
persistence false
# Without privileges the directory would be lost; a user namespace may have no one to become.
{user}
# A round's samples arrive in one go: hold them all rather than drop any.
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 100
message_size_limit 16777216
max_packet_size 16842752
set_tcp_nodelay true
log_dest file {log}
log_type error
log_type warning
connection_messages false
"""


def _prepare(directory: Path) -> tuple[Path, Path]:
    path = directory.resolve() / SOCKET_NAME
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        raise ConfigError(
            f"the broker's socket path is too long for a Unix socket: {len(os.fsencode(path))} "
            f"octets, at most {SOCKET_PATH_BYTES}: {path}",
            advice="use a shorter directory",
        )
    directory.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    config = directory / "mosquitto.conf"
    user = "user root" if os.geteuid() == 0 else "# an ordinary user's broker stays that user's"
    config.write_text(
        _CONFIG.format(socket=path, log=directory.resolve() / LOG_NAME, user=user), "utf-8"
    )
    return config, path


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _log_tail(directory: Path) -> str:
    try:
        lines = (directory / LOG_NAME).read_text("utf-8", "replace").splitlines()
    except OSError:
        return "no log"
    return " / ".join(lines[-3:]) or "nothing in its log"


async def _wait_until_accepting(process: Process, path: Path, directory: Path) -> None:
    try:
        async with asyncio.timeout(READY_S):
            while not _accepts(path):
                if process.returncode is not None:
                    raise TransportError(
                        f"mosquitto ended at once with status {process.returncode}: "
                        f"{_log_tail(directory)}"
                    )
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise TransportError(
            f"mosquitto did not listen on {path} within {READY_S:g} s: {_log_tail(directory)}"
        ) from None


class Broker:
    """A mosquitto of one's own, which can be started anew at the same place.

    Attributes:
        path: Its socket.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._program = children.find("mosquitto", "mosquitto")
        self._config, self.path = _prepare(directory)
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; null where it does not run."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def start(self) -> None:
        """Starts it, after ending what is left of one before; returns once it listens.

        Raises:
            TransportError: It did not come up; carries the end of its log.
        """
        await self.end(grace_s=0.0)
        self._process = await asyncio.create_subprocess_exec(
            *children.with_parent_death([str(self._program), "-c", str(self._config)]),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            # Ctrl-C at the terminal is ours to handle: answers still have to come back.
            start_new_session=True,
        )
        await _wait_until_accepting(self._process, self.path, self._directory)

    async def end(self, grace_s: float = GRACE_S) -> None:
        """Ends it; idempotent."""
        if self._process is not None:
            await children.end(self._process, grace_s)
        self.path.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def own_broker(directory: Path) -> AsyncIterator[Broker]:
    """Runs mosquitto on `directory`/mqtt.sock while the context lasts.

    Configuration and log stay in `directory`. The kernel kills it when this process dies.

    Raises:
        PrerequisiteError: mosquitto is not installed.
        ConfigError: The directory's path is too long for a Unix socket.
        TransportError: It did not come up; carries the end of its log.
    """
    broker = Broker(directory)
    try:
        await broker.start()
        yield broker
    finally:
        await broker.end()


@contextlib.asynccontextmanager
async def private_broker(directory: Path) -> AsyncIterator[Path]:
    """The same for whoever needs its socket's path only.

    Raises:
        PrerequisiteError, ConfigError, TransportError: As `own_broker`.
    """
    async with own_broker(directory) as broker:
        yield broker.path
