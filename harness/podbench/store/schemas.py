"""Parquet schemas of the samples: one fixed schema per probe, with meaning and unit as metadata.

`docs/data.md` is checked against these by a test. Missing is null.
"""

import pyarrow as pa

DATA_FORMAT = 1
ADDED = frozenset({"reordered_forward", "reordered_backward"})
"""Columns that runs of earlier versions do not have: they read as null there."""


def _field(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, nullable=True, metadata={"description": meaning})


def _schema(fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(fields, metadata={"podbench_format": str(DATA_FORMAT)})


_PLACE = [
    _field("run_id", pa.string(), "the run"),
    _field("block", pa.int32(), "block number, from 1"),
    _field("round", pa.int32(), "round number within the visit, from 1"),
    _field("arm", pa.string(), "<mode>/<path>, the A/A repeat ends in #2"),
    _field("mode", pa.string(), "requested encapsulation"),
    _field("path", pa.string(), "pod, host or service"),
]

LATENCY = _schema(
    [
        *_PLACE,
        _field("family", pa.string(), "ipv4 or ipv6"),
        _field("src", pa.string(), "node that initiates"),
        _field("dst", pa.string(), "node that reflects"),
        _field("session_id", pa.int32(), "STAMP session identifier (SSID, RFC 8972 section 3)"),
        _field("src_port", pa.int32(), "UDP source port"),
        _field("seq", pa.int64(), "STAMP sequence number on the wire in that session"),
        _field(
            "phase",
            pa.string(),
            "idle (20 Hz), warm (1 kHz), loaded (during a transfer) or load-<kind>-<share in %>",
        ),
        _field(
            "intended_mono_ns",
            pa.int64(),
            "intended send time, CLOCK_MONOTONIC moved to the orchestrator's, ns",
        ),
        _field("sent_wall_ns", pa.int64(), "send call, sender's CLOCK_REALTIME, ns"),
        _field(
            "rtt_kernel_ns",
            pa.int64(),
            "T4-T1 minus reflector residence, four kernel timestamps, ns",
        ),
        _field("rtt_app_ns", pa.int64(), "send call to return of receive, ns"),
        _field("reflector_ns", pa.int64(), "reflector residence T3-T2, ns"),
        _field("host_ns", pa.int64(), "own host: app minus kernel minus residence, ns"),
        _field("late_ns", pa.int64(), "actual minus intended send time, ns"),
        _field("ttl", pa.int16(), "TTL seen by the reflector"),
        _field(
            "status", pa.string(), "ok, lost_forward, lost_backward, lost_unknown, late, corrupted"
        ),
        _field("duplicates", pa.uint8(), "copies of the reply beyond the first"),
        _field("duplicates_forward", pa.uint8(), "of these, made in the request direction"),
        _field("duplicates_backward", pa.uint8(), "of these, made in the reply direction"),
        _field(
            "reordered",
            pa.bool_(),
            "reply arrived after that of a later probe of the session (RFC 4737)",
        ),
        _field(
            "reordered_forward",
            pa.bool_(),
            "request reached the reflector after a later one; null: its clock does not tell",
        ),
        _field(
            "reordered_backward",
            pa.bool_(),
            "reply was overtaken by one that left later; null: the reflector's clock does not tell",
        ),
        _field(
            "reorder_extent",
            pa.int32(),
            "positions back to the earliest later arrival; null if in order",
        ),
        _field("stamp_source", pa.string(), "weakest of the four stamps: kernel, sched, user, nic"),
        _field("valid", pa.bool_(), "false if the instrument disturbed the sample"),
        _field("invalid_reason", pa.string(), "reason if not valid"),
    ]
)

THROUGHPUT = _schema(
    [
        *_PLACE,
        _field("src", pa.string(), "node that sends"),
        _field("dst", pa.string(), "node that receives"),
        _field("protocol", pa.string(), "tcp or udp"),
        _field("streams", pa.int16(), "parallel streams of the transfer"),
        _field("stream", pa.int16(), "this stream's number, from 1"),
        _field("packet_bytes", pa.int32(), "UDP payload, octets; TCP: maximum segment size"),
        _field("direction", pa.string(), "sender or receiver: whose counters this row holds"),
        _field("interval_start_s", pa.float64(), "since the start of the transfer, s"),
        _field("interval_s", pa.float64(), "length of the interval, s"),
        _field("bits_per_second", pa.float64(), "payload rate in the interval, bit/s"),
        _field("retransmits", pa.int64(), "TCP segments retransmitted in the interval (sender)"),
        _field("rtt_us", pa.int64(), "TCP smoothed RTT at the end of the interval (sender), µs"),
        _field("snd_cwnd_bytes", pa.int64(), "TCP congestion window (sender), octets"),
        _field("lost_packets", pa.int64(), "UDP datagrams lost, counted by the receiver"),
        _field("packets", pa.int64(), "UDP datagrams in the interval"),
        _field("jitter_ms", pa.float64(), "iperf3's RFC 1889 filter, receiver, ms"),
        _field(
            "cpu_local_ratio", pa.float64(), "sender process, share of one core, whole transfer"
        ),
        _field(
            "cpu_remote_ratio", pa.float64(), "receiver process, share of one core, whole transfer"
        ),
        _field("omitted", pa.bool_(), "warm-up: excluded from all results"),
        _field("status", pa.string(), "ok or failed: a failed transfer is one row with its reason"),
        _field("reason", pa.string(), "why it failed"),
    ]
)

_CPU = ["user", "system", "irq", "softirq", "steal", "iowait", "idle"]

HOST = _schema(
    [
        _field("run_id", pa.string(), "the run"),
        _field("block", pa.int32(), "block that was measured; null between blocks"),
        _field("node", pa.string(), "node, or `machine` where all nodes share one"),
        _field("mono_ns", pa.int64(), "CLOCK_MONOTONIC moved to the orchestrator's, ns"),
        _field("wall_ns", pa.int64(), "CLOCK_REALTIME, ns"),
        _field("interval_ns", pa.int64(), "time since the previous tick, ns"),
        _field("cores", pa.int32(), "CPUs online"),
        *[
            _field(
                f"cpu_{n}_ratio",
                pa.float64(),
                f"share of all CPUs' time in {n} since the previous tick",
            )
            for n in _CPU
        ],
        _field(
            "cpu_busiest_ratio",
            pa.float64(),
            "busy share of the busiest CPU since the previous tick",
        ),
        _field(
            "cpu_busiest_softirq_ratio", pa.float64(), "softirq share of the CPU with most of it"
        ),
        _field(
            "softnet_processed", pa.int64(), "packets processed by softnet since the previous tick"
        ),
        _field(
            "softnet_dropped", pa.int64(), "packets dropped at the backlog since the previous tick"
        ),
        _field(
            "softnet_squeezed",
            pa.int64(),
            "times net_rx_action ran out of budget since the previous tick",
        ),
        _field(
            "cfs_throttled_ns",
            pa.int64(),
            "own cgroup throttled since the previous tick, ns; null: no quota known",
        ),
        _field(
            "runqueue_wait_ns",
            pa.int64(),
            "the probes' processes waiting to run since the previous tick, ns",
        ),
        _field(
            "psi_cpu_some_ns",
            pa.int64(),
            "CPU pressure `some` since the previous tick, ns; null: psi off",
        ),
        _field(
            "udp_rcvbuf_errors",
            pa.int64(),
            "Udp RcvbufErrors since the previous tick, agent's network namespace",
        ),
        _field("udp_in_csum_errors", pa.int64(), "Udp InCsumErrors since the previous tick"),
        _field("tcp_retransmits", pa.int64(), "Tcp RetransSegs since the previous tick"),
        _field("ip_frag_creates", pa.int64(), "Ip FragCreates since the previous tick"),
        _field("conntrack_count", pa.int64(), "nf_conntrack entries now; null: not loaded"),
    ]
)

LADDER = _schema(
    [
        *_PLACE,
        _field("src", pa.string(), "node that sends the load"),
        _field("dst", pa.string(), "node that receives it"),
        _field("kind", pa.string(), "bulk (one TCP stream) or small (UDP of 64 octets)"),
        _field(
            "offered_share", pa.float64(), "share of the common capacity; 0: the warm stretch alone"
        ),
        _field("offered_bps", pa.float64(), "offered payload, bit/s"),
        _field("offered_pps", pa.float64(), "offered packets/s; null for bulk"),
        _field(
            "achieved_bps",
            pa.float64(),
            "payload through the receiver's interfaces in the window, bit/s",
        ),
        _field(
            "achieved_pps",
            pa.float64(),
            "packets/s through the receiver's interfaces, probes left out; null for bulk",
        ),
        _field("reached", pa.bool_(), "rate held within 2% and no CPU above 90%"),
        _field("not_reached_reason", pa.string(), "why it does not count"),
        _field("duration_s", pa.float64(), "length of the window, s"),
        _field(
            "busy_cores_src",
            pa.float64(),
            "CPUs busy at the sender's node, or on the machine that all nodes share",
        ),
        _field(
            "busy_cores_dst", pa.float64(), "at the receiver's node; null where nodes share one"
        ),
        _field("steal_cores_src", pa.float64(), "CPUs stolen by the hypervisor, sender's node"),
        _field("steal_cores_dst", pa.float64(), "the same at the receiver's node"),
        _field(
            "busy_method",
            pa.string(),
            "idle: window minus idle and steal; ticks: the same of a kernel whose tick never "
            "stops; soaker: what a spinner at lowest priority lost",
        ),
        _field("busiest_cpu_ratio", pa.float64(), "busy share of the busiest CPU of both nodes"),
        _field("lost_packets", pa.int64(), "UDP datagrams the receiver missed, whole step"),
        _field("retransmits", pa.int64(), "TCP segments retransmitted, whole step"),
        _field(
            "burst_packets",
            pa.int64(),
            "datagrams that leave back to back (iperf3's pacing timer); null for bulk",
        ),
    ]
)

RR = _schema(
    [
        *_PLACE,
        _field("src", pa.string(), "node that asks"),
        _field("dst", pa.string(), "node that answers"),
        _field("start_mono_ns", pa.int64(), "a request leaves, orchestrator's monotonic clock, ns"),
        _field("rtt_ns", pa.int64(), "until its response is here, ns; null: not measured"),
        _field("reason", pa.string(), "why it was not measured"),
    ]
)

BY_PROBE = {
    "latency": LATENCY,
    "throughput": THROUGHPUT,
    "host": HOST,
    "ladder": LADDER,
    "ceiling": THROUGHPUT,
    "rr": RR,
}


def own_columns(probe: str) -> tuple[str, ...]:
    """The columns that a probe measures, without those that name its place."""
    place = {field.name for field in _PLACE} | {"src", "dst", "reason"}
    return tuple(name for name in BY_PROBE[probe].names if name not in place)
