"""Controls: comparisons that must find nothing, and what they say about all the others.

Two kinds. The A/A repeat: the same mode measured twice in every block. The host paths: each arm has
one beside it, without the CNI in it, so they must agree; where they do not, the machine moved. Both
are taken of every figure. A control fails where it is `different` after Holm's correction over all
controls of the run. The noise floor of a figure is the worst of its controls: a difference between
modes inside it is not resolved.
"""

from collections.abc import Iterable, Mapping, Sequence

from podbench.analysis.findings import aa
from podbench.analysis.findings.caveats import Code
from podbench.analysis.findings.comparisons import (
    HEADLINES,
    Compared,
    Rule,
    Tables,
    base_of,
    compare,
    repeats,
)
from podbench.analysis.stats import multiple
from podbench.analysis.stats.verdicts import Word
from podbench.model.arms import Path, parse_arm
from podbench.model.summary import Control, Doubt, Kind

AA: Kind = "aa"
HOST_PATH: Kind = "host_path"


def host_paths(arms: Sequence[str]) -> list[tuple[str, str]]:
    """(host path beside the base, host path beside another arm), A/A repeats among them."""
    base = base_of(arms)
    hosts = [arm for arm in arms if parse_arm(arm).path is Path.HOST]
    first = parse_arm(base).on(Path.HOST).name if base is not None else None
    if first not in hosts:
        return []
    return [(first, host) for host in hosts if host != first]


def against_itself(tables: Tables, arms: Sequence[str]) -> list[Compared]:
    """Every headline metric of every A/A pair that has it."""
    return _all(tables, repeats(arms), _of_path(arms, Path.POD))


def against_hosts(tables: Tables, arms: Sequence[str]) -> list[Compared]:
    """Every headline metric of every two host paths that have it."""
    return _all(tables, host_paths(arms), _of_path(arms, Path.HOST))


def _of_path(arms: Sequence[str], path: Path) -> tuple[str, ...]:
    return tuple(arm for arm in arms if parse_arm(arm).path is path)


def _all(
    tables: Tables, pairs: Sequence[tuple[str, str]], spread: tuple[str, ...]
) -> list[Compared]:
    return [
        compare(metric, pair, tables, Rule(arms=spread))
        for pair in pairs
        for metric in HEADLINES
        if all(tables.has(arm, metric) for arm in pair)
    ]


def noise_floor(found: Sequence[Compared]) -> dict[str, float]:
    """|log ratio| by metric, the largest over its controls."""
    floors: dict[str, float] = {}
    for one in found:
        if one.floor_log is not None:
            metric = one.comparison.metric
            floors[metric] = max(one.floor_log, floors.get(metric, 0.0))
    return floors


def table(found: Mapping[Kind, Sequence[Compared]]) -> tuple[Control, ...]:
    """Every control with whether it passed, the failed ones first.

    Args:
        found: by kind.
    """
    every = [(kind, one) for kind, held in found.items() for one in held]
    tested = [one.decision.p_value for _, one in every]
    known = [p for p in tested if p is not None]
    adjusted = iter(multiple.holm(known).tolist())
    controls = [
        _control(kind, one, None if p is None else next(adjusted))
        for (kind, one), p in zip(every, tested, strict=True)
    ]
    return tuple(sorted(controls, key=lambda control: control.passed is not False))


def _control(kind: Kind, one: Compared, p_adjusted: float | None) -> Control:
    passed = None
    if p_adjusted is not None:
        failed = one.decision.verdict is Word.DIFFERENT and p_adjusted < aa.SIGNIFICANCE
        passed = not failed
    return Control(
        metric=one.comparison.metric,
        kind=kind,
        base=one.comparison.base,
        other=one.comparison.other,
        ratio=one.comparison.ratio,
        ci95=one.comparison.ci95,
        p_adjusted=p_adjusted,
        passed=passed,
    )


def failed(found: Sequence[Control]) -> Iterable[Doubt]:
    """One caveat for all host paths that differ; the A/A check has one of its own."""
    gone = [one for one in found if one.kind == HOST_PATH and one.passed is False]
    if gone:
        yield Doubt(
            code=Code.CONTROL_FAILED,
            message="a control failed: host paths, which have no CNI in them, differ between modes",
            advice="measure again on a quieter machine; believe only differences well above this",
            evidence="; ".join(
                f"{one.metric} of {one.other} against {one.base}: "
                + ("counts differ" if one.ratio is None else f"{100 * (one.ratio - 1):+.3g}%")
                for one in gone
            ),
        )
