"""Facts and route decisions read from a real kernel, beside what `ip` itself says."""

import asyncio
import contextlib
import json
import socket
import subprocess
import time
from typing import Any

import msgspec
import pytest
from support.inlab import in_lab, needs_root

from podbench.model.arms import Mode
from podbench.model.errors import LabError
from podbench.model.facts import NodeFacts, Route
from podbench.target.lab import facts, namespaces
from podbench.target.lab.inside import inside, inside_throwaway, with_netlink
from podbench.target.lab.world import LabWorld
from podbench.wire import rtnetlink
from podbench_agent.timestamping import IP_MTU, IP_MTU_DISCOVER, IP_PMTUDISC_DO

pytestmark = [pytest.mark.lab, pytest.mark.root, needs_root("to make a namespace outside a lab")]

PROTOCOLS = {"kernel": 2, "boot": 3, "static": 4, "bird": 12, "80": 80}


class Reading(msgspec.Struct):
    """The same node, read twice."""

    facts: NodeFacts
    routes: list[dict[str, Any]]
    links: list[dict[str, Any]]
    fdb: list[dict[str, Any]]


def _ip(*arguments: str) -> Any:
    command = [*arguments[:1], "-n", "n1", "-d", "-j", *arguments[1:]]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


LEARNS = """
link add near netns a type veth peer name ra netns r
link add far netns b type veth peer name rb netns r
-n a addr add 192.0.2.1/26 dev near; -n r addr add 192.0.2.2/26 dev ra
-n b addr add 192.0.2.129/26 dev far; -n r addr add 192.0.2.130/26 dev rb
-n a link set near up; -n r link set ra up; -n b link set far up
-n r link set rb up mtu 1300
-n a route add 192.0.2.128/26 via 192.0.2.2 proto 80
-n b route add default via 192.0.2.130
"""
"""a - r - b; r's device towards b carries 1300 octets."""


def test_a_path_mtu_the_kernel_learned_is_no_route() -> None:
    """After a `fragmentation needed` the table holds an exception to the peer's route: left out."""

    def learn() -> list[list[str]]:
        for name in "arb":
            namespaces.create(name)
        for command in LEARNS.replace("\n", ";").split(";"):
            if command.strip():
                subprocess.run(["ip", *command.split()], check=True)
        namespaces.configure("r", {"ipv4/ip_forward": "1"})
        learned = inside("a", _learn)
        dumped = with_netlink("a", lambda netlink: netlink.get_routes(family=socket.AF_INET))
        cloned = [r.get_attr("RTA_DST") for r in dumped if r["flags"] & rtnetlink.RTM_F_CLONED]
        read = facts.read_facts("a", "a").routes
        return [cloned, [route.dst for route in read], [str(learned)]]

    async def scenario(_: LabWorld) -> list[list[str]]:
        return await asyncio.to_thread(learn)

    cloned, read, (learned,) = in_lab(scenario, list[list[str]])
    assert learned == "1300"
    assert "192.0.2.129" in cloned
    assert sorted(read) == ["192.0.2.0/26", "192.0.2.128/26"]


def _learn() -> int:
    """Sends large datagrams with DF until the kernel knows the path's MTU; returns it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        sock.connect(("192.0.2.129", 9))
        mtu = 0
        for _ in range(100):
            with contextlib.suppress(OSError):
                sock.send(bytes(1400))
            time.sleep(0.05)
            mtu = sock.getsockopt(socket.IPPROTO_IP, IP_MTU)
            if mtu < 1500:
                break
        return mtu


def test_reads_what_iproute2_reads() -> None:
    """Routes with protocol and flags, devices with kinds, VXLAN entries: equal to `ip -d -j`."""

    async def scenario(world: LabWorld) -> Reading:
        return Reading(
            await world.facts("n1"),
            _ip("ip", "route"),
            _ip("ip", "link"),
            _ip("bridge", "fdb", "show", "dev", "vxlan.calico"),
        )

    found = in_lab(scenario, Reading, modes=(Mode.VXLAN, Mode.BGP))
    expected = {
        (
            "0.0.0.0/0" if route["dst"] == "default" else _with_length(route["dst"]),
            route.get("dev"),
            route.get("gateway"),
            PROTOCOLS[route["protocol"]],
            route["type"],
            "onlink" in route["flags"],
        )
        for route in found.routes
    }
    read = {(r.dst, r.device, r.gateway, r.protocol, r.type, r.onlink) for r in found.facts.routes}
    assert read == expected
    assert {(each.name, each.mtu, each.kind) for each in found.facts.links} == {
        (each["ifname"], each["mtu"], each.get("linkinfo", {}).get("info_kind"))
        for each in found.links
    }
    tunnel = next(each for each in found.facts.links if each.name == "vxlan.calico")
    assert (tunnel.vxlan_id, tunnel.vxlan_port) == (4096, 4789)
    assert {(e.lladdr, e.address) for e in found.facts.fdb if e.device == "vxlan.calico"} == {
        (each["mac"], each.get("dst")) for each in found.fdb
    }


def _with_length(dst: str) -> str:
    return dst if "/" in dst else f"{dst}/32"


def _network(netlink: Any) -> None:
    netlink.link("set", index=1, state="up")
    netlink.link("add", ifname="under0", kind="bridge")
    index = netlink.link_lookup(ifname="under0")[0]
    netlink.addr("add", index=index, address="192.0.2.1", prefixlen=24)
    netlink.link("set", index=index, state="up")
    hop = {"gateway": "192.0.2.9", "oif": index}
    netlink.route("add", dst="10.1.0.0/16", proto=80, flags=["onlink"], **hop)
    netlink.route("add", dst="10.2.0.0/16", proto=12, type="unreachable")
    netlink.route("add", dst="10.3.0.0/16", proto=4, type="blackhole")
    netlink.route("add", dst="10.4.0.0/16", proto=4, type="prohibit")


@pytest.mark.root
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (
            "10.1.2.3",
            Route(
                dst="10.1.0.0/16", device="under0", gateway="192.0.2.9", protocol=80, onlink=True
            ),
        ),
        ("10.2.2.3", Route(dst="10.2.0.0/16", device=None, protocol=12, type="unreachable")),
        ("10.3.2.3", Route(dst="10.3.0.0/16", device=None, protocol=4, type="blackhole")),
        ("10.4.2.3", Route(dst="10.4.0.0/16", device=None, protocol=4, type="prohibit")),
        ("203.0.113.1", Route(dst="203.0.113.1", device=None, type="unreachable")),
        ("192.0.2.1", Route(dst="192.0.2.1/32", device="under0", protocol=2, type="local")),
    ],
)
def test_a_lookup_is_the_kernels_own_answer(address: str, expected: Route) -> None:
    """The entry that wins with its protocol; each kind of refusal is an answer with its entry."""

    def scenario() -> Route:
        with_netlink(None, _network)
        return facts.lookup(None, address)

    assert inside_throwaway(scenario) == expected


def test_a_namespace_that_is_not_there_is_named() -> None:
    """The error says where it looked."""
    with pytest.raises(LabError, match="/run/netns/podbench-nowhere"):
        facts.lookup("podbench-nowhere", "192.0.2.1")
