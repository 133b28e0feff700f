"""Draws verdicts from evidence: per directed pair, then for a whole arm. Pure functions.

The strongest method that says something wins: captured outer headers, then counters. Where packets
were sent and neither decides, nothing is proven, whatever the route says: a rule may send them
elsewhere. Routes decide only where no packets were sent, and are then called `routed`. A
configuration alone never gives more than `unproven`. An MTU is no evidence at all: it is the same
with and without encapsulation wherever an installer left room.

    route or probes fail                     unreachable
    both directions as asked                 match
    both directions alike, not as asked      fell back   (`observed` names what was seen)
    the directions differ                    mixed       (`ipip out, bgp back`)
    one direction takes several              mixed       (`vxlan (133), plain (67)`)
    nothing can be said                      unproven
"""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence

import msgspec

from podbench.cni.base import Pool
from podbench.cni.proof.evidence import (
    FOREIGN,
    UNBOUNDED,
    UNDECIDED,
    Expected,
    Found,
    Window,
    amounts,
    captured,
    counted,
    underlay,
)
from podbench.cni.proof.routes import BIRD, BOOT, DEVICE_OWNERS, PLAIN, PROTOCOLS, Way
from podbench.model.arms import OVERHEAD_BYTES, Mode
from podbench.model.facts import ArmProof, Method, PairProof, Verdict

STALE = "bgp_session_down_routes_stale"
"""Warning: packets still take routes learned over a BGP session that is down (graceful restart)."""
NOT_FROM_BGP = "route_not_from_bgp"
"""Warning: no encapsulation as asked, but the route comes from something other than BGP."""
ODD_ROUTE = "route_not_via_peer"
"""Warning: the route or the VXLAN entries behind it do not lead straight to the peer's node."""
DISAGREE = "route_and_counters_disagree"
"""Warning: the packets did not take what the route says, as with an eBPF dataplane or WireGuard."""
MORE_THAN_ONE = "packets_took_more_than_one_way"
"""Warning: one direction's packets took several encapsulations at once."""

STRENGTH = (Method.CAPTURED, Method.COUNTED, Method.ROUTED, Method.CONFIGURED)


class Sight(msgspec.Struct, frozen=True):
    """What one direction was seen to take (null: nothing can be said), and by which method."""

    seen: str | None
    method: Method
    warnings: tuple[str, ...] = ()
    shares: Mapping[str, int] = {}
    """Several encapsulations at once, with packets or bytes of each."""
    doubtful: bool = False
    """Enough to say that it is not what was asked, not enough for a match."""


def prove_pair(
    pool: Pool, out: Way, back: Way, window: Window | None
) -> tuple[PairProof, PairProof]:
    """Both directions of a pair.

    Args:
        pool: The pool of the mode asked for.
        out: From the node that probed to the other.
        back: The other way.
        window: The proof window; null where only the routes were asked.

    Returns:
        The proof of `out` and of `back`.
    """
    there = _sight(out, window, _forward(window))
    here = _sight(back, window, _replies(window))
    dead = window is not None and window.answered == 0
    return (
        directed(pool, out, there, here, dead=dead, evidence=_evidence(out, window)),
        directed(pool, back, here, there, dead=dead, evidence=_evidence(back, window)),
    )


def prove_arm(mode: Mode, pairs: Sequence[PairProof]) -> ArmProof:
    """The arm's verdict: that of its pairs where they agree; pairs that differ make it `mixed`.

    Unproven pairs beside others leave the arm unproven unless those others already differ.
    """
    verdicts = {pair.verdict for pair in pairs}
    known = verdicts - {Verdict.UNPROVEN}
    if len(known) > 1:
        verdict = Verdict.MIXED
    elif verdicts == known and known:
        (verdict,) = known
    else:
        verdict = Verdict.UNPROVEN
    return ArmProof(
        mode=mode,
        verdict=verdict,
        method=max((pair.method for pair in pairs), key=STRENGTH.index, default=Method.CONFIGURED),
        observed=_summary([pair.observed for pair in pairs]),
        route_origin=_summary([pair.route_origin for pair in pairs]),
        pairs_matched=sum(pair.verdict == Verdict.MATCH for pair in pairs),
        pairs_total=len(pairs),
        pairs=tuple(pairs),
        warnings=tuple(sorted({warning for pair in pairs for warning in pair.warnings})),
    )


BADNESS = (
    *(Verdict.MATCH, Verdict.UNPROVEN, Verdict.UNREACHABLE, Verdict.MIXED),
    Verdict.FELL_BACK,
)


def worst_of(proofs: Sequence[PairProof]) -> list[PairProof]:
    """One proof a directed pair: the worst, of equally bad ones the last."""
    worst: dict[tuple[str, str], PairProof] = {}
    for each in proofs:
        held = worst.get((each.src, each.dst))
        if held is None or BADNESS.index(each.verdict) >= BADNESS.index(held.verdict):
            worst[each.src, each.dst] = each
    return list(worst.values())


def decided(pairs: Sequence[PairProof]) -> bool:
    """Whether the counters of a proof window spoke for every direction, so no second try is due."""
    return not any({UNDECIDED, FOREIGN} & set(pair.warnings) for pair in pairs)


def needs_silence(pairs: Sequence[PairProof]) -> bool:
    """Whether a stretch without probes has to show what else crosses the tunnels."""
    return any(UNBOUNDED in pair.warnings for pair in pairs)


def origin(pool: Pool, protocol: int | None, device: str | None = None) -> str | None:
    """Who programmed a route, by its protocol number; numbers without a name stay numbers.

    The pool's own number means its owner: Felix' is configurable, Flannel uses the anonymous 3. The
    kernel's anonymous number names nobody, but the tunnel that the route leads to may.
    """
    if protocol is None:
        return None
    if protocol == BOOT:
        owners = (who for name, who in DEVICE_OWNERS.items() if (device or "").startswith(name))
        if (owner := next(owners, None)) is not None:
            return owner
    if protocol == pool.route_protocol and pool.origin is not None:
        own = protocol != BOOT or pool.device is None or pool.device == device
        return pool.origin if own else PROTOCOLS[BOOT]
    return PROTOCOLS.get(protocol, f"protocol {protocol}")


def _forward(window: Window | None) -> Expected:
    if window is None:
        return Expected(tx_least=0, rx_least=0, most=0)
    return Expected(tx_least=window.sent, rx_least=window.answered, most=window.sent)


def _replies(window: Window | None) -> Expected:
    if window is None:
        return Expected(tx_least=0, rx_least=0, most=0)
    return Expected(tx_least=window.answered, rx_least=window.answered, most=window.sent)


def _sight(way: Way, window: Window | None, expected: Expected) -> Sight:
    odd = (ODD_ROUTE,) if way.note is not None and way.via is not None else ()
    if window is None or window.answered == 0:
        method = Method.CONFIGURED if way.route is None else Method.ROUTED
        return Sight(way.via, method, odd)
    by_capture = captured(way, window, expected)
    by_count = counted(way, window.moved, expected, silence=window.silence)
    if by_capture.seen is not None or by_capture.shares:
        decided_by, method = by_capture, Method.CAPTURED
        other = by_count.seen if by_count.doubt is None else None
    else:
        decided_by, method, other = by_count, Method.COUNTED, None
    return sight(way, decided_by, method, odd, other)


def sight(
    way: Way,
    found: Found,
    method: Method,
    warnings: tuple[str, ...] = (),
    other: str | None = None,
) -> Sight:
    """What one kind of evidence means for a direction.

    Args:
        way: The direction.
        found: What the evidence says.
        method: What kind it is.
        warnings: What is already to be said.
        other: What weaker evidence says; null: nothing.
    """
    if found.shares:
        return Sight(None, method, (*warnings, MORE_THAN_ONE), found.shares)
    if found.seen is None:
        # With nothing to go by but the route, that is no more than what was configured to happen.
        return Sight(None, Method.ROUTED, (*warnings, found.doubt or UNDECIDED))
    differs = len({found.seen, other or found.seen, way.via or found.seen}) > 1
    said = (*((DISAGREE,) if differs else ()), *((found.doubt,) if found.doubt else ()))
    return Sight(found.seen, method, (*warnings, *said), doubtful=found.doubt is not None)


def directed(
    pool: Pool,
    way: Way,
    there: Sight,
    here: Sight,
    *,
    dead: bool,
    evidence: dict[str, str | int | float | None],
) -> PairProof:
    """One direction's proof.

    Args:
        pool: The pool of the mode asked for.
        way: The direction.
        there: What it was seen to take.
        here: What the other direction was seen to take.
        dead: No packet came back.
        evidence: What the verdict rests on.
    """
    mode = pool.mode
    observed = _name(mode, there.seen, way)
    if dead or not way.reachable:
        verdict, observed = Verdict.UNREACHABLE, None
    elif there.shares:
        verdict = Verdict.MIXED
        observed = ", ".join(
            f"{_name(mode, name, way)} ({amount})" for name, amount in there.shares.items()
        )
    elif there.seen is None and mode == Mode.AS_FOUND and way.via is not None:
        # What was asked for as it is found cannot fall back to anything.
        verdict, observed = Verdict.MATCH, _name(mode, way.via, way)
    elif there.seen is None or there.method == Method.CONFIGURED:
        verdict = Verdict.UNPROVEN
    elif here.seen is not None and here.seen != there.seen:
        verdict = Verdict.MIXED
        observed = f"{observed} out, {_name(mode, here.seen, way)} back"
    elif mode not in (observed, Mode.AS_FOUND):
        verdict = Verdict.FELL_BACK
    else:
        doubtful = there.doubtful and mode != Mode.AS_FOUND
        verdict = Verdict.UNPROVEN if doubtful else Verdict.MATCH
    return PairProof(
        src=way.src,
        dst=way.dst,
        mode=mode,
        verdict=verdict,
        method=there.method,
        observed=observed,
        route_origin=None
        if way.route is None
        else origin(pool, way.route.protocol, way.route.device),
        warnings=(*there.warnings, *_origin_warnings(mode, way, verdict)),
        evidence=evidence,
    )


def _origin_warnings(mode: Mode, way: Way, verdict: Verdict) -> tuple[str, ...]:
    protocol = way.route.protocol if way.route else None
    stale = way.session_up is False and protocol == BIRD and verdict != Verdict.UNREACHABLE
    foreign = mode == Mode.BGP and verdict == Verdict.MATCH and protocol not in (None, BIRD)
    return (*((STALE,) if stale else ()), *((NOT_FROM_BGP,) if foreign else ()))


def _name(mode: Mode, seen: str | None, way: Way) -> str | None:
    """What was seen in words of `Mode`: plain packets are the plain mode asked for, or BGP's."""
    if seen != PLAIN:
        return seen
    if OVERHEAD_BYTES.get(mode) == 0:
        return mode
    from_bird = way.route is not None and way.route.protocol == BIRD
    return Mode.BGP if from_bird else Mode.NATIVE


def _summary(values: Sequence[str | None]) -> str | None:
    """One value, or each with how many pairs have it: `bgp (4), vxlan (2)`; null where all are."""
    tally = Tally(value for value in values if value is not None)
    if len(tally) == 1 and tally.total() == len(values):
        return next(iter(tally))
    return ", ".join(f"{value} ({count})" for value, count in tally.most_common()) or None


def _evidence(way: Way, window: Window | None) -> dict[str, str | int | float | None]:
    evidence: dict[str, str | int | float | None] = {
        "bgp_session": {True: "up", False: "down", None: None}[way.session_up]
    }
    if way.route is not None:
        evidence |= {
            "route_dst": way.route.dst,
            "route_type": way.route.type,
            "route_device": way.route.device,
            "route_gateway": way.route.gateway,
            "route_protocol": way.route.protocol,
        }
    if way.note is not None:
        evidence["route_note"] = way.note
    if window is not None:
        evidence |= {"probes_sent": window.sent, "probes_answered": window.answered}
        evidence["underlay_tx_packets"] = underlay(way, window.moved)
        for name, (tx, rx) in sorted(amounts(way, window.moved).items()):
            evidence |= {f"{name}_tx_packets": tx, f"{name}_rx_packets": rx}
        for name, (tx, rx) in sorted(amounts(way, window.silence or ()).items()):
            evidence |= {f"silent_{name}_tx_packets": tx, f"silent_{name}_rx_packets": rx}
        for each in window.seen or ():
            if (each.node, each.src, each.dst) == (way.src, way.src_address, way.dst_address):
                evidence[f"captured_{each.encapsulation}_packets"] = each.packets
    return evidence
