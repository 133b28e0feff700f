"""Goodput per pair, and what header sizes alone would allow.

- Rate of a pair: quantiles over its receiver-side intervals (`transfers`), interval from its
  sessions (`stats.pooled`).
- Predicted share of the line rate: (pod_mtu - 52) / (pod_mtu + overhead + 38). 52 = IPv4 20 + TCP
  20 + timestamps 12; 38 = Ethernet header 14, frame check 4, preamble 8, gap 12. Overheads: RFC
  7348 section 5 (VXLAN 50), RFC 2003 section 3.1 (IPIP 20).
- Measured share: of the shaped rate where the link was given one, else of the host path of the same
  pairs and blocks, where that was measured. A share of the host path is not a share of the line:
  the host path pays for its own headers too, so plain routing comes to 100 % there. Where either
  reaches the run's own cap the share is the cap's, and null.
"""

import numpy as np

from podbench.analysis.figures import cap
from podbench.analysis.samples.blocks import Cells, block_series
from podbench.analysis.samples.metrics import BY_NAME
from podbench.analysis.stats import pooled, quantiles
from podbench.model.arms import OVERHEAD_BYTES, Mode, Path, parse_arm
from podbench.model.summary import ArmSummary, Encapsulation, Rate

FRAMING_BYTES = 38
INNER_BYTES = 52


def predicted_share(pod_mtu: int, overhead_bytes: int) -> float:
    """TCP goodput ceiling as a share of the line rate (IPv4, timestamps on)."""
    return (pod_mtu - INNER_BYTES) / (pod_mtu + overhead_bytes + FRAMING_BYTES)


def rate(cells: Cells, arm: str, pair: tuple[str, str]) -> Rate | None:
    """A pair's rate over all its blocks; interval from its sessions. None: not measured."""
    parts = [
        held[pair]
        for (of, _), held in sorted(cells.items())
        if of == arm and len(held.get(pair, ()))
    ]
    if not parts:
        return None
    ordered = np.sort(np.concatenate(parts))
    p50 = quantiles.harrell_davis(ordered, 0.5)
    return Rate(
        p50=p50,
        min=float(ordered[0]),
        max=float(ordered[-1]),
        n=len(ordered),
        ci95=pooled.interval([np.sort(part) for part in parts], 0.5),
    )


def _measured_share(
    arms: tuple[str, str], tcp: Cells, shaped_rate_bps: float | None, most_bps: float | None
) -> tuple[float | None, str | None]:
    pod, host = arms
    metric = BY_NAME["goodput_bps.tcp.p50"]
    if shaped_rate_bps is not None:
        value = block_series(tcp, (pod,), metric).value(pod)
        return (None, None) if value is None else (value / shaped_rate_bps, "shaped rate")
    both = block_series(tcp, (host, pod), metric)
    if any(cap.reached(value, metric.unit, most_bps) for value in cap.values(both)):
        return None, None
    if not both.blocks:
        return None, None
    return float(np.exp(both.differences(host, pod).mean())), "host path"


def encapsulation(
    arms: tuple[ArmSummary, ...],
    tcp: Cells,
    shaped_rate_bps: float | None,
    most_bps: float | None = None,
) -> tuple[Encapsulation, ...]:
    """Predicted beside measured goodput share of every pod arm whose overhead is known.

    The A/A repeat is left out.
    """
    found = []
    for laid in arms:
        arm = parse_arm(laid.arm)
        overhead = OVERHEAD_BYTES.get(Mode(laid.mode))
        if arm.path != Path.POD or arm.repeat > 1 or overhead is None:
            continue
        share, of = _measured_share(
            (laid.arm, arm.on(Path.HOST).name), tcp, shaped_rate_bps, most_bps
        )
        found.append(
            Encapsulation(
                mode=laid.mode,
                overhead_bytes=overhead,
                pod_mtu=laid.pod_mtu,
                predicted_goodput_share=(
                    None if laid.pod_mtu is None else predicted_share(laid.pod_mtu, overhead)
                ),
                measured_goodput_share=share,
                share_of=of,
            )
        )
    return tuple(found)
