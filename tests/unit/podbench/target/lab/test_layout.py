"""Names and addresses that the lab gives."""

import ipaddress
import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench.cni.base import Origin, Pool
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError, LabError
from podbench.target.lab import layout

POOL = Pool(
    mode=Mode.BGP,
    cidr="198.18.192.0/18",
    pod_mtu=1500,
    origin=Origin.BIRD,
    route_protocol=12,
)
IFNAMSIZ = 16


def test_names_and_addresses_of_a_small_lab() -> None:
    """What a user sees in `bench lab up` and in reports."""
    nodes = layout.plan_nodes(2)
    pods = layout.plan_pods(POOL, nodes, "calico")
    assert [(node.name, node.address, node.mac) for node in nodes] == [
        ("n1", "172.18.0.2", "02:42:ac:12:00:02"),
        ("n2", "172.18.0.3", "02:42:ac:12:00:03"),
    ]
    assert [(pod.name, pod.block, pod.address) for pod in pods] == [
        ("n1-bgp", "198.18.192.64/26", "198.18.192.66"),
        ("n2-bgp", "198.18.192.128/26", "198.18.192.130"),
    ]


def test_flannel_gives_the_tunnel_the_first_address_of_a_slash_24() -> None:
    """flannel.1 has the subnet's own address, the bridge the next, the pod the one after."""
    pool = msgspec.structs.replace(POOL, cidr="198.19.0.0/18", mode=Mode.VXLAN)
    (pod, _) = layout.plan_pods(pool, layout.plan_nodes(2), "flannel")
    assert (pod.block, pod.tunnel_address, pod.address) == (
        "198.19.1.0/24",
        "198.19.1.0",
        "198.19.1.2",
    )


@given(
    count=st.integers(2, layout.MAX_NODES),
    kind=st.sampled_from(["calico", "flannel"]),
    length=st.integers(8, 26),
)
def test_no_two_pods_share_anything(count: int, kind: str, length: int) -> None:
    """Blocks do not overlap and lie in the pool, names fit a device's, whatever the size."""
    pool = msgspec.structs.replace(POOL, cidr=f"10.0.0.0/{length}")
    nodes = layout.plan_nodes(count)
    fits = 1 << max(0, layout.BLOCK_PREFIX[kind] - length) >= count
    if not fits:
        with pytest.raises(LabError, match=f"for each of {count} nodes"):
            layout.plan_pods(pool, nodes, kind)
        return
    pods = layout.plan_pods(pool, nodes, kind)
    blocks = sorted(ipaddress.IPv4Network(pod.block) for pod in pods)
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(blocks))
    assert all(block.subnet_of(ipaddress.IPv4Network(pool.cidr)) for block in blocks)
    assert len({pod.host_device for pod in pods}) == count
    assert all(len(pod.host_device) < IFNAMSIZ for pod in pods)
    for pod in pods:
        block = ipaddress.IPv4Network(pod.block)
        assert {ipaddress.IPv4Address(a) in block for a in (pod.address, pod.tunnel_address)} == {
            True
        }
        assert pod.address != pod.tunnel_address


@pytest.mark.parametrize("count", [-1, 0, 1, layout.MAX_NODES + 1])
def test_a_lab_has_at_least_a_pair_and_at_most_a_network_full(count: int) -> None:
    """The error names the option and the limits."""
    with pytest.raises(ConfigError, match=f"--nodes: a lab has 2 to 250 nodes, not {count}"):
        layout.plan_nodes(count)


def test_a_pool_must_not_hide_the_underlay() -> None:
    """A pool over the nodes' own addresses would cut them off."""
    pool = msgspec.structs.replace(POOL, cidr="172.16.0.0/12")
    with pytest.raises(LabError, match="overlaps the lab's underlay"):
        layout.plan_pods(pool, layout.plan_nodes(2), "calico")
