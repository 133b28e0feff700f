"""`bench lab up`: builds a lab, answers on its socket, ends on request.

The other side is `control`. Runs inside `isolate.run_isolated`, with the listening socket inherited
from the process outside.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from podbench.cni.base import Driver
from podbench.model.nodes import LabOptions
from podbench.target.lab import control, inside
from podbench.target.lab.control import Answer, Description, Request
from podbench.target.lab.world import LabWorld

REQUEST_S = 1.0
"""A client sends its request as it connects; one that does not is dropped."""


def run(
    driver: Driver,
    options: LabOptions,
    server: socket.socket,
    ready: Callable[[Description], None],
) -> int:
    """Builds a lab with all modes its CNI supports side by side, and keeps it until it is ended.

    Args:
        driver: The CNI. All its modes are laid, or the first if it has one at a time.
        options: The lab's options.
        server: The listening socket of `control.listen`.
        ready: Called once the lab is complete.

    Raises:
        LabError: Something could not be built.
        PrerequisiteError: A program is missing.
    """
    return asyncio.run(_run(driver, options, server, ready))


async def _run(
    driver: Driver,
    options: LabOptions,
    server: socket.socket,
    ready: Callable[[Description], None],
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with LabWorld(options) as world:
        modes = driver.modes() if driver.side_by_side else driver.modes()[:1]
        laid = await driver.lay(world, modes)
        description = Description(
            cni=driver.name,
            options=options,
            nodes=tuple(world.nodes),
            implementations={str(m): each.implementation for m, each in laid.items()},
            refused={str(m): each.reason for m, each in laid.items() if each.reason is not None},
        )
        ready(description)
        server.settimeout(0)
        loop.add_reader(server, _answer_one, server, description, stop)
        await stop.wait()
        loop.remove_reader(server)
    return 0


def _answer_one(server: socket.socket, description: Description, stop: asyncio.Event) -> None:
    try:
        connection, _ = server.accept()
    except BlockingIOError:
        return
    with connection:
        _, uid = control.peer(connection)
        # Inside a user namespace we are 0 and so is our user outside; everybody else is not.
        if uid != os.geteuid():
            return
        connection.settimeout(REQUEST_S)
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            data = connection.recv(control.MESSAGE_BYTES)
            request = msgspec.json.decode(data, type=Request)
            _answer(connection, request, description, stop)


def _answer(
    connection: socket.socket, request: Request, description: Description, stop: asyncio.Event
) -> None:
    if request.ask == "enter":
        _hand_over(connection, request.name or "", description)
        return
    connection.send(msgspec.json.encode(Answer(description=description)))
    if request.ask == "down":
        stop.set()


def _hand_over(connection: socket.socket, name: str, description: Description) -> None:
    names = [node.name for node in description.nodes]
    names += [pod.name for node in description.nodes for pod in node.pods]
    if name not in names:
        error = f"the lab has no {name!r}; it has {', '.join(names)}"
        connection.send(msgspec.json.encode(Answer(error=error)))
        return
    paths = {
        "user": Path("/proc/self/ns/user"),
        "mnt": Path("/proc/self/ns/mnt"),
        "net": inside.NETNS_DIR / name,
        "pid": Path("/proc/self/ns/pid"),
    }
    descriptors = [os.open(paths[kind], os.O_RDONLY | os.O_CLOEXEC) for kind in control.NAMESPACES]
    try:
        socket.send_fds(connection, [msgspec.json.encode(Answer())], descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
