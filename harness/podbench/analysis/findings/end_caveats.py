"""Doubts from what the two ends themselves count: it looks like loss, and here it is told apart.

Neighbours: `doubts` (place, arms, proofs, design), `data_doubts` (the tables).
"""

from collections.abc import Iterable, Sequence

from podbench.analysis.findings.caveats import SHOWN_PLACES, Code
from podbench.analysis.samples.inputs import EndCounted, Inputs
from podbench.model.summary import Doubt


def of_ends(inputs: Inputs) -> Iterable[Doubt]:
    """What the two ends threw away unread or refused."""
    for code, name, message, advice in (
        (
            Code.CHECKSUM_ERRORS,
            "csum_errors",
            "datagrams came with a wrong UDP checksum and were thrown away unread: they count as "
            "lost in their direction",
            "look for a device, driver or offload that damages packets",
        ),
        (
            Code.SOCKET_DROPS,
            "rx_drops",
            "datagrams were refused by a full receive buffer of ours: losses of that direction in "
            "these sessions are not valid",
            "less load on the machine, or a larger net.core.rmem_max",
        ),
    ):
        found = [one for one in inputs.counted if one.counts.get(name)]
        there = sum(one.counts[name] for one in found if one.end == "reflector")
        back = sum(one.counts[name] for one in found if one.end == "sender")
        if found:
            yield Doubt(
                code=code,
                message=f"{there + back} {message} ({there} requests, {back} replies)",
                advice=advice,
                evidence=_places(found, (name,)),
            )
    yield from _refused(inputs)


_SENDER_FAILS = ("send_errors", "refused")
_REFLECTOR_REFUSES = (
    *("short", "from_reflector", "unprovisioned", "not_allowed", "rate_limited"),
    *("unauthenticated", "corrupt", "table_full", "send_failed"),
)


def _refused(inputs: Inputs) -> Iterable[Doubt]:
    for code, names, message, advice in (
        (
            Code.NOT_ANSWERED,
            _REFLECTOR_REFUSES,
            "requests reached a reflector, which did not answer them",
            "another program may probe these ports; unauthenticated ones may be damaged",
        ),
        (
            Code.NOT_SENT,
            _SENDER_FAILS,
            "sends failed or came back as an ICMP error",
            "look at routes, policies and the pod's MTU",
        ),
    ):
        found = [one for one in inputs.counted if any(one.counts.get(name) for name in names)]
        if found:
            total = sum(one.counts.get(name, 0) for one in found for name in names)
            yield Doubt(
                code=code,
                message=f"{total} {message}",
                advice=advice,
                evidence=_places(found, names),
            )


def _places(found: Sequence[EndCounted], names: Sequence[str]) -> str:
    """Where and how many, the first few."""
    places = [
        f"block {one.block} {one.arm} {one.end} {one.node}: "
        + ", ".join(f"{one.counts[name]} {name}" for name in names if one.counts.get(name))
        for one in found
    ]
    return "; ".join(places[:SHOWN_PLACES]) + ("; ..." if len(places) > SHOWN_PLACES else "")
