"""What a plan costs before it starts: probes, transfers, bytes sent and kept, and what it tells."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from podbench.campaign import mesh, plan
from podbench.campaign.pace import Pace
from podbench.cni.base import CLUSTER_PROOF_PROBES, PROOF_PROBES
from podbench.model.arms import OVERHEAD_BYTES, Mode, Path
from podbench.model.nodes import Node
from podbench.model.units import show_bps

LATENCY_ROW_BYTES = 45
"""Compressed Parquet per latency row, as seen on runs of this kind."""
TRANSFER_BYTES = 12_000
"""Rows and raw JSON of one transfer, compressed."""
HEADERS_BYTES = 42
"""Ethernet 14, IPv4 20, UDP 8."""
LAB_CHANGES = (
    "nothing outside this command: private network, mount and process namespaces",
    "that end with it, and the run directory",
)


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What decides how much a plan puts on the wire."""

    probe_bytes: int
    """A probe's UDP payload, and its reply's."""
    proof_probes: int
    """A pair's probes in a proof window."""
    most_bps: int | None
    """A transfer's cap; null: none, so nobody can say how much it sends."""
    zones: Mapping[str, str | None] = {}
    """Each node's zone; null where it has none."""


LAB = Network(probe_bytes=64, proof_probes=PROOF_PROBES, most_bps=None)


def on_cluster(most_bps: int | None, zones: Mapping[str, str | None]) -> Network:
    """A cluster, where probes are authenticated and proof windows long."""
    from podbench.target.kubernetes.fleet import AUTHENTICATED_BYTES

    return Network(
        probe_bytes=AUTHENTICATED_BYTES,
        proof_probes=CLUSTER_PROOF_PROBES,
        most_bps=most_bps,
        zones=zones,
    )


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan will send and keep."""

    probes: int
    transfers: int
    disk_bytes: int
    sent_bytes: int | None
    """On the wire, all told; null where transfers have no cap."""
    cross_zone_bytes: int | None
    """Of these, between nodes of different zones; null also where a node's zone is not known."""
    smallest_detectable_ratio: dict[str, float | None]


def once_known(drawn: plan.Plan, nodes: Sequence[Node], most_bps: int | None) -> str | None:
    """What a plan sends on a cluster, now that agents have read the NICs; null without transfers.

    Args:
        drawn: All of it, with what is on disk already.
        nodes: As they were deployed.
        most_bps: A transfer's cap.
    """
    costs = expect(drawn, on_cluster(most_bps, {each.name: each.zone for each in nodes}))
    if costs.transfers == 0:
        return None
    speeds = [each.nic_bps for each in nodes]
    known = [each for each in speeds if each is not None]
    slowest = (
        f"the slowest NIC reports {show_bps(min(known))}" if known else "no NIC reports its speed"
    )
    silent = len(speeds) - len(known)
    rest = f", {silent} of {len(speeds)} report none" if known and silent else ""
    if costs.sent_bytes is None or most_bps is None:
        return f"transfers have no cap ({slowest}{rest}): the total is unknown"
    return (
        f"each transfer sends at most {show_bps(most_bps)} ({slowest}{rest}):"
        f" about {gigabytes(costs.sent_bytes)} for the whole plan"
    )


def gigabytes(octets: int) -> str:
    """`1.25 GB`, of little `0.31 MB`."""
    return f"{octets / 1e9:.2f} GB" if octets >= 1e7 else f"{octets / 1e6:.2f} MB"


class _Amount(msgspec.Struct, frozen=True):
    """Probes and transfers of one pair in one round."""

    pair: mesh.Pair
    probes: float
    transfers: int
    sent_bytes: float


def expect(drawn: plan.Plan, network: Network = LAB) -> Expected:
    """Adds a plan up."""
    amounts = [each for visit in drawn.visits for each in _amounts(drawn, visit, network)]
    probes, transfers = sum(each.probes for each in amounts), sum(x.transfers for x in amounts)
    capped = transfers == 0 or network.most_bps is not None
    zones = [network.zones.get(name) for name in drawn.nodes]
    across = [x.sent_bytes for x in amounts if len({network.zones.get(n) for n in x.pair}) > 1]
    metrics = [m for m in plan.PRIOR_SD if m.startswith("rtt") == ("latency" in drawn.probes)]
    if "latency" in drawn.probes and "throughput" in drawn.probes:
        metrics = list(plan.PRIOR_SD)
    return Expected(
        probes=round(probes),
        transfers=transfers,
        disk_bytes=round(probes * LATENCY_ROW_BYTES + transfers * TRANSFER_BYTES),
        sent_bytes=round(sum(each.sent_bytes for each in amounts)) if capped else None,
        cross_zone_bytes=round(sum(across)) if capped and None not in zones else None,
        smallest_detectable_ratio={
            m: plan.smallest_detectable_ratio(m, drawn.blocks) for m in metrics
        },
    )


def _amounts(drawn: plan.Plan, visit: plan.Visit, network: Network) -> Iterator[_Amount]:
    frame = network.probe_bytes + HEADERS_BYTES
    for group in drawn.groups:
        for pair in group:
            # Proof windows leave no rows.
            octets = frame + _overhead(visit.mode, Path.POD)
            yield _Amount(pair, 0, 0, 2 * network.proof_probes * octets)
    for planned in visit.rounds:
        if "latency" in drawn.probes:
            for path, probes in _probes(planned.phase, drawn.pace):
                both = 2 * probes * (frame + _overhead(visit.mode, path))
                yield from (_Amount(pair, probes, 0, both) for pair in planned.pairs)
        for step in planned.steps:
            beside = (drawn.pace.step_s + 0.1) * plan.WARM_PPS
            held_s = drawn.pace.step_settle_s + drawn.pace.step_s + drawn.pace.step_tail_s
            # Of a cap; without one nobody knows how much before the search.
            sent = held_s * step.share * (network.most_bps or 0) / 8
            both = 2 * beside * (frame + _overhead(visit.mode, Path.POD))
            yield _Amount((step.src, step.dst), beside, 1, sent + both)
        for each in planned.transfers:
            beside = drawn.pace.transfer_s * plan.LOADED_PPS
            sent = drawn.pace.transfer_s * (network.most_bps or 0) / 8
            both = 2 * beside * (frame + _overhead(visit.mode, each.path))
            yield _Amount((each.src, each.dst), beside, 1, sent + both)


def _overhead(mode: Mode, path: Path) -> int:
    # Null for a mode that nobody knows yet: it is left out of what is about right anyway.
    return OVERHEAD_BYTES.get(mode, 0) if path is Path.POD else 0


def _probes(phase: str, pace: Pace) -> list[tuple[Path, float]]:
    if phase == "idle":
        return [(Path.POD, plan.IDLE_PPS * pace.idle_s)]
    return [
        (Path.POD, plan.WARM_PPS * pace.warm_pod_s),
        (Path.HOST, plan.WARM_PPS * pace.warm_host_s),
    ]
