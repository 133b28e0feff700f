"""Matrices: one scale, zone order, compact beyond ten nodes."""

import msgspec
import pytest
from support.bundle_cases import Case
from support.bundles import make_bundle

from podbench.analysis.bundle import Bundle
from podbench_report import palette
from podbench_report.sections import matrices
from podbench_report.view import RunView


def build(case: Case) -> matrices.Matrices:
    """The matrices of a case."""
    return matrices.build(RunView(make_bundle(case)))


def test_one_scale_over_all_modes() -> None:
    """The lightest and the darkest class belong to the smallest and largest figure of all modes."""
    group = build(Case()).groups[0]
    bodies = "".join(m.body for m in group.matrices)

    assert [m.mode for m in group.matrices] == ["vxlan", "ipip", "bgp"]
    assert 'class="h0"' in group.matrices[-1].body
    assert f'class="h{palette.STEPS - 1}"' in group.matrices[0].body
    assert bodies.count("<td") == 3 * 9


@pytest.mark.parametrize(
    ("value", "flip", "step"), [(1.0, False, 0), (2.0, False, 23), (1.0, True, 23), (2.0, True, 0)]
)
def test_darker_is_worse(value: float, step: int, *, flip: bool) -> None:
    """Slow is dark for round trips; little is dark for goodput."""
    assert matrices.Shade(1.0, 2.0, logarithmic=False, flip=flip).step(value) == step


def test_one_bad_pair_makes_the_scale_logarithmic() -> None:
    """Else all the others would have one colour."""
    bundle = make_bundle(Case())
    pair = next(p for p in bundle.summary.pairs if p.arm == "bgp/pod")
    assert pair.rtt_kernel_ns is not None
    slow = msgspec.structs.replace(
        pair, rtt_kernel_ns=msgspec.structs.replace(pair.rtt_kernel_ns, p50=2e6)
    )
    others = tuple(p for p in bundle.summary.pairs if p is not pair)
    changed = msgspec.structs.replace(
        bundle, summary=msgspec.structs.replace(bundle.summary, pairs=(*others, slow))
    )
    group = matrices.build(RunView(changed)).groups[0]

    assert group.logarithmic
    assert group.unit == "µs"


def test_a_cell_tells_its_interval_and_n() -> None:
    """In its title, for the pointer."""
    body = build(Case()).groups[0].matrices[0].body

    assert "n1 to n2: " in body
    assert "95% CI" in body
    assert "effective n = " in body


def test_a_missing_pair_is_hatched_and_said() -> None:
    """Null is `not measured`, never 0 and never the scale's end."""
    bundle = make_bundle(Case())
    some = tuple(p for p in bundle.summary.pairs if (p.src, p.dst) != ("n1", "n3"))
    changed = msgspec.structs.replace(
        bundle, summary=msgspec.structs.replace(bundle.summary, pairs=some)
    )
    first = matrices.build(RunView(changed)).groups[0].matrices[0]

    assert 'class="na" title="n1 to n3: not measured"' in first.body
    assert first.summary.startswith("5 of 6")


def test_zones_are_parted_and_named() -> None:
    """The middle line falls where the zone changes."""
    found = build(Case(nodes=4, zones=2))

    assert found.groups[0].matrices[0].body.count('<col class="z">') == 1
    assert found.zones == "zone-a: rows 1–2; zone-b: rows 3–4"


def test_many_nodes_are_compact() -> None:
    """Beyond ten nodes cells are small; beyond 24 they carry no title."""
    twenty, thirty = build(Case(nodes=20)), build(Case(nodes=30))

    assert twenty.compact
    assert "title=" in twenty.groups[0].matrices[0].body
    assert "title=" not in thirty.groups[0].matrices[0].body


def test_nothing_measured_gives_no_matrix() -> None:
    """All lost: no empty grid."""
    bundle: Bundle = make_bundle(Case(all_lost=True))

    assert matrices.build(RunView(bundle)).groups == ()
