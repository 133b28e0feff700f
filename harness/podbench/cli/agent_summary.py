"""What `bench agent probe` prints: the JSON document, and the same as text.

`agent` measures and calls this; the fates come from `wire.fates`. Probes that the sender could not
send and requests that the reflector dropped are named, never counted as losses of the network.
"""

from collections.abc import Mapping

import numpy as np

from podbench.analysis.stats.quantiles import quantile
from podbench.model.units import show_ns, show_ratio
from podbench.wire import fates
from podbench.wire.columns import Table
from podbench.wire.copies import Bools
from podbench.wire.messages import LatencySession

Facts = Mapping[str, int | float | str]
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
_COPIES = (
    *("duplicates", "duplicates_forward", "duplicates_backward"),
    *("reordered", "reordered_forward", "reordered_backward"),
)
_DROPS = {"buffer": "receive buffer full", "refused": "refused", "unsent": "reply not sent"}


def document(
    sender: Table, rows: Table, session: LatencySession, facts: Facts
) -> dict[str, object]:
    """The document of `--json`.

    Args:
        sender: The session's sender table.
        rows: What `fates.resolve` made of it.
        session: What was asked for.
        facts: The probe worker's, of this measurement.
    """
    half_ns = 5e8 / session.rate_pps
    late = np.asarray(np.ma.filled(rows["late_ns"], round(half_ns) + 1), dtype=np.int64)
    sources = np.unique(rows["stamp_source"]).tolist()
    unsent = np.ma.getmaskarray(rows["sent_wall_ns"])
    usable = fates.on_path(rows)
    return {
        "sent": int((~unsent).sum()),
        **_fates(sender, rows, unsent),
        "send_late_ratio": float((late > half_ns).mean()),
        **{name: int(np.ma.filled(rows[name], 0).sum(dtype=np.int64)) for name in _COPIES},
        "stamp_source": max(sources, key=("kernel", "sched", "user").index),
        "rtt_kernel_ns": _quantiles(rows, "rtt_kernel_ns", usable),
        "rtt_app_ns": _quantiles(rows, "rtt_app_ns", usable | fates.lacks_stamp(rows)),
        "cpu_us_per_probe": facts.get("cpu_us_per_probe"),
        "invalid": int((~np.asarray(rows["valid"], dtype=bool)).sum()),
        "invalid_reasons": _reasons(rows),
    }


def _fates(sender: Table, rows: Table, unsent: Bools) -> dict[str, object]:
    """Probes by fate. The reflector's own drops come off the losses they can be."""
    status = rows["status"]
    found = {
        name: int(((status == name) & ~unsent).sum())
        for name in ("lost_forward", "lost_backward", "lost_unknown", "late", "corrupted")
    }
    drops = fates.own_drops(sender, None)
    own = 0
    for kind, ways in (
        ("buffer", ("lost_forward", "lost_unknown")),
        ("refused", ("lost_forward", "lost_unknown")),
        ("unsent", ("lost_backward", "lost_unknown")),
    ):
        left = drops[kind]
        for way in ways:
            taken = min(left, found[way])
            found[way] -= taken
            left -= taken
            own += taken
    return {
        "received": int((status == "ok").sum()),
        **found,
        "reflector_dropped": own if fates.tells_drops(sender) else None,
        "reflector_drops": drops if fates.tells_drops(sender) else None,
        "not_sent": int(unsent.sum()),
        "send_errors": _send_errors(sender, unsent),
    }


def _send_errors(sender: Table, unsent: Bools) -> dict[str, int]:
    """How often the kernel refused to send, by the error's name."""
    numbers, counts = np.unique(np.asarray(sender["send_errno"])[unsent], return_counts=True)
    return {
        fates.errno_name(int(number)): int(count)
        for number, count in zip(numbers, counts, strict=True)
    }


def _reasons(rows: Table) -> dict[str, int]:
    reasons, counts = np.unique(np.ma.compressed(rows["invalid_reason"]), return_counts=True)
    return {str(one): int(count) for one, count in zip(reasons, counts, strict=True)}


def _quantiles(rows: Table, name: str, usable: Bools) -> dict[str, float | int | None]:
    values = np.sort(np.ma.compressed(rows[name][usable])).astype(np.float64)
    found = {label: quantile(values, q) for label, q in _QUANTILES.items()}
    return {
        **{label: None if v is None else round(v) for label, v in found.items()},
        "min": int(values[0]) if len(values) else None,
        "max": int(values[-1]) if len(values) else None,
        "n": len(values),
    }


def text(host: str, session: LatencySession, summary: Mapping[str, object]) -> str:
    """The same for people."""
    lines = [
        f"{host} port {session.peer_port}: {summary['sent']} probes at {session.rate_pps:g} pps, "
        f"{session.udp_payload_bytes} octets, {session.schedule}, stamps: {summary['stamp_source']}"
    ]
    fate = ("received", "lost_forward", "lost_backward", "lost_unknown", "late", "corrupted")
    lines.append("  " + ", ".join(f"{name.replace('_', ' ')} {summary[name]}" for name in fate))
    for name, label in (("rtt_kernel_ns", "network"), ("rtt_app_ns", "program")):
        numbers = summary[name]
        assert isinstance(numbers, dict)
        parts = [f"{k} {show_ns(v)}" for k, v in numbers.items() if k != "n" and v is not None]
        lines.append(f"  {label:8}" + "  ".join(parts or ["-"]))
    late, cpu = summary["send_late_ratio"], summary["cpu_us_per_probe"]
    assert isinstance(late, float)
    lines += [
        f"  duplicates {_by_way(summary, 'duplicates')}, reordered {_by_way(summary, 'reordered')}",
        f"  sent late {show_ratio(late)}, sender's CPU {cpu:.1f} µs a probe",
    ]
    return "\n".join(lines + _troubles(summary))


def _by_way(summary: Mapping[str, object], name: str) -> str:
    total = summary[name]
    if not total:
        return str(total)
    there, back = summary[f"{name}_forward"], summary[f"{name}_backward"]
    return f"{total} (requests {there}, replies {back})"


def _troubles(summary: Mapping[str, object]) -> list[str]:
    """What the network did not do, in a line each."""
    found = []
    if summary["not_sent"]:
        errors = summary["send_errors"]
        assert isinstance(errors, dict)
        why = ", ".join(f"{name}: {count}" for name, count in errors.items())
        found.append(f"  {summary['not_sent']} probes could not be sent: {why}")
    if summary["reflector_dropped"]:
        drops = summary["reflector_drops"]
        assert isinstance(drops, dict)
        why = ", ".join(f"{_DROPS[kind]} {count}" for kind, count in drops.items() if count)
        found.append(
            f"  {summary['reflector_dropped']} requests were dropped by the reflector itself "
            f"({why}): not counted as lost"
        )
    if summary["invalid"]:
        reasons = summary["invalid_reasons"]
        assert isinstance(reasons, dict)
        why = "; ".join(f"{reason} {count}" for reason, count in reasons.items())
        found.append(f"  {summary['invalid']} probes are invalid: {why}")
    return found
