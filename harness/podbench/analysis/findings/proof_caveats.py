"""Caveats about proofs: what did not match, and what is odd about a proof that did.

The codes are those of `podbench.cni.proof`; what each means is said here, for the page and for
`warnings` of summary.json.
"""

from collections.abc import Iterable

from podbench.analysis.findings.caveats import SHOWN_PLACES, Code
from podbench.analysis.samples.inputs import BlockProof, Inputs
from podbench.model.facts import Verdict
from podbench.model.summary import Doubt

MEANING: dict[str, tuple[str, str | None]] = {
    "bgp_session_down_routes_stale": (
        "packets take routes learned over a BGP session that is down (bgp session down routes "
        "stale)",
        "check the BGP sessions: routes outlive them only for the restart time",
    ),
    "route_not_from_bgp": (
        "packets are not encapsulated, as asked, but their route does not come from BGP",
        "look who programs these routes: CrossSubnet pools and Felix make such",
    ),
    "route_not_via_peer": (
        "the route does not lead straight to the peer's node: a third node or another device is in "
        "between",
        "the figures of these pairs include the detour: check routes and VXLAN forwarding entries",
    ),
    "route_and_counters_disagree": (
        "packets did not take what the route says",
        "an eBPF dataplane, WireGuard or a policy rule sends them elsewhere: ip rule, ip route",
    ),
    "counters_undecided": (
        "tunnel and underlay counters fit no single encapsulation",
        "use --proof capture: it reads the outer headers of our own packets",
    ),
    "foreign_packets_in_tunnel": (
        "other traffic crossed a tunnel during the proof, so its counter proves nothing",
        "use --proof capture, or measure when the nodes carry less traffic",
    ),
    "foreign_packets_unbounded": (
        "other traffic could have moved the tunnel's counter in place of our packets",
        "use --proof capture: it reads the outer headers of our own packets",
    ),
    "tunnel_counted_too_few": (
        "the tunnel counted fewer packets than were answered: some did not cross it",
        "look for policy rules (ip rule), marks and routes that send them elsewhere",
    ),
    "packets_took_more_than_one_way": (
        "packets of one direction took several encapsulations at once",
        "look for policy rules (ip rule) and marks that select some of them",
    ),
    "proof_window_failed": (
        "the packets for the proof could not be sent",
        "look at the agents of these pairs",
    ),
}


def of_proofs(inputs: Inputs) -> Iterable[Doubt]:
    """Yields proofs that do not match, and warnings of the provers."""
    worst: dict[tuple[str, str, str], list[BlockProof]] = {}
    warned: dict[tuple[str, str], list[BlockProof]] = {}
    for held in inputs.proofs:
        proof = held.proof
        if proof.verdict is not Verdict.MATCH:
            said = f"{proof.verdict} ({proof.observed})" if proof.observed else str(proof.verdict)
            worst.setdefault((str(proof.mode), held.kind, said), []).append(held)
        for warning in proof.warnings:
            warned.setdefault((str(proof.mode), warning), []).append(held)
    for (mode, kind, said), proofs in worst.items():
        yield Doubt(
            code=Code.PROOF_NOT_MATCH,
            message=f"{mode}: the packets of {kind} were not proven to use {mode}: {said}",
            advice="do not attribute this arm's results to that mode",
            evidence=_blocks(proofs),
        )
    for (mode, warning), proofs in warned.items():
        yield _warned(mode, warning, proofs)


def _warned(mode: str, warning: str, proofs: list[BlockProof]) -> Doubt:
    code, _, detail = warning.partition(": ")
    text, advice = MEANING.get(code, (code.replace("_", " "), None))
    pairs = sorted(
        {
            f"{pair.src} > {pair.dst}"
            for one in proofs
            for pair in one.proof.pairs
            if warning in pair.warnings
        }
    )
    shown = ", ".join(pairs[:SHOWN_PLACES]) + (", ..." if len(pairs) > SHOWN_PLACES else "")
    stale = code == Code.BGP_STALE
    return Doubt(
        code=Code.BGP_STALE if stale else Code.PROOF_WARNING,
        message=f"{mode}: {text}" + (f": {detail}" if detail else ""),
        advice=advice,
        evidence=_blocks(proofs) + (f"; {shown}" if shown else ""),
    )


def _blocks(proofs: list[BlockProof]) -> str:
    return f"blocks {', '.join(map(str, sorted({one.block for one in proofs})))}"
