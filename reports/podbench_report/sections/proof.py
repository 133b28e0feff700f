"""Proof of modes: requested mode, observed mode and method, by arm and directed pair."""

import msgspec

from podbench.analysis.bundle import ArmProofDetail
from podbench.model.arms import is_stand_in
from podbench.model.summary import ArmSummary, Doubt, KindProofSummary, ProofSummary
from podbench_report import names, numbers, tables
from podbench_report.view import RunView


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Proof of a run."""

    sentence: str
    arms: tables.Table
    warnings: tuple[Doubt, ...]
    """What is odd about these proofs, matching or not."""
    pairs: tables.Table
    pairs_title: str
    left_out: str | None


_BY_PACKETS = frozenset({"counted", "captured"})
_WARNINGS = frozenset({"proof_warning", "bgp_session_down_routes_stale"})
_MOST_ROWS = 1_500
"""Above this, matching pairs are only counted: 100 nodes have 29,700 pair proofs, 7 MB of table."""


def build(view: RunView) -> Proof:
    """Builds the proof of every arm and pair."""
    proved = [a for a in view.arms_in_order(repeats=False) if a.path == "pod"]
    every = view.bundle.proofs
    shown = every
    if len(every) > _MOST_ROWS:
        shown = tuple(one for one in every if one.verdict != "match")[:_MOST_ROWS]
    return Proof(
        sentence=_sentence(proved),
        pairs_title=f"All directed pairs ({numbers.count(len(shown))})"
        if len(shown) == len(every)
        else f"Pairs that do not match ({numbers.count(len(shown))})",
        left_out=_left_out(len(every), len(shown)),
        warnings=tuple(w for w in view.summary.warnings if w.code in _WARNINGS),
        arms=tables.Table(
            caption="Requested mode against the mode observed in each kind of probe's packets.",
            columns=(
                tables.Column("Requested"),
                tables.Column("Probe"),
                tables.Column("Observed"),
                tables.Column("Verdict"),
                tables.Column("Method"),
                tables.Column("Route by"),
                tables.Column("Implementation"),
                tables.Column("Pod MTU", "number"),
                tables.Column("Matching pairs", "number"),
            ),
            rows=tuple(row for arm in proved for row in _arm_rows(arm)),
        ),
        pairs=tables.Table(
            caption="Worst proof of every directed pair and kind of probe.",
            columns=(
                tables.Column("Mode"),
                tables.Column("Probe"),
                tables.Column("From"),
                tables.Column("To"),
                tables.Column("Verdict"),
                tables.Column("Method"),
                tables.Column("Observed"),
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
        "to keep the page small; summary.json and evidence/ have them all."
    )


def _sentence(arms: list[ArmSummary]) -> str:
    known = [arm for arm in arms if arm.proof is not None]
    good = [arm for arm in known if arm.proof is not None and arm.proof.verdict == "match"]
    if not known:
        return "No mode is proven: mode names below are as requested, not as observed."
    if len(good) == len(arms):
        return _all_match(good)
    bad = [names.mode_label(arm.mode) for arm in arms if arm not in good]
    return (
        f"Not proven on every pair and for every kind of probe: {', '.join(bad)}. "
        "Results under this name may belong to another mode."
    )


def _all_match(arms: list[ArmSummary]) -> str:
    """What may be said of matching arms: as much as the method of every kind of probe supports."""
    proofs = [arm.proof for arm in arms if arm.proof is not None]
    kinds = sorted({kind for proof in proofs for kind in proof.by_probe})
    by_packets = all(
        method in _BY_PACKETS
        for proof in proofs
        for method in (proof.method, *(one.method for one in proof.by_probe.values()))
    )
    if by_packets:
        what = f" of {', '.join(kinds)}" if kinds else ""
        return (
            f"On every directed pair, the packets{what} used the encapsulation that the mode's "
            "name says."
        )
    return (
        "Every mode matches its routes. Packets were not counted for every kind of probe, so some "
        "may have used another encapsulation."
    )


def _arm_rows(arm: ArmSummary) -> list[tables.Row]:
    """A row for each kind of probe that was proven."""
    proof = arm.proof
    made = arm.implementation or "unknown"
    if is_stand_in(arm.implementation):
        made += " (stand-in)"
    mtu = tables.count_cell(arm.pod_mtu)
    requested = tables.Cell(names.mode_label(arm.mode))
    if proof is None:
        why = arm.reason or "no proof recorded"
        verdict = "not measured" if arm.status != "measured" else "unproven"
        dash = numbers.EN_DASH
        return [tables.row(requested, dash, dash, _verdict(verdict), why, dash, made, mtu, dash)]
    kinds: dict[str, KindProofSummary | ProofSummary] = {**proof.by_probe} or {"all": proof}
    return [
        tables.row(
            requested,
            kind,
            names.mode_label(one.observed) if one.observed else "nothing observed",
            _verdict(one.verdict),
            one.method,
            proof.route_origin or "unknown",
            made,
            mtu,
            tables.Cell(f"{one.pairs_matched} of {one.pairs_total}", sort=one.pairs_matched),
        )
        for kind, one in kinds.items()
    ]


def _verdict(word: str) -> tables.Cell:
    mark = "✓ " if word == "match" else "✗ "
    return tables.Cell(mark + word, css="good" if word == "match" else "bad")


def _pair_row(view: RunView, one: ArmProofDetail) -> tables.Row:
    evidence = "; ".join(
        f"{key} {'unknown' if value is None else value}" for key, value in one.evidence.items()
    )
    return tables.row(
        names.arm_label(one.arm),
        one.kind,
        tables.Cell(view.labels.get(one.src, one.src), title=one.src),
        tables.Cell(view.labels.get(one.dst, one.dst), title=one.dst),
        _verdict(one.verdict),
        one.method,
        names.mode_label(one.observed) if one.observed else "nothing observed",
        one.route_origin or "unknown",
        tables.Cell(evidence or numbers.EN_DASH, css="wrap"),
    )
