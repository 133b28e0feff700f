"""Caveats from the counters of both ends: they separate drops at an end from loss on the path.

Neighbours: `caveats` (target, arms, proofs, design), `data_caveats` (sample tables).
"""

from collections.abc import Iterable, Sequence

from podbench.analysis.findings.caveats import SHOWN_PLACES, Code
from podbench.analysis.samples.inputs import EndCounted, Inputs
from podbench.model.summary import Doubt


def of_ends(inputs: Inputs) -> Iterable[Doubt]:
    """Yields datagrams that an end dropped or refused."""
    for code, name, message, advice in (
        (
            Code.CHECKSUM_ERRORS,
            "csum_errors",
            "datagrams arrived with a wrong UDP checksum and were dropped: they count as lost in "
            "their direction",
            "check devices, drivers and offloads for packet corruption",
        ),
        (
            Code.SOCKET_DROPS,
            "rx_drops",
            "datagrams were dropped by a full receive buffer of podbench: losses of that direction "
            "in these sessions are invalid",
            "re-run on an idle machine, or raise net.core.rmem_max",
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
            "requests reached a reflector but were not answered",
            "check for other programs that probe these ports; unauthenticated requests may be "
            "corrupted",
        ),
        (
            Code.NOT_SENT,
            _SENDER_FAILS,
            "sends failed or came back as an ICMP error",
            "check routes, network policies and the pod MTU",
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
    """Returns the first few places, with counts."""
    places = [
        f"block {one.block} {one.arm} {one.end} {one.node}: "
        + ", ".join(f"{one.counts[name]} {name}" for name in names if one.counts.get(name))
        for one in found
    ]
    return "; ".join(places[:SHOWN_PLACES]) + ("; ..." if len(places) > SHOWN_PLACES else "")
