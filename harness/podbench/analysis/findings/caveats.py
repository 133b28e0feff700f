"""Caveats as data: each has a code, a message, advice and evidence.

This module covers target, arms, proofs and design; `data_caveats` covers the sample tables,
`end_caveats` the counters of both ends. Caveats never change a verdict.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from podbench.analysis.samples.inputs import Inputs
from podbench.model.arms import is_stand_in
from podbench.model.summary import AaCheck, ArmSummary, Doubt
from podbench.model.units import counted


class Code(StrEnum):
    """Kind of caveat."""

    ONE_MACHINE = "one_machine"
    CONFOUNDED = "cluster_state_confounded"
    MODE_LOST = "mode_lost"
    STAND_IN = "stand_in_implementation"
    FAULTS_INJECTED = "faults_injected"
    ARM_NOT_MEASURED = "arm_not_measured"
    ARM_SILENT = "arm_lost_everything"
    PROOF_NOT_MATCH = "proof_not_match"
    BGP_STALE = "bgp_session_down_routes_stale"
    PROOF_WARNING = "proof_warning"
    AA_FAILED = "aa_failed"
    AA_MISSING = "aa_missing"
    CONTROL_FAILED = "control_failed"
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
    KIND_NOT_MEASURED = "kind_not_measured"
    NOT_TAKEN = "measurement_not_taken"
    REFUSED = "messages_refused"
    CPU_BOUND = "cpu_bound_transfers"
    NO_PRICE = "no_cpu_price"
    HIGH_STEAL = "high_steal"
    THROTTLED = "cpu_throttled"
    SOFTNET_DROPS = "softnet_drops"
    RCVBUF_ERRORS = "receive_buffer_errors"
    CHECKSUM_ERRORS = "checksum_errors"
    SOCKET_DROPS = "socket_buffer_drops"
    NOT_ANSWERED = "requests_not_answered"
    NOT_SENT = "probes_not_sent"
    FILE_DAMAGED = "file_damaged"
    CLOCK_STEPPED = "clock_stepped"
    MORE_BLOCKS = "more_blocks_needed"
    CAPPED = "throughput_capped"


SHOWN_PLACES = 6
MIN_BLOCKS = 5
"""With fewer blocks, a t interval is too wide to show most differences."""


def of_setting(inputs: Inputs, arms: Sequence[ArmSummary]) -> Iterable[Doubt]:
    """Yields caveats about the target and the method."""
    if inputs.target == "lab":
        yield Doubt(
            code=Code.ONE_MACHINE,
            message="network namespaces on one machine, not your cluster",
            advice="compare modes here; measure absolute numbers on the cluster",
        )
    if inputs.target == "kubernetes" and inputs.method == "switch":
        yield _confounded(inputs.cni.name)
    for arm in arms:
        if (
            is_stand_in(arm.implementation)
            and arm.status == "measured"
            and arm.path == "pod"
            and "#" not in arm.arm
        ):
            yield Doubt(
                code=Code.STAND_IN,
                message=f"{arm.arm} uses {arm.implementation} instead of the kernel's device: the "
                "bytes on the wire are the same, the CPU cost may differ",
                advice="measure the CPU cost on a kernel that has the device",
                evidence=arm.arm,
            )
    if inputs.faults_injected:
        yield Doubt(
            code=Code.FAULTS_INJECTED,
            message="known faults were injected (as requested)",
            evidence="; ".join(inputs.faults_injected),
        )
    if inputs.refused:
        yield Doubt(
            code=Code.REFUSED,
            message="messages were dropped that agents of this run do not send: "
            f"{counted(len(inputs.refused), 'agent')} sent some",
            advice="find out who else uses their passwords; what was measured is not touched by it",
            evidence="; ".join(inputs.refused[:SHOWN_PLACES]),
        )
    for damage in inputs.damages:
        yield Doubt(
            code=Code.FILE_DAMAGED,
            message=f"{damage.file} could not be read; the report shows everything else",
            advice="measure again, or restore the file and run bench report",
            evidence=damage.reason,
        )


def _confounded(cni: str) -> Doubt:
    unsupported = "; Flannel does not support changing its backend at runtime"
    return Doubt(
        code=Code.CONFOUNDED,
        message="modes were switched by reprogramming every node: a difference may come from the "
        "mode or from the cluster's state after the change"
        + (unsupported if cni == "flannel" else ""),
        advice="trust only differences well above the A/A noise floor, which includes such "
        "changes; or use --method pools if the CNI supports it",
    )


def of_lost(inputs: Inputs, arms: Sequence[ArmSummary]) -> Iterable[Doubt]:
    """Yields modes that became unavailable during the run."""
    why = {each.arm: each.reason for each in inputs.arms}
    for arm in arms:
        reason = why.get(arm.arm)
        if reason and arm.status == "measured" and arm.path == "pod" and "#" not in arm.arm:
            yield Doubt(
                code=Code.MODE_LOST,
                message=f"{arm.arm} was measured in the first blocks only",
                advice="check the CNI's pods; only its own blocks are compared",
                evidence=reason,
            )


def of_arms(arms: Sequence[ArmSummary]) -> Iterable[Doubt]:
    """Yields pod arms without samples; their repeats and host paths are implied."""
    for arm in arms:
        if arm.status == "not measured" and arm.path == "pod" and "#" not in arm.arm:
            yield Doubt(
                code=Code.ARM_NOT_MEASURED,
                message=f"{arm.arm} was not measured",
                advice="bench doctor shows what is missing and how to fix it",
                evidence=arm.reason,
            )


def of_unmeasured(inputs: Inputs) -> Iterable[Doubt]:
    """Yields planned measurements that failed: one caveat for each arm, kind and reason."""
    for lack in inputs.lacking:
        yield Doubt(
            code=Code.KIND_NOT_MEASURED,
            message=f"no {lack.kind} was measured: {lack.reason}",
            advice="bench resume measures these rounds again, once the reason is gone",
            evidence=f"{lack.tried} tried, none came back",
        )
    groups: dict[tuple[str, str, str], list[str]] = {}
    for one in inputs.unmeasured:
        where = f"block {one.block} {one.src} > {one.dst}"
        groups.setdefault((one.arm, one.kind, one.reason), []).append(where)
    for (arm, kind, reason), places in groups.items():
        yield Doubt(
            code=Code.NOT_TAKEN,
            message=f"{arm}: {kind} was not measured {_times(len(places))}: {reason}",
            advice="these pairs have fewer samples in these blocks; the rest is unaffected",
            evidence="; ".join(places[:SHOWN_PLACES])
            + ("; ..." if len(places) > SHOWN_PLACES else ""),
        )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def of_design(inputs: Inputs, check: AaCheck) -> Iterable[Doubt]:
    """Yields caveats about blocks and the A/A check."""
    plan = inputs.plan
    if plan.blocks_done < plan.blocks_planned:
        yield Doubt(
            code=Code.BLOCKS_MISSING,
            message=f"{plan.blocks_done} of {plan.blocks_planned} planned blocks were measured",
            advice="bench resume continues after the last complete round",
        )
    if plan.blocks_done < MIN_BLOCKS:
        yield Doubt(
            code=Code.FEW_BLOCKS,
            message=f"{counted(plan.blocks_done, 'block')}: intervals are wide or missing",
            advice=f"use a budget for at least {MIN_BLOCKS} blocks",
        )
    if check.passed is None:
        yield Doubt(
            code=Code.AA_MISSING,
            message="no A/A comparison: the noise floor of this run is unknown",
            advice="measure at least two blocks with the A/A repeat",
        )
    elif not check.passed:
        yield Doubt(
            code=Code.AA_FAILED,
            message=f"{check.false_alarms} of {check.comparisons} A/A comparisons are different: "
            "conditions change between visits by more than chance explains",
            advice="measure more blocks on a quieter machine",
        )
