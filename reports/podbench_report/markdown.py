"""Renders a run in Markdown, for tickets and pipelines: verdict sentences, then tables.

Text and numbers come from `wording` and `numbers`; nothing is computed here. Names of
nodes and runs are escaped by `podbench.model.markdown`.
"""

from collections.abc import Iterator

from podbench.model.markdown import code, table, text
from podbench.model.summary import Comparison, Estimate, Summary
from podbench.model.units import counted
from podbench_report import metrics, names, numbers, wording

_CLAIMS = ("different", "small", "equivalent")


def render(summary: Summary) -> str:
    """The whole text."""
    parts = (_head, _found, _untold, _arms, _figures, _comparisons, _warnings)
    lines = [line for part in parts for line in part(summary)]
    return "\n".join(lines).replace(numbers.NBSP, " ") + "\n"


def _implementations(summary: Summary) -> dict[str, str | None]:
    return {arm.mode: arm.implementation for arm in summary.arms if arm.path == "pod"}


def _head(summary: Summary) -> Iterator[str]:
    version = f" {summary.cni.version}" if summary.cni.version else ""
    yield f"# {text(summary.name or summary.run_id)}"
    yield ""
    if summary.target == "lab":
        yield f"**{wording.LAB_HEADING}**"
        yield ""
    yield (
        f"Run {code(summary.run_id)}, {text(summary.started)}, {text(summary.cni.name)}"
        f"{text(version)}, {numbers.plural(len(summary.nodes), 'node')}, {summary.status}."
    )


def _said(one: wording.Sentence) -> str:
    note = f" {text(one.note)}" if one.note else ""
    return f"- {text(one.text)}: **{one.verdict}**.{note}"


def _found(summary: Summary) -> Iterator[str]:
    how = _implementations(summary)
    yield from ("", "## Findings", "")
    for one in summary.comparisons:
        if one.verdict in _CLAIMS and one.metric in metrics.HEADLINES:
            yield _said(wording.comparison(one, how))
    for tax in summary.overlay_tax:
        if tax.metric == "rtt_kernel_ns.p50" and tax.difference is not None:
            yield _said(wording.overlay_tax(tax, how))
    yield _said(wording.aa_check(summary.aa_check, summary.noise_floor))


def _untold(summary: Summary) -> Iterator[str]:
    how = _implementations(summary)
    still_open = [one for one in summary.comparisons if one.verdict == "inconclusive"]
    missing = wording.not_measured(summary.comparisons, how)
    if not still_open and not missing:
        return
    yield from ("", "## Open questions", "")
    yield from (_said(wording.comparison(one, how)) for one in still_open)
    yield from (_said(one) for one in missing)


def _arms(summary: Summary) -> Iterator[str]:
    rows = [
        (
            arm.arm,
            arm.status + (f" ({arm.reason})" if arm.reason else ""),
            arm.implementation or "–",
            "–" if arm.pod_mtu is None else str(arm.pod_mtu),
            "–"
            if arm.proof is None
            else f"{arm.proof.verdict} ({arm.proof.method}, "
            f"{arm.proof.pairs_matched} of {counted(arm.proof.pairs_total, 'pair')})",
        )
        for arm in summary.arms
    ]
    yield from ("", "## Arms and their proof", "")
    yield from table(("Arm", "Status", "Made by", "MTU", "Proof"), rows)


def _figures(summary: Summary) -> Iterator[str]:
    shown = [one for one in summary.estimates if one.metric in metrics.HEADLINES]
    if not shown:
        return
    yield from ("", "## Figures over all pairs", "")
    heads = ("Metric", "Arm", "Value", "95% CI", "Blocks", "Samples")
    yield from table(heads, [_figure(one) for one in shown])


def _figure(one: Estimate) -> tuple[str, ...]:
    return (
        metrics.metric_words(one.metric).short,
        names.arm_label(one.arm),
        numbers.quantity(one.value, one.unit),
        "–" if one.ci95 is None else numbers.interval(one.ci95, one.unit),
        str(one.blocks),
        str(one.n),
    )


def _comparisons(summary: Summary) -> Iterator[str]:
    if not summary.comparisons:
        return
    yield from ("", "## Comparisons", "")
    heads = ("Metric", "Arms", "Difference", "Change", "95% CI", "Verdict", "Margin")
    yield from table(heads, [_comparison(one) for one in summary.comparisons])


def _comparison(one: Comparison) -> tuple[str, ...]:
    return (
        metrics.metric_words(one.metric).short,
        f"{names.arm_label(one.other)} against {names.arm_label(one.base)}",
        numbers.quantity(one.difference, one.unit, signed=True),
        numbers.percent_change(one.ratio),
        "–" if one.ci95 is None else numbers.percent_change_interval(one.ci95),
        one.verdict,
        numbers.margin(one.margin),
    )


def _warnings(summary: Summary) -> Iterator[str]:
    if not summary.warnings:
        return
    yield from ("", "## Caveats", "")
    for doubt in summary.warnings:
        advice = f" {text(doubt.advice)}" if doubt.advice else ""
        yield f"- {text(doubt.message)} ({code(doubt.code)}).{advice}"
