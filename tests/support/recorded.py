"""Reads recordings of `ip -j` and `bridge -j` (tests/fixtures) as the facts a node would give."""

import json
from pathlib import Path
from typing import Any

from podbench.model.facts import Link, Neighbour, NodeFacts, Route

FIXTURES = Path(__file__).parents[1] / "fixtures"
PROTOCOL_NUMBERS = {"kernel": 2, "static": 4, "bird": 12}
"""iproute2 prints names from its own table; a route without `protocol` has 3 (boot)."""


def node_facts(recording: str, node: str) -> NodeFacts:
    """One node of a recording, such as `flannel-vxlan`."""
    data = json.loads((FIXTURES / recording / f"node-{node}.json").read_text("utf-8"))
    return NodeFacts(
        node=node,
        wall_ns=0,
        links=tuple(_link(link, data["addr"]) for link in data["link"]),
        routes=tuple(_route(route) for route in data["route"]),
        neighbours=tuple(
            Neighbour(
                device=entry["dev"],
                address=entry["dst"],
                lladdr=entry.get("lladdr"),
                permanent="PERMANENT" in entry["state"],
            )
            for entry in data["neigh"]
        ),
        fdb=tuple(
            Neighbour(
                device=entry["ifname"],
                address=entry.get("dst"),
                lladdr=entry["mac"],
                permanent=entry["state"] == "permanent",
            )
            for entry in data["fdb"]
        ),
    )


def _link(link: dict[str, Any], addresses: list[dict[str, Any]]) -> Link:
    info = link.get("linkinfo", {})
    data = info.get("info_data", {}) if info.get("info_kind") == "vxlan" else {}
    return Link(
        name=link["ifname"],
        kind=info.get("info_kind"),
        mtu=link["mtu"],
        up="UP" in link["flags"],
        addresses=tuple(
            f"{each['local']}/{each['prefixlen']}"
            for entry in addresses
            if entry["ifname"] == link["ifname"]
            for each in entry["addr_info"]
        ),
        tx_packets=link["stats64"]["tx"]["packets"],
        rx_packets=link["stats64"]["rx"]["packets"],
        vxlan_id=data.get("id"),
        vxlan_port=data.get("port"),
    )


def _route(route: dict[str, Any]) -> Route:
    dst = "0.0.0.0/0" if route["dst"] == "default" else route["dst"]
    return Route(
        dst=dst,
        device=route.get("dev"),
        gateway=route.get("gateway"),
        protocol=PROTOCOL_NUMBERS[route["protocol"]] if "protocol" in route else 3,
        onlink="onlink" in route.get("flags", []),
    )
