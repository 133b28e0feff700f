"""What each driver's pools look like, and how pools are laid."""

import asyncio
import ipaddress
from itertools import combinations

import pytest
from support.fakeworld import FakeWorld

from podbench.cni import registry
from podbench.cni.base import Origin
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError


@pytest.mark.parametrize(
    ("cni", "mode", "expected"),
    [
        ("calico", Mode.VXLAN, (1450, "vxlan.calico", 4096, 4789, 3)),
        ("calico", Mode.IPIP, (1480, "tunl0", None, None, 12)),
        ("calico", Mode.BGP, (1500, None, None, None, 12)),
        ("flannel", Mode.VXLAN, (1450, "flannel.1", 1, 8472, 3)),
        ("flannel", Mode.HOST_GW, (1500, None, None, None, 3)),
    ],
)
def test_pools_are_as_the_cni_makes_them(
    cni: str, mode: Mode, expected: tuple[object, ...]
) -> None:
    """MTU, device, VXLAN number, port and route protocol are the CNI's own."""
    pool = registry.driver(cni).pool(mode, underlay_mtu=1500, equal_mtu=False)
    found = (pool.pod_mtu, pool.device, pool.vni, pool.udp_port, pool.route_protocol)
    assert (pool.mode, found) == (mode, expected)


@pytest.mark.parametrize("cni", registry.names())
def test_equal_mtu_gives_all_the_smallest(cni: str) -> None:
    """Every pod then has what VXLAN leaves, whatever the underlay."""
    driver = registry.driver(cni)
    for mode in driver.modes():
        assert driver.pool(mode, underlay_mtu=9000, equal_mtu=True).pod_mtu == 8950


def test_calicos_pools_do_not_overlap() -> None:
    """All three exist at once."""
    driver = registry.driver("calico")
    networks = [
        ipaddress.IPv4Network(driver.pool(mode, underlay_mtu=1500, equal_mtu=False).cidr)
        for mode in driver.modes()
    ]
    assert not any(one.overlaps(other) for one, other in combinations(networks, 2))


def test_most_encapsulation_comes_first() -> None:
    """Reports show the modes in this order."""
    assert registry.driver("calico").modes() == (Mode.VXLAN, Mode.IPIP, Mode.BGP)
    assert registry.driver("flannel").modes() == (Mode.VXLAN, Mode.HOST_GW)


def test_an_unknown_mode_is_refused_with_the_known() -> None:
    """The advice lists the CNI's modes."""
    with pytest.raises(ConfigError, match="flannel has no mode ipip") as caught:
        registry.driver("flannel").pool(Mode.IPIP, underlay_mtu=1500, equal_mtu=False)
    assert caught.value.advice == "it has vxlan, host-gw"
    with pytest.raises(ConfigError, match="calico has no mode host-gw"):
        registry.driver("calico").pool(Mode.HOST_GW, underlay_mtu=1500, equal_mtu=False)


def test_lays_all_modes_and_passes_a_refusal_on() -> None:
    """A mode the world cannot lay is an answer with its reason; the others exist."""
    world = FakeWorld(equal_mtu=True)
    world.refusals[Mode.IPIP] = "kernel has no IPIP and eBPF needs root"
    driver = registry.driver("calico")
    laid = asyncio.run(driver.lay(world, driver.modes()))
    assert laid[Mode.IPIP].reason == "kernel has no IPIP and eBPF needs root"
    assert laid[Mode.VXLAN].pool.origin == Origin.FELIX
    assert {mode: pool.pod_mtu for mode, pool in world.pools.items()} == {
        Mode.VXLAN: 1450,
        Mode.BGP: 1450,
    }


def test_flannel_refuses_two_modes_at_once() -> None:
    """It cannot change its backend beside itself; the way out is named."""
    with pytest.raises(ConfigError, match="one mode at a time") as caught:
        asyncio.run(registry.driver("flannel").lay(FakeWorld(), (Mode.VXLAN, Mode.HOST_GW)))
    assert "--method switch" in (caught.value.advice or "")


def test_removes_what_it_laid() -> None:
    """The world forgets the pool; a second time changes nothing."""
    world = FakeWorld()
    driver = registry.driver("flannel")
    asyncio.run(driver.lay(world, (Mode.HOST_GW,)))
    asyncio.run(driver.remove(world, Mode.HOST_GW))
    asyncio.run(driver.remove(world, Mode.HOST_GW))
    assert not world.pools


def test_flannel_takes_turns_where_pods_stay() -> None:
    """Where the world changes the mode under its pods, both are laid; a turn is proven by route."""
    world = FakeWorld(equal_mtu=True)
    world.turns = True
    driver = registry.driver("flannel")
    laid = asyncio.run(driver.lay(world, (Mode.VXLAN, Mode.HOST_GW)))
    assert {mode: each.reason for mode, each in laid.items()} == {
        Mode.VXLAN: None,
        Mode.HOST_GW: None,
    }
    assert asyncio.run(driver.turn(world, Mode.VXLAN)) is None
    assert world.turned == [Mode.VXLAN]
