"""What really crosses the underlay in each arm, by a capture that does not know podbench.

tcpdump listens on the underlay's bridge while UDP goes from pod to pod; scapy reads the file. The
proof's own counters and captures must say the same.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.vxlan import VXLAN
from scapy.utils import rdpcap
from support.cluster import until
from support.inlab import echo, in_lab, needs_ipip, needs_root

from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.model.facts import ArmProof, Method, Verdict
from podbench.target.lab import layout, namespaces
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, pytest.mark.root, needs_root("for tcpdump")]

SETTLE_S = 1.2
"""tcpdump hands over a part-filled ring after a second."""
LIMIT_S = 30.0


class Wire(msgspec.Struct):
    """A proof, and how tcpdump saw the same probes."""

    proof: ArmProof
    frames: dict[str, int]
    implementation: str | None


def _named(frame: IP, port: int) -> str:
    """The encapsulation of a packet on the underlay, by its outer header alone."""
    if frame.proto == 4:
        return "protocol 4"
    if frame.proto == 17 and frame[UDP].dport == port:
        return f"UDP {port}"
    return "plain"


def _read(file: Path, addresses: set[str], port: int) -> dict[str, int]:
    """Packets between the two pods, by encapsulation."""
    found: Counter[str] = Counter()
    for packet in rdpcap(str(file)):
        if IP not in packet:
            continue
        name = _named(packet[IP], port)
        inner = packet[IP]
        if name == f"UDP {port}":
            inner = VXLAN(bytes(packet[UDP].payload))[IP]
        elif name == "protocol 4":
            inner = packet[IP].payload
        if {inner.src, inner.dst} == addresses:
            found[name] += 1
    return dict(found)


async def _written(size: Callable[[], int]) -> None:
    """Returns once a capture grows no more."""
    before = -1
    async with asyncio.timeout(LIMIT_S):
        while before != (now := size()):
            before = now
            await asyncio.sleep(SETTLE_S)


def _watched(cni: str, mode: Mode, port: int, tmp_path: Path) -> Wire:
    file = tmp_path / "wire.pcap"

    async def scenario(world: LabWorld) -> Wire:
        command = ["tcpdump", "-i", layout.BRIDGE, "-w", str(file), "-U", "-Z", "root"]
        log = tmp_path / "tcpdump.log"
        with log.open("wb") as said:
            tcpdump = namespaces.spawn(layout.UNDERLAY, command, output=said)
        try:
            async with asyncio.timeout(LIMIT_S):
                await until(lambda: b"listening on" in log.read_bytes())
            driver = registry.driver(cni)
            proof = await driver.verify(world, mode, echo, capture=world.capture)
            await _written(lambda: file.stat().st_size)
        finally:
            tcpdump.terminate()
            tcpdump.wait()
        addresses = {node.pod(mode).address for node in world.nodes}
        return Wire(proof, _read(file, addresses, port), world.implementations[mode])

    return in_lab(scenario, Wire, cni=cni, modes=(mode,))


@pytest.mark.parametrize(
    ("cni", "mode", "port", "expected"),
    [
        ("calico", Mode.VXLAN, 4789, "UDP 4789"),
        pytest.param(
            "calico", Mode.IPIP, 4789, "protocol 4", marks=[pytest.mark.root, needs_ipip()]
        ),
        ("calico", Mode.BGP, 4789, "plain"),
        ("flannel", Mode.VXLAN, 8472, "UDP 8472"),
        ("flannel", Mode.HOST_GW, 8472, "plain"),
    ],
)
def test_the_wire_shows_what_the_proof_says(
    cni: str, mode: Mode, port: int, expected: str, tmp_path: Path
) -> None:
    """200 probes and 200 replies, all in the arm's encapsulation; counters and capture agree."""
    found = _watched(cni, mode, port, tmp_path)
    assert found.frames == {expected: 400}
    assert (found.proof.verdict, found.proof.method) == (Verdict.MATCH, Method.CAPTURED)
    assert (found.proof.observed, found.proof.warnings) == (mode, ())
    word = mode if mode in (Mode.VXLAN, Mode.IPIP) else "plain"
    for pair in found.proof.pairs:
        assert pair.evidence[f"captured_{word}_packets"] == 200
        if word != "plain":
            assert pair.evidence[f"{word}_tx_packets"] == 200
            assert pair.evidence[f"{word}_rx_packets"] == 200
