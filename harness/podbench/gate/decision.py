"""SLOs held against a run: for every matching pair pass, fail, or cannot tell, on the interval.

Pass: the whole interval keeps the limit. Fail: the whole interval breaks it. Anything else cannot
be told, and says why. `slo` reads the limits, `gate_baseline` decides those against another run,
`gate_files` writes the outcome down.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from podbench.analysis.figures import cap, dotted
from podbench.analysis.figures.dotted import Kind, Reading
from podbench.analysis.samples.metrics import LOSS
from podbench.analysis.stats import bursts
from podbench.gate import baseline
from podbench.gate import pairs as gate_pairs
from podbench.gate.baseline import Baseline
from podbench.gate.evidence import STATED, Evidence
from podbench.gate.slo import Slo
from podbench.gate.words import confidence, quantity, span
from podbench.model.errors import ConfigError
from podbench.model.summary import Interval, Pair, Summary
from podbench.results import saved

FAILED, UNKNOWN = 4, 3


class Verdict(StrEnum):
    """What can be said of a limit."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    CANNOT_TELL = "cannot tell"


_MADE_BY_CAP = {"min": Verdict.FAIL, "max": Verdict.PASS}
"""What a rate at the run's own cap says of a limit because of the cap, whatever the network."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One limit on one pair. `value`, `interval`: the figure's, or the ratio to a baseline."""

    arm: str
    src: str
    dst: str
    verdict: Verdict
    value: float | None
    interval: Interval | None
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One limit on all its pairs. `reason`: why it has none."""

    slo: Slo
    checks: tuple[Check, ...]
    reason: str | None = None

    @property
    def verdict(self) -> Verdict:
        """It holds when it holds for every pair, and fails when it fails for one."""
        return worst([check.verdict for check in self.checks])

    def count(self, verdict: Verdict) -> int:
        """Pairs of which this is said."""
        return sum(check.verdict is verdict for check in self.checks)


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """All limits on a run. `notes`: what is wrong with the run as a whole."""

    run_id: str
    name: str | None
    file: str
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of all limits."""
        return worst([outcome.verdict for outcome in self.outcomes])


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Fail before cannot tell before pass; nothing at all cannot be told."""
    for verdict in (Verdict.FAIL, Verdict.CANNOT_TELL):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS if verdicts else Verdict.CANNOT_TELL


def exit_code(verdict: Verdict, unknown: str | None) -> int:
    """0 all pass, 4 one fails, 3 cannot tell; `unknown` (`pass`, `fail`) settles the last."""
    if verdict is Verdict.CANNOT_TELL:
        return {"pass": 0, "fail": FAILED, None: UNKNOWN}[unknown]
    return FAILED if verdict is Verdict.FAIL else 0


def judge(run: Path, slos: Sequence[Slo], file: Path) -> Gate:
    """Holds every limit against a run.

    Raises:
        ConfigError: There is no such run, or a baseline is none.
        StoreError: The results of one cannot be read.
    """
    names = frozenset(slo.figure.name for slo in slos)
    here = Evidence(saved.open_run(run), run.resolve().name, names)
    baselines = _baselines(slos, here, file, names)
    return Gate(
        run_id=here.summary.run_id,
        name=here.summary.name,
        file=str(file),
        outcomes=tuple(_outcome(slo, here, baselines) for slo in slos),
        notes=_notes(here.summary),
    )


def _baselines(
    slos: Sequence[Slo], here: Evidence, file: Path, names: frozenset[str]
) -> dict[Path, Baseline]:
    found: dict[Path, Baseline] = {}
    for slo in slos:
        if slo.baseline is None or slo.baseline in found:
            continue
        place = f"--slo: {file}, line {slo.line}: baseline"
        try:
            there = Evidence(saved.open_run(slo.baseline), str(slo.baseline), names)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}", advice=error.advice) from error
        if saved.same_run(here.run, there.run):
            raise ConfigError(
                f"{place}: {slo.baseline} is the run itself, which is never worse than itself",
                advice="name an earlier run",
            )
        found[slo.baseline] = Baseline(here, there)
    return found


def _notes(summary: Summary) -> tuple[str, ...]:
    if summary.status == "invalid":
        return (
            "the run is void: the same mode measured twice came out different (A/A check); "
            "nothing can pass on it",
        )
    if summary.status == "partial":
        return ("the run is only part of what was planned",)
    return ()


def _outcome(slo: Slo, here: Evidence, baselines: dict[Path, Baseline]) -> Outcome:
    pairs = gate_pairs.matching(here.summary, slo.selection)
    if not pairs:
        reason = gate_pairs.why_none(here.summary, slo.selection)
        return Outcome(slo=slo, checks=(), reason=reason)
    return Outcome(slo=slo, checks=tuple(_check(slo, pair, here, baselines) for pair in pairs))


def _check(slo: Slo, pair: Pair, here: Evidence, baselines: dict[Path, Baseline]) -> Check:
    reading = dotted.read(pair, slo.figure)
    stopped = _cannot_tell(slo, pair, reading, here)
    if stopped is not None:
        verdict, interval, reason = Verdict.CANNOT_TELL, None, stopped
    elif slo.baseline is not None:
        found = baseline.against(slo, pair, baselines[slo.baseline])
        reading = msgspec.structs.replace(reading, value=found.ratio)
        verdict, interval, reason = _named(found.worse), found.interval, found.reason
    else:
        verdict, interval, reason = _against_limit(slo, pair, reading, here)
    if slo.baseline is None and verdict is _MADE_BY_CAP.get(slo.side or ""):
        most_bps = cap.of(here.summary)
        if most_bps is not None and cap.reached(reading.value, slo.figure.unit, most_bps):
            verdict = Verdict.CANNOT_TELL
            reason += f", but this run's own cap of {quantity(most_bps, 'bit/s')} holds it there"
    if verdict is Verdict.PASS and here.summary.status == "invalid":
        verdict, reason = Verdict.CANNOT_TELL, f"{reason}, but the run is void (A/A check failed)"
    return Check(
        arm=pair.arm,
        src=pair.src,
        dst=pair.dst,
        verdict=verdict,
        value=reading.value,
        interval=interval,
        reason=reason,
    )


def _named(worse: bool | None) -> Verdict:  # noqa: FBT001 - the three answers of gate_baseline
    return {True: Verdict.FAIL, False: Verdict.PASS, None: Verdict.CANNOT_TELL}[worse]


def _cannot_tell(slo: Slo, pair: Pair, reading: Reading, here: Evidence) -> str | None:
    """Why nothing can be said of a pair at all; null where something can."""
    if not reading.measured:
        return f"not measured: {slo.figure.series} of this pair"
    unproven = gate_pairs.unproven(here.summary, pair)
    if unproven is not None:
        return unproven
    if reading.value is None:
        if reading.n == 0:
            return "not measured: no probe of this pair came back, or none was valid"
        return f"not measured: {reading.n} samples are too few for {slo.figure.name}"
    return None


def _against_limit(
    slo: Slo, pair: Pair, reading: Reading, here: Evidence
) -> tuple[Verdict, Interval | None, str]:
    value, unit = reading.value or 0.0, slo.figure.unit
    shown = quantity(value, unit)
    if slo.figure.kind is not Kind.ESTIMATE:
        kept = _kept(slo, (value, value))
        seen = "counted in this run" if slo.figure.kind is Kind.COUNT else "seen in this run"
        return _named(not kept), None, f"{shown} {seen}, {_relation(kept)} {slo.written}"
    interval, why = _interval(slo, pair, reading, here)
    if interval is None:
        return Verdict.CANNOT_TELL, None, f"{shown}, {why}"
    text = f"{shown} ({confidence(slo.confidence)} {span(interval, unit)})"
    if reading.coarse:
        text += ", coarse"
    kept = _kept(slo, interval)
    if kept is None:
        return Verdict.CANNOT_TELL, interval, f"{text}: the interval reaches over {slo.written}"
    return _named(not kept), interval, f"{text} {_relation(kept)} {slo.written}"


def _relation(kept: bool | None) -> str:  # noqa: FBT001 - one word for one truth
    return "keeps" if kept else "breaks"


def _kept(slo: Slo, interval: Interval) -> bool | None:
    """Whether the whole interval keeps the limit; null where it reaches over it."""
    low, high = interval
    bound = slo.bound or 0.0
    if slo.side == "max":
        return True if high <= bound else False if low > bound else None
    return True if low >= bound else False if high < bound else None


def _interval(
    slo: Slo, pair: Pair, reading: Reading, here: Evidence
) -> tuple[Interval | None, str]:
    few = pair.loss is not None and 0 < pair.loss.sessions < bursts.MIN_SESSIONS
    if slo.figure.name == LOSS.name and few and pair.loss is not None:
        return None, (
            f"no interval: {pair.loss.sessions} sessions do not show how losses cluster; "
            f"it takes {bursts.MIN_SESSIONS}"
        )
    if slo.confidence == STATED and reading.ci95 is not None:
        return reading.ci95, ""
    found = here.interval(pair, slo.figure, reading.value or 0.0, slo.confidence)
    return found.interval, found.reason
