"""The decision: from verdicts alone, by rules that cases pin down."""

from typing import Any

import msgspec
import pytest

from podbench.analysis.findings.recommendation import Found, _more_blocks, recommend
from podbench.analysis.stats.verdicts import Word
from podbench.model.summary import (
    AaCheck,
    ArmSummary,
    Comparison,
    CpuPrice,
    ProofSummary,
    Recommendation,
)

FIGURES = ("rtt_app_ns.p50", "rtt_app_ns.p99", "rtt_kernel_ns.p50")


def arm(mode: str, verdict: str = "match", implementation: str = "kernel device") -> ArmSummary:
    """A measured pod arm."""
    proof = ProofSummary(
        verdict=verdict,
        method="counted",
        observed=None,
        route_origin=None,
        pairs_matched=6,
        pairs_total=6,
    )
    return ArmSummary(
        arm=f"{mode}/pod",
        mode=mode,
        path="pod",
        implementation=implementation,
        pod_mtu=1450,
        status="measured",
        proof=proof,
    )


def compared(metric: str, mode: str, verdict: str, difference: float = 5_000.0) -> Comparison:
    """A mode against BGP."""
    return Comparison(
        metric=metric,
        base="bgp/pod",
        other=f"{mode}/pod",
        path="pod",
        ratio=1 + difference / 50_000,
        ci95=(1.0, 1.2),
        difference=difference,
        unit="ns",
        blocks=6,
        verdict=verdict,
        margin=0.05,
        blocks_needed=14 if verdict == "inconclusive" else None,
    )


def price(mode: str, kind: str, verdict: str, difference: float = 0.01) -> CpuPrice:
    """A mode's price against BGP's."""
    base = mode == "bgp"
    return CpuPrice(
        mode=mode,
        kind="bulk" if kind == "bulk" else "small",
        unit="cores_per_gbps",
        value=0.06 if base else 0.06 + difference,
        ci95=(0.05, 0.08),
        base="bgp",
        difference=None if base else difference,
        difference_ci95=None,
        verdict="base" if base else verdict,
        steps_reached=5,
        busy_method="idle",
        reason=None,
        margin=0.05,
        blocks_needed=20 if verdict == "inconclusive" else None,
    )


def decide(latency: str, cpu: str, **changes: Any) -> Recommendation | None:
    """The decision where VXLAN and IPIP have these verdicts in every figure."""
    case: dict[str, Any] = {
        "arms": [arm("vxlan"), arm("ipip"), arm("bgp")],
        "compared": [compared(f, m, latency) for f in FIGURES for m in ("vxlan", "ipip")],
        "prices": [price(m, k, cpu) for k in ("bulk", "small") for m in ("bgp", "ipip", "vxlan")],
        "traffic": (),
        "check": AaCheck(passed=True, comparisons=5, false_alarms=0),
    }
    return recommend(**{**case, **changes})


def test_a_mode_that_is_clearly_cheaper_is_recommended() -> None:
    """BGP wins every figure: high confidence, reasons in words, on to the cluster."""
    found = decide("different", "different")
    assert found is not None
    assert (found.mode, found.confidence) == ("bgp", "high")
    assert any("17% more CPU per Gbit/s" in line for line in found.because)
    assert found.next_step == "measure on the cluster itself"


def test_no_difference_that_matters_says_so() -> None:
    """Everything equivalent: the least encapsulation, because nothing speaks against it."""
    found = decide("equivalent", "equivalent")
    assert found is not None
    assert found.mode == "bgp"
    assert all("no difference that matters" in line for line in found.because)


def test_nothing_is_recommended_on_inconclusive() -> None:
    """No mode, low confidence, and how many blocks would settle it."""
    found = decide("inconclusive", "inconclusive")
    assert found is not None
    assert found.mode is None
    assert found.confidence == "low"
    assert found.next_step == "bench run --blocks 20"


def test_what_is_open_is_said_and_lowers_confidence() -> None:
    """Prices decided, latency open: medium, the open figures under `unless`."""
    found = decide("inconclusive", "different")
    assert found is not None
    assert (found.mode, found.confidence) == ("bgp", "medium")
    assert any("inconclusive for VXLAN, IPIP" in line for line in found.unless)
    assert found.next_step == "bench run --blocks 14"


def test_a_mode_better_in_one_figure_and_worse_in_none_is_recommended() -> None:
    """Cheaper than the base in CPU, equal in latency: that mode."""
    prices = [price(m, "bulk", "different", -0.01) for m in ("bgp", "vxlan")]
    prices += [price(m, "small", "equivalent") for m in ("bgp", "vxlan")]
    found = decide("equivalent", "", prices=prices)
    assert found is not None
    assert found.mode == "vxlan"
    assert "less CPU" in found.because[0]


def test_figures_that_disagree_are_named() -> None:
    """Cheaper but slower: the base, unless CPU matters more."""
    prices = [price(m, "bulk", "different", -0.01) for m in ("bgp", "vxlan")]
    found = decide("different", "", prices=prices)
    assert found is not None
    assert found.mode == "bgp"
    assert any("if that matters more" in line for line in found.unless)


def test_packets_that_took_another_mode_decide_nothing() -> None:
    """A mode that fell back is out of the choice; a base that fell back ends it."""
    strayed = decide("different", "different", arms=[arm("vxlan", "fell back"), arm("bgp")])
    assert strayed is not None
    assert all("VXLAN" not in line for line in strayed.because)
    assert any("VXLAN was not judged" in line for line in strayed.unless)
    ended = decide("different", "different", arms=[arm("vxlan"), arm("bgp", "mixed")])
    assert ended is not None
    assert ended.mode is None


def test_a_failed_aa_check_decides_nothing() -> None:
    """Where the same mode came out different from itself no verdict stands."""
    check = AaCheck(passed=False, comparisons=5, false_alarms=2)
    found = decide("different", "different", check=check)
    assert found is not None
    assert found.mode is None


def test_a_stand_in_is_named() -> None:
    """IPIP by eBPF is not the device that a cluster has."""
    arms = [arm("ipip", implementation="eBPF at tc"), arm("bgp")]
    found = decide("different", "different", arms=arms)
    assert found is not None
    assert any("stand-in" in line for line in found.unless)


@pytest.mark.parametrize("modes", [(), ("bgp",)])
def test_one_mode_is_no_choice(modes: tuple[str, ...]) -> None:
    """Nothing to compare, nothing to recommend."""
    prices = [price(m, "bulk", "base") for m in modes]
    assert decide("", "", arms=[arm(m) for m in modes], compared=[], prices=prices) is None


def test_it_is_kept_in_summary_json() -> None:
    """Names of the contract."""
    found = decide("different", "different")
    names = set(msgspec.to_builtins(found))
    assert {"mode", "because", "unless", "confidence", "next_step"} <= names


def test_blocks_that_nobody_can_measure_are_not_the_next_step() -> None:
    """A machine this noisy has to be quieter first; a command for 887 blocks is no advice."""
    within, beyond = (
        _more_blocks(
            [
                Found(
                    figure="rtt",
                    mode="vxlan",
                    verdict=Word.INCONCLUSIVE,
                    worse=None,
                    change="",
                    blocks_needed=needed,
                )
            ]
        )
        for needed in (500, 887)
    )
    assert within == "bench run --blocks 500"
    assert beyond == "measure longer on an idle machine: bench run --blocks 14"
