"""Draws verdicts from evidence: per directed pair, then for a whole arm. Pure functions.

The strongest method that says something wins: captured outer headers, then counters, then routes.
A configuration alone never gives more than `unproven`. An MTU is no evidence at all: it is the same
with and without encapsulation wherever an installer left room.

    route or probes fail                     unreachable
    both directions as asked                 match
    both directions alike, not as asked      fell back   (`observed` names what was seen)
    the directions differ                    mixed       (`ipip out, bgp back`)
    nothing can be said                      unproven
"""

from collections import Counter as Tally
from collections.abc import Sequence

import msgspec

from podbench.cni.base import Pool
from podbench.cni.proof.evidence import (
    Expected,
    Window,
    captured,
    counted,
    tunnel_packets,
    underlay_packets,
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
UNDECIDED = "counters_undecided"
"""Warning: the counters fit no single encapsulation (background, loss); the route decided."""

STRENGTH = (Method.CAPTURED, Method.COUNTED, Method.ROUTED, Method.CONFIGURED)


class Sight(msgspec.Struct, frozen=True):
    """What one direction was seen to take (null: nothing can be said), and by which method."""

    seen: str | None
    method: Method
    warnings: tuple[str, ...] = ()


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
    return (
        _directed(pool, out, window, there, here),
        _directed(pool, back, window, here, there),
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


def decided(pairs: Sequence[PairProof]) -> bool:
    """Whether the counters of a proof window spoke for every direction, so no second try is due."""
    return not any(UNDECIDED in pair.warnings for pair in pairs)


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
    method = Method.CONFIGURED if way.route is None else Method.ROUTED
    if window is None or window.answered == 0:
        return Sight(way.via, method, odd)
    by_capture = captured(way, window, expected)
    by_count = counted(way, window, expected)
    if by_capture is None and by_count is None:
        return Sight(way.via, method, (*odd, UNDECIDED))
    seen = by_capture or by_count
    method = Method.COUNTED if by_capture is None else Method.CAPTURED
    differs = len({seen, by_count or seen, way.via or seen}) > 1
    return Sight(seen, method, (*odd, DISAGREE) if differs else odd)


def _directed(pool: Pool, way: Way, window: Window | None, there: Sight, here: Sight) -> PairProof:
    """One direction's proof; `there` is what that direction was seen to take, `here` the other."""
    mode = pool.mode
    observed = _name(mode, there.seen, way)
    dead = window is not None and window.answered == 0
    if dead or not way.reachable:
        verdict, observed = Verdict.UNREACHABLE, None
    elif there.seen is None or there.method == Method.CONFIGURED:
        verdict = Verdict.UNPROVEN
    elif here.seen is not None and here.seen != there.seen:
        verdict = Verdict.MIXED
        observed = f"{observed} out, {_name(mode, here.seen, way)} back"
    else:
        # What was asked for as it is found cannot fall back to anything.
        verdict = Verdict.MATCH if mode in (observed, Mode.AS_FOUND) else Verdict.FELL_BACK
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
        evidence=_evidence(way, window),
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
        evidence["underlay_tx_packets"] = underlay_packets(way, window)
        for name in sorted({each.encapsulation for each in window.moved} - {PLAIN}):
            tx, rx = tunnel_packets(way, window, name)
            evidence |= {f"{name}_tx_packets": tx, f"{name}_rx_packets": rx}
        for each in window.seen or ():
            if (each.node, each.src, each.dst) == (way.src, way.src_address, way.dst_address):
                evidence[f"captured_{each.encapsulation}_packets"] = each.packets
    return evidence
