"""Proof of modes: what was asked, what was seen, how that is known; by arm and directed pair."""

import msgspec

from podbench.analysis.bundle import ArmProofDetail
from podbench.model.arms import is_stand_in
from podbench.model.summary import ArmSummary
from podbench_report import names, numbers, tables
from podbench_report.view import RunView


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of a run."""

    sentence: str
    arms: tables.Table
    pairs: tables.Table
    pairs_title: str
    left_out: str | None


_MOST_ROWS = 1_500
"""Beyond, pairs that match are counted only: 100 nodes have 29,700 pair proofs, 7 MB of table."""


def build(view: RunView) -> Proof:
    """The proof of every arm and pair."""
    proved = [a for a in view.arms_in_order(repeats=False) if a.path == "pod"]
    every = view.bundle.proofs
    shown = every
    if len(every) > _MOST_ROWS:
        shown = tuple(one for one in every if one.verdict != "match")[:_MOST_ROWS]
    return Proof(
        sentence=_sentence(proved),
        pairs_title=f"Every directed pair ({numbers.count(len(shown))})"
        if len(shown) == len(every)
        else f"Pairs that do not match ({numbers.count(len(shown))})",
        left_out=_left_out(len(every), len(shown)),
        arms=tables.Table(
            caption="The mode asked for against the mode the packets were seen to take.",
            columns=(
                tables.Column("Asked"),
                tables.Column("Seen"),
                tables.Column("Verdict"),
                tables.Column("How it is known"),
                tables.Column("Route by"),
                tables.Column("Made by"),
                tables.Column("Pod MTU", "number"),
                tables.Column("Pairs that match", "number"),
            ),
            rows=tuple(_arm_row(arm) for arm in proved),
        ),
        pairs=tables.Table(
            caption="The latest proof of every directed pair.",
            columns=(
                tables.Column("Mode"),
                tables.Column("From"),
                tables.Column("To"),
                tables.Column("Verdict"),
                tables.Column("How"),
                tables.Column("Seen"),
                tables.Column("Route by"),
                tables.Column("Evidence"),
            ),
            rows=tuple(_pair_row(view, one) for one in shown),
        ),
    )


def _left_out(total: int, shown: int) -> str | None:
    if shown == total:
        return None
    return (
        f"{numbers.count(total - shown)} of {numbers.plural(total, 'pair proof')} are not listed, "
        "to keep this page small; all are in summary.json and under evidence/ of the run."
    )


def _sentence(arms: list[ArmSummary]) -> str:
    known = [arm for arm in arms if arm.proof is not None]
    good = [arm for arm in known if arm.proof is not None and arm.proof.verdict == "match"]
    if not known:
        return "No mode was proved: read every mode's name below as asked for, not as seen."
    if len(good) == len(arms):
        return (
            "Every mode compared here is the mode its packets really took, on every directed pair."
        )
    bad = [names.mode_label(arm.mode) for arm in arms if arm not in good]
    return (
        f"Not proved on every pair: {', '.join(bad)}. A figure under such a name may be another "
        "mode's."
    )


def _arm_row(arm: ArmSummary) -> tables.Row:
    proof = arm.proof
    made = arm.implementation or "not known"
    if is_stand_in(arm.implementation):
        made += " (stand-in)"
    mtu = tables.count_cell(arm.pod_mtu)
    asked = tables.Cell(names.mode_label(arm.mode))
    if proof is None:
        why = arm.reason or "no proof was taken"
        verdict = "not measured" if arm.status != "measured" else "unproven"
        return tables.row(
            asked,
            numbers.EN_DASH,
            _verdict(verdict),
            why,
            numbers.EN_DASH,
            made,
            mtu,
            numbers.EN_DASH,
        )
    return tables.row(
        asked,
        names.mode_label(proof.observed) if proof.observed else "nothing seen",
        _verdict(proof.verdict),
        proof.method,
        proof.route_origin or "not known",
        made,
        mtu,
        tables.Cell(f"{proof.pairs_matched} of {proof.pairs_total}", sort=proof.pairs_matched),
    )


def _verdict(word: str) -> tables.Cell:
    mark = "✓ " if word == "match" else "✗ "
    return tables.Cell(mark + word, css="good" if word == "match" else "bad")


def _pair_row(view: RunView, one: ArmProofDetail) -> tables.Row:
    evidence = "; ".join(
        f"{key} {'not known' if value is None else value}" for key, value in one.evidence.items()
    )
    return tables.row(
        names.arm_label(one.arm),
        tables.Cell(view.labels.get(one.src, one.src), title=one.src),
        tables.Cell(view.labels.get(one.dst, one.dst), title=one.dst),
        _verdict(one.verdict),
        one.method,
        names.mode_label(one.observed) if one.observed else "nothing seen",
        one.route_origin or "not known",
        tables.Cell(evidence or numbers.EN_DASH, css="wrap"),
    )
