"""Proofs as a driver draws them from route lookups, for tests without nodes."""

from podbench.model.arms import Mode
from podbench.model.facts import ArmProof, Method, PairProof, Verdict


def arm(mode: Mode, seen: Mode) -> ArmProof:
    """A mode asked for on two nodes whose routes show another, or the same."""
    verdict = Verdict.MATCH if mode is seen else Verdict.FELL_BACK
    pairs = tuple(
        PairProof(
            src=src,
            dst=dst,
            mode=mode,
            verdict=verdict,
            method=Method.ROUTED,
            observed=seen.value,
        )
        for src, dst in (("n1", "n2"), ("n2", "n1"))
    )
    return ArmProof(
        mode=mode,
        verdict=verdict,
        method=Method.ROUTED,
        observed=seen.value,
        route_origin=None,
        pairs_matched=2 if mode is seen else 0,
        pairs_total=2,
        pairs=pairs,
    )
