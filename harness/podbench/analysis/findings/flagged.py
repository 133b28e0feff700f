"""Why a finished run deserves a second look: exit code 3, and the banner on top of its report."""

from podbench.analysis.bundle import Bundle
from podbench.model.arms import Path
from podbench.model.facts import Verdict
from podbench.model.summary import ProofSummary

CODES = ("samples_invalid", "mode_lost", "kind_not_measured", "aa_failed", "control_failed")
"""Warnings that make a finished run one to look at twice."""


def reasons(bundle: Bundle) -> list[str]:
    """Why a finished run deserves exit code 3; empty when it does not."""
    summary = bundle.summary
    found = [
        f"{arm.arm} not measured: {arm.reason}"
        for arm in summary.arms
        if arm.status == "not measured" and arm.path == Path.POD
    ]
    found += [
        f"{arm.arm}: the packets' mode was {_proven(arm.proof)}"
        for arm in summary.arms
        if arm.proof is not None and arm.path == Path.POD and arm.proof.verdict != Verdict.MATCH
    ]
    if summary.aa_check is not None and summary.aa_check.passed is False:
        found.append("the same mode measured twice came out different (A/A check)")
    found += [w.message for w in summary.warnings if w.code in CODES and w.code != "aa_failed"]
    if summary.status == "invalid":
        found.append("the campaign is void")
    if bundle.plan.blocks_done < bundle.plan.blocks_planned:
        found.append(
            f"{bundle.plan.blocks_done} of {bundle.plan.blocks_planned} planned blocks are whole: "
            "`bench resume` measures what is missing"
        )
    return found


def _proven(proof: ProofSummary) -> str:
    """The verdict, and which kinds of probe it comes from where they differ."""
    kinds = {kind: one.verdict for kind, one in proof.by_probe.items()}
    if len(set(kinds.values())) < 2:
        return proof.verdict
    return f"{proof.verdict} ({', '.join(f'{kind} {said}' for kind, said in kinds.items())})"
