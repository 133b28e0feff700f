"""What `bench plan` prints for a cluster, and `bench run` before it asks for consent."""

import msgspec

from podbench.campaign import cost
from podbench.campaign import plan as planning
from podbench.campaign.cluster import changes
from podbench.campaign.cluster.survey import Survey
from podbench.campaign.spec import RunSpec
from podbench.cli import plan_page
from podbench.cli.plan_page import INDENT, field
from podbench.model import published
from podbench.model.units import counted, show_bps
from podbench.target.kubernetes.fleet import cap_bps

MOST = 12
"""Nodes that are named; a page of hundreds hides what else is on it."""
EXAMPLES_BPS = (1_000_000_000, 10_000_000_000, 100_000_000_000)
"""Speeds of NICs that clusters have."""


def document(spec: RunSpec, found: Survey, drawn: planning.Plan) -> str:
    """The plan as one JSON document."""
    assert spec.cluster is not None
    content = {
        "context": found.context,
        "server": found.server,
        "method": spec.method,
        "cni": {"name": spec.cni, "version": found.detected.version.value},
        "plan": drawn,
        "expected": expected(spec, found, drawn),
        "enough_blocks_s": plan_page.enough_s(drawn),
        "transfer_cap_bps": _cap(spec),
        "assumed": _assumed(spec, found, drawn),
        "nodes": [{"name": each.name, "zone": each.zone} for each in found.places],
        "left_out": [{"name": each.name, "reason": each.reason} for each in found.left_out],
        "refused": spec.refused,
        "notes": spec.notes,
        "creates": changes.created(spec, found),
        "changes": changes.moved(spec, found),
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def lines(spec: RunSpec, found: Survey, drawn: planning.Plan) -> list[str]:
    """The plan for people."""
    assert spec.cluster is not None
    version = found.detected.version.value or "version unknown"
    costs = expected(spec, found, drawn)
    return [
        f"target      context {found.context} at {found.server}",
        f"network     {spec.cni} {version}",
        *plan_page.schedule(spec, drawn),
        *field("refused", [f"{mode}: {why}" for mode, why in spec.refused.items()]),
        *field("note", list(spec.notes)),
        *field("nodes", _nodes(found, drawn)),
        *field("left out", _shown([f"{x.name}: {x.reason}" for x in found.left_out])),
        *field("traffic", _traffic(spec, found, drawn, costs)),
        f"image       {spec.cluster.image or f'to be named with --image: {published.BUILD}'}",
        *field("creates", changes.created(spec, found)),
        *field("changes", changes.moved(spec, found)),
        f"{INDENT}afterwards all of it is removed and checked to be gone",
        *plan_page.detectable(drawn, costs),
    ]


def expected(
    spec: RunSpec, found: Survey, drawn: planning.Plan, nic_bps: int | None = None
) -> cost.Expected:
    """The plan's totals for a NIC speed; null: a speed that no driver reports."""
    zones = {each.name: each.zone for each in found.places}
    return cost.expect(drawn, cost.on_cluster(_cap(spec, nic_bps), zones))


def _cap(spec: RunSpec, nic_bps: int | None = None) -> int | None:
    assert spec.cluster is not None
    # No agent has read a NIC's speed yet: the run says the real one once they have.
    return cap_bps(spec.cluster.most_bps, (nic_bps,), saturate=spec.cluster.saturate)


def _assumed(spec: RunSpec, found: Survey, drawn: planning.Plan) -> list[str]:
    """The assumption behind the bytes, and the bytes under other assumptions."""
    assert spec.cluster is not None
    costs, cap = expected(spec, found, drawn), _cap(spec)
    if costs.transfers == 0 or cap is None:
        return []
    if spec.cluster.saturate:
        return [f"assumed: transfers reach {show_bps(cap)} (--max-bandwidth), whatever the NIC"]
    lines = [
        "assumed: NIC speeds are unknown until agents read them; the run then prints the total"
    ]
    for nic_bps in EXAMPLES_BPS:
        held = _cap(spec, nic_bps)
        sent = expected(spec, found, drawn, nic_bps).sent_bytes
        if held is not None and held != cap and sent is not None:
            lines.append(
                f"if the slowest NIC is {show_bps(nic_bps)}: at most {show_bps(held)} each, "
                f"about {cost.gigabytes(sent)} in all"
            )
    return lines


def _nodes(found: Survey, drawn: planning.Plan) -> list[str]:
    names = [f"{each.name} ({each.zone})" if each.zone else each.name for each in found.places]
    whole = len(names) * (len(names) - 1) // 2
    pairs = sum(len(group) for group in drawn.groups)
    text = f"{len(names)}: {', '.join(_shown(names))}"
    if pairs == whole:
        return [text]
    return [text, f"a random sample of {pairs} of their {whole} pairs, each node equally often"]


def _shown(texts: list[str]) -> list[str]:
    """The first of many."""
    more = len(texts) - MOST
    return texts if more <= 0 else [*texts[:MOST], f"and {more} more (--json lists them)"]


def _traffic(spec: RunSpec, found: Survey, drawn: planning.Plan, costs: cost.Expected) -> list[str]:
    cap = _cap(spec)
    limit = "as fast as they can" if cap is None else f"at most {show_bps(cap)} each"
    lines = [
        f"{costs.probes} probes; {counted(costs.transfers, 'transfer')} of "
        f"{drawn.pace.transfer_s} s, {limit}"
    ]
    if costs.transfers == 0:
        lines = [f"{costs.probes} probes, no transfers"]
    sent, across = costs.sent_bytes, costs.cross_zone_bytes
    if sent is None:
        lines.append("total bytes unknown: there is no cap")
    else:
        zones = "cross-zone share unknown: some nodes have no zone"
        if across is not None:
            zones = f"{cost.gigabytes(across)} of them across zones"
        lines.append(f"about {cost.gigabytes(sent)} in all, {zones}")
    lines += _assumed(spec, found, drawn)
    lines.append(f"about {costs.disk_bytes / 1e6:.1f} MB kept here")
    return lines
