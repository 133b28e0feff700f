"""What `bench plan` prints for a cluster, and `bench run` before it asks: all that it would do."""

import msgspec

from podbench.cli import plan_page
from podbench.cli.plan_page import INDENT, field
from podbench.model.units import show_bps
from podbench.run import changes, cost
from podbench.run import plan as planning
from podbench.run.cluster import Survey
from podbench.run.spec import RunSpec
from podbench.target.kubernetes.fleet import cap_bps

MOST = 12
"""Nodes that are named; a page of hundreds hides what else is on it."""


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
        "transfer_cap_bps": _cap(spec),
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
    version = found.detected.version.value or "version not known"
    costs = expected(spec, found, drawn)
    return [
        f"target      context {found.context} at {found.server}",
        f"network     {spec.cni} {version}",
        *plan_page.schedule(spec, drawn),
        *field("refused", [f"{mode}: {why}" for mode, why in spec.refused.items()]),
        *field("note", list(spec.notes)),
        *field("nodes", _nodes(found, drawn)),
        *field("left out", _shown([f"{x.name}: {x.reason}" for x in found.left_out])),
        *field("traffic", _traffic(spec, drawn, costs)),
        f"image       {spec.cluster.image or 'to be named with --image'}",
        *field("creates", changes.created(spec, found)),
        *field("changes", changes.moved(spec, found)),
        f"{INDENT}afterwards all of it is taken away again, and looked for",
        *plan_page.told(drawn, costs),
    ]


def expected(spec: RunSpec, found: Survey, drawn: planning.Plan) -> cost.Expected:
    """The plan added up."""
    zones = {each.name: each.zone for each in found.places}
    return cost.expect(drawn, cost.on_cluster(_cap(spec), zones))


def _cap(spec: RunSpec) -> int | None:
    assert spec.cluster is not None
    # No agent has read a NIC's speed yet.
    return cap_bps(spec.cluster.most_bps, (), saturate=spec.cluster.saturate)


def _nodes(found: Survey, drawn: planning.Plan) -> list[str]:
    names = [f"{each.name} ({each.zone})" if each.zone else each.name for each in found.places]
    whole = len(names) * (len(names) - 1) // 2
    pairs = sum(len(group) for group in drawn.groups)
    text = f"{len(names)}: {', '.join(_shown(names))}"
    if pairs == whole:
        return [text]
    return [text, f"a random sample of {pairs} of their {whole} pairs, every node in it alike"]


def _shown(texts: list[str]) -> list[str]:
    """The first of many."""
    more = len(texts) - MOST
    return texts if more <= 0 else [*texts[:MOST], f"and {more} more (--json lists them)"]


def _traffic(spec: RunSpec, drawn: planning.Plan, costs: cost.Expected) -> list[str]:
    cap = _cap(spec)
    limit = "as fast as they can" if cap is None else f"at most {show_bps(cap)} each"
    found = [
        f"{costs.probes} probes; {costs.transfers} transfers of {drawn.pace.transfer_s} s, {limit}"
    ]
    if costs.transfers == 0:
        found = [f"{costs.probes} probes, no transfers"]
    elif spec.cluster is not None and spec.cluster.most_bps is None and cap is not None:
        found += [
            "(10 % of the NIC's speed instead, where an agent can read that: on a fast NIC more is",
            "sent than is told here; --max-bandwidth holds transfers below a rate)",
        ]
    sent, across = costs.sent_bytes, costs.cross_zone_bytes
    if sent is None:
        found.append("bytes in all: not known, there is no cap")
    else:
        zones = "across zones not known: nodes without a zone"
        if across is not None:
            zones = f"{_gigabytes(across)} of them across zones"
        found.append(f"about {_gigabytes(sent)} in all, {zones}")
    found.append(f"about {costs.disk_bytes / 1e6:.1f} MB kept here")
    return found


def _gigabytes(octets: int) -> str:
    return f"{octets / 1e9:.2f} GB" if octets >= 1e7 else f"{octets / 1e6:.2f} MB"
