"""What calico-node says of its BGP: sessions and what they taught it, by `CalicoNodeStatus`.

Read once, after deployment and before anything is measured, then taken away again: while such an
object stands calico-node works for it every few seconds, a twentieth of a CPU on each node. Whether
a session lives later on is told by the connections that the host agents see (`merged`).
Source: projectcalico/calico, api/pkg/apis/projectcalico/v3/nodestatus.go.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from podbench.model.facts import BgpSession
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.api.refs import Object, Ref

KIND = "CalicoNodeStatus"
TOLD_S = 15.0
"""Calico updates it every 10 s at the latest."""
LOOK_S = 0.5
SOURCE = KIND
NO_CONNECTION = "no connection"


def reference(node: str) -> Ref:
    """The object that asks about a node."""
    return Ref(KIND, f"podbench-{node}")


async def ask(api: Api, nodes: Iterable[str]) -> dict[str, tuple[BgpSession, ...]]:
    """The nodes' sessions, for those that answer in time; takes the objects away.

    Raises:
        ClusterError: The server refuses, or stays away.
    """
    waiting, told = set(nodes), {}
    deadline = asyncio.get_running_loop().time() + TOLD_S
    while waiting and asyncio.get_running_loop().time() < deadline:
        for node in sorted(waiting):
            body = await api.find(reference(node).path)
            if body is not None and (body.get("status") or {}).get("lastUpdated"):
                told[node] = sessions(body)
                waiting.discard(node)
        if waiting:
            await asyncio.sleep(LOOK_S)
    for node in nodes:
        if await api.find(reference(node).path) is not None:
            await api.delete(reference(node).path)
    return told


def sessions(body: Object) -> tuple[BgpSession, ...]:
    """The IPv4 sessions of a status, each with the networks that its peer announced."""
    status = body.get("status") or {}
    routes = (status.get("routes") or {}).get("routesV4") or []
    learned: dict[str, list[str]] = {}
    for each in routes:
        peer = (each.get("learnedFrom") or {}).get("peerIP")
        if peer and each.get("destination"):
            learned.setdefault(str(peer), []).append(str(each["destination"]))
    return tuple(
        BgpSession(
            peer=str(each["peerIP"]),
            state=str(each.get("state") or "unknown"),
            since=each.get("since"),
            learned=tuple(sorted(set(learned.get(str(each["peerIP"]), ())))),
            source=SOURCE,
        )
        for each in (status.get("bgp") or {}).get("peersV4") or []
        if each.get("peerIP")
    )


def merged(told: Sequence[BgpSession], connected: Sequence[BgpSession]) -> tuple[BgpSession, ...]:
    """What Calico said once, in the light of the connections that are there now.

    Args:
        told: By `CalicoNodeStatus`; may be old.
        connected: By connections on BGP's port; they are there now.
    """
    now = {each.peer: each for each in connected}
    known = [
        BgpSession(
            peer=each.peer,
            state=each.state if each.peer in now else NO_CONNECTION,
            since=each.since,
            learned=each.learned,
            source=each.source,
        )
        for each in told
    ]
    others = [each for peer, each in now.items() if peer not in {one.peer for one in told}]
    return (*known, *others)


def check(told: Mapping[str, object], nodes: Sequence[str]) -> str | None:
    """A sentence on nodes that did not answer; null where all did."""
    silent = [node for node in nodes if node not in told]
    if not silent:
        return None
    return f"calico-node on {', '.join(silent[:3])} did not tell its BGP sessions in {TOLD_S:g} s"
