"""The script of an injected loss."""

from podbench.model.nodes import Loss
from podbench.target.lab import layout, shape

NODES = {node.name: node for node in layout.plan_nodes(3)}


def test_a_loss_goes_by_the_senders_ethernet_address() -> None:
    """So it hits wrapped and plain packets of that direction alike, and only those."""
    rules = shape.loss_rules([Loss("n1", "n2", 0.01), Loss("n3", "n2", 0.0000005)], NODES)
    (first, second) = [line.strip() for line in rules.splitlines() if "numgen" in line]
    assert first == (
        "ether saddr 02:42:ac:12:00:02 ether type ip numgen random mod 1000000 < 10000 counter drop"
    )
    assert "02:42:ac:12:00:04" in second


def test_bgp_sessions_are_spared_before_anything_is_lost() -> None:
    """The fault is in the data, not in the lab's own control."""
    rules = shape.loss_rules([Loss("n1", "n2", 1.0)], NODES)
    assert rules.index("tcp dport 179 accept") < rules.index("drop")
    assert rules.index("tcp sport 179 accept") < rules.index("drop")


def test_losing_everything_needs_no_chance() -> None:
    """A comparison that is always true is an error to nftables: `numgen random mod N < N`."""
    rules = shape.loss_rules([Loss("n1", "n2", 1.0)], NODES)
    assert "ether saddr 02:42:ac:12:00:02 ether type ip counter drop" in rules
