"""A measurement process: asked, refused, killed, hung, replaced."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from podbench.model.errors import ProbeError
from podbench.wire import columns
from podbench_agent.probes import child


def _serve(channel: socket.socket) -> None:
    greeting = child.read_frame(channel)
    if greeting == b"refuse":
        channel.sendall(child.frame(msgspec.msgpack.encode(child.Result(error="no such port"))))
        return
    channel.sendall(child.frame(msgspec.msgpack.encode(child.Result(facts={"pid": os.getpid()}))))

    def handle(body: bytes) -> child.Result:
        if body == b"fail":
            raise ProbeError("cannot do that")
        if body == b"crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if body == b"hang":
            signal.pause()
        table = columns.pack({"n": np.arange(len(body))})
        return child.Result(tables={"echo": table}, facts={"pid": os.getpid()})

    child.answer(channel, handle)


@pytest.fixture
def worker() -> Iterator[child.Child]:
    """A started child that echoes."""
    made = child.Child(__name__, _serve, b"hello")
    made.start()
    yield made
    made.stop()


async def _ask(worker: child.Child, body: bytes, timeout_s: float = 5.0) -> child.Result:
    return await worker.ask(body, timeout_s)


def test_tables_come_back(worker: child.Child) -> None:
    """An answer's tables and facts survive the way, a megabyte of request too."""
    result = asyncio.run(_ask(worker, bytes(1 << 20)))

    assert child.unpack_tables(result)["echo"]["n"].tolist()[-1] == (1 << 20) - 1
    assert result.facts["pid"] == worker.pid


def test_a_refusal_leaves_the_child_alive(worker: child.Child) -> None:
    """An impossible request is answered with its reason by the same process that goes on."""
    pid = worker.pid

    with pytest.raises(ProbeError, match="cannot do that"):
        asyncio.run(_ask(worker, b"fail"))

    assert asyncio.run(_ask(worker, b"x")).facts["pid"] == pid


def test_a_death_is_told_and_repaired(worker: child.Child) -> None:
    """A killed child gives an error that names the signal; the next request finds a new one."""
    pid = worker.pid

    with pytest.raises(ProbeError, match="SIGKILL"):
        asyncio.run(_ask(worker, b"crash"))

    assert asyncio.run(_ask(worker, b"x")).facts["pid"] not in {pid, None}


def test_a_hanging_child_is_ended(worker: child.Child) -> None:
    """No answer within the time given is an error, and the hanging process is gone."""
    pid = worker.pid
    assert pid is not None

    with pytest.raises(ProbeError, match="no answer within"):
        asyncio.run(_ask(worker, b"hang", 0.05))

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    asyncio.run(_ask(worker, b"x"))


def test_requests_take_turns(worker: child.Child) -> None:
    """Requests made at the same time are answered one after the other, each with its own answer."""

    async def all_at_once() -> list[child.Result]:
        return await asyncio.gather(*(_ask(worker, bytes(n)) for n in range(1, 6)))

    results = asyncio.run(all_at_once())

    assert [len(child.unpack_tables(r)["echo"]["n"]) for r in results] == [1, 2, 3, 4, 5]


def test_a_failed_set_up_is_told() -> None:
    """A child that cannot be set up makes start fail with its reason."""
    refused = child.Child(__name__, _serve, b"refuse")

    with pytest.raises(ProbeError, match="no such port"):
        refused.start()
    refused.stop()
