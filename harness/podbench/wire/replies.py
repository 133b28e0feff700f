"""Turns a sender's raw records into one row per probe: the request and its reply.

The sender's loop stores replies unread; this module reads them all at once, afterwards. Its
result, the sender table, is what agents hand over and wire/fates.py resolves. Pure functions.

Sender table, one row per probe; stamps are Unix time in ns, masked where missing:
    session_id src_port seq           SSID, UDP source port, sequence number on the wire
    intended_mono_ns sent_mono_ns sent_wall_ns
    t1_ns t2_ns t4_ns                 kernel stamps: own egress, reflector's ingress, own ingress
    t3_ns t3_user_ns                  reply's egress: by Follow-Up Telemetry, clock read before
    received_mono_ns reflector_seq ttl
    corrupted                         a reply came and its content or HMAC did not fit
    duplicates duplicates_forward duplicates_backward
    reordered reordered_forward reordered_backward reorder_extent    over all source ports
    clock_step                        CLOCK_REALTIME jumped while this probe was out
    waited throttled                  the sender waited for a CPU, its control group was throttled,
                                      in the tenth of a second in which this probe left
    send_errno                        what the kernel said where the send call failed, else 0
    counter_seq final_counter         reflector_seq of probe and flush probe, less copies seen
    stateful                          the reflector was seen to count (wire/directions.py)
    strange_replies                   of the session: datagrams that were no reply to a probe
    own_drops_buffer own_drops_refused own_drops_unsent   of the session, as the reflector told
    stamp_code rx_drops period_ns timeout_ns   the session's: stamp source, own drops, schedule
"""

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.model.errors import RemoteProtocolError
from podbench.wire import copies, ntp, stamp, stamp_tlv
from podbench.wire.columns import Table
from podbench.wire.copies import Bools, Ints

_TLV_BYTES = stamp_tlv.FOLLOW_UP_BYTES + stamp_tlv.OWN_DROPS_BYTES
OPEN_STORED_BYTES = stamp.BASE_BYTES + _TLV_BYTES
AUTH_STORED_BYTES = stamp.AUTH_BYTES + _TLV_BYTES + stamp_tlv.HEADER_BYTES + stamp.HMAC_BYTES
"""Octets stored of each reply: all parsed fields, without padding."""

STAMP_SOURCES = ("kernel", "sched", "user")
"""Meaning of `stamp_code`, best first: driver, scheduler (queueing), clock read in user space."""
USER_CLOCK = STAMP_SOURCES.index("user")
"""No kernel stamps what is sent: there is nothing to collect."""


_Z_BIT = 0x4000


def _layout(base: int, stored: int, offsets: dict[str, tuple[int, str]]) -> np.dtype[np.void]:
    follow = {
        "f_flags": (base, "u1"),
        "f_type": (base + 1, "u1"),
        "f_sequence": (base + 4, ">u4"),
        "f_timestamp": (base + 8, ">u8"),
        "d_flags": (base + 20, "u1"),
        "d_type": (base + 21, "u1"),
        "d_length": (base + 22, ">u2"),
        "d_buffer": (base + 24, ">u4"),
        "d_refused": (base + 28, ">u4"),
        "d_unsent": (base + 32, ">u4"),
    }
    fields = offsets | follow
    return np.dtype(
        {
            "names": list(fields),
            "formats": [kind for _, kind in fields.values()],
            "offsets": [offset for offset, _ in fields.values()],
            "itemsize": stored,
        }
    )


_OPEN = _layout(
    stamp.BASE_BYTES,
    OPEN_STORED_BYTES,
    {
        "sequence": (0, ">u4"),
        "t3": (4, ">u8"),
        "error": (12, ">u2"),
        "ssid": (14, ">u2"),
        "t2": (16, ">u8"),
        "s_sequence": (24, ">u4"),
        "t1": (28, ">u8"),
        "ttl": (40, "u1"),
    },
)
_AUTH = _layout(
    stamp.AUTH_BYTES,
    AUTH_STORED_BYTES,
    {
        "sequence": (0, ">u4"),
        "t3": (16, ">u8"),
        "error": (24, ">u2"),
        "ssid": (26, ">u2"),
        "t2": (32, ">u8"),
        "s_sequence": (48, ">u4"),
        "t1": (64, ">u8"),
        "ttl": (80, "u1"),
    },
)


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """Unparsed replies of one session; all arrays (m,), in order of arrival."""

    flow: Ints
    """Which source port of the session, from 0."""
    octets: npt.NDArray[np.uint8]
    """(m, OPEN_STORED_BYTES or AUTH_STORED_BYTES): the beginning of each reply."""
    length: Ints
    t4_ns: Ints
    """Kernel receive timestamp, 0 if missing."""
    received_mono_ns: Ints


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What one session sent: (n + ports,) arrays, the last rows one flush probe per flow.

    Probe k went out on flow k % ports with sequence number k // ports.
    """

    session_id: int
    src_ports: Ints
    """(ports,) UDP source ports."""
    intended_mono_ns: Ints
    sent_mono_ns: Ints
    """0 if the send call failed."""
    sent_wall_ns: Ints
    t1_ns: Ints
    """Kernel transmit timestamp, 0 if missing."""
    clock_step: Bools
    waited: Bools
    throttled: Bools
    stamp_code: int
    rx_drops: Ints
    """(ports,) datagrams the receive buffers dropped."""
    send_errno: dict[int, int] = {}
    """Row and error number of each probe whose send call failed."""
    period_ns: int
    timeout_ns: int


class _Read(msgspec.Struct, frozen=True):
    row: Ints
    ok: Bools
    r: Ints
    t2: Ints
    t3: Ints
    ttl: Ints
    has_ttl: Bools
    follow_seq: Ints
    follow_ns: Ints
    seq: Ints
    drops: Ints
    """(m, 3) the reflector's own drops as it told them: buffer, refused, unsent; -1: not told."""


def _to_ns(raw: npt.NDArray[np.uint64], error: npt.NDArray[np.uint16]) -> Ints:
    raw = raw.astype(np.uint64)
    return np.where(error & _Z_BIT, ntp.ptp_to_ns_array(raw), ntp.ntp_to_ns_array(raw))


def _authentic(arrivals: Arrivals, key: bytes) -> Bools:
    """Which replies carry fitting HMACs, of the base packet and of the TLVs."""
    fits = np.zeros(len(arrivals.flow), dtype=bool)
    follow_end = stamp.AUTH_BYTES + stamp_tlv.FOLLOW_UP_BYTES
    for i, (octets, length) in enumerate(
        zip(arrivals.octets, arrivals.length.tolist(), strict=True)
    ):
        data = octets[:length].tobytes()
        try:
            stamp.verify(data, key)
        except RemoteProtocolError:
            continue
        asked = len(data) > follow_end + 1 and data[follow_end + 1] == stamp_tlv.OWN_DROPS
        tlvs_end = follow_end + (stamp_tlv.OWN_DROPS_BYTES if asked else 0)
        mac_at = tlvs_end + stamp_tlv.HEADER_BYTES
        wanted = stamp.digest(data[:4] + data[stamp.AUTH_BYTES : tlvs_end], key)
        fits[i] = length < mac_at or data[mac_at : mac_at + stamp.HMAC_BYTES] == wanted
    return fits


def _read(sent: Sent, arrivals: Arrivals, key: bytes | None) -> _Read:
    ports = len(sent.src_ports)
    probes = len(sent.sent_mono_ns) - ports
    view = np.ascontiguousarray(arrivals.octets).view(_OPEN if key is None else _AUTH)[:, 0]
    seq = view["s_sequence"].astype(np.int64)
    per_flow = (probes - arrivals.flow + ports - 1) // ports
    row = np.where(seq < per_flow, seq * ports + arrivals.flow, probes + arrivals.flow)
    known = (seq <= per_flow) & (sent.sent_mono_ns[row] != 0)
    error = view["error"]
    shortest = stamp.TWAMP_LIGHT_REPLY_BYTES if key is None else stamp.AUTH_BYTES
    ssid = view["ssid"].astype(np.int64)
    fits = (
        (arrivals.length >= shortest)
        & (error & 0xFF != 0)
        & ((ssid == 0) | (ssid == sent.session_id + arrivals.flow))
    )
    echo = _to_ns(view["t1"], np.zeros_like(error)) == sent.sent_wall_ns[row]
    ok = known & fits & echo
    if key is not None:
        ok &= _authentic(arrivals, key)
    base = stamp.BASE_BYTES if key is None else stamp.AUTH_BYTES
    followed = (
        ok
        & (arrivals.length >= base + stamp_tlv.FOLLOW_UP_BYTES)
        & (view["f_type"] == stamp_tlv.FOLLOW_UP)
        & (view["f_flags"] == 0)
        & (view["f_timestamp"] != 0)
    )
    told = (
        ok
        & (arrivals.length >= base + _TLV_BYTES)
        & (view["d_type"] == stamp_tlv.OWN_DROPS)
        & (view["d_flags"] == 0)
        & (view["d_length"] == stamp_tlv.OWN_DROPS_VALUE.size)
    )
    drops = np.stack([view[n].astype(np.int64) for n in ("d_buffer", "d_refused", "d_unsent")], 1)
    return _Read(
        row=np.where(known, row, -1),
        ok=ok,
        r=view["sequence"].astype(np.int64),
        t2=_to_ns(view["t2"], error),
        t3=_to_ns(view["t3"], error),
        ttl=view["ttl"].astype(np.int64),
        has_ttl=arrivals.length > 40,
        follow_seq=np.where(followed, view["f_sequence"].astype(np.int64), -1),
        follow_ns=_to_ns(view["f_timestamp"], error),
        seq=seq,
        drops=np.where(told[:, None], drops, -1),
    )


def _follow_ups(read: _Read, flow: Ints, r_of_row: Ints, ports: int) -> Ints:
    """(n,) kernel egress stamp of each probe's reply, 0 where no Follow-Up Telemetry told it."""
    told = read.follow_seq >= 0
    if not told.any():
        return np.zeros(len(r_of_row), dtype=np.int64)
    keys = flow[told] << 32 | read.follow_seq[told]
    order = np.argsort(keys, kind="stable")
    keys, stamps = keys[order], read.follow_ns[told][order]
    wanted = (np.arange(len(r_of_row)) % ports) << 32 | np.maximum(r_of_row, 0)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((r_of_row >= 0) & (keys[at] == wanted), stamps[at], 0)


def gather(sent: Sent, arrivals: Arrivals, key: bytes | None = None) -> Table:
    """The sender table of one session (columns: module docstring), without flush probes."""
    read = _read(sent, arrivals, key)
    ports = len(sent.src_ports)
    n = len(sent.sent_mono_ns) - ports
    k = np.arange(n)
    left = sent.sent_mono_ns[:n] != 0
    columns: Table = {
        "session_id": (sent.session_id + k % ports).astype(np.int32),
        "src_port": sent.src_ports[k % ports].astype(np.int32),
        "seq": k // ports,
        "intended_mono_ns": sent.intended_mono_ns[:n],
        "sent_mono_ns": _masked(sent.sent_mono_ns[:n], left),
        "sent_wall_ns": _masked(sent.sent_wall_ns[:n], left),
        "t1_ns": _masked(sent.t1_ns[:n], sent.t1_ns[:n] != 0),
        "clock_step": sent.clock_step[:n],
        "waited": sent.waited[:n],
        "throttled": sent.throttled[:n],
        "send_errno": _errnos(sent, n),
    }
    return (
        columns
        | _answers(sent, arrivals, read)
        | _counters(sent, read)
        | _copies(sent, arrivals, read)
    )


def _answers(sent: Sent, arrivals: Arrivals, read: _Read) -> Table:
    """What the first good reply to each probe told, and the constants of the session."""
    total = len(sent.sent_mono_ns)
    ports = len(sent.src_ports)
    n = total - ports
    good = np.flatnonzero(read.ok)
    row, first = np.unique(read.row[good], return_index=True)
    pick = good[first]

    def scatter(values: Ints, missing: int = 0) -> Ints:
        column = np.full(total, missing, dtype=np.int64)
        column[row] = values[pick]
        return column

    r = scatter(read.r, -1)
    t3, t4 = _follow_ups(read, arrivals.flow, r[:n], ports), scatter(arrivals.t4_ns)[:n]
    answered = r[:n] >= 0
    has_ttl = scatter(read.has_ttl.astype(np.int64))[:n] != 0
    corrupted = np.zeros(total, dtype=bool)
    corrupted[read.row[~read.ok & (read.row >= 0)]] = True
    flow = np.arange(n) % ports
    return {
        "t2_ns": _masked(scatter(read.t2)[:n], answered),
        "t3_ns": _masked(t3, t3 != 0),
        "t3_user_ns": _masked(scatter(read.t3)[:n], answered),
        "t4_ns": _masked(t4, t4 != 0),
        "received_mono_ns": _masked(scatter(arrivals.received_mono_ns)[:n], answered),
        "reflector_seq": _masked(r[:n], answered),
        "ttl": _masked(scatter(read.ttl)[:n].astype(np.int16), has_ttl),
        "corrupted": corrupted[:n] & ~answered,
        "stamp_code": np.full(n, sent.stamp_code, dtype=np.uint8),
        "rx_drops": sent.rx_drops[flow],
        "period_ns": np.full(n, sent.period_ns, dtype=np.int64),
        "timeout_ns": np.full(n, sent.timeout_ns, dtype=np.int64),
    }


def _errnos(sent: Sent, n: int) -> Ints:
    column = np.zeros(n, dtype=np.int64)
    for row, number in sent.send_errno.items():
        column[row] = number
    return column


def _counters(sent: Sent, read: _Read) -> Table:
    """The reflector's counter without copies, whether it counts at all, and its own drops."""
    total, ports = len(sent.sent_mono_ns), len(sent.src_ports)
    n = total - ports
    good = np.flatnonzero(read.ok)
    counter = np.full(total, -1, dtype=np.int64)
    flow = np.where(read.row < n, read.row % ports, read.row - n)
    for port in range(ports):
        mine = good[flow[good] == port]
        rows, numbers = copies.without_copies(read.row[mine], read.r[mine], read.t2[mine])
        counter[rows] = numbers
    stateful = bool((read.follow_seq >= 0).any() or (read.r[good] != read.seq[good]).any())
    own = read.drops.max(axis=0, initial=-1)
    final = counter[n:][np.arange(n) % ports]
    return {
        "counter_seq": _masked(counter[:n], counter[:n] >= 0),
        "final_counter": _masked(final, final >= 0),
        "stateful": np.full(n, stateful),
        "strange_replies": np.full(n, np.count_nonzero(~read.ok), dtype=np.int64),
        **{
            f"own_drops_{name}": _masked(np.full(n, value), np.full(n, value >= 0))
            for name, value in zip(("buffer", "refused", "unsent"), own.tolist(), strict=True)
        },
    }


def _copies(sent: Sent, arrivals: Arrivals, read: _Read) -> Table:
    """Duplicates and reordering by direction, per probe."""
    total, n = len(sent.sent_mono_ns), len(sent.sent_mono_ns) - len(sent.src_ports)
    good = np.flatnonzero(read.ok)
    extra, forward = copies.duplicates(total, read.row[good], read.r[good], read.t2[good])
    row, first = np.unique(read.row[good], return_index=True)
    row, pick = row[row < n], good[first][row < n]
    stamped = bool((arrivals.t4_ns[pick] > 0).all()) and not sent.clock_step[:n].any()
    came = arrivals.t4_ns[pick] if stamped else pick
    late, far = copies.reordered_by(row, came)
    there, _ = copies.reordered_by(row, read.t2[pick])
    left = np.argsort(np.argsort(read.t3[pick], kind="stable"), kind="stable")
    by_departure = np.argsort(left)
    back = np.zeros(len(row), dtype=bool)
    back[by_departure] = copies.reordered_by(left[by_departure], came[by_departure])[0]
    known = stamped and copies.one_clock(
        sent.sent_wall_ns[row], read.t2[pick], read.t3[pick], arrivals.t4_ns[pick]
    )
    reordered, extent = np.zeros((2, n), dtype=np.int64)
    reordered[row], extent[row] = late, far
    ways = np.zeros((2, n), dtype=bool)
    ways[0, row], ways[1, row] = there, back
    told = np.zeros(n, dtype=bool)
    told[row] = known
    return {
        "duplicates": _u8(extra[:n]),
        "duplicates_forward": _u8(forward[:n]),
        "duplicates_backward": _u8((extra - forward)[:n]),
        "reordered": reordered != 0,
        "reordered_forward": _masked(ways[0], told),
        "reordered_backward": _masked(ways[1], told),
        "reorder_extent": _masked(extent.astype(np.int32), reordered != 0),
    }


def _masked(
    values: npt.NDArray[np.generic], present: Bools
) -> np.ma.MaskedArray[tuple[int], np.dtype[np.generic]]:
    return np.ma.MaskedArray(values, mask=~present)


def _u8(values: Ints) -> npt.NDArray[np.uint8]:
    return np.minimum(values, 255).astype(np.uint8)
