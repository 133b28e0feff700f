"""What a route leads to, through neighbours and forwarding entries."""

import msgspec
import pytest
from support.recorded import node_facts

from podbench.cni.proof.routes import PLAIN, Counter, others, resolve, session_up
from podbench.model.facts import BgpSession, Link, NodeFacts, Route

PEER = "172.18.0.3"


def _facts(*links: tuple[str, str | None]) -> NodeFacts:
    made = tuple(Link(name=name, kind=kind, mtu=1500, up=True) for name, kind in links)
    return NodeFacts(node="n1", wall_ns=0, links=made)


NODE = _facts(("eth0", "veth"), ("tunl0", "ipip"), ("wg0", "wireguard"))


def _program(tx: int, rx: int) -> Counter:
    return Counter(
        node="n1",
        device="ebpf:eth0",
        encapsulation="ipip",
        peer=PEER,
        tx_packets=tx,
        rx_packets=rx,
    )


def test_a_recorded_vxlan_route_leads_to_its_peer() -> None:
    """Gateway, permanent neighbour and forwarding entry of a real node end at the other node."""
    facts = node_facts("flannel-vxlan", "n1")
    route = next(each for each in facts.routes if each.dst == "10.244.2.0/24")
    assert route.protocol == 3
    assert resolve(route, facts, "172.30.0.12", ()) == ("vxlan", None)


def test_a_vxlan_route_to_another_node_is_odd() -> None:
    """It is VXLAN, but not to the peer."""
    facts = node_facts("flannel-vxlan", "n1")
    route = next(each for each in facts.routes if each.dst == "10.244.3.0/24")
    via, note = resolve(route, facts, "172.30.0.12", ())
    assert via == "vxlan"
    assert note == "the forwarding entry leads to 172.30.0.13, not to the peer 172.30.0.12"


@pytest.mark.parametrize(
    ("missing", "word"), [("neighbours", "neighbour"), ("fdb", "forwarding entry")]
)
def test_a_vxlan_route_without_its_entries_proves_nothing(missing: str, word: str) -> None:
    """Without neighbour or forwarding entry no packet leaves: the route alone says nothing."""
    facts = msgspec.structs.replace(node_facts("flannel-vxlan", "n1"), **{missing: ()})
    route = next(each for each in facts.routes if each.dst == "10.244.2.0/24")
    via, note = resolve(route, facts, "172.30.0.12", ())
    assert via is None
    assert word in (note or "")


@pytest.mark.parametrize(
    ("device", "gateway", "expected"),
    [
        ("eth0", PEER, (PLAIN, None)),
        ("tunl0", PEER, ("ipip", None)),
        ("wg0", None, ("wireguard", None)),
        ("eth0", "172.18.0.9", (PLAIN, f"the route's gateway is 172.18.0.9, not the peer {PEER}")),
        (
            "tunl0",
            "172.18.0.9",
            ("ipip", f"the route's gateway is 172.18.0.9, not the peer {PEER}"),
        ),
    ],
)
def test_the_device_says_what_wraps(
    device: str, gateway: str | None, expected: tuple[str | None, str | None]
) -> None:
    """The kind of the device counts, never its MTU; a gateway that is not the peer is noted."""
    route = Route(dst="198.18.128.128/26", device=device, gateway=gateway, protocol=80)
    assert resolve(route, NODE, PEER, ()) == expected


def test_a_default_route_proves_nothing() -> None:
    """A node whose own route went still has one; whether packets arrive that way it cannot say."""
    route = Route(dst="0.0.0.0/0", device="eth0", gateway="172.18.0.1", protocol=3)
    via, note = resolve(route, NODE, PEER, ())
    assert via is None
    assert "default route" in (note or "")


def test_no_route_proves_nothing() -> None:
    """An unresolved BGP next hop is an unreachable route of protocol 12."""
    route = Route(dst="198.18.192.128/26", device=None, protocol=12, type="unreachable")
    assert resolve(route, NODE, PEER, ()) == (None, "the route is of type unreachable")


def test_a_program_at_the_underlay_shows_only_by_its_counters() -> None:
    """The same route is IPIP once the program has counted for the peer both ways, else unknown."""
    route = Route(dst="198.18.128.128/26", device="eth0", gateway=PEER, protocol=12)
    assert resolve(route, NODE, PEER, (_program(5, 5), _program(5, 5))) == ("ipip", None)
    for silent in (_program(0, 5), _program(5, 0)):
        assert resolve(route, NODE, PEER, (_program(5, 5), silent))[0] is None


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        (None, None),
        ((), False),
        ((BgpSession(peer=PEER, state="Established"),), True),
        ((BgpSession(peer=PEER, state="Active"),), False),
        ((BgpSession(peer="172.18.0.9", state="Established"),), False),
    ],
)
def test_a_session_is_up_only_when_established_with_that_peer(
    sessions: tuple[BgpSession, ...] | None, expected: bool | None
) -> None:
    """No daemon to ask is unknown; a daemon without that session is down."""
    assert session_up(sessions, PEER) is expected


def test_a_peer_is_itself_on_another_nic() -> None:
    """Calico's addresses on eth1, kubelet's on eth0: neither route nor session is odd."""

    def facts(node: str, number: int, peer: int) -> NodeFacts:
        links = (
            Link(name="eth0", kind=None, mtu=1500, up=True, addresses=(f"192.168.1.{number}/24",)),
            Link(name="eth1", kind=None, mtu=1500, up=True, addresses=(f"10.9.9.{number}/24",)),
            Link(name="docker0", kind="bridge", mtu=1500, up=True, addresses=("172.17.0.1/16",)),
            Link(name="tunl0", kind="ipip", mtu=1480, up=True, addresses=(f"172.27.{number}.0",)),
        )
        session = BgpSession(peer=f"10.9.9.{peer}", state="Established")
        return NodeFacts(node=node, wall_ns=0, links=links, bgp=(session,))

    here, there = facts("c", 1, 2), facts("d", 2, 1)
    also = others(there, here)
    assert also == {"192.168.1.2", "10.9.9.2"}
    route = Route(dst="172.27.2.0/26", device="tunl0", gateway="10.9.9.2", protocol=12, onlink=True)
    assert resolve(route, here, "192.168.1.2", (), also) == ("ipip", None)
    assert session_up(here.bgp, "192.168.1.2", also) is True
    stranger = msgspec.structs.replace(route, gateway="172.17.0.1")
    assert resolve(stranger, here, "192.168.1.2", (), also)[1] is not None
