"""Comparability of two runs: which results agree, are flagged or are refused.

Results with different Type-P (RFC 2330: probe type, size, rate, timestamps) are never compared;
neither are transfers of different iperf3 versions. Differences that may be the subject of the
comparison (CNI, kernel, place) are only shown. Facts come from summary.json; the measured rate and
the timestamps come from the samples, if present.
"""

import re
from collections.abc import Callable, Iterator

import msgspec

from podbench.analysis.figures import cap
from podbench.analysis.samples.type_p import Seen
from podbench.model.summary import ArmSummary, Summary
from podbench.model.units import show_bps


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One run in a comparison."""

    label: str
    summary: Summary
    seen: Seen = Seen()

    @property
    def arms(self) -> dict[str, ArmSummary]:
        """Arms by name."""
        return {arm.arm: arm for arm in self.summary.arms}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between two runs, and its effect.

    `values`: each run's label and value. `series`: prefixes of the affected metrics, empty: all.
    `arm`: the affected arm, null: all.
    """

    refused: bool
    what: str
    values: tuple[tuple[str, str], ...] = ()
    series: tuple[str, ...] = ()
    arm: str | None = None

    def touches(self, arm: str, metric: str) -> bool:
        """Reports whether it affects this metric of this arm."""
        if self.arm is not None and self.arm != arm:
            return False
        return not self.series or metric.startswith(self.series)

    @property
    def message(self) -> str:
        """Message with the values of both runs."""
        said = ", ".join(f"{label}: {value}" for label, value in self.values)
        return f"{self.what} ({said})" if said else self.what


LATENCY = ("rtt_", "pdv_", "ipdv_", "rfc3550_", "loss")
KERNEL = ("rtt_kernel_ns", "rtt_idle_ns", "rtt_loaded_ns", "pdv_", "ipdv_", "rfc3550_")
TRANSFERS = ("goodput_bps", "small_packets_pps", "retransmit_ratio", "rtt_loaded_ns")
RATES = ("goodput_bps", "small_packets_pps")
_PHASES = {
    "warm": ("rtt_kernel_ns", "rtt_app_ns", "pdv_", "ipdv_", "rfc3550_", "loss"),
    "idle": ("rtt_idle_ns",),
    "loaded": ("rtt_loaded_ns",),
}
_RATE_TOLERANCE = 0.05
"""Tolerates small variation of the measured rate."""
_TYPE_P = {
    "udp_payload_bytes": "size",
    "schedule": "schedule",
    "spin": "busy-waiting before a send (--spin)",
    "dscp": "DSCP",
}
"""Probe settings that run.json may record, by the names of `wire.messages.LatencySession`. A run
without them used the fixed settings of its podbench version."""
_FAULTS = ("rate_bps", "losses", "cpu_noise", "equal_mtu", "underlay_mtu")


def between(a: Side, b: Side) -> tuple[Finding, ...]:
    """Returns all differences between two runs that affect comparability, refusals first."""
    found = [finding for rule in _RULES for finding in rule(a, b)]
    return tuple(sorted(found, key=lambda finding: not finding.refused))


def refusal(findings: tuple[Finding, ...], arm: str, metric: str) -> str | None:
    """Returns the reason not to compare one metric of one arm; null if it is comparable."""
    for finding in findings:
        if finding.refused and finding.touches(arm, metric):
            return finding.message
    return None


def flags(findings: tuple[Finding, ...], arm: str, metric: str) -> tuple[str, ...]:
    """Returns the caveats on one metric of one arm."""
    return tuple(f.message for f in findings if not f.refused and f.touches(arm, metric))


def _both(a: Side, b: Side, one: object, other: object) -> tuple[tuple[str, str], ...]:
    """Returns each run's label and value."""
    said = ("unknown" if value is None else str(value) for value in (one, other))
    return tuple(zip((a.label, b.label), said, strict=True))


def _place(a: Side, b: Side) -> Iterator[Finding]:
    one, other = a.summary.target, b.summary.target
    if one != other:
        yield Finding(
            refused=True,
            what="a lab (network namespaces on one machine) is not comparable with a cluster",
            values=_both(a, b, one, other),
        )


def _void(a: Side, b: Side) -> Iterator[Finding]:
    for side in (a, b):
        if side.summary.status == "invalid":
            yield Finding(
                refused=True,
                what="the A/A check failed: the run is invalid",
                values=((side.label, "invalid"),),
            )
        elif side.summary.status == "partial":
            yield Finding(
                refused=False,
                what="the run is partial",
                values=((side.label, "partial"),),
            )


def _probe_rate(a: Side, b: Side) -> Iterator[Finding]:
    for phase, series in _PHASES.items():
        one, other = a.seen.rate_pps.get(phase), b.seen.rate_pps.get(phase)
        if one and other and abs(one / other - 1.0) > _RATE_TOLERANCE:
            yield Finding(
                refused=True,
                series=series,
                what=f"the rates of the {phase} probes differ",
                values=_both(a, b, f"{one:.4g} per second", f"{other:.4g} per second"),
            )


def _stamps(a: Side, b: Side) -> Iterator[Finding]:
    one, other = (side.seen.stamps[0] if side.seen.stamps else None for side in (a, b))
    if one is not None and other is not None and one != other:
        yield Finding(
            refused=True,
            series=KERNEL,
            what="timestamps were taken at different points",
            values=_both(a, b, one, other),
        )


def _settings(a: Side, b: Side) -> Iterator[Finding]:
    for name, what in _TYPE_P.items():
        one, other = a.summary.spec.get(name), b.summary.spec.get(name)
        if one is not None and other is not None and one != other:
            yield Finding(
                refused=True,
                series=LATENCY,
                what=f"the probes differ in {what}",
                values=_both(a, b, one, other),
            )


def _udp_size(a: Side, b: Side) -> Iterator[Finding]:
    one, other = a.seen.udp_bytes, b.seen.udp_bytes
    if one and other and one != other:
        yield Finding(
            refused=False,
            series=("goodput_bps.udp", "small_packets_pps"),
            what="UDP payload sizes differ (octets)",
            values=_both(a, b, _listed(one), _listed(other)),
        )


def _listed(sizes: tuple[int, ...]) -> str:
    return " and ".join(str(size) for size in sizes)


def iperf3_version(side: Side) -> str | None:
    """Returns the bare version number; the program also prints its JSON library."""
    stated = side.summary.versions.get("iperf3")
    found = _VERSION.search(stated) if stated else None
    return found.group() if found else stated


_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+\S*")


def _versions(a: Side, b: Side) -> Iterator[Finding]:
    one, other = iperf3_version(a), iperf3_version(b)
    if one != other:
        yield Finding(
            refused=True,
            series=TRANSFERS,
            what="iperf3 versions differ in pacing and threads",
            values=_both(a, b, one, other),
        )
    one, other = (side.summary.versions.get("podbench") for side in (a, b))
    if one != other:
        yield Finding(
            refused=False,
            what="podbench versions differ; their probes may differ in ways that run.json does not "
            "record",
            values=_both(a, b, one, other),
        )


def _caps(a: Side, b: Side) -> Iterator[Finding]:
    one, other = (cap.of(side.summary) for side in (a, b))
    if one != other:
        said = ("none" if most is None else show_bps(most) for most in (one, other))
        yield Finding(
            refused=True,
            series=TRANSFERS,
            what="the bandwidth caps of the runs differ",
            values=_both(a, b, *said),
        )


def _cnis(a: Side, b: Side) -> Iterator[Finding]:
    one, other = a.summary.cni.name, b.summary.cni.name
    if one != other:
        yield Finding(
            refused=False,
            series=KERNEL,
            what="CNIs take kernel timestamps at different points: use rtt_app_ns",
            values=_both(a, b, one, other),
        )


def _method(a: Side, b: Side) -> Iterator[Finding]:
    if a.summary.method != b.summary.method:
        yield Finding(
            refused=False,
            what="the modes were set up differently",
            values=_both(a, b, a.summary.method, b.summary.method),
        )


def _faults(a: Side, b: Side) -> Iterator[Finding]:
    labs = [side.summary.spec.get("lab") for side in (a, b)]
    one, other = (lab if isinstance(lab, dict) else {} for lab in labs)
    for name in _FAULTS:
        if one.get(name) != other.get(name):
            yield Finding(
                refused=False,
                what=f"the labs differ in {name}",
                values=_both(a, b, one.get(name), other.get(name)),
            )


def _arms(a: Side, b: Side) -> Iterator[Finding]:
    for name in sorted(a.arms.keys() & b.arms.keys()):
        yield from _arm(a, b, name)


def _arm(a: Side, b: Side, name: str) -> Iterator[Finding]:
    one, other = a.arms[name], b.arms[name]
    for side, arm in ((a, one), (b, other)):
        proof = arm.proof
        if proof is not None and proof.verdict in {"fell back", "mixed", "unreachable"}:
            seen = f" to {proof.observed}" if proof.observed else ""
            yield Finding(
                refused=True,
                arm=name,
                what=f"{name} did not use its mode",
                values=((side.label, f"{proof.verdict}{seen}"),),
            )
    if one.pod_mtu != other.pod_mtu:
        yield Finding(
            refused=False,
            arm=name,
            series=RATES,
            what=f"MTUs of {name} differ; goodput rises with the MTU",
            values=_both(a, b, one.pod_mtu, other.pod_mtu),
        )
    if one.implementation != other.implementation:
        yield Finding(
            refused=False,
            arm=name,
            what=f"the implementations of {name} differ",
            values=_both(a, b, one.implementation, other.implementation),
        )


_RULES: tuple[Callable[[Side, Side], Iterator[Finding]], ...] = (
    _place,
    _void,
    _probe_rate,
    _stamps,
    _settings,
    _udp_size,
    _versions,
    _caps,
    _cnis,
    _method,
    _faults,
    _arms,
)
