"""What counters and captures say about packets of our own between two nodes. Pure functions.

`routes` says what the kernel would do, this what the packets did; `verdict` draws conclusions,
`walk` and `loads` collect the facts from a world.

A tunnel's counter proves that it carried our packets only if nothing else can have moved it:
either every packet that left by the underlay left wrapped (so ours did too), or a silent stretch
right after shows how much foreign traffic the tunnel has.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from podbench.cni.base import Seen
from podbench.cni.proof.routes import PLAIN, TUNNEL_KINDS, Counter, Way
from podbench.model.facts import NodeFacts, TunnelCount

LOSS_RATIO = 0.02
"""A direction is carried by a tunnel whose counter rose by the probes answered, less this."""
BACKGROUND_RATIO = 0.01
"""... and exceeded them, or any other tunnel's rose, by less than this share of the probes."""

UNDECIDED = "counters_undecided"
"""Warning: the counters fit no single encapsulation."""
FOREIGN = "foreign_packets_in_tunnel"
"""Warning: other packets than ours crossed a tunnel meanwhile, so its counter proves nothing."""
UNBOUNDED = "foreign_packets_unbounded"
"""Warning: foreign packets could have stood in for ours; a silent stretch was not looked at."""
TOO_FEW = "tunnel_counted_too_few"
"""Warning: the tunnel counted fewer packets than were answered: not all of ours crossed it."""


class Unit(StrEnum):
    """What is counted."""

    PACKETS = "packets"
    BYTES = "bytes"


SLACK = {Unit.PACKETS: BACKGROUND_RATIO, Unit.BYTES: 0.25}
"""By how much of the load the underlay may exceed the tunnel before packets may have left plain:
bytes on a NIC have a header per segment, which the tunnel's have not."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch in which only our probes of one pair were on the wire; `moved` are differences."""

    sent: int
    answered: int
    moved: tuple[Counter, ...]
    seen: tuple[Seen, ...] | None = None
    """What captures on both underlay devices saw of our probes; null: nobody captured."""
    silence: tuple[Counter, ...] | None = None
    """What moved in a stretch of the same length (scaled) without probes; null: not looked at."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """One direction's amount in a window: what surely was sent, what surely came, and the most."""

    tx_least: int
    rx_least: int
    most: int


class Found(msgspec.Struct, frozen=True):
    """What one kind of evidence says of one direction; all empty: nothing."""

    seen: str | None = None
    """The one encapsulation that all packets took."""
    shares: Mapping[str, int] = {}
    """More than one, with the amount of each."""
    doubt: str | None = None
    """Why it does not decide, or does not suffice for a match."""


def counters(facts: NodeFacts, extra: Iterable[tuple[str, TunnelCount]]) -> tuple[Counter, ...]:
    """All devices of a node, and per-peer tunnels that are not devices.

    Args:
        facts: The node, its links with their counters.
        extra: Encapsulation and count of each pool's tunnel; those that are links are not repeated.
    """
    links = [
        Counter(
            node=facts.node,
            device=link.name,
            encapsulation=TUNNEL_KINDS.get(link.kind or "", PLAIN),
            peer=None,
            tx_packets=link.tx_packets,
            rx_packets=link.rx_packets,
            tx_bytes=link.tx_bytes,
            rx_bytes=link.rx_bytes,
        )
        for link in facts.links
    ]
    known = {link.name for link in facts.links}
    peers = [
        Counter(
            node=count.node,
            device=count.device,
            encapsulation=encapsulation,
            peer=count.peer,
            tx_packets=count.tx_packets,
            rx_packets=count.rx_packets,
            tx_bytes=count.tx_bytes,
            rx_bytes=count.rx_bytes,
        )
        for encapsulation, count in extra
        if count.device not in known
    ]
    return (*links, *peers)


_AMOUNTS = ("tx_packets", "rx_packets", "tx_bytes", "rx_bytes")


def moved(
    before: Iterable[Counter], after: Iterable[Counter], scale: float = 1.0
) -> tuple[Counter, ...]:
    """What the counters rose by. One that is new counts from zero, one that went is left out."""
    start = {(each.node, each.device, each.peer): each for each in before}
    differences = []
    for end in after:
        begin = start.get((end.node, end.device, end.peer))
        rose = {
            name: round((getattr(end, name) - (getattr(begin, name) if begin else 0)) * scale)
            for name in _AMOUNTS
        }
        differences.append(msgspec.structs.replace(end, **rose))
    return tuple(differences)


def counted(
    way: Way,
    rose: Iterable[Counter],
    expected: Expected,
    *,
    unit: Unit = Unit.PACKETS,
    silence: Iterable[Counter] | None = None,
) -> Found:
    """The encapsulation whose counters carried one direction.

    The sender's tx and the receiver's rx are judged apart.

    Args:
        way: The direction.
        rose: What moved.
        expected: Bounds for the amount of this direction.
        unit: Of the bounds.
        silence: What moved in an equal stretch without our packets; null: nobody looked.
    """
    if expected.rx_least == 0:
        return Found()
    scale = _Scale(way, tuple(rose), expected, unit, None if silence is None else tuple(silence))
    loud = scale.loud()
    if not loud:
        return (
            Found(seen=PLAIN)
            if _enough(scale.left or 0, expected.tx_least)
            else Found(doubt=UNDECIDED)
        )
    if len(loud) == 1:
        return _one_tunnel(scale, next(iter(loud)))
    shares = {name: tx for name, (tx, _) in loud.items() if not _enough(tx, expected.tx_least)}
    split = len(shares) == len(loud) and _enough(sum(shares.values()), expected.tx_least)
    return Found(shares=shares) if split else Found(doubt=UNDECIDED)


class _Scale(msgspec.Struct, frozen=True):
    """One direction weighed: what each tunnel and the underlay carried."""

    way: Way
    rose: tuple[Counter, ...]
    expected: Expected
    unit: Unit
    silence: tuple[Counter, ...] | None

    @property
    def limit(self) -> float:
        return max(self.expected.most * BACKGROUND_RATIO, 1.0)

    @property
    def left(self) -> int | None:
        """What the underlay's device sent; null where it is not known."""
        return underlay(self.way, self.rose, self.unit)

    @property
    def plain(self) -> int | None:
        """Of that, what no tunnel had sent."""
        if self.left is None:
            return None
        wrapped = sum(
            _tx(each, self.unit)
            for each in self.rose
            if each.node == self.way.src and each.encapsulation != PLAIN
        )
        return self.left - wrapped

    def amounts(self, rose: tuple[Counter, ...]) -> dict[str, tuple[int, int]]:
        return amounts(self.way, rose, self.unit)

    def loud(self) -> dict[str, tuple[int, int]]:
        """The tunnels that more moved than background."""
        found = self.amounts(self.rose)
        return {n: (tx, rx) for n, (tx, rx) in found.items() if max(tx, rx) >= self.limit}

    def bounded(self, name: str) -> str | None:
        """Null if foreign packets cannot stand in for ours in this tunnel, else the warning."""
        slack = self.expected.most * SLACK[self.unit]
        # Less on the underlay than in the tunnel: it left by another device, which tells nothing.
        if self.plain is not None and -slack <= self.plain <= slack:
            return None
        if self.silence is None:
            return UNBOUNDED
        return FOREIGN if max(self.amounts(self.silence).get(name, (0, 0))) >= self.limit else None


def _one_tunnel(scale: _Scale, name: str) -> Found:
    """One tunnel moved: it carried all, or some, or only what is not ours."""
    expected = scale.expected
    tx, rx = scale.amounts(scale.rose)[name]
    if _enough(tx, expected.tx_least) and _enough(rx, expected.rx_least):
        if max(tx, rx) > expected.most + scale.limit:
            return Found(doubt=FOREIGN)
        doubt = scale.bounded(name)
        return Found(seen=name) if doubt is None else Found(doubt=doubt)
    plain = scale.plain
    if plain is None or _enough(tx, expected.tx_least) or _enough(rx, expected.rx_least):
        return Found(doubt=TOO_FEW)
    if _enough(plain, expected.tx_least):
        # All of ours can have left plain; what moved the tunnel is somebody else's.
        return Found(seen=PLAIN, doubt=FOREIGN)
    if _enough(plain + tx, expected.tx_least) and tx >= scale.limit:
        return Found(shares={name: tx, PLAIN: plain})
    return Found(doubt=TOO_FEW)


def _enough(amount: int, least: int) -> bool:
    return amount >= least * (1 - LOSS_RATIO)


def _tx(each: Counter, unit: Unit) -> int:
    return each.tx_packets if unit is Unit.PACKETS else each.tx_bytes


def _rx(each: Counter, unit: Unit) -> int:
    return each.rx_packets if unit is Unit.PACKETS else each.rx_bytes


def amounts(
    way: Way, rose: Iterable[Counter], unit: Unit = Unit.PACKETS
) -> dict[str, tuple[int, int]]:
    """Per encapsulation: sender's tx, receiver's rx. Per-peer counters count only for this peer."""
    found: dict[str, tuple[int, int]] = {}
    for each in rose:
        if each.encapsulation == PLAIN:
            continue
        tx, rx = found.get(each.encapsulation, (0, 0))
        if each.node == way.src and each.peer in (None, way.peer):
            tx += _tx(each, unit)
        if each.node == way.dst and each.peer in (None, way.own):
            rx += _rx(each, unit)
        found[each.encapsulation] = (tx, rx)
    return found


def underlay(way: Way, rose: Iterable[Counter], unit: Unit = Unit.PACKETS) -> int | None:
    """What the device by which plain packets leave sent; null where there is none."""
    return next(
        (
            _tx(each, unit)
            for each in rose
            if each.node == way.src and each.device == way.device and each.peer is None
        ),
        None,
    )


def captured(way: Way, window: Window, expected: Expected) -> Found:
    """The encapsulation captures saw one direction's probes leave in."""
    if window.seen is None or expected.tx_least == 0:
        return Found()
    found: dict[str, int] = {}
    for each in window.seen:
        ours = (each.src, each.dst) == (way.src_address, way.dst_address)
        if ours and each.node == way.src:
            found[each.encapsulation] = found.get(each.encapsulation, 0) + each.packets
    if not _enough(sum(found.values()), expected.tx_least):
        return Found()
    if len(found) == 1:
        return Found(seen=next(iter(found)))
    return Found(shares=found)
