"""Proofs drawn together over the run: the worst block speaks for an arm, and for a pair.

A run is only as good as its worst moment: what fell back in one block is not the mode it is called
by, and that block's samples are among its figures. Nothing is proven here; that is the driver's.
"""

from collections.abc import Sequence

from podbench.analysis.bundle import ArmProofDetail
from podbench.analysis.samples.inputs import BlockProof
from podbench.model.arms import Arm, Path
from podbench.model.facts import Verdict
from podbench.model.summary import PairProofSummary, ProofSummary

_SEVERITY = {
    Verdict.FELL_BACK: 4,
    Verdict.MIXED: 3,
    Verdict.UNREACHABLE: 2,
    Verdict.UNPROVEN: 1,
    Verdict.MATCH: 0,
}


def of_arm(proofs: Sequence[BlockProof], arm: Arm) -> ProofSummary | None:
    """The worst of an arm's proofs, the latest of equally bad ones; pod paths only."""
    held = [one for one in proofs if one.proof.mode == arm.mode]
    if arm.path is not Path.POD or not held:
        return None
    proof = max(held, key=lambda one: (_SEVERITY[one.proof.verdict], one.block)).proof
    return ProofSummary(
        verdict=str(proof.verdict),
        method=str(proof.method),
        observed=proof.observed,
        route_origin=proof.route_origin,
        pairs_matched=proof.pairs_matched,
        pairs_total=proof.pairs_total,
    )


def details(proofs: Sequence[BlockProof]) -> tuple[ArmProofDetail, ...]:
    """The worst proof of each directed pair of each mode, the latest of equally bad ones."""
    worst: dict[tuple[str, str, str], ArmProofDetail] = {}
    for one in sorted(proofs, key=lambda held: held.block):
        for pair in one.proof.pairs:
            key = (Arm(pair.mode).name, pair.src, pair.dst)
            if key in worst and _SEVERITY[pair.verdict] < _SEVERITY[Verdict(worst[key].verdict)]:
                continue
            worst[key] = ArmProofDetail(
                arm=key[0],
                src=pair.src,
                dst=pair.dst,
                verdict=str(pair.verdict),
                method=str(pair.method),
                observed=pair.observed,
                route_origin=pair.route_origin,
                evidence=pair.evidence,
            )
    return tuple(worst[key] for key in sorted(worst))


def of_pairs(proofs: Sequence[BlockProof]) -> dict[tuple[str, str, str], PairProofSummary]:
    """The worst proof by (arm, src, dst); the A/A repeat shares its arm's."""
    found = {}
    for detail in details(proofs):
        summary = PairProofSummary(
            verdict=detail.verdict, method=detail.method, observed=detail.observed
        )
        for arm in (detail.arm, f"{detail.arm}#2"):
            found[arm, detail.src, detail.dst] = summary
    return found
