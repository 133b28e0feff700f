"""The last lines of a run on the terminal: a table of the modes and one sentence for each."""

from podbench.model.summary import ArmSummary, Comparison, Summary
from podbench.model.units import show_ns, show_ratio

HEAD = (
    "MODE",
    "APP RTT p50",
    "p99",
    "KERNEL RTT p50",
    "p99",
    "JITTER",
    "LOSS",
    "PRICE",
    "PROOF",
)
FIGURES = (
    "rtt_app_ns.p50",
    "rtt_app_ns.p99",
    "rtt_kernel_ns.p50",
    "rtt_kernel_ns.p99",
    "pdv_p99_ns",
)
NONE = "-"
"""What stands for a figure that was not measured."""
SENTENCE = (("rtt_kernel_ns.p50", "kernel RTT"), ("rtt_app_ns.p99", "application p99"))
"""What a mode's sentence speaks of: the network's median, and what a program feels at worst."""


def lines(summary: Summary) -> list[str]:
    """The table and the sentences; empty where no mode has pods."""
    arms = [a for a in summary.arms if a.path == "pod" and "#" not in a.arm]
    if not arms:
        return []
    table = _table([HEAD, *(_row(summary, arm) for arm in arms)])
    return [*table, "", *_sentences(summary, arms), *_decision(summary)]


def _row(summary: Summary, arm: ArmSummary) -> tuple[str, ...]:
    if arm.status != "measured":
        return (arm.mode, *[NONE] * (len(HEAD) - 2), "not measured")
    held = {e.metric: e.value for e in summary.estimates if e.arm == arm.arm}
    times = [NONE if (v := held.get(name)) is None else show_ns(v) for name in FIGURES]
    loss = held.get("loss.ratio")
    proof = arm.proof
    return (
        arm.mode,
        *times,
        NONE if loss is None else show_ratio(loss),
        _price(summary, arm.mode),
        NONE if proof is None else f"{proof.verdict}, {proof.method}",
    )


def _price(summary: Summary, mode: str) -> str:
    """Cores per Gbit/s of bulk traffic, generator included."""
    found = (p.value for p in summary.cpu_price if (p.mode, p.kind) == (mode, "bulk"))
    value = next(found, None)
    return NONE if value is None else f"{value:.2g} cores per Gbit/s"


def _decision(summary: Summary) -> list[str]:
    """Which mode the verdicts support, how sure, and what to do next."""
    found = summary.recommendation
    if found is None:
        return []
    if found.mode is None:
        said = f"decision: none, {found.confidence_reason or 'nothing is decided'}"
    else:
        because = f", because {'; '.join(found.because)}" if found.because else ""
        said = f"decision: {found.mode} ({found.confidence} confidence){because}"
    return [said] + ([f"next: {found.next_step}"] if found.next_step else [])


def _sentences(summary: Summary, arms: list[ArmSummary]) -> list[str]:
    said = []
    for arm in arms:
        if arm.status != "measured":
            said.append(f"{arm.mode}: not measured: {arm.reason}")
            continue
        parts = [
            _against(comparison, words)
            for metric, words in SENTENCE
            for comparison in summary.comparisons
            if (comparison.metric, comparison.other) == (metric, arm.arm)
        ]
        if parts:
            said.append(f"{arm.mode}: {'; '.join(parts)}")
    return said


def _against(found: Comparison, words: str) -> str:
    base = found.base.partition("/")[0]
    if found.ratio is None or found.ci95 is None:
        return f"{words} against {base}: {found.verdict}"
    low, high = ((bound - 1) * 100 for bound in found.ci95)
    change = f"{(found.ratio - 1) * 100:+.3g}% (95% CI {low:+.3g} to {high:+.3g})"
    return f"{words} {change} against {base}: {found.verdict}"


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    return [
        "  ".join(
            cell.ljust(width) if i in {0, len(HEAD) - 1} else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
