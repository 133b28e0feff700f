"""iperf3 rows to transfers: the receiver's reporting intervals, streams summed, kinds told apart.

A sample of goodput is one reporting interval of one transfer as the *receiver* counted it. Warm-up
(`omitted`) is left out, streams are summed first; an interval that not every stream has, and the
cut one at a transfer's end, are left out too. TCP with one stream, TCP with more, UDP of full
packets and UDP of small ones differ in Type-P (RFC 2330) and are never pooled.
"""

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from podbench.analysis.samples.blocks import Cells

SMALL_PACKET_BYTES = 128
"""UDP payloads up to this size test the packet rate (64 octets); full ones are above 1,000."""

TCP, TCP_8, UDP = "goodput_bps.tcp", "goodput_bps.tcp_8", "goodput_bps.udp"
SMALL_PACKETS = "small_packets_pps"
SERIES = (TCP, TCP_8, UDP, SMALL_PACKETS)

_SHORT_INTERVAL = 0.5
"""An interval below half the usual length is the rest at a transfer's end: its rate is noise."""
_KEY = ["arm", "block", "round", "src", "dst", "protocol", "streams", "size"]
_COLUMNS = ["arm", "block", "round", "src", "dst", "kind", "bits_per_second", "packet_bytes"]


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer: where, what, and its mean receiver-side rate after warm-up."""

    arm: str
    block: int
    round: int
    src: str
    dst: str
    kind: str
    bits_per_second: float
    packet_bytes: float
    """UDP payload or TCP maximum segment size; 0 where not known."""


def _kind(protocol: str, streams: int, packet_bytes: float) -> str:
    if protocol == "tcp":
        return TCP if streams == 1 else TCP_8
    return SMALL_PACKETS if packet_bytes <= SMALL_PACKET_BYTES else UDP


def _flags(column: pd.Series) -> npt.NDArray[np.bool_]:
    return column.astype("boolean").fillna(value=False).to_numpy(dtype=np.bool_)


def _receiver_rows(throughput: pd.DataFrame) -> pd.DataFrame:
    keep = (throughput["direction"] == "receiver").fillna(value=False) & ~_flags(
        throughput["omitted"]
    )
    if "status" in throughput:
        keep &= throughput["status"].fillna("ok") == "ok"
    keep &= throughput["bits_per_second"].notna() & throughput["interval_start_s"].notna()
    return throughput[keep.to_numpy(dtype=np.bool_)]


def intervals(throughput: pd.DataFrame | None) -> pd.DataFrame:
    """One row per interval of each transfer, streams summed, transfers in the order of the table.

    Columns: arm, block, round, src, dst, kind, bits_per_second, packet_bytes.
    """
    nothing = pd.DataFrame(columns=_COLUMNS)
    if throughput is None or throughput.empty:
        return nothing
    rows = _receiver_rows(throughput.reset_index(drop=True))
    if rows.empty:
        return nothing
    payload = pd.to_numeric(rows["packet_bytes"]).astype("float64").fillna(0.0)
    rows = rows.assign(
        packet_bytes=payload,
        # UDP transfers of one visit differ by payload; TCP's segment size is a fact, not a key.
        size=payload.where(rows["protocol"] == "udp", 0.0),
        streams=pd.to_numeric(rows["streams"]).fillna(1).astype("int64"),
        stream=pd.to_numeric(rows["stream"]).fillna(1).astype("int64"),
        interval_s=pd.to_numeric(rows["interval_s"]).astype("float64"),
        bits_per_second=pd.to_numeric(rows["bits_per_second"]).astype("float64"),
        place=rows.index,
    )
    rows = rows.sort_values("interval_start_s", kind="stable")
    usual = rows.groupby(_KEY)["interval_s"].transform("median")
    rows = rows[~(rows["interval_s"] < _SHORT_INTERVAL * usual)]
    rows = rows.assign(ordinal=rows.groupby([*_KEY, "stream"]).cumcount())
    summed = rows.groupby([*_KEY, "ordinal"], as_index=False).agg(
        bits_per_second=("bits_per_second", "sum"),
        have=("stream", "nunique"),
        packet_bytes=("packet_bytes", "max"),
        place=("place", "min"),
    )
    most = summed.groupby(_KEY)["have"].transform("max")
    summed = summed[summed["have"] == most].sort_values("place", kind="stable")
    kinds = [
        _kind(str(p), int(s), float(b))
        for p, s, b in zip(summed["protocol"], summed["streams"], summed["size"], strict=True)
    ]
    return summed.assign(kind=kinds)[_COLUMNS]


def transfers(summed: pd.DataFrame) -> tuple[Transfer, ...]:
    """One record per transfer, in the order of the table, which is the order of measuring."""
    if summed.empty:
        return ()
    key = ["arm", "block", "round", "src", "dst", "kind"]
    means = summed.groupby(key, sort=False)[["bits_per_second", "packet_bytes"]].mean()
    return tuple(
        Transfer(
            arm=str(where[0]),
            block=int(where[1]),
            round=int(where[2]),
            src=str(where[3]),
            dst=str(where[4]),
            kind=str(where[5]),
            bits_per_second=float(rate),
            packet_bytes=float(size),
        )
        for where, rate, size in zip(
            means.index, means["bits_per_second"], means["packet_bytes"], strict=True
        )
    )


def cells_of(summed: pd.DataFrame) -> dict[str, Cells]:
    """Sorted interval rates by kind, arm, block and pair: bit/s, or packets/s of small packets."""
    found: dict[str, Cells] = {name: {} for name in SERIES}
    groups = summed.groupby(["kind", "arm", "block", "src", "dst"])
    for key, part in groups:
        kind, arm, block, src, dst = (str(name) for name in key)
        rates = part["bits_per_second"].to_numpy(dtype=np.float64)
        if kind == SMALL_PACKETS:
            rates = rates / (8.0 * part["packet_bytes"].to_numpy(dtype=np.float64))
        found[kind].setdefault((arm, int(block)), {})[src, dst] = np.sort(rates)
    return found


def retransmit_ratios(throughput: pd.DataFrame | None) -> dict[tuple[str, str, str], float]:
    """TCP segments sent again over segments sent, by (arm, src, dst); warm-up left out.

    Sender's counters; segments sent are payload / maximum segment size. RFC 6349 section 4.2
    (efficiency = 1 - ratio).
    """
    if throughput is None or throughput.empty:
        return {}
    sender = (throughput["direction"] == "sender") & (throughput["protocol"] == "tcp")
    rows = throughput[sender.fillna(value=False).to_numpy(dtype=np.bool_)]
    rows = rows[~_flags(rows["omitted"])]
    rows = rows[rows["retransmits"].notna() & (pd.to_numeric(rows["packet_bytes"]) > 0)]
    if rows.empty:
        return {}
    octets = rows["bits_per_second"] * rows["interval_s"] / 8.0
    held = rows.assign(
        sent=(octets / rows["packet_bytes"]).astype("float64"),
        again=rows["retransmits"].astype("float64"),
    )
    sums = held.groupby(["arm", "src", "dst"])[["again", "sent"]].sum()
    return {
        (str(where[0]), str(where[1]), str(where[2])): float(again / total)
        for where, again, total in zip(sums.index, sums["again"], sums["sent"], strict=True)
        if total > 0
    }
