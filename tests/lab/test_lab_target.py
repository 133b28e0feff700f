"""The lab as a target: agents in their namespaces, on a broker that no network reaches."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.inlab import needs_namespaces

from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.model.errors import LabError
from podbench.model.nodes import LabOptions, Node
from podbench.target.lab import target as lab_target
from podbench.target.lab.isolate import run_isolated
from podbench.target.lab.target import LabTarget
from podbench.transport.base import Fleet
from podbench.wire import messages

pytestmark = [pytest.mark.lab, needs_namespaces()]

Scenario = Callable[[tuple[Node, ...], Fleet], Awaitable[dict[str, Any]]]


def _deployed(scenario: Scenario) -> dict[str, Any]:
    reader, writer = os.pipe()

    async def run() -> None:
        async with LabTarget(LabOptions(nodes=2), "r1").up() as laid:
            await registry.driver("calico").lay(laid.world, [Mode.VXLAN])
            async with laid.deploy() as (nodes, fleet):
                found = await scenario(nodes, fleet)
            found["left"] = [pid for node in nodes for pid in _pids(node) if _alive(pid)]
            os.write(writer, msgspec.json.encode(found))

    def session() -> int:
        asyncio.run(run())
        return 0

    try:
        assert run_isolated(session) == 0
    finally:
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            text = answers.read()
    return dict(msgspec.json.decode(text))


def _pids(node: Node) -> list[int]:
    return [pid for pid in (node.pid, *(pod.pid for pod in node.pods)) if pid is not None]


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _is_inside(netns: str, pid: int | None) -> bool:
    return Path(f"/proc/{pid}/ns/net").stat().st_ino == Path("/run/netns", netns).stat().st_ino


def _module(pid: int | None) -> str:
    """What `python -P -m` was told to run."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[3].decode()


def test_one_agent_per_node_and_pod_each_in_its_namespace() -> None:
    """All announce themselves; the process ids given are theirs; they end with the deployment."""

    async def scenario(nodes: tuple[Node, ...], fleet: Fleet) -> dict[str, Any]:
        places = {node.name: node.pid for node in nodes}
        places |= {pod.name: pod.pid for node in nodes for pod in node.pods}
        return {
            "online": sorted(a for a, status in fleet.agents.items() if status.online),
            "inside": {name: _is_inside(name, pid) for name, pid in places.items()},
            "commands": [_module(pid) for pid in places.values()],
            "socket": await asyncio.to_thread(Path("/run/podbench/mqtt.sock").is_socket),
        }

    found = _deployed(scenario)
    assert found["online"] == ["n1-host", "n1-vxlan", "n2-host", "n2-vxlan"]
    assert found["inside"] == {"n1": True, "n1-vxlan": True, "n2": True, "n2-vxlan": True}
    assert set(found["commands"]) == {"podbench_agent"}
    assert found["socket"] is True
    assert found["left"] == []


def test_a_command_reaches_an_agent_in_a_pod() -> None:
    """Asked over the Unix socket, answered from the pod's namespace."""

    async def scenario(nodes: tuple[Node, ...], fleet: Fleet) -> dict[str, Any]:
        pod = nodes[0].pods[0]
        command = messages.ServeTransfer(bind_address=pod.address, lifetime_s=2.0)
        reply = await fleet.ask(pod.agent, command, 10.0)
        assert isinstance(reply.answer, messages.Done), reply.answer
        return {"port": reply.answer.facts["port"]}

    assert _deployed(scenario)["port"] > 0


def test_an_agent_that_dies_at_once_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With its status and its last words, long before the time-out."""
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho first\necho no module named podbench_agent >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(lab_target.sys, "executable", str(broken))  # type: ignore[attr-defined]  # the interpreter that starts agents

    async def scenario(nodes: tuple[Node, ...], fleet: Fleet) -> dict[str, Any]:
        raise AssertionError("must not be reached")

    with pytest.raises(
        LabError, match="ended with status 3; its last words: no module named podbench_agent"
    ):
        _deployed(scenario)
