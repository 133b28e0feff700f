"""What traffic costs in CPU: cores per Gbit/s and per million packets a second, by mode.

Cost of a transfer = (CPUs busy while it ran - CPUs busy in the idle regime of the same block) /
rate. Busy = user + system + irq + softirq, times the CPUs online; stolen and waiting time is not
ours. On a cluster the sender's and the receiver's node are added; a lab has one series, `machine`.
When a transfer ran is known from the probes beside it (phase `loaded`): ticks that lie whole
between its warm-up's end and its last probe count, on the wall clock both share. A price is the
mean over transfers of one TCP stream; packets are those of the small-packet test, or where that was
not run, TCP segments of the maximum size (`Prices.by_segments` says so). What cannot be had is
null.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from podbench.analysis.figures.timeline import busy_ratio
from podbench.analysis.samples.cpu_windows import Place, Window, Windows
from podbench.analysis.samples.seconds import MACHINE
from podbench.analysis.samples.transfers import SMALL_PACKETS, TCP, Transfer
from podbench.model.arms import Path, parse_arm
from podbench.model.summary import CpuPrice

FloatArray = npt.NDArray[np.float64]


class Ticks(msgspec.Struct, frozen=True, eq=False):
    """One node's counters: each tick covers `start_ns` to `end_ns`; `cores` CPUs were busy."""

    start_ns: FloatArray
    end_ns: FloatArray
    cores: FloatArray
    busiest: FloatArray

    def within(self, window: Window) -> npt.NDArray[np.bool_]:
        """Ticks that lie whole in a window."""
        inside: npt.NDArray[np.bool_] = (self.start_ns >= window[0]) & (self.end_ns <= window[1])
        return inside & np.isfinite(self.cores)


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """The prices, and whether packets had to be TCP segments.

    `drowned`: modes whose transfers kept the CPUs no busier than idle, so that there is no price.
    """

    prices: tuple[CpuPrice, ...]
    by_segments: bool
    drowned: tuple[str, ...] = ()


def _numbers(host: pd.DataFrame, column: str) -> FloatArray:
    if column not in host:
        return np.full(len(host), np.nan)
    numbers = pd.to_numeric(host[column], errors="coerce")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def ticks_by_node(host: pd.DataFrame | None) -> dict[str, Ticks]:
    """Counters by node, ticks without a length or a number of CPUs left out."""
    if host is None or host.empty:
        return {}
    end, length = _numbers(host, "wall_ns"), _numbers(host, "interval_ns")
    cores = busy_ratio(host) * _numbers(host, "cores")
    busiest, node = _numbers(host, "cpu_busiest_ratio"), host["node"].astype(str).to_numpy()
    known = np.isfinite(end) & np.isfinite(length)
    found = {}
    for name in np.unique(node[known]):
        rows = known & (node == name)
        found[str(name)] = Ticks(end[rows] - length[rows], end[rows], cores[rows], busiest[rows])
    return found


def _timed(
    done: Sequence[Transfer], busy: Mapping[Place, list[Window]]
) -> list[tuple[Transfer, Window]]:
    """Transfers with their windows; where numbers do not match, which is which is not known."""
    by_place: dict[Place, list[Transfer]] = {}
    for one in done:
        by_place.setdefault((one.arm, one.block, one.round, one.src, one.dst), []).append(one)
    return [
        timed
        for place, held in by_place.items()
        if len(held) == len(busy.get(place, ()))
        for timed in zip(held, busy[place], strict=True)
    ]


def _cost(
    one: Transfer, window: Window, idle: Sequence[Window], ticks: Mapping[str, Ticks]
) -> tuple[float, float] | None:
    """(cores above idle, busiest CPU's busy share) of one transfer."""
    nodes = [MACHINE] if MACHINE in ticks else sorted({one.src, one.dst})
    above, busiest = 0.0, 0.0
    for node in nodes:
        if node not in ticks:
            return None
        series = ticks[node]
        ran = series.within(window)
        rest = np.logical_or.reduce([series.within(span) for span in idle] or [ran & False])
        if not ran.any() or not rest.any():
            return None
        above += float(series.cores[ran].mean() - series.cores[rest].mean())
        busiest = max(busiest, float(np.nan_to_num(series.busiest[ran]).mean()))
    return above, busiest


class _Paid(msgspec.Struct, frozen=True, kw_only=True):
    mode: str
    kind: str
    per_gbps: float
    per_mpps: float | None
    busiest: float


def _paid(one: Transfer, cost: tuple[float, float]) -> _Paid:
    packets = one.bits_per_second / (8.0 * one.packet_bytes) if one.packet_bytes > 0 else None
    return _Paid(
        mode=str(parse_arm(one.arm).mode),
        kind=one.kind,
        per_gbps=cost[0] / (one.bits_per_second / 1e9),
        per_mpps=None if packets is None else cost[0] / (packets / 1e6),
        busiest=cost[1],
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _price(values: Sequence[float | None]) -> float | None:
    """Their mean; null where it is no price at all, because something else kept the CPUs busier."""
    mean = _mean(values)
    return mean if mean is not None and mean > 0.0 else None


def prices(
    done: Sequence[Transfer], when: Windows, host: pd.DataFrame | None, modes: Sequence[str]
) -> Prices:
    """One price per mode; all null where host counters or transfers are missing.

    Args:
        done: all transfers; pod paths count, A/A repeats with their mode.
        when: transfers ran, and did not.
        host: counters.
        modes: modes to price, in order.
    """
    ticks = ticks_by_node(host)
    paid: list[_Paid] = []
    for one, window in _timed(done, when.busy):
        if parse_arm(one.arm).path is not Path.POD or one.bits_per_second <= 0.0:
            continue
        cost = _cost(one, window, when.idle.get(one.block, []), ticks)
        if cost is not None:
            paid.append(_paid(one, cost))
    small = any(p.kind == SMALL_PACKETS for p in paid)
    counted = SMALL_PACKETS if small else TCP
    found = tuple(
        CpuPrice(
            mode=mode,
            cores_per_gbps=_price([p.per_gbps for p in paid if (p.mode, p.kind) == (mode, TCP)]),
            cores_per_mpps=_price(
                [p.per_mpps for p in paid if (p.mode, p.kind) == (mode, counted)]
            ),
            busiest_core_ratio=_mean([p.busiest for p in paid if p.mode == mode]),
        )
        for mode in modes
    )
    priced = {one.mode for one in found if one.cores_per_gbps is not None}
    drowned = sorted({p.mode for p in paid if p.kind == TCP} - priced)
    return Prices(prices=found, by_segments=bool(paid) and not small, drowned=tuple(drowned))
