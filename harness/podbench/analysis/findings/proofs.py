"""Proofs drawn together over the run: the worst block and the worst kind of probe speak for an arm.

A run is only as good as its worst moment: what fell back in one block is not the mode it is called
by, and that block's samples are among its figures. What holds for latency probes need not hold for
transfers, so each kind has a proof, and an arm matches only if all do. Nothing is proven here; that
is the driver's.
"""

from collections.abc import Iterable, Mapping, Sequence

from podbench.analysis.bundle import ArmProofDetail
from podbench.analysis.samples.inputs import BlockProof
from podbench.model.arms import Arm, Path
from podbench.model.facts import Method, Verdict
from podbench.model.summary import (
    KindProofSummary,
    PairKindProof,
    PairProofSummary,
    ProofSummary,
)

LATENCY = "latency"
_SEVERITY = {
    Verdict.FELL_BACK: 4,
    Verdict.MIXED: 3,
    Verdict.UNREACHABLE: 2,
    Verdict.UNPROVEN: 1,
    Verdict.MATCH: 0,
}
_STRENGTH = (Method.CAPTURED, Method.COUNTED, Method.ROUTED, Method.CONFIGURED)


def of_arm(proofs: Sequence[BlockProof], arm: Arm) -> ProofSummary | None:
    """An arm's proof by kind of probe, and all kinds together; pod paths only."""
    held = [one for one in proofs if one.proof.mode == arm.mode]
    if arm.path is not Path.POD or not held:
        return None
    worst = {kind: _worst(each) for kind, each in _by_kind(held).items()}
    pairs = _pairs(held)
    return ProofSummary(
        verdict=str(together(one.proof.verdict for one in worst.values())),
        method=str(_weakest(one.proof.method for one in worst.values())),
        observed=_observed({kind: one.proof.observed for kind, one in worst.items()}),
        route_origin=worst[LATENCY].proof.route_origin if LATENCY in worst else None,
        pairs_matched=sum(verdict is Verdict.MATCH for verdict in pairs.values()),
        pairs_total=len(pairs),
        by_probe={
            kind: KindProofSummary(
                verdict=str(one.proof.verdict),
                method=str(one.proof.method),
                observed=one.proof.observed,
                pairs_matched=one.proof.pairs_matched,
                pairs_total=one.proof.pairs_total,
            )
            for kind, one in worst.items()
        },
        warnings=tuple(sorted({warning for one in held for warning in one.proof.warnings})),
    )


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """What several kinds of probe prove of one arm or pair.

    Kinds that differ are `mixed`, or `unproven` where the others match and one is not proven.
    """
    found = set(verdicts)
    if len(found) == 1:
        return found.pop()
    return Verdict.UNPROVEN if found == {Verdict.MATCH, Verdict.UNPROVEN} else Verdict.MIXED


def _weakest(methods: Iterable[Method]) -> Method:
    return max(methods, key=_STRENGTH.index)


def _by_kind(proofs: Sequence[BlockProof]) -> dict[str, list[BlockProof]]:
    """Latency first, then the others in the order in which they were measured."""
    found: dict[str, list[BlockProof]] = {}
    for one in sorted(proofs, key=lambda each: each.kind != LATENCY):
        found.setdefault(one.kind, []).append(one)
    return found


def _worst(proofs: Sequence[BlockProof]) -> BlockProof:
    """The worst, the latest of equally bad ones."""
    return max(proofs, key=lambda one: (_SEVERITY[one.proof.verdict], one.block))


def _observed(by_kind: Mapping[str, str | None]) -> str | None:
    """One value, or each kind's: `latency vxlan, throughput native`."""
    values = set(by_kind.values())
    if len(values) == 1:
        return values.pop()
    return ", ".join(f"{kind} {seen or 'nothing'}" for kind, seen in by_kind.items())


def _pairs(proofs: Sequence[BlockProof]) -> dict[tuple[str, str], Verdict]:
    """Each directed pair, all blocks and kinds together."""
    verdicts: dict[tuple[str, str], dict[str, Verdict]] = {}
    for one in proofs:
        for pair in one.proof.pairs:
            held = verdicts.setdefault((pair.src, pair.dst), {})
            before = held.get(one.kind, Verdict.MATCH)
            held[one.kind] = max(before, pair.verdict, key=_SEVERITY.__getitem__)
    return {pair: together(kinds.values()) for pair, kinds in verdicts.items()}


def details(proofs: Sequence[BlockProof]) -> tuple[ArmProofDetail, ...]:
    """The worst proof of each directed pair, mode and kind; the latest of equally bad ones."""
    worst: dict[tuple[str, str, str, str], ArmProofDetail] = {}
    for one in sorted(proofs, key=lambda held: held.block):
        for pair in one.proof.pairs:
            key = (Arm(pair.mode).name, pair.src, pair.dst, one.kind)
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
                kind=one.kind,
                warnings=pair.warnings,
            )
    return tuple(worst[key] for key in sorted(worst, key=_in_order))


def _in_order(key: tuple[str, str, str, str]) -> tuple[str, str, str, bool, str]:
    arm, src, dst, kind = key
    return arm, src, dst, kind != LATENCY, kind


def of_pairs(proofs: Sequence[BlockProof]) -> dict[tuple[str, str, str], PairProofSummary]:
    """The worst proof by (arm, src, dst), by kind; the A/A repeat shares its arm's."""
    kinds: dict[tuple[str, str, str], dict[str, ArmProofDetail]] = {}
    for detail in details(proofs):
        kinds.setdefault((detail.arm, detail.src, detail.dst), {})[detail.kind] = detail
    found = {}
    for (arm, src, dst), by_kind in kinds.items():
        summary = PairProofSummary(
            verdict=str(together(Verdict(one.verdict) for one in by_kind.values())),
            method=str(_weakest(Method(one.method) for one in by_kind.values())),
            observed=_observed({kind: one.observed for kind, one in by_kind.items()}),
            by_probe={
                kind: PairKindProof(verdict=one.verdict, method=one.method, observed=one.observed)
                for kind, one in by_kind.items()
            },
        )
        for name in (arm, f"{arm}#2"):
            found[name, src, dst] = summary
    return found
