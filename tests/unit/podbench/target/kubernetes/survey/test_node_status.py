"""What calico-node says of its BGP, and what connections say of that."""

from podbench.model.arms import Mode
from podbench.model.facts import BgpSession
from podbench.target.kubernetes.deploy.settings import ModeSet, NewPool, asks_calico
from podbench.target.kubernetes.survey import node_status

BODY = {
    "status": {
        "lastUpdated": "2026-11-25T02:00:00Z",
        "bgp": {
            "peersV4": [
                {
                    "peerIP": "172.18.0.3",
                    "type": "NodeMesh",
                    "state": "Established",
                    "since": "02:00:01",
                },
                {"peerIP": "172.18.0.4", "type": "NodeMesh", "state": "Idle"},
            ]
        },
        "routes": {
            "routesV4": [
                {
                    "type": "FIB",
                    "destination": "198.18.192.64/26",
                    "learnedFrom": {"sourceType": "NodeMesh", "peerIP": "172.18.0.3"},
                },
                {
                    "type": "FIB",
                    "destination": "10.0.0.0/8",
                    "learnedFrom": {"sourceType": "Kernel"},
                },
            ]
        },
    }
}


def test_sessions_come_with_what_they_taught() -> None:
    """Of each peer its own announcements; routes of other sources are nobody's."""
    first, second = node_status.sessions(BODY)
    assert (first.peer, first.state, first.since) == ("172.18.0.3", "Established", "02:00:01")
    assert first.learned == ("198.18.192.64/26",)
    assert (second.state, second.learned) == ("Idle", ())
    assert node_status.sessions({"status": {}}) == ()


def test_a_connection_that_is_gone_ends_what_was_told() -> None:
    """Calico's word is from before: no connection, no session; one it did not know of is up."""
    told = node_status.sessions(BODY)
    other = BgpSession(peer="172.18.0.9", state="Established", source="connection")
    down = node_status.merged(told, (other,))
    assert [(each.peer, each.state) for each in down] == [
        ("172.18.0.3", "no connection"),
        ("172.18.0.4", "no connection"),
        ("172.18.0.9", "Established"),
    ]
    here = BgpSession(peer="172.18.0.3", state="Established", source="connection")
    assert node_status.merged(told, (here,))[0] == told[0]


def test_few_nodes_with_bgp_are_asked() -> None:
    """Calico says that it is made for fewer than ten at a time; without BGP there is no answer."""
    pool = NewPool(cidr="198.18.192.0/18", ipip_mode="Never", vxlan_mode="Never")
    bgp = ModeSet(mode=Mode.BGP, pool="podbench-bgp", create=pool)
    nodes = [f"n{number}" for number in range(11)]
    assert asks_calico(nodes[:3], [bgp])
    assert not asks_calico(nodes, [bgp])
    assert not asks_calico(nodes[:3], [ModeSet(mode=Mode.BGP)])
    assert not asks_calico(nodes[:3], [])
