"""Every probe's fate, direction and size under netem, against captures at both ends.

    pa e0 ── va na u0 ═ netem ═ u0 nb vb ── e0 pb

netem's own counters tell how often it struck, not which packet; so the truth is what tcpdump saw on
both pods' interfaces: what a pod sent, and what reached the other one whole, its checksums valid.
"""

import asyncio
import struct
import subprocess
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support import taps, vxlan_path
from support.inlab import needs_namespaces

from podbench.target.lab import shape
from podbench.target.lab.inside import inside
from podbench.wire import fates
from podbench.wire.messages import LatencySession
from podbench_agent.probes.latency.process import ProbeWorker
from podbench_agent.probes.reflector.process import ReflectorWorker
from podbench_agent.probes.reflector.rules import Rules

pytestmark = [pytest.mark.lab, needs_namespaces()]

PROBES, RATE = 400, 100.0
SSIDS = (500, 501)
LATE_NS, NEAR_NS = 2_000_000_000, 50_000_000
"""Where netem hits ARP, the first packets wait for its next attempt, a second later."""
SLACK_NS = 2_000
"""A capture's stamp and a socket's are taken at different moments of the same packet."""
ETHTOOL_STXCSUM = 0x17
ETHERNET, IPV4, UDP = 14, 20, 8
ROWS = (
    *("session_id", "seq", "status", "duplicates", "duplicates_forward"),
    *("duplicates_backward", "reorder_extent", "reordered_forward", "reordered_backward"),
    "rtt_kernel_ns",
)

SINGLE = {
    "delay": "delay 20ms",
    "jitter": "delay 20ms 8ms distribution normal",
    "loss": "loss 15%",
    "bursts": "loss gemodel 5% 40%",
    "duplication": "duplicate 15%",
    "reordering": "delay 15ms reorder 30% 50%",
    "corruption": "corrupt 15%",
}
MIXTURES = {
    "loss there, duplication back": ("loss 15%", "duplicate 15%"),
    "all there": ("delay 10ms 6ms loss 8% duplicate 8% reorder 20% corrupt 8%", None),
    "all back": (None, "delay 10ms 6ms loss 8% duplicate 8% reorder 20% corrupt 8%"),
    "all both ways": (
        "delay 10ms 6ms loss 6% duplicate 6% corrupt 6%",
        "delay 10ms 6ms loss 6% duplicate 6% reorder 20% corrupt 6%",
    ),
}


Probe = tuple[int, int]
"""SSID and sequence number."""


class Packet(msgspec.Struct, frozen=True):
    """One STAMP packet at one tap. `answer`: the reflector's own number, null in a request."""

    at_ns: int
    ssid: int
    seq: int
    answer: int | None


def _sum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _whole(frame: bytes) -> bool:
    """Whether IPv4's and UDP's checksums fit; a bit may have been turned in any field."""
    packet = frame[ETHERNET:]
    if frame[12:14] != b"\x08\0" or packet[0] != 0x45 or _sum(packet[:IPV4]) != 0xFFFF:
        return False
    udp = packet[IPV4 : int.from_bytes(packet[2:4], "big")]
    pseudo = packet[12:20] + struct.pack("!BBH", 0, packet[9], len(udp))
    return _sum(pseudo + udp) == 0xFFFF


def _read(path: Path) -> list[Packet]:
    """Whole STAMP packets of a capture, in its order."""
    data, at, found = path.read_bytes(), 24, []
    while at + 16 <= len(data):
        seconds, rest, size, _ = struct.unpack_from("=IIII", data, at)
        frame = data[at + 16 : at + 16 + size]
        at += 16 + size
        if not _whole(frame):
            continue
        payload = frame[ETHERNET + IPV4 + UDP :]
        own, ssid = int.from_bytes(payload[:4], "big"), int.from_bytes(payload[14:16], "big")
        request = int.from_bytes(frame[36:38], "big") == vxlan_path.PORT
        seq = own if request else int.from_bytes(payload[24:28], "big")
        stamp = seconds * 1_000_000_000 + rest
        found.append(Packet(stamp, ssid, seq, None if request else own))
    return found


def _measured(there: str | None, back: str | None, folder: Path) -> dict[str, Any]:
    """One measurement through netem: what podbench says and what the taps saw."""
    # Else a packet between two namespaces carries no checksum that could be checked.
    for netns in ("pa", "pb"):
        switch = partial(shape._ethtool, netns, "e0", ("checksums", ETHTOOL_STXCSUM), 0)
        inside(netns, switch)
    for node, fault in (("na", there), ("nb", back)):
        if fault is not None:
            command = ["tc", "-n", node, "qdisc", "add", "dev", "u0", "root", "netem"]
            subprocess.run([*command, "limit", "10000", *fault.split()], check=True)
    seen = taps.Taps(folder)
    seen.start()
    with vxlan_path.entered("pb"):
        reflector = ReflectorWorker(vxlan_path.POD_B, vxlan_path.PORT, Rules(key=None))
        reflector.start()
    with vxlan_path.entered("pa"):
        probe = ProbeWorker(None)
        probe.start()
    try:
        rows, counters = asyncio.run(_asked(probe, reflector))
    finally:
        probe.stop()
        reflector.stop()
        stamps = seen.stop()
    lower, upper, _ = taps.bracket(rows, stamps)
    return {
        "rows": {name: np.ma.MaskedArray(rows[name]).tolist() for name in ROWS},
        "bracket": [lower.tolist(), upper.tolist()],
        "counters": counters,
        "csum_errors": dict(probe.facts)["csum_errors"],
        "pa": _read(folder / "pa.pcap"),
        "pb": _read(folder / "pb.pcap"),
    }


async def _asked(probe: ProbeWorker, reflector: ReflectorWorker) -> Any:
    session = LatencySession(
        session_id=SSIDS[0],
        peer_address=vxlan_path.POD_B,
        peer_port=vxlan_path.PORT,
        source_ports=len(SSIDS),
        rate_pps=RATE,
        duration_s=PROBES / RATE,
    )
    await reflector.admit(SSIDS)
    sender = (await probe.measure((session,)))[SSIDS[0]]
    log, counters = await reflector.collect(SSIDS)
    whole = {name: value for name, value in counters.items() if isinstance(value, int)}
    return fates.resolve(sender, log, whole), whole


class Truth:
    """What the captures say of each probe, by (SSID, sequence number)."""

    def __init__(self, probes: list[Probe], pa: list[Packet], pb: list[Packet]) -> None:
        self._row = {probe: row for row, probe in enumerate(probes)}
        self.came = Counter((p.ssid, p.seq) for p in pb if p.answer is None)
        """Copies of the request that reached the reflector whole."""
        self.answers: dict[Probe, Counter[int]] = defaultdict(Counter)
        """Copies of each answer that came back whole, by the reflector's number."""
        self._first: list[Packet] = []
        """Each probe's first answer, in the order in which they came back."""
        self._sent_ns: dict[Probe, int] = {}
        for packet in pa:
            probe = (packet.ssid, packet.seq)
            if packet.answer is None:
                self._sent_ns[probe] = packet.at_ns
                continue
            if not self.answers[probe] and probe in self._row:
                self._first.append(packet)
            self.answers[probe][packet.answer] += 1
        # The reflector numbers what it answers by SSID, in the order in which requests reach it.
        numbers: Counter[int] = Counter()
        self._reached: dict[tuple[int, int], int] = {}
        self._left: dict[tuple[int, int], int] = {}
        for place, packet in enumerate(pb):
            if packet.answer is None:
                self._reached[packet.ssid, numbers[packet.ssid]] = place
                numbers[packet.ssid] += 1
            else:
                self._left[packet.ssid, packet.answer] = place

    def status(self, probe: Probe) -> str:
        """`ok`, `late`, or the direction in which it was lost."""
        if self.answers[probe]:
            return "late" if self._took_ns(probe) > LATE_NS else "ok"
        return "lost_backward" if self.came[probe] else "lost_forward"

    def near_late(self, probe: Probe) -> bool:
        """Whether the answer came so near to the limit that clocks may differ about it."""
        return bool(self.answers[probe]) and abs(self._took_ns(probe) - LATE_NS) < NEAR_NS

    def _took_ns(self, probe: Probe) -> int:
        first = next(p for p in self._first if (p.ssid, p.seq) == probe)
        return first.at_ns - self._sent_ns[probe]

    def copies(self, probe: Probe) -> tuple[int, int]:
        """Duplicates made on the way there, whose answers came back, and on the way back."""
        numbers = self.answers[probe]
        return len(numbers) - 1, numbers.total() - len(numbers)

    def extents(self) -> dict[int, int]:
        """By row: reordered ones of the whole way, over all source ports."""
        return _extents([self._row[p.ssid, p.seq] for p in self._first])

    def reordered_there(self) -> set[int]:
        """Rows whose request was overtaken on the way to the reflector."""
        by_arrival = sorted(self._first, key=lambda p: self._reached[p.ssid, p.answer or 0])
        return set(_extents([self._row[p.ssid, p.seq] for p in by_arrival]))

    def reordered_back(self) -> set[int]:
        """Rows whose answer was overtaken by one that left later."""
        places = [self._left[p.ssid, p.answer or 0] for p in self._first]
        of_place = dict(zip(places, self._first, strict=True))
        late = (of_place[place] for place in _extents(places))
        return {self._row[p.ssid, p.seq] for p in late}


def _extents(order: list[int]) -> dict[int, int]:
    """Reordered numbers and how far back the first larger one is: RFC 4737 section 4.2.2."""
    found = {}
    for place, number in enumerate(order):
        larger = [before for before in range(place) if order[before] > number]
        if larger:
            found[number] = place - larger[0]
    return found


def _judge(there: str | None, back: str | None, tmp_path: Path) -> Counter[str]:
    """Measures, compares every row with the captures, and counts what happened."""
    found = vxlan_path.on_path(
        lambda: _measured(there, back, tmp_path),
        dict[str, Any],
        tmp_path / "answer.json",
        vxlan=False,
    )
    rows = found["rows"]
    probes = list(zip(rows["session_id"], rows["seq"], strict=True))
    pa, pb = (msgspec.convert(found[pod], list[Packet]) for pod in ("pa", "pb"))
    truth = Truth(probes, pa, pb)
    assert len(probes) == PROBES
    wanted = [truth.status(probe) for probe in probes]
    wrong = {
        probe: (said, right)
        for probe, said, right in zip(probes, rows["status"], wanted, strict=True)
        if said != right and not truth.near_late(probe)
    }
    assert wrong == {}
    seen: Counter[str] = Counter(wanted)
    for k, probe in enumerate(probes):
        if truth.answers[probe]:
            forward, backward = truth.copies(probe)
            said = tuple(rows[f"duplicates{way}"][k] for way in ("", "_forward", "_backward"))
            assert said == (forward + backward, forward, backward), probe
            seen += Counter({"copies there": forward, "copies back": backward})
    extents = {k: extent for k, extent in enumerate(rows["reorder_extent"]) if extent is not None}
    assert extents == truth.extents()
    for way, right in (("forward", truth.reordered_there()), ("backward", truth.reordered_back())):
        assert {k for k, flag in enumerate(rows[f"reordered_{way}"]) if flag} == right
        seen[f"reordered {way}"] = len(right)
    _judge_sizes(found, truth, probes, seen)
    return seen


def _judge_sizes(
    found: dict[str, Any], truth: Truth, probes: list[Probe], seen: Counter[str]
) -> None:
    """Each kernel RTT lies between what the taps before and after its stamps saw."""
    lower, upper = found["bracket"]
    for k, probe in enumerate(probes):
        rtt_ns = found["rows"]["rtt_kernel_ns"][k]
        once = truth.came[probe] == 1 and truth.answers[probe].total() == 1
        if rtt_ns is not None and once:
            seen["sized"] += 1
            seen["outside"] += not lower[k] - SLACK_NS <= rtt_ns <= upper[k] + SLACK_NS
            seen["over 15 ms"] += rtt_ns > 15_000_000
    seen["checksums there"] = found["counters"]["csum_errors"]
    seen["checksums back"] = found["csum_errors"]


@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize("fault", SINGLE)
def test_a_single_fault_is_told_with_its_direction_and_size(
    fault: str, way: str, tmp_path: Path
) -> None:
    """What struck shows in its own direction, and nothing shows in the other."""
    there, back = (SINGLE[fault], None) if way == "forward" else (None, SINGLE[fault])
    seen = _judge(there, back, tmp_path)
    lost, spared = ("forward", "backward") if way == "forward" else ("backward", "forward")
    assert seen[f"lost_{spared}"] == 0
    assert (seen[f"lost_{lost}"] > 0) is (fault in {"loss", "bursts", "corruption"})
    mine, other = ("there", "back") if way == "forward" else ("back", "there")
    assert seen[f"copies {other}"] == seen[f"checksums {other}"] == 0
    assert (seen[f"copies {mine}"] > 0) is (fault == "duplication")
    assert (seen[f"checksums {mine}"] > 0) is (fault == "corruption")
    assert seen[f"reordered {spared}"] == 0
    assert (seen[f"reordered {lost}"] > 0) is (fault in {"jitter", "reordering"})
    if fault == "delay":
        assert seen["over 15 ms"] == seen["sized"] == PROBES
    assert seen["sized"] > 0
    assert seen["outside"] <= seen["sized"] // 100


@pytest.mark.parametrize("mixture", MIXTURES)
def test_mixed_faults_are_told_apart(mixture: str, tmp_path: Path) -> None:
    """Loss, copies, order and damage together, in one direction or in both."""
    there, back = MIXTURES[mixture]
    seen = _judge(there, back, tmp_path)
    assert seen["ok"] > 0
    if there:
        assert seen["lost_forward"] > 0
    if back:
        assert seen["copies back"] > 0
    assert (seen["lost_backward"] > 0) is (back is not None and "loss" in back)
    assert seen["outside"] <= max(1, seen["sized"] // 100)
