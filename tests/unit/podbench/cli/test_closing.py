"""The last lines of a run on the terminal."""

import msgspec
from support.bundle_cases import Case
from support.bundles import make_bundle

from podbench.cli import closing
from podbench.model.summary import Recommendation


def test_every_mode_has_a_row_and_a_sentence() -> None:
    """Figures with units, the proof, and how each mode compares, with its interval."""
    summary = make_bundle(Case()).summary
    head, *rest = closing.lines(summary)
    assert head.split()[0] == "MODE"
    rows, sentences = rest[: rest.index("")], rest[rest.index("") + 1 :]
    modes = [a.mode for a in summary.arms if a.path == "pod" and "#" not in a.arm]
    assert [row.split()[0] for row in rows] == modes
    assert all("µs" in row or "ms" in row or "not measured" in row for row in rows)
    compared = {c.other.partition("/")[0] for c in summary.comparisons if c.path == "pod"}
    for mode in compared & set(modes):
        (sentence,) = (line for line in sentences if line.startswith(f"{mode}:"))
        assert "95% CI" in sentence or "not measured" in sentence


def test_a_run_without_pods_prints_no_table() -> None:
    """Nothing measured on the pod path: the flags say why, a table would be empty."""
    assert closing.lines(make_bundle(Case()).summary.__class__(
        run_id="r", started="", ended=None, status="partial", target="lab",
        cni=make_bundle(Case()).summary.cni, seed=1, method="pools",
    )) == []  # fmt: skip


def test_price_and_decision_close_the_table() -> None:
    """The price stands in the mode's row; the decision has its reasons and the next step."""
    summary = make_bundle(Case()).summary
    decided = Recommendation(
        mode="bgp", because=("VXLAN is slower",), confidence="high", next_step="run on the cluster"
    )
    said = closing.lines(msgspec.structs.replace(summary, recommendation=decided))
    assert said[-2:] == [
        "decision: bgp (high confidence), because VXLAN is slower",
        "next: run on the cluster",
    ]
    for price in summary.cpu_price:
        if price.kind == "bulk" and price.value is not None:
            (row,) = (line for line in said if line.split()[:1] == [price.mode])
            assert "cores per Gbit/s" in row
