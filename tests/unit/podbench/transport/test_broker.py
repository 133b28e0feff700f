"""The private broker: where it listens, how it comes and goes."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import needs

from podbench.model.errors import ConfigError, PrerequisiteError, TransportError
from podbench.transport import broker, children

needs_mosquitto = needs.programs("mosquitto")


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory whose path fits a Unix socket; pytest's own may not."""
    with tempfile.TemporaryDirectory(prefix="pb-") as name:
        yield Path(name)


def brokers_children() -> set[int]:
    """Processes this one started that run mosquitto."""
    me = os.getpid()
    text = Path(f"/proc/{me}/task/{me}/children").read_text("ascii")
    return {
        int(pid) for pid in text.split() if "mosquitto" in Path(f"/proc/{pid}/cmdline").read_text()
    }


def network_listeners(pid: int) -> set[str]:
    """Lines of /proc/net for the process's sockets that are not Unix sockets."""
    held = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # The broker closes files of its own while it is looked at.
        with contextlib.suppress(FileNotFoundError):
            held.add(str(link.readlink()))
    inodes = {link[8:-1] for link in held if link.startswith("socket:[")}
    assert inodes, "a broker without any socket was looked at"
    tables = [Path(f"/proc/net/{name}").read_text("ascii") for name in ("tcp", "tcp6", "udp")]
    lines = [line for table in tables for line in table.splitlines()[1:]]
    return {line for line in lines if line.split()[9] in inodes}


@needs_mosquitto
def test_it_listens_on_its_socket_only_and_goes(short_dir: Path) -> None:
    """While the context lasts one process listens on the socket and on no port; then neither is."""

    async def scene() -> tuple[Path, int, set[str]]:
        async with broker.private_broker(short_dir) as socket:
            (pid,) = brokers_children()
            return socket, pid, network_listeners(pid)

    socket, pid, listeners = asyncio.run(scene())

    assert socket == short_dir.resolve() / "mqtt.sock"
    assert listeners == set()
    assert not Path(f"/proc/{pid}").exists()
    assert not socket.exists()


@needs_mosquitto
def test_it_goes_when_the_body_fails(short_dir: Path) -> None:
    """An exception inside the context leaves no process behind."""

    async def scene() -> None:
        async with broker.private_broker(short_dir):
            raise KeyError("body")

    with pytest.raises(KeyError):
        asyncio.run(scene())
    assert brokers_children() == set()


@needs_mosquitto
def test_a_broker_that_cannot_start_says_why(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mosquitto that ends at once gives an error with the end of its log."""
    monkeypatch.setattr(broker, "_CONFIG", "log_dest file {log}\nno_such_option 1\n")

    async def scene() -> None:
        async with broker.private_broker(short_dir):
            pass

    with pytest.raises(TransportError, match="mosquitto ended at once"):
        asyncio.run(scene())
    assert brokers_children() == set()


def test_a_path_too_long_for_a_socket_is_an_error(short_dir: Path) -> None:
    """107 octets is the limit; the error gives the length and the way out."""

    async def scene() -> None:
        async with broker.private_broker(short_dir / ("x" * 100)):
            pass

    with pytest.raises(ConfigError, match="too long for a Unix socket") as caught:
        asyncio.run(scene())
    assert caught.value.advice == "use a shorter directory"
    assert not (short_dir / ("x" * 100)).exists()


def test_missing_mosquitto_is_told_with_the_way_to_get_it(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the program the error holds the apt line."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)

    async def scene() -> None:
        async with broker.private_broker(short_dir):
            pass

    with pytest.raises(PrerequisiteError, match="mosquitto") as caught:
        asyncio.run(scene())
    assert caught.value.advice == "sudo apt-get install -y mosquitto"


def test_an_unwilling_child_is_killed() -> None:
    """A child that ignores SIGTERM is killed after the grace; ending it twice is harmless."""

    async def scene() -> tuple[int, int]:
        child = await asyncio.create_subprocess_exec(
            "bash", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None
        await child.stdout.readline()
        return await children.end(child, 0.1), await children.end(child, 0.1)

    assert asyncio.run(scene()) == (-9, -9)
