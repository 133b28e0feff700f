"""The run as it went: visits, seconds of host and probe side by side, and loss episodes in time.

Descriptive: nothing here enters a verdict. A second's p99 (`seconds`) is drawn from 100 probes on
(one sample beyond it), where a reported p99 needs 1,000; it is a picture to see coincidences in.
Time zero is the first visit's start.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from podbench.analysis.bundle import LossEpisode, TimePoint, Visit
from podbench.analysis.samples.inputs import VisitSpan
from podbench.analysis.samples.pieces import Gap
from podbench.analysis.samples.seconds import MACHINE, Tails, p99
from podbench.analysis.samples.streams import FloatArray


def zero_mono_ns(
    spans: Sequence[VisitSpan], first_probe: Callable[[], int | None], host: pd.DataFrame | None
) -> int:
    """The run's time zero: first visit, else first probe, else first host tick, else 0."""
    if spans:
        return min(span.start_mono_ns for span in spans)
    probe = first_probe()
    if probe is not None:
        return probe
    known = pd.Series(dtype="int64") if host is None else host["mono_ns"].dropna()
    return 0 if known.empty else int(known.min())


def visits(spans: Sequence[VisitSpan], zero_ns: int) -> tuple[Visit, ...]:
    """Visits in time order, in seconds."""
    return tuple(
        Visit(
            block=span.block,
            arm=span.arm,
            start_s=(span.start_mono_ns - zero_ns) / 1e9,
            end_s=(span.end_mono_ns - zero_ns) / 1e9,
        )
        for span in sorted(spans, key=lambda span: span.start_mono_ns)
    )


def orders(spans: Sequence[VisitSpan]) -> dict[tuple[int, str], int]:
    """Place of (block, arm) in its block, from 1."""
    found: dict[tuple[int, str], int] = {}
    for block in {span.block for span in spans}:
        held = sorted((s for s in spans if s.block == block), key=lambda s: s.start_mono_ns)
        found |= {(block, span.arm): place for place, span in enumerate(held, start=1)}
    return found


def _probes(tails: Tails) -> dict[str, dict[int, tuple[float | None, ...]]]:
    """By initiating node (and `machine` for all): second -> (kernel p99, app p99)."""
    kernel, app = (p99(tails.get(name, {})) for name in ("kernel", "app"))
    found: dict[str, dict[int, tuple[float | None, ...]]] = {}
    for node in sorted(kernel.keys() | app.keys()):
        held = kernel.get(node, {}), app.get(node, {})
        found[node] = {s: (held[0].get(s), held[1].get(s)) for s in held[0].keys() | held[1].keys()}
    return found


def _busy(host: pd.DataFrame, part: str) -> FloatArray:
    column = f"cpu_{part}_ratio"
    if column not in host:
        return np.full(len(host), np.nan)
    return pd.to_numeric(host[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)


def busy_ratio(host: pd.DataFrame) -> FloatArray:
    """(ticks,) share of CPU time in user, system, irq and softirq: not stolen, not waiting."""
    parts = np.stack([_busy(host, name) for name in ("user", "system", "irq", "softirq")])
    missing = np.isnan(parts).all(axis=0)
    return np.where(missing, np.nan, np.nansum(parts, axis=0))


def _host(host: pd.DataFrame | None, zero_ns: int) -> dict[str, dict[int, tuple[float, ...]]]:
    """By node: second -> means of busy, steal, softirq."""
    if host is not None:
        host = host[host["mono_ns"].notna()]  # a tick of unknown time has no second
    if host is None or host.empty:
        return {}
    table = pd.DataFrame(
        {
            "node": host["node"].astype(str),
            "second": (host["mono_ns"].astype("int64") - zero_ns) // 1_000_000_000,
            "busy": busy_ratio(host),
            "steal": _busy(host, "steal"),
            "softirq": _busy(host, "softirq"),
        }
    )
    found: dict[str, dict[int, tuple[float, ...]]] = {}
    means = table.groupby(["node", "second"], sort=True).mean()
    for (node, second), row in zip(means.index, means.to_numpy(dtype=np.float64), strict=True):
        found.setdefault(str(node), {})[int(second)] = tuple(row)
    return found


def _or_none(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def points(tails: Tails, host: pd.DataFrame | None, zero_ns: int) -> tuple[TimePoint, ...]:
    """One point per node and second in which host or probes said something."""
    ticks, probes = _host(host, zero_ns), _probes(tails)
    nodes = sorted(ticks) or sorted(set(probes) - {MACHINE})
    found = []
    for node in nodes:
        seen, felt = ticks.get(node, {}), probes.get(node, {})
        for second in sorted(seen.keys() | felt.keys()):
            busy, steal, softirq = seen.get(second, (None, None, None))
            kernel, app = felt.get(second, (None, None))
            found.append(
                TimePoint(
                    time_s=float(second),
                    node=node,
                    cpu_busy_ratio=_or_none(busy),
                    cpu_steal_ratio=_or_none(steal),
                    cpu_softirq_ratio=_or_none(softirq),
                    rtt_kernel_p99_ns=kernel,
                    rtt_app_p99_ns=app,
                )
            )
    return tuple(found)


def loss_episodes(gaps: Sequence[Gap], zero_ns: int) -> tuple[LossEpisode, ...]:
    """Episodes in time order; of those that start together the longer first."""
    return tuple(
        LossEpisode(
            arm=gap.key.arm,
            src=gap.key.src,
            dst=gap.key.dst,
            block=gap.key.block,
            time_s=float(gap.mono_ns - zero_ns) / 1e9,
            length=gap.length,
            direction=gap.direction,
        )
        for gap in sorted(gaps, key=lambda gap: (gap.mono_ns, -gap.length))
    )
