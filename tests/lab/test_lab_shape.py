"""Faults of a known size really have that size, and that direction."""

import array
import asyncio
import fcntl
import json
import re
import socket
import struct
import subprocess
from typing import Any

import pytest
from support.inlab import echo, in_lab, needs_namespaces

from podbench.model.arms import Mode
from podbench.model.errors import PodbenchError
from podbench.model.nodes import LabOptions, Loss
from podbench.target.lab import shape
from podbench.target.lab.inside import inside
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, needs_namespaces()]

ETHTOOL_GTSO, ETHTOOL_GGSO, ETHTOOL_GGRO = 0x1E, 0x23, 0x2B
PROBES = 400


def _run(netns: str, *command: str) -> str:
    done = subprocess.run(
        ["ip", "netns", "exec", netns, *command], capture_output=True, text=True, check=True
    )
    return done.stdout


def _lost(world_node: str) -> list[int]:
    """Packets that each loss rule of a node dropped."""
    text = _run(world_node, "/usr/sbin/nft", "list", "table", "netdev", "podbench")
    return [int(n) for n in re.findall(r"counter packets (\d+)", text)]


def test_all_is_lost_one_way_in_every_mode_and_nothing_the_other() -> None:
    """100 % from n1 to n2: VXLAN, plain and host packets; the sessions of BGP stand."""

    async def scenario(world: LabWorld) -> dict[str, Any]:
        one, two, three = world.nodes
        found: dict[str, Any] = {}
        for mode in (Mode.VXLAN, Mode.BGP):
            found[f"{mode} n1>n2"] = (await echo(one.pod(mode), two.pod(mode), 4)).answered
            found[f"{mode} n1>n3"] = (await echo(one.pod(mode), three.pod(mode), 4)).answered
        found["dropped"] = await asyncio.to_thread(_lost, "n2")
        # Never answered, but they arrive: the way back is the lossless one.
        found["n2>n1"] = await asyncio.to_thread(_received, world, "n2", "n1")
        found["n1>n2"] = await asyncio.to_thread(_received, world, "n1", "n2")
        facts = await world.facts("n2")
        found["sessions"] = [s.state for s in facts.bgp or ()]
        return found

    found = in_lab(
        scenario,
        dict,
        options=LabOptions(nodes=3, losses=(Loss("n1", "n2", 1.0),)),
        modes=(Mode.VXLAN, Mode.BGP),
    )
    assert [found[f"{m} n1>n2"] for m in ("vxlan", "bgp")] == [0, 0]
    assert [found[f"{m} n1>n3"] for m in ("vxlan", "bgp")] == [4, 4]
    assert found["dropped"][0] >= 8
    assert (found["n1>n2"], found["n2>n1"]) == (0, 20)
    assert found["sessions"] == ["Established", "Established"]


def _received(world: LabWorld, src: str, dst: str) -> int:
    """Of 20 datagrams from node to node, how many arrive."""
    near, far = (next(n for n in world.nodes if n.name == name) for name in (src, dst))

    def bound(address: str) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        made.settimeout(0.3)
        return made

    with (
        inside(src, lambda: bound(near.address)) as out,
        inside(dst, lambda: bound(far.address)) as back,
    ):
        for _ in range(20):
            out.sendto(b"x", back.getsockname())
        arrived = 0
        try:
            while arrived < 20:
                back.recv(10)
                arrived += 1
        except TimeoutError:
            pass
        return arrived


def test_half_is_lost_and_the_rule_counts_it() -> None:
    """Of 400 probes about half come back, and the rule's own counter says how many it took."""

    async def scenario(world: LabWorld) -> list[int]:
        near, far = (node.pod(Mode.VXLAN) for node in world.nodes)
        before = (await asyncio.to_thread(_lost, "n2"))[0]
        answered = (await echo(near, far, PROBES // 4)).answered
        return [answered, (await asyncio.to_thread(_lost, "n2"))[0] - before]

    answered, dropped = in_lab(
        scenario,
        list[int],
        options=LabOptions(nodes=2, losses=(Loss("n1", "n2", 0.5),)),
        modes=[Mode.VXLAN],
    )
    # 100 draws at one half: outside 20..80 once in 10^9.
    assert 20 < answered < 80
    assert dropped >= 100 - answered


def test_a_limited_link_carries_no_more_than_its_rate() -> None:
    """50 Mbit/s, framing counted: goodput stays below its ceiling and fills the link."""

    async def scenario(world: LabWorld) -> dict[str, Any]:
        far, near = (node.pod(Mode.BGP) for node in world.nodes)
        text = await asyncio.to_thread(_transfer, near.name, far.name, far.address)
        return {
            "bps": json.loads(text)["end"]["sum_received"]["bits_per_second"],
            "on": [
                _offloads(netns, device)
                for netns, device in (
                    (near.name, "eth0"),
                    ("n1", "eth0"),
                    ("underlay", "n1"),
                )
            ],
        }

    found = in_lab(
        scenario,
        dict,
        options=LabOptions(nodes=2, rate_bps=50_000_000),
        modes=[Mode.BGP],
    )
    assert found["on"] == [[0, 0, 0]] * 3
    # 1448 of the 1538 octets on the wire are payload; what was queued before may help a little.
    assert 0.5 < found["bps"] / 50e6 < 0.9415 * 1.02


def _transfer(src: str, dst: str, address: str) -> str:
    """Two seconds of TCP after one that does not count; iperf3's JSON."""
    server = ["ip", "netns", "exec", dst, "iperf3", "-s", "-1", "--forceflush"]
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        while "listening" not in running.stdout.readline():
            pass
        text = _run(src, "iperf3", "-c", address, "-t", "2", "-O", "1", "-J")
        running.communicate(timeout=10)
    return text


def _offloads(netns: str, device: str) -> list[int]:
    def body() -> list[int]:
        found = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            for command in (ETHTOOL_GTSO, ETHTOOL_GGSO, ETHTOOL_GGRO):
                value = array.array("I", [command, 7])
                request = struct.pack("16sP16x", device.encode(), value.buffer_info()[0])
                fcntl.ioctl(control, shape.SIOCETHTOOL, request)
                found.append(value[1])
        return found

    return inside(netns, body)


def test_cpu_noise_runs_beside_the_lab_and_ends_with_it() -> None:
    """As many burners as asked for; they are gone when the lab is left."""

    async def scenario(world: LabWorld) -> int:
        return sum(burner.poll() is None for burner in world.burners)

    assert in_lab(scenario, int, options=LabOptions(nodes=2, cpu_noise=2)) == 2


def test_a_loss_between_strangers_is_refused() -> None:
    """A node that the lab does not have is named."""

    async def scenario(world: LabWorld) -> int:
        return len(world.nodes)

    options = LabOptions(nodes=2, losses=(Loss("n1", "n7", 0.1),))
    with pytest.raises(PodbenchError, match="--lab-loss names n7"):
        in_lab(scenario, int, options=options)
