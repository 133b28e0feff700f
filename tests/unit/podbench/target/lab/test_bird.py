"""What BIRD is told, and what is read from its answers."""

import pytest

from podbench.model.errors import LabError
from podbench.model.facts import BgpSession
from podbench.target.lab import bird, layout

NODES = layout.plan_nodes(3)
BLOCKS = (
    bird.Announced("198.18.128.0/18", "198.18.128.128/26"),
    bird.Announced("198.18.192.0/18", "198.18.192.128/26"),
)

SHOWN = """\
BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
kernel1    Kernel     master4    up     09:05:08.558
device1    Device     ---        up     09:05:08.558
Mesh_172_18_0_3 BGP        ---        up     09:05:09.380  Established
Mesh_172_18_0_4 BGP        ---        start  09:05:09.471  Connect       Socket: Connection refused
Mesh_172_18_0_5 BGP        ---        down   09:05:09.471""".splitlines()


def test_announces_its_own_blocks_and_nothing_beneath() -> None:
    """Each block is a blackhole and exported whole; only the routed pools go into the kernel."""
    text = bird.render(NODES[1], NODES, BLOCKS)
    assert text.count("blackhole;") == 2
    assert "export filter { if (net ~ [ 198.18.128.128/26, 198.18.192.128/26 ]) then" in text
    assert "export filter { if (net ~ [ 198.18.128.0/18+, 198.18.192.0/18+ ]) then" in text


@pytest.mark.parametrize(
    "line",
    [
        "persist;",
        "learn;",
        "merge paths on;",
        "graceful restart;",
        "graceful restart on;",
        "graceful restart time 120;",
        'interface -"cali*", "*";',
        "add paths on;",
        "gateway recursive;",
        "connect delay time 1;",
    ],
)
def test_has_what_calicos_template_has(line: str) -> None:
    """The behaviour under faults hangs on these; Calico's confd template sets each."""
    assert line in bird.render(NODES[0], NODES, BLOCKS)


def test_one_side_of_each_session_waits() -> None:
    """The node with the lower address is passive, as in Calico's mesh."""
    passive = {
        (own.name, peer.name)
        for own in NODES
        for section in bird.render(own, NODES, BLOCKS).split("protocol bgp ")[1:]
        for peer in NODES
        if f"neighbor {peer.address} " in section and "passive on;" in section
    }
    assert passive == {("n1", "n2"), ("n1", "n3"), ("n2", "n3")}


def test_reads_sessions() -> None:
    """Established, connecting and down ones; other protocols are no sessions."""
    assert bird.parse_sessions(SHOWN) == (
        BgpSession(peer="172.18.0.3", state="Established", since="09:05:09.380"),
        BgpSession(peer="172.18.0.4", state="Connect", since="09:05:09.471"),
        BgpSession(peer="172.18.0.5", state="down", since="09:05:09.471"),
    )


def test_a_cut_line_is_no_session() -> None:
    """Half an answer is said to be one."""
    with pytest.raises(LabError, match="unknown about a session"):
        bird.parse_sessions(["Mesh_172_18_0_3 BGP ---"])
