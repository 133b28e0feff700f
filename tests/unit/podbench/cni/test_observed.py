"""CNIs that are only observed: Cilium, and any other as it is found."""

import asyncio

import msgspec
import pytest
from support.fakeworld import NAMES, FakeWorld, address

from podbench.cni import registry
from podbench.cni.base import Driver, Laid, Pool
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError
from podbench.model.facts import ArmProof, Link, Method, NodeFacts, Route, Verdict

OBSERVED = ("cilium", "antrea", "kindnet", "aws-vpc-cni", registry.UNKNOWN)


class Opaque(FakeWorld):
    """A world whose routes lead into a device that says nothing; packets go as `carried` says."""

    def __init__(self, device: str = "cilium_host", kind: str | None = "veth") -> None:
        super().__init__()
        self.device, self.kind = device, kind

    async def apply(self, pool: Pool) -> Laid:
        """Pods are there already: their addresses are the cluster's."""
        return await super().apply(msgspec.structs.replace(pool, cidr="10.244.0.0/16"))

    def send_by(self, mode: Mode, by: str) -> None:
        """Lets all pairs' packets go one way, whatever the routes say."""
        for src in NAMES:
            for dst in NAMES:
                if src != dst:
                    self.carried[src, mode, dst] = by
                    block = self.routes[src, mode, dst].dst
                    gateway = f"10.244.{src[1:]}.1"
                    self.routes[src, mode, dst] = Route(
                        dst=block, device=self.device, gateway=gateway, protocol=2
                    )

    async def facts(self, node: str) -> NodeFacts:
        """Also the device that the routes lead into; eth0 has the node's address."""
        found = await super().facts(node)
        here = Link(name=self.device, kind=self.kind, mtu=1500, up=True)
        links = tuple(
            msgspec.structs.replace(each, addresses=(f"{address(node)}/24",))
            if each.name == "eth0"
            else each
            for each in found.links
        )
        return msgspec.structs.replace(found, links=(*links, here))


def proven(cni: str, world: Opaque, mode: Mode, by: str, *, packets: bool = True) -> ArmProof:
    """What the driver says of a world whose packets go `by`."""
    driver: Driver = registry.driver(cni)
    asyncio.run(driver.lay(world, (mode,)))
    world.send_by(mode, by)
    return asyncio.run(driver.verify(world, mode, world.probe if packets else None))


@pytest.mark.parametrize(
    ("mode", "by", "verdict", "observed"),
    [
        (Mode.VXLAN, "vxlan", Verdict.MATCH, "vxlan"),
        (Mode.NATIVE, "plain", Verdict.MATCH, "native"),
        (Mode.VXLAN, "plain", Verdict.FELL_BACK, "native"),
        (Mode.NATIVE, "vxlan", Verdict.FELL_BACK, "vxlan"),
    ],
)
def test_cilium_is_proven_by_counters_where_its_routes_say_nothing(
    mode: Mode, by: str, verdict: Verdict, observed: str
) -> None:
    """Every route leads into cilium_host; tunnel and underlay counters decide."""
    found = proven("cilium", Opaque(), mode, by)
    assert (found.verdict, found.observed) == (verdict, observed)
    assert (found.method, found.route_origin) == (Method.COUNTED, "kernel")


@pytest.mark.parametrize("by", ["vxlan", "plain"])
def test_a_route_into_a_program_alone_proves_nothing(by: str) -> None:
    """Without packets it is neither plain nor a tunnel: unproven, and why."""
    found = proven("cilium", Opaque(), Mode.VXLAN, by, packets=False)
    assert (found.verdict, found.observed) == (Verdict.UNPROVEN, None)
    assert "cilium_host" in str(found.pairs[0].evidence["route_note"])


@pytest.mark.parametrize("cni", [each for each in OBSERVED if each != "cilium"])
@pytest.mark.parametrize(("by", "observed"), [("vxlan", "vxlan"), ("plain", "native")])
def test_any_network_is_named_by_what_its_packets_take(cni: str, by: str, observed: str) -> None:
    """Nothing was asked for, so nothing fell back: what is seen is what there is."""
    world = Opaque("antrea-gw0", "openvswitch")
    found = proven(cni, world, Mode.AS_FOUND, by)
    assert (found.verdict, found.observed) == (Verdict.MATCH, observed)
    assert found.method == Method.COUNTED


def test_pairs_may_differ_where_nothing_was_asked_for() -> None:
    """Encapsulated between subnets only: each pair is what it is, and so is the arm."""
    world = Opaque("antrea-gw0", "openvswitch")
    driver = registry.driver("calico")
    asyncio.run(driver.lay(world, (Mode.AS_FOUND,)))
    world.send_by(Mode.AS_FOUND, "vxlan")
    for pair in (("n1", "n2"), ("n2", "n1")):
        world.carried[pair[0], Mode.AS_FOUND, pair[1]] = "plain"
    found = asyncio.run(driver.verify(world, Mode.AS_FOUND, world.probe))
    assert (found.verdict, found.pairs_matched) == (Verdict.MATCH, 6)
    assert found.observed == "vxlan (4), native (2)"


def test_directions_that_differ_are_mixed_all_the_same() -> None:
    """A tunnel one way only is a fault whoever asked."""
    world = Opaque()
    driver = registry.driver("antrea")
    asyncio.run(driver.lay(world, (Mode.AS_FOUND,)))
    world.send_by(Mode.AS_FOUND, "vxlan")
    world.carried["n1", Mode.AS_FOUND, "n2"] = "plain"
    found = asyncio.run(driver.verify(world, Mode.AS_FOUND, world.probe))
    assert found.verdict == Verdict.MIXED


@pytest.mark.parametrize("cni", OBSERVED)
def test_observed_networks_have_no_modes_to_lay(cni: str) -> None:
    """They have drivers, and stand beside those whose modes can be laid, not among them."""
    assert cni not in registry.names()
    driver = registry.driver(cni)
    assert (driver.name, driver.side_by_side) == (cni, False)
    with pytest.raises(ConfigError, match=f"{cni} has no mode bgp"):
        driver.pool(Mode.BGP, underlay_mtu=1500, equal_mtu=False)


def test_cilium_s_pools_are_as_it_makes_them() -> None:
    """Devices, ports and what the tunnel leaves of the MTU; VNIs are identities, so none."""
    driver = registry.driver("cilium")
    found = {mode: driver.pool(mode, underlay_mtu=1500, equal_mtu=False) for mode in driver.modes()}
    assert {mode: (p.device, p.udp_port, p.pod_mtu, p.vni) for mode, p in found.items()} == {
        Mode.VXLAN: ("cilium_vxlan", 8472, 1450, None),
        Mode.GENEVE: ("cilium_geneve", 6081, 1450, None),
        Mode.NATIVE: (None, None, 1500, None),
    }
