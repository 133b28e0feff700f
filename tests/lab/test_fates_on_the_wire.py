"""Every packet's label against a seeded relay that wrote down what it did to it."""

import asyncio
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support import relay, vxlan_path
from support.inlab import needs_namespaces

from podbench.target.lab.isolate import run_isolated
from podbench.wire import fates
from podbench.wire.messages import LatencySession
from podbench_agent.probes.latency.process import ProbeWorker
from podbench_agent.probes.reflector.process import ReflectorWorker
from podbench_agent.probes.reflector.rules import Rules

pytestmark = [pytest.mark.lab, needs_namespaces(), relay.needs_tun()]

KEY = b"a key of sixteen"
SSIDS = (500, 501)
PROBES, RATE = 400, 250.0
PER_FLOW = PROBES // len(SSIDS)


def _measured(seed: int, key: bytes | None) -> dict[str, Any]:
    """One measurement through the relay: what podbench says, and what the relay did."""
    path = relay.Relay(
        seed, faults=0.35, last=PER_FLOW, late_before=60, authenticated=key is not None
    )
    with path:
        with vxlan_path.entered("pb"):
            reflector = ReflectorWorker(relay.POD_B, relay.PORT, Rules(key=key))
            reflector.start()
        with vxlan_path.entered("pa"):
            probe = ProbeWorker(key)
            probe.start()
        try:
            rows, counters, facts = asyncio.run(_asked(probe, reflector, key))
        finally:
            probe.stop()
            reflector.stop()
    names = (
        *("session_id", "seq", "status", "duplicates", "duplicates_forward"),
        *("duplicates_backward", "reorder_extent", "invalid_reason"),
    )
    return {
        "rows": {name: np.ma.MaskedArray(rows[name]).tolist() for name in names},
        "counters": counters,
        "facts": facts,
        "events": path.events,
    }


async def _asked(probe: ProbeWorker, reflector: ReflectorWorker, key: bytes | None) -> Any:
    session = LatencySession(
        session_id=SSIDS[0],
        peer_address=relay.POD_B,
        peer_port=relay.PORT,
        source_ports=len(SSIDS),
        rate_pps=RATE,
        duration_s=PROBES / RATE,
        udp_payload_bytes=64 if key is None else 152,
    )
    await reflector.admit(SSIDS)
    sender = (await probe.measure((session,)))[SSIDS[0]]
    log, counters = await reflector.collect(SSIDS)
    whole = {name: value for name, value in counters.items() if isinstance(value, int)}
    return fates.resolve(sender, log, whole), whole, dict(probe.facts)


def _truth(events: list[relay.Event], probe: tuple[int, int], *, authenticated: bool) -> str:
    """What became of one probe, from what the relay did to it and to the answers to it."""
    mine = [e for e in events if (e.ssid, e.seq) == probe]
    there = next(e for e in mine if e.way == "forward")
    answers = [e for e in mine if e.way == "backward"]
    intact = [t for e in answers for t in e.delivered]
    if there.action == "damage":
        # Authenticated, the reflector refuses it; else the answer echoes what was not sent.
        answered = authenticated or any(e.delivered or e.action == "damage" for e in answers)
        return "corrupted" if answered else "lost_backward"
    if intact:
        return "late" if min(intact) - there.at > 2.0 else "ok"
    if any(e.action == "damage" for e in answers):
        return "corrupted"
    return "lost_backward" if there.delivered else "lost_forward"


def _order(events: list[relay.Event]) -> list[int]:
    """The session's probes in the order in which their first intact answers came back."""
    damaged = {(e.ssid, e.seq) for e in events if (e.way, e.action) == ("forward", "damage")}
    first: dict[int, float] = {}
    for e in events:
        whole = e.way == "backward" and e.delivered and (e.ssid, e.seq) not in damaged
        if whole and e.seq < PER_FLOW:
            probe = e.seq * len(SSIDS) + e.ssid - SSIDS[0]
            first[probe] = min(first.get(probe, e.delivered[0]), *e.delivered)
    return sorted(first, key=lambda probe: first[probe])


def _extents(order: list[int]) -> dict[int, int]:
    """RFC 4737 section 4.2, read literally: reordered ones and how far back the first larger is."""
    found = {}
    for i, seq in enumerate(order):
        larger = [j for j in range(i) if order[j] > seq]
        if larger:
            found[seq] = i - larger[0]
    return found


@pytest.mark.parametrize(("key", "seed"), [(None, 1), (KEY, 2)], ids=["open", "authenticated"])
def test_every_label_is_what_the_relay_did(key: bytes | None, seed: int, tmp_path: Path) -> None:
    """400 probes, a third with some fault each way: label, copies, order, counters all equal."""
    answer = tmp_path / "answer.json"

    def inside() -> int:
        answer.write_bytes(msgspec.json.encode(_measured(seed, key)))
        return 0

    assert run_isolated(inside) == 0
    found = msgspec.json.decode(answer.read_bytes())
    events = [relay.Event(**e) for e in found["events"]]
    rows = found["rows"]
    probes = list(zip(rows["session_id"], rows["seq"], strict=True))

    wanted = [_truth(events, probe, authenticated=key is not None) for probe in probes]
    wrong = [
        (probe, told, truth, [(e.way, e.action) for e in events if (e.ssid, e.seq) == probe])
        for probe, told, truth in zip(probes, rows["status"], wanted, strict=True)
        if told != truth
    ]
    assert not wrong
    assert set(wanted) == {
        "ok", "lost_forward", "lost_backward", "late", "corrupted"
    }  # fmt: skip
    _check_copies(rows, probes, events, wanted)
    extents = _extents(_order(events))
    told = {k: extent for k, extent in enumerate(rows["reorder_extent"]) if extent is not None}
    assert told == extents
    assert extents
    _check_counters(found, events, authenticated=key is not None)


def _check_copies(
    rows: dict[str, Any],
    probes: list[tuple[int, int]],
    events: list[relay.Event],
    wanted: list[str],
) -> None:
    """Duplicates of answered probes: those answered apart were made on the way there."""
    answers = defaultdict(list)
    for e in events:
        if e.way == "backward":
            answers[e.ssid, e.seq].append(len(e.delivered))
    made = Counter({"forward": 0, "backward": 0})
    for k, probe in enumerate(probes):
        if wanted[k] not in {"ok", "late"}:
            continue
        copies = [n for n in answers[probe] if n]
        assert rows["duplicates"][k] == sum(copies) - 1, probe
        assert rows["duplicates_forward"][k] == len(copies) - 1, probe
        assert rows["duplicates_backward"][k] == sum(copies) - len(copies), probe
        made["forward"] += len(copies) - 1
        made["backward"] += sum(copies) - len(copies)
    assert made["forward"]
    assert made["backward"]


def _check_counters(
    found: dict[str, Any], events: list[relay.Event], *, authenticated: bool
) -> None:
    """What the kernel throws away unseen is counted at the right end, and nothing else is."""
    done = Counter((e.way, e.action) for e in events)
    assert found["counters"]["csum_errors"] == done["forward", "checksum"] > 0
    assert found["facts"]["csum_errors"] == done["backward", "checksum"] > 0
    assert found["counters"]["rx_drops"] == found["facts"]["rx_drops"] == 0
    refused = done["forward", "damage"] if authenticated else 0
    assert found["counters"]["unauthenticated"] == refused
    assert not any("buffer" in (reason or "") for reason in found["rows"]["invalid_reason"])
