"""The outcome of a gate for people and pipelines: lines, Markdown, JUnit, JSON."""

from collections.abc import Iterator, Mapping

import msgspec

from podbench.export import xunit
from podbench.gate.decision import Check, Gate, Outcome, Verdict
from podbench.model.markdown import code, table, text

SHOWN = 100
"""Pairs listed one by one in Markdown; JUnit and JSON hold all."""
SPOKEN = 10
"""Pairs listed under a limit on the terminal."""
_RANK = {Verdict.FAIL: 0, Verdict.CANNOT_TELL: 1, Verdict.PASS: 2}


def _pair(check: Check) -> str:
    return f"{check.arm} {check.src} > {check.dst}"


def _worst_first(outcome: Outcome) -> list[Check]:
    return sorted(outcome.checks, key=lambda check: _RANK[check.verdict])


def _counted(outcome: Outcome) -> str:
    if not outcome.checks:
        return f"cannot tell: {outcome.reason}"
    parts = [
        f"{outcome.count(verdict)} {verdict}"
        for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.CANNOT_TELL)
        if outcome.count(verdict)
    ]
    pairs = f"{len(outcome.checks)} pair{'s' if len(outcome.checks) > 1 else ''}"
    return f"{pairs}: {', '.join(parts)}"


def lines(gate: Gate) -> Iterator[str]:
    """What the terminal shows: a line per limit, below it the pairs that do not pass."""
    for note in gate.notes:
        yield f"note: {note}"
    for outcome in gate.outcomes:
        yield f"{outcome.verdict}: {outcome.slo} ({_counted(outcome)})"
        rest = [check for check in _worst_first(outcome) if check.verdict is not Verdict.PASS]
        for check in rest[:SPOKEN]:
            yield f"  {check.verdict}: {_pair(check)}: {check.reason}"
        if len(rest) > SPOKEN:
            yield f"  and {len(rest) - SPOKEN} more: --json, --junit and --markdown name them"
    yield f"gate: {gate.verdict}"


def markdown(gate: Gate) -> str:
    """A table of limits, then one of pairs, the worst first."""
    out = [
        f"# Gate: {gate.verdict}",
        "",
        f"Run {code(gate.run_id)}, limits of {code(gate.file)}.",
    ]
    if gate.name:
        out[-1] = f"{text(gate.name)}: " + out[-1]
    out += [line for note in gate.notes for line in ("", f"**Note:** {text(note)}.")]
    rows = [
        (str(outcome.verdict), str(outcome.slo), _counted(outcome)) for outcome in gate.outcomes
    ]
    out += ["", *table(("Verdict", "Limit", "Pairs"), rows)]
    checks = [(outcome, check) for outcome in gate.outcomes for check in outcome.checks]
    checks.sort(key=lambda both: _RANK[both[1].verdict])
    if checks:
        out += ["", "## Pairs", ""]
        found = [
            (str(check.verdict), outcome.slo.figure.name, _pair(check), check.reason)
            for outcome, check in checks[:SHOWN]
        ]
        out += table(("Verdict", "Metric", "Pair", "What was found"), found)
    if len(checks) > SHOWN:
        out += ["", f"{len(checks) - SHOWN} more pairs are not listed; none of them is worse."]
    return "\n".join(out) + "\n"


def junit_xml(gate: Gate, unknown: str | None) -> str:
    """One test case for each limit and pair; `unknown` says what cannot tell counts as."""
    cases = [case for outcome in gate.outcomes for case in _cases(outcome, unknown)]
    return xunit.document(f"podbench gate {gate.run_id}", cases, gate.notes)


def _cases(outcome: Outcome, unknown: str | None) -> Iterator[xunit.Case]:
    suite = str(outcome.slo)
    if not outcome.checks:
        yield _case(suite, "no pair", Verdict.CANNOT_TELL, outcome.reason or "", unknown)
    for check in outcome.checks:
        yield _case(suite, _pair(check), check.verdict, check.reason, unknown)


def _case(suite: str, name: str, verdict: Verdict, reason: str, unknown: str | None) -> xunit.Case:
    found = f"{verdict}: {reason}"
    if verdict is Verdict.FAIL or (verdict is Verdict.CANNOT_TELL and unknown == "fail"):
        return xunit.Case(suite=suite, name=name, failure=found)
    if verdict is Verdict.CANNOT_TELL and unknown is None:
        return xunit.Case(suite=suite, name=name, skipped=found)
    return xunit.Case(suite=suite, name=name, said=found)


def as_json(gate: Gate, code: int) -> bytes:
    """One document: the verdict, the exit code, every limit with every pair."""
    found = {
        "format": 1,
        "run_id": gate.run_id,
        "name": gate.name,
        "slo_file": gate.file,
        "verdict": str(gate.verdict),
        "exit_code": code,
        "notes": list(gate.notes),
        "slos": [_limit(outcome) for outcome in gate.outcomes],
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


def _limit(outcome: Outcome) -> Mapping[str, object]:
    slo = outcome.slo
    return {
        "line": slo.line,
        "name": slo.name,
        "metric": slo.figure.name,
        "unit": slo.figure.unit or None,
        **msgspec.to_builtins(slo.selection),
        "max": slo.bound if slo.side == "max" else None,
        "min": slo.bound if slo.side == "min" else None,
        "baseline": None if slo.baseline is None else str(slo.baseline),
        "worse_by": slo.worse_by,
        "confidence": slo.confidence,
        "verdict": str(outcome.verdict),
        "reason": outcome.reason,
        "pairs": [msgspec.to_builtins(check) for check in outcome.checks],
    }
