"""Temporary pools: where they lie and what they ask for."""

import ipaddress
from itertools import combinations

import pytest

from podbench.cni.calico.pools import DEFAULT_CIDR, MODES, overlaps, plan, routed
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError


def test_each_mode_has_a_pool_of_its_own_inside_the_range() -> None:
    """Disjoint, within --pool-cidr, and one encapsulation each."""
    pools = plan(DEFAULT_CIDR, MODES)
    networks = [ipaddress.IPv4Network(each.cidr) for each in pools]
    assert all(each.subnet_of(ipaddress.IPv4Network(DEFAULT_CIDR)) for each in networks)
    assert not any(one.overlaps(other) for one, other in combinations(networks, 2))
    assert {each.mode: (each.ipip_mode, each.vxlan_mode) for each in pools} == {
        Mode.VXLAN: ("Never", "Always"),
        Mode.IPIP: ("Always", "Never"),
        Mode.BGP: ("Never", "Never"),
    }
    assert [each.name for each in pools] == ["podbench-vxlan", "podbench-ipip", "podbench-bgp"]


def test_a_mode_has_the_same_place_whichever_others_are_measured() -> None:
    """A second run with fewer modes does not move the rest."""
    (alone,) = plan(DEFAULT_CIDR, [Mode.BGP])
    assert alone in plan(DEFAULT_CIDR, MODES)


@pytest.mark.parametrize("cidr", ["198.18.0.0/24", "198.18.0.1/16", "x", "fd00::/64"])
def test_a_range_that_is_none_is_the_user_s_error(cidr: str) -> None:
    """Too small, with host bits, no network, IPv6: named, with what would do."""
    with pytest.raises(ConfigError, match="--pool-cidr") as caught:
        plan(cidr, MODES)
    assert caught.value.advice


def test_what_lies_within_is_named() -> None:
    """Networks around, within and at the address; not the default route, IPv6 or nonsense."""
    taken = {
        "IPPool a": ["198.18.64.0/18"],
        "Node n1": ["198.18.0.9", "192.0.2.1"],
        "route": ["0.0.0.0/0", "198.0.0.0/8"],
        "other": ["fd00::/8", "None", "10.0.0.0/8"],
    }
    assert overlaps(DEFAULT_CIDR, taken) == [
        "IPPool a 198.18.64.0/18",
        "Node n1 198.18.0.9",
        "route 198.0.0.0/8",
    ]


def test_a_route_to_the_whole_cidr_is_somebody_s() -> None:
    """Wider or as wide as ours; neither a default route, nor our own blocks, nor another's."""
    ours = ["default", "0.0.0.0/0", "198.18.64.0/26", "10.0.0.0/8", "172.18.0.0/16", "fe80::/64"]
    assert routed(DEFAULT_CIDR, {"n1": ours}) == []
    assert routed(DEFAULT_CIDR, {"n1": ours, "n2": [*ours, "198.18.0.0/15"]}) == [
        "a route of n2 to 198.18.0.0/15"
    ]
    assert routed(DEFAULT_CIDR, {"n1": ["198.18.0.0/16"]}) == ["a route of n1 to 198.18.0.0/16"]
