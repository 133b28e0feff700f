"""Doubts as data: what to know before believing a figure, each with its code and a way out.

An enum of codes; each finding looks at one thing and returns what it found. Nothing is decided here
that a verdict does not already carry.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np
import pandas as pd

from podbench.analysis.inputs import Inputs
from podbench.analysis.streams import Streams
from podbench.model.facts import Verdict
from podbench.model.summary import AaCheck, ArmSummary, Doubt, Encapsulation, Pair


class Code(StrEnum):
    """What kind of doubt."""

    ONE_MACHINE = "one_machine"
    STAND_IN = "stand_in_implementation"
    FAULTS_INJECTED = "faults_injected"
    ARM_NOT_MEASURED = "arm_not_measured"
    PROOF_NOT_MATCH = "proof_not_match"
    BGP_STALE = "bgp_session_down_routes_stale"
    PROOF_WARNING = "proof_warning"
    AA_FAILED = "aa_failed"
    AA_MISSING = "aa_missing"
    FEW_BLOCKS = "few_blocks"
    BLOCKS_MISSING = "blocks_missing"
    SAMPLES_INVALID = "samples_invalid"
    SAMPLES_LEFT_OUT = "samples_left_out"
    SAMPLES_UNUSABLE = "samples_unusable"
    IMPOSSIBLE_VALUES = "impossible_values"
    LATE_SENDERS = "late_senders"
    STAMP_SOURCE = "stamp_source_not_kernel"
    COARSE_QUANTILES = "coarse_quantiles"
    ABOVE_CEILING = "goodput_above_ceiling"
    TRANSFER_FAILED = "transfer_failed"
    CPU_BOUND = "cpu_bound_transfers"
    HIGH_STEAL = "high_steal"
    THROTTLED = "cpu_throttled"
    SOFTNET_DROPS = "softnet_drops"
    RCVBUF_ERRORS = "receive_buffer_errors"
    FILE_DAMAGED = "file_damaged"


MIN_BLOCKS = 5
"""Below, a t interval is so wide that hardly any difference can be shown."""
INVALID_LIMIT = 0.02
"""More than 2 % of an arm's samples invalid: the run is flagged (exit code 3)."""
STEAL_LIMIT = 0.05
"""A hypervisor that takes 5 % of a second's CPU moves the p99 of anything measured in it."""
CPU_BOUND_RATIO = 0.9
CEILING_SLACK = 0.01
"""One point of the line rate: interval edges and shaper bursts."""
LATE_LIMIT = 0.02


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.2g} %"


def of_setting(inputs: Inputs, arms: Sequence[ArmSummary]) -> Iterable[Doubt]:
    """What the place and the way of measuring imply."""
    if inputs.target == "lab":
        yield Doubt(
            code=Code.ONE_MACHINE,
            message="network namespaces on one machine, not your cluster",
            advice="compare modes here; take absolute figures on the cluster itself",
        )
    for arm in arms:
        if arm.status == "measured" and arm.implementation and "eBPF" in arm.implementation:
            yield Doubt(
                code=Code.STAND_IN,
                message=f"{arm.arm} is carried by {arm.implementation}, not by the kernel's own "
                "device: the bytes on the wire are the same, the CPU cost need not be",
                advice="measure its CPU cost on a kernel that has the device",
                evidence=arm.arm,
            )
    if inputs.faults_injected:
        yield Doubt(
            code=Code.FAULTS_INJECTED,
            message="known faults were injected on request",
            evidence="; ".join(inputs.faults_injected),
        )
    for damage in inputs.damages:
        yield Doubt(
            code=Code.FILE_DAMAGED,
            message=f"{damage.file} could not be read; everything else is shown",
            advice="measure again, or restore the file and run bench report",
            evidence=damage.reason,
        )


def of_arms(arms: Sequence[ArmSummary]) -> Iterable[Doubt]:
    """Pod arms without samples; a repeat or a host path goes without saying."""
    for arm in arms:
        if arm.status == "not measured" and arm.path == "pod" and "#" not in arm.arm:
            yield Doubt(
                code=Code.ARM_NOT_MEASURED,
                message=f"{arm.arm} was not measured",
                advice="bench doctor says what is missing and how to get it",
                evidence=arm.reason,
            )


def of_proofs(inputs: Inputs) -> Iterable[Doubt]:
    """Proofs that are not a match, and what the provers warned of."""
    worst: dict[tuple[str, str], list[int]] = {}
    warned: dict[tuple[str, str], list[int]] = {}
    for held in inputs.proofs:
        proof = held.proof
        if proof.verdict is not Verdict.MATCH:
            said = f"{proof.verdict} ({proof.observed})" if proof.observed else str(proof.verdict)
            worst.setdefault((str(proof.mode), said), []).append(held.block)
        for warning in proof.warnings:
            warned.setdefault((str(proof.mode), warning), []).append(held.block)
    for (mode, said), blocks in worst.items():
        yield Doubt(
            code=Code.PROOF_NOT_MATCH,
            message=f"{mode}: the packets' mode was not proven to be {mode}: {said}",
            advice="do not read this arm's figures as that mode's",
            evidence=f"blocks {', '.join(map(str, sorted(set(blocks))))}",
        )
    for (mode, warning), blocks in warned.items():
        stale = warning.startswith(Code.BGP_STALE)
        yield Doubt(
            code=Code.BGP_STALE if stale else Code.PROOF_WARNING,
            message=f"{mode}: {warning.replace('_', ' ')}",
            advice="look at the BGP sessions: routes outlive them only for the restart time"
            if stale
            else None,
            evidence=f"blocks {', '.join(map(str, sorted(set(blocks))))}",
        )


def of_design(inputs: Inputs, check: AaCheck) -> Iterable[Doubt]:
    """Blocks and the A/A check."""
    plan = inputs.plan
    if plan.blocks_done < plan.blocks_planned:
        yield Doubt(
            code=Code.BLOCKS_MISSING,
            message=f"{plan.blocks_done} of {plan.blocks_planned} planned blocks were measured",
            advice="bench resume goes on after the last whole round",
        )
    if plan.blocks_done < MIN_BLOCKS:
        yield Doubt(
            code=Code.FEW_BLOCKS,
            message=f"{plan.blocks_done} block(s): intervals are wide or cannot be had",
            advice=f"give the run a budget for at least {MIN_BLOCKS} blocks",
        )
    if check.passed is None:
        yield Doubt(
            code=Code.AA_MISSING,
            message="no arm was compared with itself: the noise floor of this run is unknown",
            advice="measure at least two blocks with the A/A repeat",
        )
    elif not check.passed:
        yield Doubt(
            code=Code.AA_FAILED,
            message=f"{check.false_alarms} of {check.comparisons} comparisons of an arm with "
            "itself came out different: the place changes more between visits than chance explains",
            advice="measure more blocks, on a quieter machine",
        )


def of_samples(streams: Streams) -> Iterable[Doubt]:
    """Samples the instrument itself doubts."""
    if streams.unusable:
        yield Doubt(
            code=Code.SAMPLES_UNUSABLE,
            message=f"{streams.unusable} rows name no place or no send time and were left out",
        )
    if streams.impossible:
        yield Doubt(
            code=Code.IMPOSSIBLE_VALUES,
            message=f"{streams.impossible} round trips were not above zero and were left out",
            advice="look for a clock that was set during the run",
        )
    arm_of_row = np.array([key.arm for key in streams.keys], dtype=object)[streams.stream_of_row]
    for arm in streams.arms:
        rows = arm_of_row == arm
        invalid = float(1.0 - streams.valid[rows].mean())
        if invalid > 0.0:
            yield Doubt(
                code=Code.SAMPLES_INVALID if invalid > INVALID_LIMIT else Code.SAMPLES_LEFT_OUT,
                message=f"{arm}: {_percent(invalid)} of the samples are not valid and left out",
                advice="see invalid_reason in samples/latency",
                evidence=f"{int((~streams.valid[rows]).sum())} of {int(rows.sum())}",
            )
    yield from _late(streams)
    yield from _stamps(streams)


def _late(streams: Streams) -> Iterable[Doubt]:
    """Probes sent more than half a gap after they were due (the gap: the stream's median)."""
    if not streams.keys:
        return
    late = 0
    for first, last in zip(streams.starts[:-1], streams.starts[1:], strict=True):
        if last - first > 2:
            gap = float(np.median(np.diff(streams.mono_ns[first:last])))
            late += int((streams.late_ns[first:last] > gap / 2.0).sum())
    share = late / len(streams.mono_ns)
    if share > LATE_LIMIT:
        yield Doubt(
            code=Code.LATE_SENDERS,
            message=f"{_percent(share)} of the probes left more than half a gap late",
            advice="less load on the machine, or --spin",
        )


def _stamps(streams: Streams) -> Iterable[Doubt]:
    sources, counts = np.unique(
        streams.stamp_source[pd.notna(streams.stamp_source)].astype(str), return_counts=True
    )
    other = {s: int(n) for s, n in zip(sources, counts, strict=True) if s not in {"kernel", "nic"}}
    if other:
        yield Doubt(
            code=Code.STAMP_SOURCE,
            message="not all round trips are stamped by the kernel's driver: "
            + ", ".join(f"{n} by {s}" for s, n in sorted(other.items())),
            advice="compare rtt_kernel_ns only between arms with the same source",
        )


def of_pairs(pairs: Sequence[Pair]) -> Iterable[Doubt]:
    """Quantiles whose tails hold fewer than 10 effective samples."""
    coarse: dict[str, int] = {}
    for pair in pairs:
        if pair.rtt_kernel_ns is not None:
            for name in pair.rtt_kernel_ns.coarse:
                coarse[name] = coarse.get(name, 0) + 1
    if coarse:
        yield Doubt(
            code=Code.COARSE_QUANTILES,
            message="some pairs' quantiles rest on fewer than 10 effective samples beyond them",
            advice="read them as coarse; intervals come from blocks and are not affected",
            evidence=", ".join(f"{name}: {n} pairs" for name, n in sorted(coarse.items())),
        )


def of_throughput(
    throughput: pd.DataFrame | None, encapsulation: Sequence[Encapsulation]
) -> Iterable[Doubt]:
    """Transfers that failed, were CPU-bound, or beat arithmetic."""
    for one in encapsulation:
        measured, ceiling = one.measured_goodput_share, one.predicted_goodput_share
        beyond = one.share_of == "shaped rate" and measured is not None and ceiling is not None
        if beyond and (measured or 0.0) > (ceiling or 0.0) + CEILING_SLACK:
            yield Doubt(
                code=Code.ABOVE_CEILING,
                message=f"{one.mode}: goodput is above what its headers allow at this link rate",
                advice="a wrong assumption about the link, or offloads behind the shaper",
                evidence=f"{measured:.2%} measured, {ceiling:.2%} possible",
            )
    if throughput is None or throughput.empty:
        return
    if "status" in throughput:
        failed = throughput[throughput["status"].fillna("ok") != "ok"]
        for reason, n in failed["reason"].fillna("no reason given").value_counts().items():
            yield Doubt(
                code=Code.TRANSFER_FAILED, message=f"{n} transfers failed", evidence=str(reason)
            )
    cpu = throughput[["cpu_local_ratio", "cpu_remote_ratio"]].max(axis=1)
    bound = throughput[(pd.to_numeric(cpu) > CPU_BOUND_RATIO).fillna(value=False)]
    if not bound.empty:
        yield Doubt(
            code=Code.CPU_BOUND,
            message="iperf3 used over 90 % of a core: these transfers measure a CPU, not a path",
            advice="read goodput as this machine's, and look at cpu_price",
            evidence=", ".join(sorted(bound["arm"].astype(str).unique())),
        )


def of_host(host: pd.DataFrame | None) -> Iterable[Doubt]:
    """What the machine did to the measurement."""
    if host is None or host.empty:
        return
    if "cpu_steal_ratio" in host:
        high = (pd.to_numeric(host["cpu_steal_ratio"]) > STEAL_LIMIT).fillna(value=False)
        if bool(high.any()):
            yield Doubt(
                code=Code.HIGH_STEAL,
                message="the hypervisor took more than 5 % of the CPU in "
                f"{_percent(float(high.mean()))} of the ticks",
                advice="rtt_app_ns feels this; rtt_kernel_ns hardly",
                evidence=f"at most {float(host['cpu_steal_ratio'].max()):.0%}",
            )
    counters = (
        (Code.THROTTLED, "cfs_throttled_ns", "the probes' control group was throttled"),
        (Code.SOFTNET_DROPS, "softnet_dropped", "packets were dropped at a CPU's backlog"),
        (
            Code.RCVBUF_ERRORS,
            "udp_rcvbuf_errors",
            "datagrams were dropped at a full receive buffer",
        ),
    )
    for code, column, message in counters:
        total = float(pd.to_numeric(host[column]).sum()) if column in host else 0.0
        if total > 0:
            yield Doubt(code=code, message=message, evidence=f"{column}: {total:.0f}")
