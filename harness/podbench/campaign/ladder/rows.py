"""A load step as a row of `samples/ladder`: what was offered, what came of it, whether it counts.

Pure. A step counts (`reached`) only if the generator held its rate within 2 % and no CPU was busier
than 90 %; nothing is ever extrapolated from one that does not.
"""

import msgspec
import numpy as np

from podbench.wire import iperf3
from podbench.wire.columns import Column, Table

Facts = dict[str, str | int | float | bool | None]

BULK, SMALL = "bulk", "small"
KINDS = (BULK, SMALL)
RATE_SLACK = 0.02
"""The generator held its rate if the interface counted no more than this beside it."""
BUSIEST_MOST = 0.9
"""A CPU busier than this leaves no room for what the load would take: the slope would bend."""
STAMP_PPS = 1000.0
"""Probes beside every step, which the interfaces count too."""
TCP_HEADERS_BYTES = 66
"""Ethernet 14, IPv4 20, TCP 20 and its timestamps 12: once for each packet that an interface
counts, whole super-packets included."""
PACING_TIMER_US = 1000
"""iperf3's own default. A shorter period means smaller bursts and more CPU of the generator."""


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """A step's load; `rate` in bit/s, or packets/s for `small`."""

    kind: str
    share: float
    rate: float

    @property
    def bits_per_second(self) -> float:
        """Payload bits per second."""
        return self.rate if self.kind == BULK else self.rate * 8 * iperf3.SMALL_BYTES

    @property
    def phase(self) -> str:
        """The phase of the STAMP rows beside this step."""
        return f"load-{self.kind}-{round(100 * self.share)}"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one step gave: the window's facts at both ends, iperf3's own words, what failed."""

    near: Facts | None = None
    far: Facts | None = None
    client: str | None = None
    server: str | None = None
    reason: str | None = None

    @property
    def busiest(self) -> float | None:
        """The busiest CPU of both ends."""
        found = [_number(end, "busiest_cpu_ratio") for end in (self.near, self.far)]
        return max((one for one in found if one is not None), default=None)


def _number(facts: Facts | None, name: str) -> float | None:
    value = None if facts is None else facts.get(name)
    return float(value) if isinstance(value, int | float) else None


def rate_at(
    facts: Facts | None, kind: str, way: str, *, stamp_pps: float = STAMP_PPS
) -> float | None:
    """Payload bit/s, or packets/s for `small`, through one end's interfaces; null: not known.

    Args:
        facts: of the window (messages.WatchLoad).
        kind: of load.
        way: `tx` or `rx`.
        stamp_pps: of the probes beside.
    """
    length_s, packets = _number(facts, "duration_s"), _number(facts, f"{way}_packets")
    octets = _number(facts, f"{way}_bytes")
    if length_s is None or packets is None or octets is None or length_s <= 0.0:
        return None
    if kind == SMALL:
        return packets / length_s - stamp_pps
    return 8.0 * (octets - TCP_HEADERS_BYTES * packets) / length_s


def why_not_reached(asked: Offered, seen: Seen) -> str | None:
    """Why a step does not count; null where it does."""
    if seen.reason is not None:
        return seen.reason
    sent = rate_at(seen.near, asked.kind, "tx")
    if seen.busiest is None or (sent is None and asked.rate > 0.0):
        return "the counters of CPU or interface could not be read"
    if asked.rate > 0.0 and sent is not None and abs(sent / asked.rate - 1.0) > RATE_SLACK:
        return f"the generator sent {100 * sent / asked.rate:.0f}% of the offered rate"
    if seen.busiest > BUSIEST_MOST:
        return f"a CPU was {100 * seen.busiest:.0f}% busy"
    return None


def row(asked: Offered, seen: Seen, *, shared: bool) -> Table:
    """One row, without its place.

    Args:
        asked: the load.
        seen: what came of it.
        shared: both nodes are one machine: its CPUs stand once, under `busy_cores_src`.
    """
    got = None if asked.rate == 0.0 else rate_at(seen.far, asked.kind, "rx")
    reason = why_not_reached(asked, seen)
    small = asked.kind == SMALL
    lost, retransmits = iperf3.lost_and_retransmitted(seen.client, seen.server)
    near = seen.near or {}
    values: dict[str, object] = {
        "offered_share": asked.share,
        "offered_bps": asked.bits_per_second,
        "offered_pps": asked.rate if small else None,
        "achieved_bps": got if got is None or not small else got * 8 * iperf3.SMALL_BYTES,
        "achieved_pps": got if small else None,
        "reached": reason is None,
        "not_reached_reason": reason,
        "duration_s": _number(seen.near, "duration_s"),
        "busy_cores_src": _number(seen.near, "busy_cores"),
        "busy_cores_dst": None if shared else _number(seen.far, "busy_cores"),
        "steal_cores_src": _number(seen.near, "steal_cores"),
        "steal_cores_dst": None if shared else _number(seen.far, "steal_cores"),
        "busy_method": near.get("busy_method"),
        "busiest_cpu_ratio": seen.busiest,
        "lost_packets": lost,
        "retransmits": retransmits,
        "burst_packets": _burst(asked, seen),
    }
    return {name: _column(name, value) for name, value in values.items()}


def _burst(asked: Offered, seen: Seen) -> int | None:
    """Packets that leave back to back: iperf3's timer wakes it this often."""
    if asked.kind != SMALL or asked.rate == 0.0 or seen.client is None:
        return None
    if not iperf3.has_pacing_timer(iperf3.version_of(seen.client)):
        return 1
    return max(1, round(asked.rate * PACING_TIMER_US / 1e6))


_TEXT = {"not_reached_reason", "busy_method"}
_WHOLE = {"lost_packets", "retransmits", "burst_packets"}


def _column(name: str, value: object) -> Column:
    absent = np.array([value is None])
    kind = np.str_ if name in _TEXT else np.int64 if name in _WHOLE else np.float64
    if name == "reached":
        return np.array([bool(value)])
    filler: object = "" if name in _TEXT else 0
    return np.ma.MaskedArray(
        np.array([filler if value is None else value], dtype=kind), mask=absent
    )
