"""Which pairs a limit is for, and what is said when there is none."""

import msgspec
import pytest
from support import results

from podbench.gate.pairs import matching, why_none, zone_fits
from podbench.gate.slo import Selection
from podbench.model.summary import NodeSummary

RUN = results.summary(
    results.pair("n1", "n2"),
    results.pair("n2", "n1"),
    results.pair("n1", "n3", "bgp/pod"),
    results.pair("n1", "n3", "bgp/host"),
    results.pair("n1", "n3", "vxlan/pod#2"),
)


@pytest.mark.parametrize(
    ("selection", "arms"),
    [
        (Selection(path="pod"), ["vxlan/pod", "vxlan/pod", "bgp/pod", "vxlan/pod#2"]),
        (Selection(path="host"), ["bgp/host"]),
        (Selection(path="pod", mode="bgp"), ["bgp/pod"]),
        (Selection(path="pod", mode="vxlan", src="n1"), ["vxlan/pod", "vxlan/pod#2"]),
        (Selection(path="pod", src="n1", dst="n2"), ["vxlan/pod"]),
    ],
)
def test_selections(selection: Selection, arms: list[str]) -> None:
    """Mode, path and ends select; an A/A repeat keeps its mode and path and is held to them too."""
    assert [pair.arm for pair in matching(RUN, selection)] == arms


@pytest.mark.parametrize(
    ("wanted", "src", "dst", "fits"),
    [
        ("a", "a", "a", True),
        ("a", "a", "b", False),
        ("a>b", "a", "b", True),
        ("a > b", "a", "b", True),
        ("a>b", "b", "a", False),
        ("a>*", "a", "b", True),
        ("same", "b", "b", True),
        ("cross", "a", "b", True),
        ("cross", "a", "a", False),
        ("same", None, None, False),
        ("*>*", None, "a", False),
    ],
)
def test_zones(wanted: str, src: str | None, dst: str | None, *, fits: bool) -> None:
    """A zone is one place, a way between two, or same or cross; an unknown zone is in none."""
    assert zone_fits(wanted, src, dst) is fits


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection(path="pod", mode="ipip"), "this run has no ipip/pod; it has vxlan/pod, bgp/pod"),
        (Selection(path="service"), "no arm on the path service"),
        (Selection(path="pod", src="n9"), "src 'n9' is no node of this run; it has n1, n2, n3"),
        (Selection(path="pod", zone="a"), "no node of this run has a zone"),
        (Selection(path="pod", src="n3", dst="n1"), "no pair of every mode/pod n3 > n1"),
    ],
)
def test_why_there_is_no_pair(selection: Selection, said: str) -> None:
    """The reason names what is missing and what there is."""
    assert not matching(RUN, selection)
    assert why_none(RUN, selection).startswith("not measured: ")
    assert said in why_none(RUN, selection)


def test_an_unknown_zone_names_the_known() -> None:
    """With zones known, a wrong one is answered with the right ones."""
    nodes = tuple(
        NodeSummary(name=f"n{i}", zone=zone) for i, zone in ((1, "a"), (2, "b"), (3, "b"))
    )
    run = msgspec.structs.replace(RUN, nodes=nodes)
    assert why_none(run, Selection(path="pod", zone="c")).endswith("the zones are a, b")
    found = matching(run, Selection(path="pod", mode="vxlan", zone="a>b"))
    assert [(pair.src, pair.dst) for pair in found] == [("n1", "n2"), ("n1", "n3")]
