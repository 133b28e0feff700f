"""Proofs as a driver draws them from route lookups, for tests without nodes."""

import msgspec

from podbench.model.arms import Mode
from podbench.model.facts import ArmProof, Method, PairProof, Verdict


def arm(mode: Mode, seen: Mode, *, dark: bool = False) -> ArmProof:
    """A mode asked for on two nodes whose routes show another, or the same.

    With `dark` one of the nodes cannot be asked.
    """
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
    if dark:
        unread = {"verdict": Verdict.UNPROVEN, "observed": None}
        pairs = (pairs[0], msgspec.structs.replace(pairs[1], **unread))
    return ArmProof(
        mode=mode,
        verdict=Verdict.UNPROVEN if dark else verdict,
        method=Method.ROUTED,
        observed=seen.value,
        route_origin=None,
        pairs_matched=sum(each.verdict is Verdict.MATCH for each in pairs),
        pairs_total=2,
        pairs=pairs,
    )


def unseen(mode: Mode) -> ArmProof:
    """A mode asked for where no node can be asked."""
    found = arm(mode, mode)
    unread = {"verdict": Verdict.UNPROVEN, "observed": None}
    pairs = tuple(msgspec.structs.replace(each, **unread) for each in found.pairs)
    return msgspec.structs.replace(found, **unread, pairs_matched=0, pairs=pairs)
