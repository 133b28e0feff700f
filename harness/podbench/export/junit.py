"""A run's verdicts and flags as JUnit test cases: what a pipeline should stop for.

Failing: an arm that was not measured, a proof that shows another mode, a failed A/A check, samples
left out beyond what is allowed, a void run. Skipped: what could not be told. A difference between
modes is a finding, not a failure; `bench gate` is the place for limits.
"""

from collections.abc import Iterator

from podbench.export import xunit
from podbench.model.facts import Verdict
from podbench.model.summary import ArmSummary, Comparison, Summary

_FALSE = {str(Verdict.FELL_BACK), str(Verdict.MIXED), str(Verdict.UNREACHABLE)}
_FAILING_DOUBTS = {"samples_invalid", "kind_not_measured"}


def render(summary: Summary) -> str:
    """The whole document."""
    cases = [
        *_run(summary),
        *(case for arm in summary.arms for case in _arm(arm)),
        *(_comparison(one) for one in summary.comparisons),
    ]
    return xunit.document(f"podbench {summary.run_id}", cases)


def _run(summary: Summary) -> Iterator[xunit.Case]:
    void = summary.status == "invalid"
    yield xunit.Case(
        suite="run",
        name="status",
        failure="the campaign is void: do not use its figures" if void else None,
        skipped="only part of what was planned" if summary.status == "partial" else None,
        said=f"run {summary.run_id} is {summary.status}",
    )
    check = summary.aa_check
    known = check is not None and check.passed is not None
    failed = check is not None and check.passed is False
    yield xunit.Case(
        suite="run",
        name="A/A check",
        failure="the same mode measured twice came out different" if failed else None,
        skipped=None if known else "not measured",
        said=None
        if check is None
        else f"{check.comparisons} comparisons, {check.false_alarms} false alarms",
    )
    yield from _warnings(summary)


def _warnings(summary: Summary) -> Iterator[xunit.Case]:
    """One case a code: its name stays the same from run to run, whatever the figures."""
    texts: dict[str, list[str]] = {}
    for doubt in summary.warnings:
        parts = (doubt.message, doubt.advice, doubt.evidence)
        texts.setdefault(doubt.code, []).append("; ".join(part for part in parts if part))
    for code, found in texts.items():
        text = "\n".join(found)
        fails = code in _FAILING_DOUBTS
        yield xunit.Case(
            suite="warnings",
            name=code,
            failure=text if fails else None,
            said=None if fails else text,
        )


def _arm(arm: ArmSummary) -> Iterator[xunit.Case]:
    gone = arm.status == "not measured"
    yield xunit.Case(
        suite="arms",
        name=f"{arm.arm} measured",
        failure=f"not measured: {arm.reason or 'no reason recorded'}" if gone else None,
    )
    if arm.proof is None:
        return
    proof = arm.proof
    seen = f", seen: {proof.observed}" if proof.observed else ""
    pairs = f"{proof.pairs_matched} of {proof.pairs_total} pairs"
    text = f"{proof.verdict} ({proof.method}{seen}), {pairs}"
    false = proof.verdict in _FALSE
    matched = proof.verdict == Verdict.MATCH
    yield xunit.Case(
        suite="proofs",
        name=f"{arm.arm} is what it is called",
        failure=text if false else None,
        skipped=None if false or matched else text,
        said=text if matched else None,
    )


def _comparison(one: Comparison) -> xunit.Case:
    name = f"{one.metric}: {one.other} against {one.base}"
    if one.verdict in {"inconclusive", "not measured"}:
        because = f": {one.reason}" if one.reason else ""
        return xunit.Case(suite="comparisons", name=name, skipped=f"{one.verdict}{because}")
    interval = "no interval" if one.ci95 is None else f"{one.ci95[0]:.4g} to {one.ci95[1]:.4g}"
    ratio = "no ratio" if one.ratio is None else f"ratio {one.ratio:.4g} (95% CI {interval})"
    return xunit.Case(
        suite="comparisons",
        name=name,
        said=f"{one.verdict}: {ratio}, {one.blocks} blocks"
        + (f"; {one.reason}" if one.reason else ""),
    )
