"""What counters and captures say about a proof window. Pure functions.

`routes` says what the kernel would do, this what the packets did; `proof` draws the verdicts and
`walk` collects the facts from a world.
"""

from collections.abc import Iterable

import msgspec

from podbench.cni.base import Seen
from podbench.cni.proof.routes import PLAIN, TUNNEL_KINDS, Counter, Way
from podbench.model.facts import NodeFacts, TunnelCount

LOSS_RATIO = 0.02
"""A direction is carried by a tunnel whose counter rose by the probes sent, less at most this."""
BACKGROUND_RATIO = 0.01
"""... and exceeded them, or any other tunnel's rose, by less than this share of the probes."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch in which only our probes of one pair were on the wire; `moved` are differences."""

    sent: int
    answered: int
    moved: tuple[Counter, ...]
    seen: tuple[Seen, ...] | None = None
    """What captures on both underlay devices saw of our probes; null: nobody captured."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """One direction's packets in a window: what surely was sent, what surely came, and the most."""

    tx_least: int
    rx_least: int
    most: int


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
        )
        for encapsulation, count in extra
        if count.device not in known
    ]
    return (*links, *peers)


def moved(before: Iterable[Counter], after: Iterable[Counter]) -> tuple[Counter, ...]:
    """What the counters rose by. One that is new counts from zero, one that went is left out."""
    start = {(each.node, each.device, each.peer): each for each in before}
    differences = []
    for end in after:
        begin = start.get((end.node, end.device, end.peer))
        differences.append(
            msgspec.structs.replace(
                end,
                tx_packets=end.tx_packets - (begin.tx_packets if begin else 0),
                rx_packets=end.rx_packets - (begin.rx_packets if begin else 0),
            )
        )
    return tuple(differences)


def counted(way: Way, window: Window, expected: Expected) -> str | None:
    """The encapsulation whose counters carried one direction of a window; null: they do not say.

    The sender's tx and the receiver's rx are judged apart. One tunnel must have carried the packets
    expected (2 % less at most, background under 1 %) while every other stayed still; or all stayed
    still while the underlay's device sent them: `PLAIN`.

    Args:
        way: The direction.
        window: What moved.
        expected: Bounds for the packets of this direction.
    """
    if expected.rx_least == 0:
        return None
    limit = expected.most * BACKGROUND_RATIO
    amounts = _amounts(way, window)
    loud = {name for name, (tx, rx) in amounts.items() if tx >= limit or rx >= limit}
    if not loud:
        tx = underlay_packets(way, window)
        return PLAIN if tx is not None and _enough(tx, expected.tx_least) else None
    if len(loud) != 1:
        return None
    (name,) = loud
    tx, rx = amounts[name]
    enough = _enough(tx, expected.tx_least) and _enough(rx, expected.rx_least)
    return name if enough and max(tx, rx) < expected.most + max(limit, 1) else None


def _enough(packets: int, least: int) -> bool:
    return packets >= least * (1 - LOSS_RATIO)


def tunnel_packets(way: Way, window: Window, encapsulation: str) -> tuple[int, int]:
    """What the sender's tunnels of a kind sent and the receiver's got in one direction."""
    return _amounts(way, window).get(encapsulation, (0, 0))


def _amounts(way: Way, window: Window) -> dict[str, tuple[int, int]]:
    """Per encapsulation: sender's tx, receiver's rx. Per-peer counters count only for this peer."""
    amounts: dict[str, tuple[int, int]] = {}
    for each in window.moved:
        if each.encapsulation == PLAIN:
            continue
        tx, rx = amounts.get(each.encapsulation, (0, 0))
        if each.node == way.src and each.peer in (None, way.peer):
            tx += each.tx_packets
        if each.node == way.dst and each.peer in (None, way.own):
            rx += each.rx_packets
        amounts[each.encapsulation] = (tx, rx)
    return amounts


def underlay_packets(way: Way, window: Window) -> int | None:
    """What the device by which plain packets leave sent; null where there is none."""
    return next(
        (
            each.tx_packets
            for each in window.moved
            if each.node == way.src and each.device == way.device and each.peer is None
        ),
        None,
    )


def captured(way: Way, window: Window, expected: Expected) -> str | None:
    """The encapsulation captures saw one direction's probes leave in; null: they do not say."""
    if window.seen is None or expected.tx_least == 0:
        return None
    amounts: dict[str, int] = {}
    for each in window.seen:
        ours = (each.src, each.dst) == (way.src_address, way.dst_address)
        if ours and each.node == way.src:
            amounts[each.encapsulation] = amounts.get(each.encapsulation, 0) + each.packets
    loud = [name for name, packets in amounts.items() if _enough(packets, expected.tx_least)]
    return loud[0] if len(amounts) == 1 and loud else None
