"""What the sender writes down while it sends: preallocated arrays, read later by wire/replies.py.

One `Notes` per session. The loop (latency/loop.py) writes through memoryviews: storing an int that
way takes 40 ns and no memory.
"""

import struct
import time

import msgspec
import numpy as np

from podbench.wire import replies, stamp, stamp_tlv
from podbench.wire.columns import Table
from podbench.wire.copies import Bools, Ints
from podbench.wire.messages import LatencySession
from podbench_agent import timestamping
from podbench_agent.probes.latency import schedule
from podbench_agent.probes.latency.flows import Flow

_OPEN_SEQUENCE_AT, _AUTH_SEQUENCE_AT = 24, 48
_ARRIVAL = struct.Struct("=qqq16s")
"""Of a reply: flow, octets, when it was taken (CLOCK_MONOTONIC, ns); the kernel's receive stamp as
it came, so that nothing is worked out while probes are due."""
_ARRIVAL_DTYPE = np.dtype([(n, "i8") for n in ("flow", "length", "received", "t4_s", "t4_ns")])


class Suffered(msgspec.Struct, frozen=True, kw_only=True):
    """What befell the sender itself, per probe and flush probe; `rx_drops` per flow."""

    clock_step: Bools
    waited: Bools
    throttled: Bools
    rx_drops: list[int]


class Notes:
    """One session's arrays and the packet it sends.

    Args:
        session: What was asked for.
        flows: Its sockets.
        due_ns: (n,) intended send times.
        key: HMAC key in authenticated mode.
    """

    def __init__(
        self, session: LatencySession, flows: list[Flow], due_ns: Ints, key: bytes | None
    ) -> None:
        self.session = session
        self._first_ssid = session.session_id
        self.flows = flows
        self.ports = len(flows)
        self.n = len(due_ns)
        self.key = key
        rows = self.n + self.ports
        self.due_ns = np.concatenate([due_ns, np.full(self.ports, due_ns[-1])])
        self._columns = np.zeros((3, rows), dtype=np.int64)
        self.sent_mono, self.sent_wall, self.t1 = (c.data for c in self._columns)
        self.send_errno: dict[int, int] = {}
        """Row and error number of each probe whose send call failed."""
        self.strange = 0
        """Replies that fit no probe: not STAMP, or not to this session; known once `table` ran."""
        self._answered = np.zeros(rows, dtype=bool)
        self._settled = 0
        self.packet, self._mac_at = self._packet(own_drops=False)
        self._flush_packet, self._flush_mac_at = self._packet(own_drops=True)
        self._width = replies.OPEN_STORED_BYTES if key is None else replies.AUTH_STORED_BYTES
        self._sequence_at = _OPEN_SEQUENCE_AT if key is None else _AUTH_SEQUENCE_AT
        self.arrived = 0
        self._octets = np.zeros((0, self._width), dtype=np.uint8)
        self._arrivals = np.zeros(0, dtype=_ARRIVAL_DTYPE)
        self._reserve(rows + rows // 8 + 256)

    def _packet(self, *, own_drops: bool) -> tuple[bytearray, int]:
        """A packet with its TLVs, and where the HMAC TLV begins (0: it has none).

        The flush probe (`own_drops`) also asks what the reflector itself dropped, so it may be
        longer than a probe.
        """
        base = stamp.BASE_BYTES if self.key is None else stamp.AUTH_BYTES
        mac = 0 if self.key is None else stamp_tlv.HEADER_BYTES + stamp.HMAC_BYTES
        asked = stamp_tlv.FOLLOW_UP_BYTES + (stamp_tlv.OWN_DROPS_BYTES if own_drops else 0)
        tail = self.session.udp_payload_bytes - base
        if own_drops:
            tail = max(tail, asked + mac)
        fits = tail >= asked + mac
        packet = bytearray(base + tail)
        if tail:
            packet[base:] = stamp_tlv.request_tail(
                tail, key=self.key, follow_up=fits, own_drops=own_drops
            )
        return packet, base + asked if fits and self.key is not None else 0

    def _reserve(self, capacity: int) -> None:
        """Room for `capacity` replies, keeping those already there."""
        octets = np.zeros((capacity, self._width), dtype=np.uint8)
        arrivals = np.zeros(capacity, dtype=_ARRIVAL_DTYPE)
        octets[: self.arrived] = self._octets[: self.arrived]
        arrivals[: self.arrived] = self._arrivals[: self.arrived]
        self._octets, self._arrivals, self._capacity = octets, arrivals, capacity
        self._slots = octets.reshape(-1).data
        self._booked = arrivals.view(np.uint8).data

    def fill(self, flow: Flow, t1: int, *, flush: bool = False) -> bytearray:
        """The next packet of a flow, with this send time (raw timestamp `t1`)."""
        packet = self._flush_packet if flush else self.packet
        sequence, ssid = flow.key_base + flow.sent, self._first_ssid + flow.index
        if self.key is None:
            stamp.SENDER_OPEN.pack_into(packet, 0, sequence, t1, stamp.ERROR_UNSYNCED, ssid)
            return packet
        stamp.SENDER_AUTH.pack_into(packet, 0, sequence, t1, stamp.ERROR_UNSYNCED, ssid)
        packet[96 : stamp.AUTH_BYTES] = stamp.digest(packet[:96], self.key)
        at = self._flush_mac_at if flush else self._mac_at
        if at:
            packet[at + 4 : at + 20] = stamp.digest(
                packet[:4] + packet[stamp.AUTH_BYTES : at], self.key
            )
        return packet

    @property
    def sent(self) -> int:
        """Probes and flush probes that left."""
        return int(np.count_nonzero(self._columns[0]))

    def row(self, flow: Flow, sequence: int) -> int:
        """Where a sequence number of a flow stands in the columns."""
        row = sequence * self.ports + flow.index
        return row if row < self.n else self.n + flow.index

    def receive(self, flow: Flow) -> int:
        """Takes one reply from a flow's socket; when it was there (CLOCK_MONOTONIC, ns).

        Raises:
            OSError: There is none, or an ICMP error is.
        """
        i = self.arrived
        if i == self._capacity:
            self._reserve(self._capacity * 2)
        slot = self._slots[i * self._width : (i + 1) * self._width]
        length, ancillary, _, _ = flow.rx.recvmsg_into((slot,), timestamping.ANCILLARY_BYTES)
        received_ns = time.monotonic_ns()
        # The receive stamp is all that was asked for.
        t4 = ancillary[0][2] if ancillary else b""
        _ARRIVAL.pack_into(self._booked, i * _ARRIVAL.size, flow.index, length, received_ns, t4)
        self.arrived = i + 1
        return received_ns

    def outstanding(self, first_row: int = 0) -> int:
        """Probes sent, from this row on, that no reply has come for yet."""
        new = slice(self._settled, self.arrived)
        self._settled = self.arrived
        at = self._sequence_at
        octets = np.ascontiguousarray(self._octets[new, at : at + 4])
        sequence = octets.view(">u4")[:, 0].astype(np.int64)
        flow = self._arrivals["flow"][new]
        row = sequence * self.ports + flow
        row = np.where(row < self.n, row, self.n + flow)
        self._answered[row] = True
        left = self._columns[0, first_row:] != 0
        return int((left & ~self._answered[first_row:]).sum())

    def table(self, suffered: Suffered, stamp_code: int) -> Table:
        """The sender table (wire/replies.py)."""
        m = self.arrived
        mono, wall, t1 = self._columns
        sent = replies.Sent(
            session_id=self.session.session_id,
            src_ports=np.array([flow.port for flow in self.flows], dtype=np.int64),
            intended_mono_ns=self.due_ns,
            sent_mono_ns=mono,
            sent_wall_ns=wall,
            t1_ns=np.where(t1 >= wall, t1, 0),
            clock_step=suffered.clock_step,
            waited=suffered.waited,
            throttled=suffered.throttled,
            stamp_code=stamp_code,
            rx_drops=np.array(suffered.rx_drops, dtype=np.int64),
            send_errno=self.send_errno,
            period_ns=schedule.period_ns(self.session),
            timeout_ns=round(self.session.timeout_s * 1e9),
        )
        came = self._arrivals[:m]
        arrivals = replies.Arrivals(
            flow=came["flow"],
            octets=self._octets[:m],
            length=came["length"],
            t4_ns=came["t4_s"] * 1_000_000_000 + came["t4_ns"],
            received_mono_ns=came["received"],
        )
        table = replies.gather(sent, arrivals, self.key)
        self.strange = int(table["strange_replies"][0])
        return table
