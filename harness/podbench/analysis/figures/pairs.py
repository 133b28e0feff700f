"""The full-mesh table: one record per directed pair and arm, over all its blocks.

Pairs are directed exactly as the rows have them (initiators alternate by block), and figures are
never mirrored. A quantile's interval comes from the pair's sessions (`stats.pooled`): null where
they are too few. A round trip crosses both directions whoever starts it, so the sessions that the
other end initiated count too, unless they contradict the pair's own figure. `n_effective` is
Geyer's; `coarse` names the quantiles beyond which fewer than 10 effective samples lie.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
import numpy as np

from podbench.analysis.figures import goodput
from podbench.analysis.samples import compact, loss_table
from podbench.analysis.samples.blocks import Cells
from podbench.analysis.samples.metrics import QUANTILES
from podbench.analysis.samples.series import IDLE, LOADED, WARM
from podbench.analysis.samples.streams import Cell, FloatArray
from podbench.analysis.stats import effective, pooled, quantiles
from podbench.model.summary import (
    Goodput,
    Interval,
    LossSummary,
    Pair,
    PairProofSummary,
    Quantiles,
)

PairOfArm = tuple[str, str, str]
"""arm, src, dst."""


def distribution(
    parts: Sequence[FloatArray], reverse: Sequence[FloatArray] = ()
) -> Quantiles | None:
    """A pair's distribution from its blocks' samples; None where nothing was sent.

    Args:
        parts: one array per block, send order, no NaN; may be empty where all was lost.
        reverse: those of the same two nodes that the other one initiated.
    """
    if not parts:
        return None
    filled = [part for part in parts if len(part)]
    if not filled:
        return _nothing_arrived()
    by_block = [compact.ordered(part) for part in filled]
    mirrored = [compact.ordered(part) for part in reverse if len(part)]
    ordered = np.sort(np.concatenate(by_block)).astype(np.float64)
    n = len(ordered)
    values = {name: quantiles.quantile(ordered, q) for name, q in QUANTILES.items()}
    return Quantiles(
        **values,
        min=float(ordered[0]),
        max=float(ordered[-1]),
        mean=float(ordered.mean()),
        sd=float(ordered.std(ddof=1)) if n > 1 else None,
        n=n,
        n_effective=effective.n_effective(filled),
        ci95={
            name: session_interval(by_block, mirrored, values[name], q)
            for name, q in QUANTILES.items()
        },
        coarse=tuple(name for name, q in QUANTILES.items() if _is_coarse(filled, values[name], q)),
    )


def _nothing_arrived() -> Quantiles:
    return Quantiles(
        p50=None,
        p90=None,
        p99=None,
        p999=None,
        min=None,
        max=None,
        mean=None,
        sd=None,
        n=0,
        n_effective=None,
    )


def session_interval(
    own: Sequence[pooled.Samples],
    reverse: Sequence[pooled.Samples],
    value: float | None,
    q: float,
    level: float = 0.95,
) -> Interval | None:
    """Interval of a pair's quantile by its sessions; None where they are too few.

    Args:
        own: sorted samples of each block.
        reverse: of the blocks that the other end initiated.
        value: the pair's figure.
        q: 0 to 1.
        level: confidence.
    """
    if value is None:
        return None
    if reverse:
        both = pooled.interval([*own, *reverse], q, level)
        if both is not None and both[0] <= value <= both[1]:
            return both
    return pooled.interval(own, q, level)


def _is_coarse(parts: Sequence[FloatArray], value: float | None, q: float) -> bool:
    if value is None:
        return False
    n_eff = effective.n_effective_beyond(parts, value)
    return n_eff is None or n_eff * (1.0 - q) < quantiles.MIN_BEYOND


class PairLatency(msgspec.Struct, frozen=True, kw_only=True):
    """The latency figures of one directed pair of one arm, as in `Pair`."""

    family: str
    rtt_kernel_ns: Quantiles | None
    rtt_app_ns: Quantiles | None
    rtt_idle_ns: Quantiles | None
    rtt_loaded_ns: Quantiles | None
    pdv_p99_ns: float | None
    ipdv_p50_ns: float | None
    rfc3550_jitter_ns: float | None


def latency(
    cells: Mapping[str, Sequence[Cell]],
    values: Mapping[str, FloatArray],
    jitter_ns: FloatArray,
    reverse: Mapping[str, Sequence[Cell]] = MappingProxyType({}),
) -> PairLatency:
    """One pair's figures over all its blocks.

    Args:
        cells: by phase, blocks in order; no phase has to be there, but one.
        values: by series (`series.values_of`).
        jitter_ns: (streams,) NaN where there is none.
        reverse: cells of the same two nodes that the other one initiated.
    """
    warm, idle, loaded = (cells.get(phase, ()) for phase in (WARM, IDLE, LOADED))

    def both(name: str, phase: str) -> Quantiles | None:
        of = values[name]
        return distribution(_finite(of, cells.get(phase, ())), _finite(of, reverse.get(phase, ())))

    jitter = np.concatenate([jitter_ns[c.first : c.last] for c in warm] or [np.empty(0)])
    jitter = jitter[np.isfinite(jitter)]
    return PairLatency(
        family=next(iter([*warm, *idle, *loaded])).key.family,
        rtt_kernel_ns=both("rtt_kernel_ns", WARM),
        rtt_app_ns=both("rtt_app_ns", WARM),
        rtt_idle_ns=both("rtt_idle_ns", IDLE),
        rtt_loaded_ns=both("rtt_loaded_ns", LOADED),
        pdv_p99_ns=_one_value(values["pdv_ns"], warm, 0.99),
        ipdv_p50_ns=_one_value(values["ipdv_ns"], warm, 0.5),
        rfc3550_jitter_ns=float(jitter.mean()) if len(jitter) else None,
    )


class Material(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What the table is made from."""

    latency: Mapping[PairOfArm, PairLatency]
    losses: loss_table.LossTable
    rates: Mapping[str, Cells]
    retransmits: Mapping[PairOfArm, float]
    proofs: Mapping[PairOfArm, PairProofSummary]


def _finite(values: FloatArray, cells: Sequence[Cell]) -> list[FloatArray]:
    parts = [values[cell.start : cell.stop] for cell in cells]
    return [part[np.isfinite(part)] for part in parts]


def _one_value(values: FloatArray, cells: Sequence[Cell], q: float) -> float | None:
    parts = _finite(values, cells)
    return quantiles.quantile(compact.ordered(np.concatenate(parts)), q) if parts else None


_NO_LATENCY = PairLatency(
    family="ipv4",
    rtt_kernel_ns=None,
    rtt_app_ns=None,
    rtt_idle_ns=None,
    rtt_loaded_ns=None,
    pdv_p99_ns=None,
    ipdv_p50_ns=None,
    rfc3550_jitter_ns=None,
)


def table(material: Material) -> tuple[Pair, ...]:
    """All pairs of all arms that have rows of any kind, by arm, src, dst."""
    keys = set(material.latency)
    for cells in material.rates.values():
        keys |= {(arm, *pair) for (arm, _), held in cells.items() for pair in held}
    by_pair = loss_table.by_pair(material.losses)
    return tuple(_pair(key, material, by_pair) for key in sorted(keys))


def _pair(key: PairOfArm, material: Material, losses: Mapping[PairOfArm, LossSummary]) -> Pair:
    arm, src, dst = key
    held = material.latency.get(key, _NO_LATENCY)
    return Pair(
        src=src,
        dst=dst,
        arm=arm,
        family=held.family,
        proof=material.proofs.get(key),
        rtt_kernel_ns=held.rtt_kernel_ns,
        rtt_app_ns=held.rtt_app_ns,
        rtt_idle_ns=held.rtt_idle_ns,
        pdv_p99_ns=held.pdv_p99_ns,
        ipdv_p50_ns=held.ipdv_p50_ns,
        rfc3550_jitter_ns=held.rfc3550_jitter_ns,
        loss=losses.get(key),
        goodput_bps=_goodput(material.rates, arm, (src, dst)),
        small_packets_pps=goodput.rate(material.rates["small_packets_pps"], arm, (src, dst)),
        rtt_loaded_ns=held.rtt_loaded_ns,
        retransmit_ratio=material.retransmits.get(key),
    )


def _goodput(rates: Mapping[str, Cells], arm: str, pair: tuple[str, str]) -> Goodput | None:
    found = {
        name: goodput.rate(rates[f"goodput_bps.{name}"], arm, pair)
        for name in ("tcp", "tcp_8", "udp")
    }
    return Goodput(**found) if any(found.values()) else None
