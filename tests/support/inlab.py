"""Runs a test's scenario in a lab of its own, inside private namespaces, and hands its answer back.

The scenario runs in a process of its own: what it finds comes back as JSON, so the assertions stand
in the test. Nothing remains, however the scenario ends.
"""

import asyncio
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
import pytest

from podbench.cni import registry
from podbench.cni.base import Probed
from podbench.model.arms import Mode
from podbench.model.facts import Flow
from podbench.model.nodes import LabOptions, Pod
from podbench.target.lab.inside import inside
from podbench.target.lab.ipip import dataplane
from podbench.target.lab.isolate import run_isolated
from podbench.target.lab.world import LabWorld

T = TypeVar("T")

OF_MODULES = {"tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0"}
"""Devices that every namespace has, down, once their module is loaded."""
ECHO_WAIT_S = 0.2
GIVE_UP = 5
"""Unanswered probes at the start after which a path is taken for dead."""


def _no_namespaces() -> str | None:
    if os.geteuid() == 0:
        return None
    try:
        probe = subprocess.run(["unshare", "-Urn", "true"], capture_output=True, check=False)
    except OSError as error:
        return str(error)
    return probe.stderr.decode().strip() or None if probe.returncode else None


def needs_namespaces() -> pytest.MarkDecorator:
    """Skips where no network namespace can be made."""
    reason = _no_namespaces()
    return pytest.mark.skipif(reason is not None, reason=f"needs network namespaces: {reason}")


def needs_root(why: str) -> pytest.MarkDecorator:
    """Skips for an ordinary user; `why` says what takes root."""
    return pytest.mark.skipif(os.geteuid() != 0, reason=f"needs root, {why}")


def needs_ipip() -> pytest.MarkDecorator:
    """Skips where IPIP cannot be laid at all."""
    able = dataplane.capability()
    return pytest.mark.skipif(able.implementation is None, reason=f"needs IPIP: {able.reason}")


def in_lab(
    scenario: Callable[[LabWorld], Awaitable[T]],
    kind: type[T],
    *,
    options: LabOptions | None = None,
    cni: str = "calico",
    modes: Sequence[Mode] = (),
) -> T:
    """Builds a lab with these modes laid, runs the scenario in it and returns its answer.

    Args:
        scenario: Runs as root of the lab's namespaces.
        kind: What it returns; JSON carries it.
        options: The lab; two nodes by default.
        cni: Whose driver lays the modes.
        modes: The modes to lay first.
    """
    reader, writer = os.pipe()

    async def run() -> T:
        async with LabWorld(options or LabOptions(nodes=2, layout=cni)) as world:
            laid = await registry.driver(cni).lay(world, modes)
            refused = {mode: each.reason for mode, each in laid.items() if each.reason}
            assert not refused, refused
            return await scenario(world)

    def session() -> int:
        os.write(writer, msgspec.json.encode(asyncio.run(run())))
        return 0

    try:
        status = run_isolated(session)
    finally:
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            text = answers.read()
    assert status == 0, f"the scenario ended with status {status}"
    return msgspec.json.decode(text, type=kind)


async def echo(src: Pod, dst: Pod, probes: int) -> Probed:
    """A proof window without agents: UDP from pod to pod and back; counts what came back."""
    return await asyncio.to_thread(_echo, src, dst, probes)


def _echo(src: Pod, dst: Pod, probes: int) -> Probed:
    def bound(address: str) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        made.settimeout(ECHO_WAIT_S)
        return made

    near = inside(src.name, lambda: bound(src.address))
    far = inside(dst.name, lambda: bound(dst.address))
    with near, far:
        where: Any = far.getsockname()
        flow = Flow(protocol="udp", sport=near.getsockname()[1], dport=where[1])
        answered = 0
        for sent in range(probes):
            try:
                near.sendto(b"probe" * 12, where)
                data, back = far.recvfrom(100)
                far.sendto(data, back)
                near.recvfrom(100)
            except OSError:
                if answered == 0 and sent >= GIVE_UP:
                    return Probed(answered=0, flow=flow)
                continue
            answered += 1
    return Probed(answered=answered, flow=flow)
