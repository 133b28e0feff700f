"""What becomes of netlink's answers; asking a kernel is tests/lab's matter."""

from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from podbench.model.facts import Link, Neighbour, Route
from podbench.wire import rtnetlink

NAMES = {2: "eth0", 5: "vxlan.calico"}


def _message(kind: Any, fields: dict[str, Any], *attributes: tuple[str, Any]) -> Any:
    """A message as pyroute2 hands it over after decoding."""
    made = kind()
    made.setvalue({**fields, "attrs": list(attributes)})
    return made


def _route(*attributes: tuple[str, Any], **fields: Any) -> Route:
    base = {"dst_len": 26, "proto": 80, "type": 1, "flags": 0}
    return rtnetlink._route(_message(rtmsg, {**base, **fields}, *attributes), NAMES)


def test_a_route_keeps_number_device_and_onlink() -> None:
    """Protocol stays a number; the onlink flag and the metric's MTU are read."""
    metrics: dict[str, Any] = {"attrs": [("RTAX_MTU", 1480)]}
    route = _route(
        ("RTA_DST", "198.18.64.64"),
        ("RTA_OIF", 5),
        ("RTA_GATEWAY", "198.18.64.65"),
        flags=4,
    )
    assert route == Route(
        dst="198.18.64.64/26",
        device="vxlan.calico",
        gateway="198.18.64.65",
        protocol=80,
        onlink=True,
    )
    with_mtu = _message(
        rtmsg, {"dst_len": 26, "proto": 12, "type": 1, "flags": 0}, ("RTA_DST", "198.18.64.64")
    )
    nested = rtmsg.metrics()
    nested.setvalue(metrics)
    with_mtu["attrs"].append(("RTA_METRICS", nested))
    assert rtnetlink._route(with_mtu, NAMES).mtu == 1480


class _Table:
    """A netlink whose main table holds these messages."""

    def __init__(self, *messages: Any) -> None:
        self._messages = messages

    def get_routes(self, **_: Any) -> tuple[Any, ...]:
        return self._messages


def test_an_exception_to_a_route_is_none() -> None:
    """What the kernel learned about one destination (RTM_F_CLONED) was programmed by nobody."""
    base = {"dst_len": 32, "proto": 80, "type": 1}
    own = _message(rtmsg, {**base, "flags": 0}, ("RTA_DST", "198.18.64.5"))
    learned = _message(rtmsg, {**base, "flags": 0x200}, ("RTA_DST", "198.18.64.6"))
    assert rtnetlink.programmed(_Table(learned, own)) == [own]


def test_a_default_route_has_its_prefix_written_out() -> None:
    """Netlink leaves the destination of 0/0 away."""
    route = _route(("RTA_OIF", 2), ("RTA_GATEWAY", "172.18.0.1"), dst_len=0, proto=3)
    assert route.dst == "0.0.0.0/0"


@pytest.mark.parametrize(
    ("number", "name"), [(6, "blackhole"), (7, "unreachable"), (8, "prohibit"), (42, "42")]
)
def test_types_without_a_device_are_named(number: int, name: str) -> None:
    """A refusal has no device; an unknown number stays one."""
    route = _route(("RTA_DST", "198.18.64.64"), type=number)
    assert (route.type, route.device, route.gateway) == (name, None, None)


def test_the_longest_refusing_entry_explains_a_refusal() -> None:
    """Of the entries of that type which cover the address, the longest prefix counts."""
    entries = [
        Route(dst="198.18.0.0/15", device=None, type="unreachable", protocol=3),
        Route(dst="198.18.64.0/18", device=None, type="unreachable", protocol=12),
        Route(dst="198.18.64.0/26", device=None, type="blackhole", protocol=80),
        Route(dst="198.18.128.0/18", device=None, type="unreachable", protocol=4),
    ]
    assert rtnetlink._refusal("198.18.64.5", "unreachable", entries) == entries[1]


def test_a_refusal_without_an_entry_names_the_address() -> None:
    """No route matched at all."""
    assert rtnetlink._refusal("192.0.2.1", "unreachable", []) == Route(
        dst="192.0.2.1", device=None, type="unreachable"
    )


def test_a_forwarding_entry_is_a_neighbour_with_its_far_end() -> None:
    """Address is the VTEP's underlay address, lladdr its MAC."""
    entry = _message(
        ndmsg,
        {"ifindex": 5, "state": 0x80},
        ("NDA_LLADDR", "66:00:ac:12:00:03"),
        ("NDA_DST", "172.18.0.3"),
    )
    assert rtnetlink._neighbour(entry, NAMES) == Neighbour(
        device="vxlan.calico",
        address="172.18.0.3",
        lladdr="66:00:ac:12:00:03",
        permanent=True,
    )


def test_a_plain_device_has_no_vxlan_figures() -> None:
    """Null where a device has no such thing, never zero."""
    stats = dict.fromkeys(("tx_packets", "rx_packets", "tx_bytes", "rx_bytes"), 7)
    link = _message(
        ifinfmsg,
        {"index": 2, "flags": 0},
        ("IFLA_IFNAME", "eth0"),
        ("IFLA_MTU", 1500),
        ("IFLA_STATS64", stats),
    )
    assert rtnetlink._link(link, []) == Link(
        name="eth0",
        kind=None,
        mtu=1500,
        up=False,
        tx_packets=7,
        rx_packets=7,
        tx_bytes=7,
        rx_bytes=7,
    )
