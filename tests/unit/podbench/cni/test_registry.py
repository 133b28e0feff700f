"""Which CNI a node's facts show, and the registry of drivers."""

import pytest
from support.recorded import node_facts

from podbench.cni import registry
from podbench.cni.detect import devices
from podbench.model.errors import ConfigError
from podbench.model.facts import Link, NodeFacts


def _node(*names: str) -> NodeFacts:
    links = tuple(Link(name=name, kind=None, mtu=1500, up=True) for name in names)
    return NodeFacts(node="n1", wall_ns=0, links=links)


def test_a_recorded_flannel_cluster_is_flannel() -> None:
    """Devices of a running cluster name the CNI, the VXLAN number and the port behind it."""
    found = devices.detect([node_facts("flannel-vxlan", "n1"), node_facts("flannel-vxlan", "n2")])
    assert found is not None
    assert found.name == "flannel"
    assert found.version is None
    assert found.detected_from == (
        "n1: device flannel.1 (VXLAN 1, UDP port 8472)",
        "n2: device flannel.1 (VXLAN 1, UDP port 8472)",
    )


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (("eth0", "vxlan.calico", "cali1234"), "calico"),
        (("eth0", "cali1234"), "calico"),
        (("eth0", "cali1234", "flannel.1"), "flannel"),
        (("eth0", "cilium_host"), "cilium"),
    ],
)
def test_devices_name_the_cni(shown: tuple[str, ...], name: str) -> None:
    """In Canal, which has both, Flannel carries the packets."""
    found = devices.detect([_node(*shown)])
    assert found is not None
    assert found.name == name


def test_nothing_known_is_nothing() -> None:
    """Unknown devices are no CNI rather than a guess."""
    assert devices.detect([_node("eth0", "docker0")]) is None


def test_every_name_has_its_driver() -> None:
    """The registry's keys are the drivers' own names."""
    assert [registry.driver(name).name for name in registry.names()] == list(registry.names())


def test_an_unknown_driver_is_named_with_the_known() -> None:
    """The error's advice lists what there is."""
    with pytest.raises(ConfigError, match="unknown CNI weaver") as caught:
        registry.driver("weaver")
    assert str(caught.value.advice).startswith("known are calico, flannel, cilium, ")
