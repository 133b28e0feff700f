"""Reads a node's facts from its kernel: netlink opened in the node's namespace, asked, closed.

2-4 ms a call, no state, from any thread (from a coroutine by `asyncio.to_thread`). What the
messages mean is `wire.rtnetlink`'s business. BGP sessions are read elsewhere and passed in.
"""

from podbench.model.facts import BgpSession, Flow, NodeFacts, Route, TunnelCount
from podbench.target.lab.inside import with_netlink
from podbench.wire import rtnetlink


def read_facts(
    netns: str | None, node: str, bgp: tuple[BgpSession, ...] | None = None
) -> NodeFacts:
    """Reads one node: all devices, the main table's routes, ARP and VXLAN forwarding entries.

    Raises:
        LabError: The namespace is gone or netlink refuses.
    """
    return with_netlink(netns, lambda netlink: rtnetlink.read_facts(netlink, node, bgp))


def lookup(
    netns: str | None, address: str, source: str | None = None, flow: Flow | None = None
) -> Route:
    """Asks the kernel which route a packet to `address` takes (`wire.rtnetlink.lookup`).

    Raises:
        LabError: The namespace is gone, or netlink fails otherwise.
    """
    return with_netlink(netns, lambda netlink: rtnetlink.lookup(netlink, address, source, flow))


def device_counts(netns: str | None, node: str, device: str) -> tuple[TunnelCount, ...]:
    """A device's packet counters; empty where the device does not exist.

    Raises:
        LabError: The namespace is gone or netlink refuses.
    """
    return with_netlink(netns, lambda netlink: rtnetlink.device_counts(netlink, node, device))
