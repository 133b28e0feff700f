"""Facts about the network this agent lives in: read and looked up in its own namespace by netlink.

Nothing needs a privilege. 2-4 ms a call, and half a millisecond for each device that is asked for
its offloads; called in a thread beside the event loop.
"""

import http.client
import socket
import struct
from pathlib import Path

import msgspec
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from podbench.model.errors import ProbeError
from podbench.model.facts import BgpSession, Link, NodeFacts
from podbench.wire import messages, rtnetlink
from podbench_agent import devices

POD_KINDS = ("veth", "netkit", "macvlan", "ipvlan")
"""A node has hundreds of these; but a pod's own interface is one too: see `_asked`."""
FEW = 16
"""More devices than this are asked only where they are no pods' interfaces."""
DMI = Path("/sys/class/dmi/id")
PROXY_PORT = 10249
"""Where kube-proxy serves metrics and its mode by default, on the loopback only."""
PROXY_S = 0.5
BGP_PORT = 179
ESTABLISHED = "01"
"""TCP_ESTABLISHED in /proc/net/tcp."""
PROXY_MODES = ("iptables", "ipvs", "nftables", "userspace", "kernelspace")


def answer(command: messages.ReadFacts | messages.LookUp) -> messages.Facts | messages.Found:
    """Reads devices, routes and neighbours, or asks for the route to an address.

    Raises:
        ProbeError: The kernel refuses.
    """
    try:
        with IPRoute() as netlink:
            if isinstance(command, messages.ReadFacts):
                return messages.Facts(read=_whole(rtnetlink.read_facts(netlink, command.node)))
            route = rtnetlink.lookup(netlink, command.address, command.source, command.flow)
            return messages.Found(route=route)
    except (NetlinkError, OSError) as error:
        raise ProbeError(f"netlink: {error}") from error


def _whole(facts: NodeFacts) -> NodeFacts:
    """The facts with what drivers, firmware and CPU add."""
    few = len(facts.links) <= FEW
    links = tuple(
        msgspec.structs.replace(link, nic=devices.read(link.name))
        if _asked(link, few=few)
        else link
        for link in facts.links
    )
    connections = _text(Path("/proc/net/tcp"))
    return msgspec.structs.replace(
        facts,
        links=links,
        bgp=bgp_sessions(connections) if connections else None,
        machine=machine(_text(DMI / "sys_vendor"), _text(DMI / "product_name")),
        hypervisor=hypervisor(_text(Path("/proc/cpuinfo"))),
        proxy_mode=proxy_mode(),
    )


def bgp_sessions(table: str) -> tuple[BgpSession, ...]:
    """Peers with an established connection on BGP's port, from /proc/net/tcp.

    One connection a row; addresses are in the machine's own order of octets, in hexadecimal.
    """
    rows = [line.split() for line in table.splitlines()[1:]]
    peers = set()
    for row in rows:
        if row[3:4] != [ESTABLISHED]:
            continue
        (_, own_port), (peer, peer_port) = (each.split(":") for each in row[1:3])
        if BGP_PORT in {int(own_port, 16), int(peer_port, 16)}:
            peers.add(socket.inet_ntoa(struct.pack("=I", int(peer, 16))))
    return tuple(
        BgpSession(peer=peer, state="Established", source="connection") for peer in sorted(peers)
    )


def _asked(link: Link, *, few: bool) -> bool:
    return link.name != "lo" and (few or link.kind not in POD_KINDS)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def machine(maker: str, product: str) -> str | None:
    """Maker and product on one line; null where the firmware names neither."""
    return " ".join(f"{maker} {product}".split()) or None


def hypervisor(cpuinfo: str) -> bool | None:
    """Whether x86's `hypervisor` flag is set in /proc/cpuinfo; null where it has no flags."""
    for line in cpuinfo.splitlines():
        name, _, flags = line.partition(":")
        if name.strip() == "flags":
            return "hypervisor" in flags.split()
    return None


def proxy_mode(port: int = PROXY_PORT) -> str | None:
    """What kube-proxy answers on this namespace's loopback; null where none does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROXY_S)
    try:
        connection.request("GET", "/proxyMode")
        response = connection.getresponse()
        mode = response.read(64).decode("ascii", "replace").strip()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    # Something else may listen there.
    return mode if response.status == http.client.OK and mode in PROXY_MODES else None
