"""The run as it went: visits, seconds of host and probe side by side, and loss episodes in time.

Descriptive: nothing here enters a verdict. A second's p99 is drawn from 100 probes on (one sample
beyond it), where a reported p99 needs 1,000; it is a picture to see coincidences in, not a figure.
Time zero is the first visit's start.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from podbench.analysis import loss, quantiles
from podbench.analysis.bundle import LossEpisode, TimePoint, Visit
from podbench.analysis.inputs import VisitSpan
from podbench.analysis.series import WARM
from podbench.analysis.streams import FloatArray, Streams

MACHINE = "machine"
"""The host series of a lab, where all nodes share one machine."""
_DRAWN_FROM = 100
_MAX_EPISODES = 2_000
"""More cannot be read on a page; the longest are kept. Counts in the summary are complete."""

IntArray = npt.NDArray[np.int64]


def zero_mono_ns(spans: Sequence[VisitSpan], streams: Streams, host: pd.DataFrame | None) -> int:
    """The run's time zero: first visit, else first probe, else first host tick, else 0."""
    if spans:
        return min(span.start_mono_ns for span in spans)
    if len(streams.mono_ns):
        return int(streams.mono_ns.min())
    if host is not None and not host.empty:
        return int(host["mono_ns"].min())
    return 0


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


def _per_second_p99(second: IntArray, values: FloatArray) -> dict[int, float]:
    keep = np.isfinite(values)
    second, values = second[keep], values[keep]
    if len(second) == 0:
        return {}
    order = np.lexsort((values, second))
    second, values = second[order], values[order]
    names, first = np.unique(second, return_index=True)
    ends = np.append(first[1:], len(second))
    return {
        int(name): quantiles.harrell_davis(values[start:end], 0.99)
        for name, start, end in zip(names, first, ends, strict=True)
        if end - start >= _DRAWN_FROM
    }


def _probes(streams: Streams, zero_ns: int) -> dict[str, dict[int, tuple[float | None, ...]]]:
    """By initiating node (and `machine` for all): second -> (kernel p99, app p99)."""
    if not streams.keys:
        return {}
    owner = streams.stream_of_row
    warm = np.array([key.phase == WARM for key in streams.keys], dtype=np.bool_)[owner]
    nodes = sorted({key.src for key in streams.keys})
    of_stream = np.array([nodes.index(key.src) for key in streams.keys])[owner]
    second = (streams.mono_ns - zero_ns) // 1_000_000_000
    found: dict[str, dict[int, tuple[float | None, ...]]] = {}
    for number, node in [(None, MACHINE), *enumerate(nodes)]:
        rows = warm if number is None else warm & (of_stream == number)
        kernel = _per_second_p99(second[rows], streams.kernel_ns[rows])
        app = _per_second_p99(second[rows], streams.app_ns[rows])
        found[node] = {s: (kernel.get(s), app.get(s)) for s in kernel.keys() | app.keys()}
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


def points(streams: Streams, host: pd.DataFrame | None, zero_ns: int) -> tuple[TimePoint, ...]:
    """One point per node and second in which host or probes said something."""
    ticks, probes = _host(host, zero_ns), _probes(streams, zero_ns)
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


def loss_episodes(streams: Streams, zero_ns: int) -> tuple[LossEpisode, ...]:
    """Episodes in time order; of more than 2,000 the longest."""
    found = loss.episodes(streams)
    kept = sorted(found, key=lambda episode: -episode.length)[:_MAX_EPISODES]
    return tuple(
        LossEpisode(
            arm=streams.keys[one.stream].arm,
            src=streams.keys[one.stream].src,
            dst=streams.keys[one.stream].dst,
            block=streams.keys[one.stream].block,
            time_s=float(streams.mono_ns[one.start] - zero_ns) / 1e9,
            length=one.length,
            direction=one.direction,
        )
        for one in sorted(kept, key=lambda episode: int(streams.mono_ns[episode.start]))
    )
