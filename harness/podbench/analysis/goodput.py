"""Goodput: receiver-side rates, and what header sizes alone would allow.

- A sample is one reporting interval of one transfer as the *receiver* counted it, warm-up
  (`omitted`) left out, its streams summed first; an interval that not every stream has (the last,
  cut short) is left out too. Kinds are rows of their own: TCP with one stream, TCP with more, UDP
  of full packets, UDP of small ones (as packets per second). Type-P (RFC 2330) differs, so they are
  never pooled.
- Predicted share of the line rate: (pod_mtu - 52) / (pod_mtu + overhead + 38). 52 = IPv4 20 + TCP
  20 + timestamps 12; 38 = Ethernet header 14, frame check 4, preamble 8, gap 12. Overheads: RFC
  7348 section 5 (VXLAN 50), RFC 2003 section 3.1 (IPIP 20).
- Measured share: of the shaped rate where the link was given one, else of the host path of the same
  pairs and blocks, where that was measured.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from podbench.analysis import intervals, quantiles
from podbench.analysis.blocks import Cells, block_series
from podbench.analysis.metrics import BY_NAME
from podbench.model.arms import OVERHEAD_BYTES, Mode, Path, parse_arm
from podbench.model.summary import ArmSummary, Encapsulation, Rate

FloatArray = npt.NDArray[np.float64]

SMALL_PACKET_BYTES = 128
"""UDP payloads up to this size test the packet rate (64 octets); full ones are above 1,000."""
FRAMING_BYTES = 38
INNER_BYTES = 52
_SHORT_INTERVAL = 0.5
"""An interval below half the usual length is the rest at a transfer's end: its rate is noise."""

SERIES = ("goodput_bps.tcp", "goodput_bps.tcp_8", "goodput_bps.udp", "small_packets_pps")

_TRANSFER = ["arm", "block", "round", "src", "dst", "protocol", "streams", "packet_bytes"]


def predicted_share(pod_mtu: int, overhead_bytes: int) -> float:
    """TCP goodput ceiling as a share of the line rate (IPv4, timestamps on)."""
    return (pod_mtu - INNER_BYTES) / (pod_mtu + overhead_bytes + FRAMING_BYTES)


def _kind(protocol: str, streams: int, packet_bytes: float) -> str:
    if protocol == "tcp":
        return "goodput_bps.tcp" if streams == 1 else "goodput_bps.tcp_8"
    return "small_packets_pps" if packet_bytes <= SMALL_PACKET_BYTES else "goodput_bps.udp"


def _receiver_rows(throughput: pd.DataFrame) -> pd.DataFrame:
    rows = throughput[(throughput["direction"] == "receiver")]
    keep = ~rows["omitted"].astype("boolean").fillna(value=False)
    if "status" in rows:
        keep &= rows["status"].fillna("ok") == "ok"
    keep &= rows["bits_per_second"].notna() & rows["interval_start_s"].notna()
    return rows[keep.to_numpy(dtype=np.bool_)]


def transfer_intervals(throughput: pd.DataFrame | None) -> pd.DataFrame:
    """One row per interval of each transfer, streams summed: arm, block, src, dst, kind, value, ...

    `value` is bit/s, or packets/s for small packets; `bits_per_second` is always there.
    """
    columns = ["arm", "block", "src", "dst", "kind", "value", "bits_per_second", "packet_bytes"]
    if throughput is None or throughput.empty:
        return pd.DataFrame(columns=columns)
    rows = _receiver_rows(throughput)
    if rows.empty:
        return pd.DataFrame(columns=columns)
    rows = rows.assign(
        packet_bytes=pd.to_numeric(rows["packet_bytes"]).astype("float64").fillna(0.0),
        streams=pd.to_numeric(rows["streams"]).fillna(1).astype("int64"),
        stream=pd.to_numeric(rows["stream"]).fillna(1).astype("int64"),
        interval_s=pd.to_numeric(rows["interval_s"]).astype("float64"),
    ).sort_values("interval_start_s", kind="stable")
    # UDP transfers of one visit differ by payload; TCP's segment size is a fact, not a key.
    rows["size"] = rows["packet_bytes"].where(rows["protocol"] == "udp", 0.0)
    key = [name if name != "packet_bytes" else "size" for name in _TRANSFER]
    usual = rows.groupby(key)["interval_s"].transform("median")
    rows = rows[~(rows["interval_s"] < _SHORT_INTERVAL * usual)]
    rows["ordinal"] = rows.groupby([*key, "stream"]).cumcount()
    summed = rows.groupby([*key, "ordinal"], as_index=False).agg(
        bits_per_second=("bits_per_second", "sum"),
        have=("stream", "nunique"),
        packet_bytes=("packet_bytes", "max"),
    )
    most = summed.groupby(key)["have"].transform("max")
    summed = summed[summed["have"] == most]
    kinds = [
        _kind(str(p), int(s), float(b))
        for p, s, b in zip(summed["protocol"], summed["streams"], summed["size"], strict=True)
    ]
    bits = summed["bits_per_second"].to_numpy(dtype=np.float64)
    octets = np.maximum(summed["packet_bytes"].to_numpy(dtype=np.float64), 1.0)
    small = np.array([kind == "small_packets_pps" for kind in kinds], dtype=np.bool_)
    value = np.where(small, bits / (8.0 * octets), bits)
    return summed.assign(kind=kinds, value=value)[columns]


def cells_of(summed: pd.DataFrame) -> dict[str, Cells]:
    """Sorted interval rates of every kind by arm, block and directed pair."""
    found: dict[str, Cells] = {name: {} for name in SERIES}
    groups = summed.groupby(["kind", "arm", "block", "src", "dst"])["value"]
    for key, values in groups:
        kind, arm, block, src, dst = (str(part) for part in key)
        held = found[kind].setdefault((arm, int(block)), {})
        held[src, dst] = np.sort(values.to_numpy(dtype=np.float64))
    return found


def rate(cells: Cells, arm: str, pair: tuple[str, str]) -> Rate | None:
    """A pair's rate over all its blocks; interval from the blocks' medians. None: not measured."""
    parts = [
        held[pair]
        for (of, _), held in sorted(cells.items())
        if of == arm and len(held.get(pair, ()))
    ]
    if not parts:
        return None
    ordered = np.sort(np.concatenate(parts))
    p50 = quantiles.harrell_davis(ordered, 0.5)
    medians = np.array([quantiles.harrell_davis(part, 0.5) for part in parts])
    interval = None
    if len(parts) >= 2 and np.all(medians > 0.0) and p50 > 0.0:
        spread = intervals.t_interval(np.log(medians) - np.log(medians).mean())
        interval = None if spread is None else (p50 * np.exp(spread[0]), p50 * np.exp(spread[1]))
    return Rate(
        p50=p50,
        min=float(ordered[0]),
        max=float(ordered[-1]),
        n=len(ordered),
        ci95=None if interval is None else (float(interval[0]), float(interval[1])),
    )


def _measured_share(
    pod: str, host: str, tcp: Cells, shaped_rate_bps: float | None
) -> tuple[float | None, str | None]:
    metric = BY_NAME["goodput_bps.tcp.p50"]
    if shaped_rate_bps is not None:
        value = block_series(tcp, (pod,), metric).value(pod)
        return (None, None) if value is None else (value / shaped_rate_bps, "shaped rate")
    both = block_series(tcp, (host, pod), metric)
    if not both.blocks:
        return None, None
    return float(np.exp(both.differences(host, pod).mean())), "host path"


def encapsulation(
    arms: tuple[ArmSummary, ...], tcp: Cells, shaped_rate_bps: float | None
) -> tuple[Encapsulation, ...]:
    """Predicted beside measured goodput share of every pod arm, the A/A repeat left out."""
    found = []
    for laid in arms:
        arm = parse_arm(laid.arm)
        if arm.path != Path.POD or arm.repeat > 1:
            continue
        overhead = OVERHEAD_BYTES[Mode(laid.mode)]
        share, of = _measured_share(laid.arm, arm.on(Path.HOST).name, tcp, shaped_rate_bps)
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


def retransmit_ratios(throughput: pd.DataFrame | None) -> dict[tuple[str, str, str], float]:
    """TCP segments sent again over segments sent, by (arm, src, dst); warm-up left out.

    Sender's counters.

    Segments sent are payload / maximum segment size. RFC 6349 section 4.2 (efficiency = 1 - ratio).
    """
    if throughput is None or throughput.empty:
        return {}
    rows = throughput[(throughput["direction"] == "sender") & (throughput["protocol"] == "tcp")]
    omitted = rows["omitted"].astype("boolean").fillna(value=False).to_numpy(dtype=np.bool_)
    rows = rows[~omitted & rows["retransmits"].notna() & rows["packet_bytes"].notna()]
    if rows.empty:
        return {}
    sent = rows["bits_per_second"] * rows["interval_s"] / 8.0 / rows["packet_bytes"]
    held = rows.assign(sent=sent.astype("float64"), again=rows["retransmits"].astype("float64"))
    sums = held.groupby(["arm", "src", "dst"])[["again", "sent"]].sum()
    return {
        (str(arm), str(src), str(dst)): float(again / total)
        for (arm, src, dst), again, total in zip(
            sums.index, sums["again"], sums["sent"], strict=True
        )
        if total > 0
    }
