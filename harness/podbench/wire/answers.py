"""The only place that checks an agent's answer against its command; pure functions.

An agent may lie about what it measured; it must not be able to do more than that. What comes out of
`checked` has the type, the tables, the columns, the lengths and the ranges that its command can
have, and text that can be shown, so that nobody who reads an answer has to look again. Below:
`answer_tables` (columns) and `columns` (memory). Above: the transports.
"""

import ipaddress
import math
from collections.abc import Callable, Mapping

import msgspec

from podbench.model import plain
from podbench.model.errors import RemoteProtocolError
from podbench.model.facts import Neighbour, Route
from podbench.wire import answer_tables, messages
from podbench.wire.columns import Table

Tables = dict[str, Table]

MOST_NAME_CHARS = 253
"""A node's name in Kubernetes: a DNS subdomain."""
MOST_TEXT_CHARS = 512
MOST_FACTS = 128
MOST_ENTRIES = 65_536
"""Devices, routes or neighbours of one node."""
MOST_OUTPUT_CHARS = 32 << 20
"""A program's own JSON."""
INTEGER = 2**63 - 1


def checked(
    command: messages.Command, answer: messages.Answer, tables: Tables
) -> tuple[messages.Answer, Tables]:
    """Returns the answer with safe text and without unknown columns.

    Raises:
        RemoteProtocolError: The answer does not fit the command; the message says why.
    """
    if isinstance(answer, messages.Failed):
        reason = plain.line(answer.reason) or "the agent gives no reason"
        return msgspec.structs.replace(answer, reason=reason), {}
    wanted = _WANTED.get(type(command), (messages.Done,))
    if not isinstance(answer, wanted):
        raise RemoteProtocolError(f"a {type(answer).__name__} is no answer to it")
    tables = answer_tables.checked(command, tables)
    check = _CHECKS.get(type(answer))
    return (answer if check is None else check(command, answer)), tables


_WANTED: Mapping[type, tuple[type, ...]] = {
    messages.Transfer: (messages.Ran,),
    messages.CollectTransfer: (messages.Ran,),
    messages.ReadFacts: (messages.Facts,),
    messages.LookUp: (messages.Found,),
    messages.WatchPath: (messages.Watched,),
    messages.CollectCapture: (messages.Captured,),
}
"""The answer type of each command; default `Done`; `Failed` is always valid."""


def _done(command: messages.Command, answer: messages.Done) -> messages.Answer:
    if len(answer.facts) > MOST_FACTS:
        raise RemoteProtocolError(f"{len(answer.facts)} facts")
    for name, value in answer.facts.items():
        _text(name, "a fact's name", MOST_NAME_CHARS)
        _scalar(value, name)
    if isinstance(command, messages.ServeTransfer):
        port = answer.facts.get("port")
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
            raise RemoteProtocolError(f"port {port!r} is no port")
    return answer


def _ran(_command: messages.Command, answer: messages.Ran) -> messages.Answer:
    _text(answer.program, "program", MOST_NAME_CHARS)
    if len(answer.output) > MOST_OUTPUT_CHARS:
        raise RemoteProtocolError(f"a program's output of {len(answer.output)} characters")
    _scalar(answer.exit_status, "exit status")
    error = None if answer.error is None else plain.line(answer.error)
    return msgspec.structs.replace(answer, version=plain.line(answer.version, 64), error=error)


def _facts(command: messages.Command, answer: messages.Facts) -> messages.Answer:
    asked = command.node if isinstance(command, messages.ReadFacts) else None
    if answer.read.node != asked:
        raise RemoteProtocolError(f"facts of node {answer.read.node[:64]!r}, not of {asked!r}")
    _walk(answer.read, "facts")
    for link in answer.read.links:
        for address in link.addresses:
            _address(address, "a device's address", ipaddress.ip_interface)
    for route in answer.read.routes:
        _route(route)
    for near in (*answer.read.neighbours, *answer.read.fdb):
        _neighbour(near)
    for session in answer.read.bgp or ():
        _address(session.peer, "a BGP peer", ipaddress.ip_address)
    return answer


def _found(_command: messages.Command, answer: messages.Found) -> messages.Answer:
    _walk(answer.route, "route")
    _route(answer.route)
    return answer


def _route(route: Route) -> None:
    _address(route.dst, "a route's destination", ipaddress.ip_interface)
    if route.gateway is not None:
        _address(route.gateway, "a route's gateway", ipaddress.ip_address)


def _neighbour(near: Neighbour) -> None:
    if near.address is not None:
        _address(near.address, "a neighbour's address", ipaddress.ip_address)


def _captured(_command: messages.Command, answer: messages.Captured) -> messages.Answer:
    _walk(answer, "capture")
    for each in answer.seen:
        _address(each.src, "a captured source", ipaddress.ip_address)
        _address(each.dst, "a captured destination", ipaddress.ip_address)
        if each.packets < 0:
            raise RemoteProtocolError(f"{each.packets} captured packets")
    if answer.dropped < 0:
        raise RemoteProtocolError(f"{answer.dropped} dropped frames")
    return answer


def _watched(_command: messages.Command, answer: messages.Watched) -> messages.Answer:
    counts = (answer.sent, answer.lost, answer.unjudged, answer.stalls)
    if any(not 0 <= count <= INTEGER for count in counts):
        raise RemoteProtocolError(f"counts {counts}")
    for name in ("baseline_ns", "p50_ns", "p99_ns", "max_ns"):
        _scalar(getattr(answer, name), name)
    trouble = None if answer.trouble is None else plain.line(answer.trouble)
    return msgspec.structs.replace(answer, trouble=trouble)


_CHECKS: Mapping[type, Callable[..., messages.Answer]] = {
    messages.Done: _done,
    messages.Ran: _ran,
    messages.Facts: _facts,
    messages.Found: _found,
    messages.Captured: _captured,
    messages.Watched: _watched,
}


def check_status(status: messages.AgentStatus) -> None:
    """Checks an agent's announcement.

    Raises:
        RemoteProtocolError: The announcement is invalid; the message says why.
    """
    _text(status.agent, "agent", MOST_NAME_CHARS + 16)
    _text(status.version, "version", 64)
    if len(status.capabilities) > MOST_FACTS:
        raise RemoteProtocolError(f"{len(status.capabilities)} capabilities")
    for name, value in status.capabilities.items():
        _text(name, "a capability's name", MOST_NAME_CHARS)
        _text(value or "", name, MOST_TEXT_CHARS)
    port = status.capabilities.get("reflector_port")
    if port is not None and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise RemoteProtocolError(f"reflector port {port[:16]!r} is no port")


def _walk(value: object, what: str, depth: int = 0) -> None:
    """Checks that texts are plain, numbers finite and lists bounded."""
    if isinstance(value, msgspec.Struct) and depth < 8:
        for name in value.__struct_fields__:
            _walk(getattr(value, name), f"{what}.{name}", depth + 1)
    elif isinstance(value, tuple) and depth < 8:
        if len(value) > MOST_ENTRIES:
            raise RemoteProtocolError(f"{what}: {len(value)} entries")
        for each in value:
            _walk(each, what, depth + 1)
    else:
        _scalar(value, what)


def _scalar(value: object, what: str) -> None:
    """One text, number, truth value or null."""
    match value:
        case None | bool():
            return
        case str():
            _text(value, what, MOST_TEXT_CHARS)
        case int() if abs(value) <= INTEGER:
            return
        case float() if math.isfinite(value):
            return
        case _:
            raise RemoteProtocolError(f"{what}: {str(value)[:32]!r} is no value for it")


def _text(text: str, what: str, most: int) -> None:
    if not plain.is_plain(text, most):
        raise RemoteProtocolError(f"{what}: {plain.line(text, 40)!r} is no text for it")


def _address(text: str, what: str, read: Callable[[str], object]) -> None:
    try:
        read(text)
    except ValueError as error:
        raise RemoteProtocolError(f"{what}: {plain.line(str(error), 120)}") from error
