"""Caveats from the sample tables: probes, quantiles, transfers, CPU.

One function per table; each yields caveats (`caveats.Code`). `caveats` covers the run as a whole.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from podbench.analysis.findings.caveats import Code
from podbench.analysis.samples.loss_table import LossTable, of_arm
from podbench.analysis.samples.quality import Quality
from podbench.model.summary import CpuPrice, Doubt, Encapsulation, Pair
from podbench.model.units import counted, show_ratio
from podbench.wire import fates

INVALID_LIMIT = 0.02
"""More than 2% of an arm's samples invalid: the run is flagged (exit code 3)."""
STEAL_LIMIT = 0.05
"""Steal of 5% within a second moves the p99 of everything measured in it."""
CPU_BOUND_RATIO = 0.9
CEILING_SLACK = 0.01
"""One percentage point of the line rate: interval edges and shaper bursts."""
LATE_LIMIT = 0.02
SLEW_RATIO = 500e-6
"""Maximum rate at which a kernel slews a clock."""
CLOCK_SLACK_NS = 1e7
"""A tick reads its two clocks one after the other; smaller steps hardly matter."""
_TOGETHER = 5


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.0f}%" if ratio >= 0.095 else f"{100 * ratio:.2g}%"


def of_samples(quality: Quality) -> Iterable[Doubt]:
    """Yields caveats about invalid samples."""
    if quality.unusable:
        yield Doubt(
            code=Code.SAMPLES_UNUSABLE,
            message=f"{quality.unusable} rows have no place or no send time and were dropped",
        )
    if quality.impossible:
        yield Doubt(
            code=Code.IMPOSSIBLE_VALUES,
            message=f"{quality.impossible} RTTs are impossible (not above zero, or kernel RTT "
            "above application RTT) and were dropped",
            advice="check whether a clock was set during the run",
        )
    stepped = {why: n for why, n in quality.reasons.items() if why.endswith(fates.STEPPED)}
    if stepped:
        yield Doubt(
            code=Code.CLOCK_STEPPED,
            message=f"a clock was set during the run: {sum(stepped.values())} probes in flight "
            "were dropped",
            advice="slew the clock instead of setting it while a run measures",
            evidence=", ".join(f"{why}: {counted(n, 'probe')}" for why, n in stepped.items()),
        )
    yield from _invalid(quality)
    if quality.rows and quality.late / quality.rows > LATE_LIMIT:
        yield Doubt(
            code=Code.LATE_SENDERS,
            message=f"{_percent(quality.late / quality.rows)} of the probes were sent late, by "
            "more than half the probe interval",
            advice="re-run on an idle machine, or use --spin",
        )
    yield from _stamps(quality)


def _invalid(quality: Quality) -> Iterable[Doubt]:
    """Yields at most two caveats: arms above the limit (the run is flagged), and arms below it."""
    shares = {arm: bad / rows for arm, (rows, bad) in sorted(quality.by_arm.items())}
    reasons = quality.reasons_in_order()
    why = f": {reasons[0]}" if reasons else ""
    kept = quality.invalid_on_path / max(1, quality.invalid)
    which = "these" if kept == 1 else f"{_percent(kept)} of these"
    for code, held in (
        (Code.SAMPLES_INVALID, {a: s for a, s in shares.items() if s > INVALID_LIMIT}),
        (Code.SAMPLES_LEFT_OUT, {a: s for a, s in shares.items() if 0.0 < s <= INVALID_LIMIT}),
    ):
        if held:
            most = max(held.values())
            yield Doubt(
                code=code,
                message=f"up to {_percent(most)} of an arm's samples are invalid{why}; the "
                f"kernel RTT and losses of {which} are kept",
                advice="re-run on an idle machine; see `invalid_reason` in samples/latency",
                evidence=", ".join(f"{arm} {_percent(share)}" for arm, share in held.items())
                + "; all reasons: "
                + ", ".join(f"{reason} ({quality.reasons[reason]})" for reason in reasons),
            )


def _stamps(quality: Quality) -> Iterable[Doubt]:
    other = {s: n for s, n in quality.stamps.items() if s not in {"kernel", "nic"}}
    if other:
        yield Doubt(
            code=Code.STAMP_SOURCE,
            message="not all RTTs have kernel timestamps: "
            + ", ".join(f"{n} by {s}" for s, n in sorted(other.items())),
            advice="compare rtt_kernel_ns only between arms with the same stamp_source",
        )


def of_losses(losses: LossTable) -> Iterable[Doubt]:
    """Yields arms that lost every probe."""
    for arm in sorted({of for of, _ in losses}):
        summary = of_arm(losses, arm)
        if summary is not None and summary.ratio == 1.0:
            yield Doubt(
                code=Code.ARM_SILENT,
                message=f"{arm}: all {summary.sent} probes were lost",
                advice="check the proof and the routes of this mode",
            )


def of_pairs(pairs: Sequence[Pair]) -> Iterable[Doubt]:
    """Yields quantiles with fewer than 10 effective samples beyond them."""
    coarse: dict[str, int] = {}
    for pair in pairs:
        if pair.rtt_kernel_ns is not None:
            for name in pair.rtt_kernel_ns.coarse:
                coarse[name] = coarse.get(name, 0) + 1
    if coarse:
        yield Doubt(
            code=Code.COARSE_QUANTILES,
            message="some pairs' quantiles have fewer than 10 effective samples beyond them",
            advice="treat them as coarse; intervals come from blocks and are not affected",
            evidence=", ".join(
                f"{name}: {counted(n, 'pair')}" for name, n in sorted(coarse.items())
            ),
        )


def of_throughput(
    throughput: pd.DataFrame | None, encapsulation: Sequence[Encapsulation]
) -> Iterable[Doubt]:
    """Yields transfers that failed, were CPU-bound or exceed the ceiling."""
    for one in encapsulation:
        measured, ceiling = one.measured_goodput_share, one.predicted_goodput_share
        beyond = one.share_of == "shaped rate" and measured is not None and ceiling is not None
        if beyond and (measured or 0.0) > (ceiling or 0.0) + CEILING_SLACK:
            yield Doubt(
                code=Code.ABOVE_CEILING,
                message=f"{one.mode}: goodput exceeds the ceiling of its headers at this link rate",
                advice="check the link rate, and offloads behind the shaper",
                evidence=f"{show_ratio(measured or 0.0)} measured, {show_ratio(ceiling or 0.0)} "
                "possible",
            )
    if throughput is None or throughput.empty:
        return
    if "status" in throughput:
        failed = throughput[throughput["status"].fillna("ok") != "ok"]
        for reason, n in failed["reason"].fillna("no reason given").value_counts().items():
            yield Doubt(
                code=Code.TRANSFER_FAILED,
                message=f"{counted(n, 'transfer')} failed",
                evidence=str(reason),
            )
    cpu = throughput[["cpu_local_ratio", "cpu_remote_ratio"]].max(axis=1)
    bound = throughput[(pd.to_numeric(cpu) > CPU_BOUND_RATIO).fillna(value=False)]
    if not bound.empty:
        yield Doubt(
            code=Code.CPU_BOUND,
            message="iperf3 used over 90% of a core: these transfers measure the CPU, not the path",
            advice="treat goodput as a limit of this machine; see cpu_price",
            evidence=", ".join(sorted(bound["arm"].astype(str).unique())),
        )


def of_prices(prices: Sequence[CpuPrice]) -> Iterable[Doubt]:
    """Modes without a CPU price although the ladder was climbed."""
    for reason in dict.fromkeys(p.reason for p in prices if p.value is None and p.reason):
        which = [f"{p.mode} {p.kind}" for p in prices if p.value is None and p.reason == reason]
        yield Doubt(
            code=Code.NO_PRICE,
            message=f"no CPU price: {reason}",
            advice="measure on an idle machine; samples/ladder has each step's reason",
            evidence=", ".join(which),
        )


def of_clocks(host: pd.DataFrame | None) -> Iterable[Doubt]:
    """Yields nodes whose wall clock was set during the run, by its offset to the monotonic."""
    if host is None or host.empty:
        return
    for node, ticks in host.groupby("node"):
        ordered = ticks.dropna(subset=["wall_ns", "mono_ns"]).sort_values("mono_ns")
        wall = ordered["wall_ns"].to_numpy(dtype=np.int64)
        mono = ordered["mono_ns"].to_numpy(dtype=np.int64)
        if len(mono) < _TOGETHER:
            continue
        # Medians: a reader that lost the CPU between two clock reads moves only one tick.
        window = np.lib.stride_tricks.sliding_window_view
        offsets = np.median(window(wall - mono - (wall[0] - mono[0]), _TOGETHER), axis=1)
        middle = mono[_TOGETHER // 2 : len(mono) - _TOGETHER // 2]
        moved = np.diff(offsets)
        steps = moved[np.abs(moved) > CLOCK_SLACK_NS + SLEW_RATIO * np.diff(middle)]
        if len(steps):
            largest = float(steps[np.argmax(np.abs(steps))])
            yield Doubt(
                code=Code.CLOCK_STEPPED,
                message=f"the wall clock of {node} was set {len(steps)} time"
                f"{'s' if len(steps) > 1 else ''} during the run",
                advice="slew the clock instead of setting it while a run measures",
                evidence=f"largest step: {largest / 1e9:+.3g} s",
            )


def of_host(host: pd.DataFrame | None) -> Iterable[Doubt]:
    """Yields host conditions that disturb the measurement."""
    if host is None or host.empty:
        return
    if "cpu_steal_ratio" in host:
        high = (pd.to_numeric(host["cpu_steal_ratio"]) > STEAL_LIMIT).fillna(value=False)
        if bool(high.any()):
            yield Doubt(
                code=Code.HIGH_STEAL,
                message=f"CPU steal was above 5% in {_percent(float(high.mean()))} of the ticks",
                advice="steal affects rtt_app_ns; rtt_kernel_ns hardly",
                evidence=f"at most {_percent(float(host['cpu_steal_ratio'].max()))}",
            )
    counters = (
        (Code.THROTTLED, "cfs_throttled_ns", "the cgroup of the probes was throttled"),
        (Code.SOFTNET_DROPS, "softnet_dropped", "packets were dropped in a CPU's backlog queue"),
        (
            Code.RCVBUF_ERRORS,
            "udp_rcvbuf_errors",
            "datagrams were dropped by full receive buffers",
        ),
    )
    for code, column, message in counters:
        total = float(pd.to_numeric(host[column]).sum()) if column in host else 0.0
        if total > 0:
            yield Doubt(code=code, message=message, evidence=f"{column}: {total:.0f}")
