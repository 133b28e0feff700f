"""Which directed pairs of a run an SLO is for, and why it finds none."""

from collections.abc import Iterable

from podbench.gate.slo import Selection
from podbench.model.facts import Verdict
from podbench.model.summary import ArmSummary, Pair, Summary

SAME, CROSS, ANY = "same", "cross", "*"


def matching(summary: Summary, selection: Selection) -> list[Pair]:
    """The pairs of every arm that fits, the A/A repeats (which keep mode and path) among them."""
    zones = {node.name: node.zone for node in summary.nodes}
    return [
        pair
        for pair in summary.pairs
        if _arm_fits(pair.arm, selection)
        and selection.src in {None, pair.src}
        and selection.dst in {None, pair.dst}
        and (
            selection.zone is None
            or zone_fits(selection.zone, zones.get(pair.src), zones.get(pair.dst))
        )
    ]


def _arm_fits(arm: str, selection: Selection) -> bool:
    mode, _, path = arm.partition("#")[0].partition("/")
    return path == selection.path and selection.mode in {None, mode}


def zone_fits(wanted: str, src: str | None, dst: str | None) -> bool:
    """Whether a pair from zone `src` to zone `dst` is meant.

    `a`: within zone a; `a>b`: from a to b, `*` for any; `same`, `cross`: by whether the two agree.
    A node whose zone is not known is in none.
    """
    if src is None or dst is None:
        return False
    if wanted == SAME:
        return src == dst
    if wanted == CROSS:
        return src != dst
    start, arrow, end = (part.strip() for part in wanted.partition(">"))
    if not arrow:
        return src == dst == wanted
    return start in {ANY, src} and end in {ANY, dst}


def unproven(summary: Summary, pair: Pair) -> str | None:
    """Why a pair's packets are not known to be its arm's mode's; null where they are proven.

    An arm is what its worst pair and its worst kind of probe are: a figure of a mode that some of
    its packets did not take is no figure to pass or fail a limit of that mode.
    """
    arm = next((one for one in summary.arms if one.arm == pair.arm), None)
    if arm is not None and arm.path != "pod":
        return None
    for proof in (pair.proof, arm.proof if arm else None):
        if proof is not None and proof.verdict != Verdict.MATCH:
            whose = "these" if proof is pair.proof else "other pairs'"
            proven = "proven to be " if proof.verdict == Verdict.UNPROVEN else ""
            seen = f" (seen: {proof.observed})" if proof.observed else ""
            return f"{whose} packets were not {proven}{pair.arm}: {proof.verdict}{seen}"
    return None


def why_none(summary: Summary, selection: Selection) -> str:
    """Why no pair matches, in one clause that follows `cannot tell:`."""
    arms = [arm for arm in summary.arms if _arm_fits(arm.arm, selection)]
    if not arms:
        return f"not measured: this run has no {_arm(selection)}; it has {_names(summary.arms)}"
    gone = [arm for arm in arms if arm.status == "not measured"]
    if len(gone) == len(arms):
        reasons = {arm.reason for arm in gone if arm.reason}
        return f"not measured: {'; '.join(sorted(reasons)) or 'no reason was recorded'}"
    known = {node.name for node in summary.nodes} | {p.src for p in summary.pairs}
    for end, name in (("src", selection.src), ("dst", selection.dst)):
        if name is not None and name not in known:
            listed = ", ".join(sorted(known)[:8]) + (", ..." if len(known) > 8 else "")
            return f"not measured: {end} {name!r} is no node of this run; it has {listed}"
    zones = sorted({node.zone for node in summary.nodes if node.zone is not None})
    if selection.zone is not None and not zones:
        return "not measured: no node of this run has a zone"
    if selection.zone is not None:
        return f"not measured: no pair in zone {selection.zone!r}; the zones are {', '.join(zones)}"
    return f"not measured: no pair of {selection} has samples"


def _arm(selection: Selection) -> str:
    return f"{selection.mode or 'arm on the path'}{'/' if selection.mode else ' '}{selection.path}"


def _names(arms: Iterable[ArmSummary]) -> str:
    return ", ".join(arm.arm for arm in arms if "#" not in arm.arm) or "no arm at all"
