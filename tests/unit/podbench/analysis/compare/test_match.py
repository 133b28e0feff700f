"""Which arms and pairs of several runs belong together."""

import msgspec
from support import results

from podbench.analysis.compare.match import arm_rows, match_pairs
from podbench.analysis.figures.group_points import ALL
from podbench.model.summary import NodeSummary, Summary


def run(nodes: dict[str, tuple[str | None, str]], arm: str = "vxlan/pod") -> Summary:
    """A full mesh of these nodes, by (zone, region)."""
    names = list(nodes)
    made = results.summary(*(results.pair(a, b, arm) for a in names for b in names if a != b))
    placed = tuple(NodeSummary(name=n, zone=z, region=r) for n, (z, r) in nodes.items())
    return msgspec.structs.replace(made, nodes=placed)


def test_same_nodes_match_by_name() -> None:
    """Runs on the same nodes match pair by pair, both directions together."""
    one = run({"n1": (None, "r"), "n2": (None, "r"), "n3": (None, "r")})
    found = match_pairs([one, one])
    assert (found.how, found.groups) == ("name", ("n1 – n2", "n1 – n3", "n2 – n3"))
    assert found.of_pair[0]["n2", "n1"] == (ALL, "n1 – n2")


def test_same_zones_match_by_zone() -> None:
    """Other nodes in the same zones match by the zones at their ends."""
    one = run({"a1": ("a", "r"), "a2": ("a", "r"), "b1": ("b", "r")})
    other = run({"x": ("a", "r"), "y": ("b", "r"), "z": ("b", "r")})
    found = match_pairs([one, other])
    assert (found.how, found.groups) == ("zone", ("a – b",))
    assert found.of_pair[0]["a1", "a2"] == (ALL, "a – a")


def test_other_zones_match_by_role() -> None:
    """Other zones match by role: within a zone, between zones, between regions."""
    one = run({"n1": ("a", "r"), "n2": ("a", "r"), "n3": ("b", "r"), "n4": ("c", "s")})
    other = run({"m1": ("x", "t"), "m2": ("x", "t"), "m3": ("y", "t"), "m4": ("z", "u")})
    found = match_pairs([one, other])
    assert (found.how, found.groups) == ("role", ("same zone", "other zone", "other region"))
    assert found.of_pair[1]["m4", "m1"] == (ALL, "other region")


def test_nothing_to_match_by() -> None:
    """Other nodes without zones, or one pair only, leave all pairs together."""
    one = run({"n1": (None, "r"), "n2": (None, "r")})
    other = run({"m1": (None, "r"), "m2": (None, "r")})
    for runs in ([one, other], [one, one]):
        found = match_pairs(runs)
        assert (found.how, found.groups) == ("none", ())
        assert set(found.of_pair[0].values()) == {(ALL,)}


def test_arms_of_one_name_share_a_row() -> None:
    """Arms match by name; a routed mode stands in for another routed mode, A/A repeats never."""
    calico = results.summary(
        *(results.pair(arm=arm) for arm in ("vxlan/pod", "vxlan/pod#2", "bgp/pod"))
    )
    flannel = results.summary(*(results.pair(arm=arm) for arm in ("vxlan/pod", "host-gw/pod")))
    rows = {row.label: row.arms for row in arm_rows([calico, flannel])}
    assert rows == {
        "vxlan/pod": ("vxlan/pod", "vxlan/pod"),
        "routed/pod": ("bgp/pod", "host-gw/pod"),
    }


def test_a_mode_of_one_run_keeps_its_row() -> None:
    """What only one run has is shown with a gap, not dropped."""
    one = results.summary(results.pair(arm="ipip/pod"), results.pair(arm="bgp/pod"))
    other = results.summary(results.pair(arm="bgp/pod"))
    rows = {row.label: row.arms for row in arm_rows([one, other])}
    assert rows == {"ipip/pod": ("ipip/pod", None), "bgp/pod": ("bgp/pod", "bgp/pod")}
