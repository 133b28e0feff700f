"""The lab in a real kernel: who reaches whom, by which route, at which MTU."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.inlab import OF_MODULES, echo, in_lab, needs_ipip, needs_namespaces

from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.model.facts import NodeFacts
from podbench.model.nodes import LabOptions, Node
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, needs_namespaces()]

PROBES = 3


async def _answers(world: LabWorld, mode: Mode) -> dict[str, int]:
    """Probes answered from every pod to every other, by `src>dst`."""
    return {
        f"{src.name}>{dst.name}": (await echo(src.pod(mode), dst.pod(mode), PROBES)).answered
        for src in world.nodes
        for dst in world.nodes
        if src != dst
    }


def _ping(netns: str, *arguments: str) -> str:
    done = subprocess.run(
        ["ip", "netns", "exec", netns, "ping", "-c", "1", "-W", "1", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("nodes", [2, 5])
def test_every_pod_reaches_every_other_side_by_side(nodes: int) -> None:
    """VXLAN and BGP at once, in the full mesh, by routes that Felix and BIRD would have laid."""

    async def scenario(world: LabWorld) -> dict[str, Any]:
        peers = {
            f"{src.name}>{dst.name}/{mode}": (
                (found := await world.lookup(src.name, dst.pod(mode).address)).device,
                found.protocol,
                found.onlink,
            )
            for mode in (Mode.VXLAN, Mode.BGP)
            for src in world.nodes
            for dst in world.nodes
            if src != dst
        }
        vxlan, bgp = [await _answers(world, mode) for mode in (Mode.VXLAN, Mode.BGP)]
        return {"vxlan": vxlan, "bgp": bgp, "routes": peers}

    found = in_lab(scenario, dict, options=LabOptions(nodes=nodes), modes=(Mode.VXLAN, Mode.BGP))
    assert set(found["vxlan"].values()) == set(found["bgp"].values()) == {PROBES}
    assert len(found["vxlan"]) == len(found["bgp"]) == nodes * (nodes - 1)
    for pair, route in found["routes"].items():
        expected = ["vxlan.calico", 3, True] if pair.endswith("vxlan") else ["eth0", 12, False]
        assert route == expected, pair


@needs_ipip()
@pytest.mark.root
def test_ipip_pods_reach_each_other_and_bird_owns_their_routes() -> None:
    """The third arm beside the others; its implementation is named."""

    async def scenario(world: LabWorld) -> dict[str, Any]:
        answers = await _answers(world, Mode.IPIP)
        route = await world.lookup("n1", world.nodes[1].pod(Mode.IPIP).address)
        return {
            "answers": list(answers.values()),
            "protocol": route.protocol,
            "how": {str(mode): how for mode, how in world.implementations.items()},
        }

    found = in_lab(scenario, dict, modes=(Mode.VXLAN, Mode.IPIP, Mode.BGP))
    assert found["answers"] == [PROBES, PROBES]
    assert found["how"]["vxlan"] == "kernel device"
    assert found["how"]["bgp"] == "routed"
    assert (found["how"]["ipip"], found["protocol"]) in {("eBPF at tc", 12), ("kernel device", 80)}


@pytest.mark.parametrize(
    ("equal", "expected"),
    [(False, {"vxlan": 1450, "bgp": 1500}), (True, {"vxlan": 1450, "bgp": 1450})],
)
def test_a_pod_sends_what_its_mtu_allows_and_no_more(equal: bool, expected: dict[str, int]) -> None:
    """The largest packet with DF passes end to end, one octet more is refused in the pod."""

    async def scenario(world: LabWorld) -> dict[str, list[str]]:
        found = {}
        for mode, mtu in expected.items():
            near, far = (node.pod(Mode(mode)) for node in world.nodes[:2])
            assert near.mtu == mtu
            found[mode] = [
                await asyncio.to_thread(
                    # 20 octets of IPv4 header and 8 of ICMP.
                    _ping,
                    near.name,
                    "-M",
                    "do",
                    "-s",
                    str(size - 28),
                    far.address,
                )
                for size in (mtu, mtu + 1)
            ]
        return found

    found = in_lab(
        scenario,
        dict,
        options=LabOptions(nodes=2, equal_mtu=equal),
        modes=(Mode.VXLAN, Mode.BGP),
    )
    for mode, mtu in expected.items():
        assert " 0% packet loss" in found[mode][0], found[mode][0]
        assert f"mtu={mtu}" in found[mode][1] or f"mtu = {mtu}" in found[mode][1], found[mode][1]


def test_flannels_modes_follow_one_another() -> None:
    """Laying host-gw after VXLAN leaves no device, route or bridge of the first."""

    async def scenario(world: LabWorld) -> dict[str, Any]:
        flannel = registry.driver("flannel")
        first = list((await _answers(world, Mode.VXLAN)).values())
        await flannel.remove(world, Mode.VXLAN)
        between = await world.facts("n1")
        await flannel.lay(world, [Mode.HOST_GW])
        second = list((await _answers(world, Mode.HOST_GW)).values())
        route = await world.lookup("n1", world.nodes[1].pod(Mode.HOST_GW).address)
        return {
            "first": first,
            "second": second,
            "between": [link.name for link in between.links],
            "left": [r.dst for r in between.routes if r.dst.startswith("198.")],
            "route": [route.device, route.gateway],
        }

    found = in_lab(scenario, dict, cni="flannel", modes=[Mode.VXLAN])
    assert found["first"] == found["second"] == [PROBES, PROBES]
    assert [name for name in found["between"] if name not in OF_MODULES] == ["lo", "eth0"]
    assert found["left"] == []
    assert found["route"] == ["eth0", "172.18.0.3"]


def test_pools_go_without_a_trace_and_more_than_once() -> None:
    """After removing every pool a node is as it was; removing again changes nothing."""

    async def scenario(world: LabWorld) -> list[NodeFacts]:
        calico = registry.driver("calico")
        before = await world.facts("n1")
        await calico.lay(world, [Mode.VXLAN, Mode.BGP])
        for _ in range(2):
            for mode in (Mode.BGP, Mode.VXLAN):
                await calico.remove(world, mode)
        return [before, await world.facts("n1")]

    before, after = in_lab(scenario, list[NodeFacts])
    assert [link.name for link in after.links] == [link.name for link in before.links]
    assert after.routes == before.routes
    assert after.bgp is None


def test_one_routed_pool_leaves_while_another_stays() -> None:
    """BIRD withdraws one pool's blocks; the sessions and the other pool's routes live on."""

    async def scenario(world: LabWorld) -> dict[str, Any]:
        pool = registry.driver("calico").pool(Mode.BGP, underlay_mtu=1500, equal_mtu=False)
        await world.mesh.join("203.0.113.0/24", _fake_pods(world))
        before = await world.lookup("n1", "203.0.113.129")
        await world.mesh.leave("203.0.113.0/24")
        for _ in range(50):
            after = await world.lookup("n1", "203.0.113.129")
            if after.dst == "0.0.0.0/0":
                break
            await asyncio.sleep(0.1)
        kept = await world.lookup("n1", world.nodes[1].pod(Mode.BGP).address)
        facts = await world.facts("n1")
        return {
            "before": [before.dst, before.protocol],
            "after": after.dst,
            "kept": [kept.protocol, kept.gateway],
            "sessions": [s.state for s in facts.bgp or ()],
            "pool": pool.cidr,
        }

    found = in_lab(scenario, dict, modes=[Mode.BGP])
    assert found["before"] == ["203.0.113.128/26", 12]
    assert found["after"] == "0.0.0.0/0"
    assert found["kept"] == [12, "172.18.0.3"]
    assert found["sessions"] == ["Established"]


def _fake_pods(world: LabWorld) -> list[Any]:
    from podbench.target.lab import layout

    plans = layout.plan_nodes(len(world.nodes))
    return [
        layout.PodPlan(
            name=f"{plan.name}-x",
            node=plan,
            block=f"203.0.113.{64 * plan.number}/26",
            address=f"203.0.113.{64 * plan.number + 2}",
            tunnel_address=f"203.0.113.{64 * plan.number + 1}",
            host_device="none",
        )
        for plan in plans
    ]


def test_process_ids_lead_into_the_namespaces() -> None:
    """As the host numbers them, so that run.json's are of use outside the lab."""

    async def scenario(world: LabWorld) -> dict[str, bool]:
        document = world.pids()
        found = {}
        for node in document["nodes"]:
            found[node["name"]] = _same(node["pid"], node["name"])
            for pod in node["pods"]:
                found[pod["name"]] = _same(pod["pid"], pod["name"])
        return found

    assert in_lab(scenario, dict, modes=[Mode.VXLAN]) == {
        "n1": True,
        "n1-vxlan": True,
        "n2": True,
        "n2-vxlan": True,
    }


def _same(pid: int, netns: str) -> bool:
    return Path(f"/proc/{pid}/ns/net").stat().st_ino == Path("/run/netns", netns).stat().st_ino


def test_nodes_reach_each_other_without_an_overlay() -> None:
    """The host path: node to node on the underlay, no pool laid."""

    async def scenario(world: LabWorld) -> str:
        return await asyncio.to_thread(_ping, "n1", world.nodes[1].address)

    assert " 0% packet loss" in in_lab(scenario, str)


def test_nodes_know_their_pods() -> None:
    """What the session gets: address, MTU and agent of every pod, one per mode."""

    async def scenario(world: LabWorld) -> list[Node]:
        return list(world.nodes)

    nodes = in_lab(scenario, list[Node], modes=(Mode.VXLAN, Mode.BGP))
    assert [(p.name, p.agent, p.mode, p.mtu) for p in nodes[0].pods] == [
        ("n1-vxlan", "n1-vxlan", Mode.VXLAN, 1450),
        ("n1-bgp", "n1-bgp", Mode.BGP, 1500),
    ]
    assert [node.agent for node in nodes] == ["n1-host", "n2-host"]
