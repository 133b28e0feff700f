"""IPIP between real namespaces: what leaves the node, what arrives, what the counters say.

Where the kernel has no ipip device this exercises the eBPF programs, else the device; what is
asserted on the wire holds for both. Fields of the programs' headers are tested one by one in
tests/unit.
"""

import asyncio
import ctypes
import json
import os
import platform
import select
import socket
import struct
import subprocess
import threading
import time

import msgspec
import pytest
from support.inlab import in_lab, needs_ipip, needs_namespaces

from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.model.facts import TunnelCount
from podbench.model.nodes import LabOptions, Pod
from podbench.target.lab import layout, namespaces
from podbench.target.lab.inside import inside
from podbench.target.lab.ipip import dataplane
from podbench.target.lab.ipip.bpf import BPF_SYSCALL
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, pytest.mark.root, needs_namespaces(), needs_ipip()]

TSHARK_FIELDS = ("ip.version", "ip.proto", "ip.src", "ip.dst", "ip.dsfield", "ip.flags.df")
CHECKSUMS = "ip.check_checksum:TRUE"
STARTED_S = 60.0
GONE_S = 10.0
"""The kernel takes namespaces apart in the background."""
PROG_GET_FD_BY_ID = 13
TRANSFER_BYTES = 16 * 2**20
MSS_BYTES = 1480 - 52
"""The pod's MTU less IPv4 and TCP headers and the timestamp option."""


class Capture(msgspec.Struct):
    """One line of tshark per packet, and the counters around it."""

    lines: list[str]
    counts: list[TunnelCount]
    implementation: str


def _run(netns: str, *command: str) -> str:
    outcome = subprocess.run(
        ["ip", "netns", "exec", netns, *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return outcome.stdout


async def _counts(world: LabWorld) -> list[TunnelCount]:
    pool = registry.driver("calico").pool(Mode.IPIP, underlay_mtu=1500, equal_mtu=False)
    found: list[TunnelCount] = []
    for node in world.nodes:
        found += await world.tunnel_counts(node.name, pool)
    return found


def _until_it_listens(tshark: "subprocess.Popen[bytes]") -> None:
    """Waits for tshark to say that it captures; one that says nothing has STARTED_S for it."""
    assert tshark.stderr is not None
    said, end_s = b"", time.monotonic() + STARTED_S
    while b"Capture started" not in said and (left_s := end_s - time.monotonic()) > 0:
        if not select.select([tshark.stderr], [], [], left_s)[0]:
            return
        part = os.read(tshark.stderr.fileno(), 4096)
        assert part, said
        said += part


def test_tshark_decodes_full_size_packets_as_ipv4_in_ipv4() -> None:
    """DF pings of the whole pod MTU pass as 1500 octets; checksums, DSCP and DF are right."""

    async def scenario(world: LabWorld) -> Capture:
        peer = world.nodes[1].pod(Mode.IPIP)
        # The last fields of each layer follow one another in a column: outer, then inner.
        command = ["tshark", "-l", "-i", layout.BRIDGE, "-f", "ip proto 4", "-o", CHECKSUMS]
        command += ["-T", "fields", "-e", "frame.len", "-e", "ip.checksum.status"]
        for field in TSHARK_FIELDS:
            command += ["-e", field]
        tshark = namespaces.spawn(layout.UNDERLAY, [*command, "-c", "8"], output=subprocess.PIPE)
        await asyncio.to_thread(_until_it_listens, tshark)
        ping = ["ping", "-c", "4", "-i", "0.2", "-M", "do", "-s", "1452", "-Q", "0xb8"]
        await asyncio.to_thread(_run, "n1-ipip", *ping, peer.address)
        output, _ = await asyncio.to_thread(tshark.communicate, timeout=30)
        return Capture(
            output.decode().splitlines(),
            await _counts(world),
            str(world.implementations[Mode.IPIP]),
        )

    found = in_lab(scenario, Capture, modes=(Mode.IPIP,))
    assert found.implementation in (dataplane.EBPF, dataplane.KERNEL_DEVICE)
    assert len(found.lines) == 8
    marks: set[tuple[str, str]] = set()
    for line in found.lines:
        length, checksums, version, protocol, src, dst, dsfield, df = line.split("\t")
        assert (length, checksums, version, protocol) == ("1514", "1,1", "4,4", "4,1")
        # The reply to a ping carries no DF: outside as inside.
        marks.add((dsfield, df.replace("True", "1").replace("False", "0")))
        outer, inner = zip(src.split(","), dst.split(","), strict=True)
        assert all(each.startswith("172.18.0.") for each in outer)
        assert all(each.startswith("198.18.1") for each in inner)
    assert marks == {("0x00,0xb8", "1,1"), ("0x00,0xb8", "0,0")}
    assert [(each.tx_packets, each.rx_packets) for each in found.counts] == [(4, 4), (4, 4)]


class Transfer(msgspec.Struct):
    """What a TCP transfer delivered, and what the node did for it."""

    whole: bool
    counts: list[TunnelCount]
    checksum_errors: dict[str, int]


def _transfer(src: Pod, dst: Pod) -> bool:
    """Sends random octets from pod to pod; whether all of them came, in order."""

    def listen() -> socket.socket:
        return socket.create_server((dst.address, 0))

    def connect() -> socket.socket:
        return socket.create_connection(listener.getsockname(), timeout=30)

    sent = os.urandom(TRANSFER_BYTES)
    listener = inside(dst.name, listen)
    with listener, inside(src.name, connect) as near, listener.accept()[0] as far:

        def feed() -> None:
            near.sendall(sent)
            near.shutdown(socket.SHUT_WR)

        feeder = threading.Thread(target=feed)
        feeder.start()
        got = b"".join(iter(lambda: far.recv(1 << 20), b""))
        feeder.join()
    return got == sent


def _checksum_errors(netns: str) -> int:
    """Bad checksums seen by this namespace, over all protocols."""
    lines = _run(netns, "cat", "/proc/net/snmp").splitlines()
    total = 0
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        pairs = zip(names.split()[1:], values.split()[1:], strict=True)
        total += sum(int(value) for name, value in pairs if name == "InCsumErrors")
    return total


@pytest.mark.parametrize("rate_bps", [None, 200_000_000], ids=["offloads", "shaped"])
def test_tcp_crosses_whole_with_and_without_offloads(rate_bps: int | None) -> None:
    """16 MiB arrive whole, as super-packets and (shaping switches offloads off) one by one."""

    async def scenario(world: LabWorld) -> Transfer:
        src, dst = (node.pod(Mode.IPIP) for node in world.nodes)
        return Transfer(
            await asyncio.to_thread(_transfer, src, dst),
            await _counts(world),
            {name: _checksum_errors(name) for name in ("n1", "n2", src.name, dst.name)},
        )

    options = LabOptions(nodes=2, rate_bps=rate_bps)
    found = in_lab(scenario, Transfer, options=options, modes=(Mode.IPIP,))
    assert found.whole
    assert set(found.checksum_errors.values()) == {0}
    there, back = found.counts
    dropped = there.tx_packets - back.rx_packets, back.tx_packets - there.rx_packets
    # The shaper's queue lies behind the tunnel's counter, and cubic fills it until it drops.
    assert min(dropped) >= 0
    assert rate_bps is not None or dropped == (0, 0)
    segments = TRANSFER_BYTES / MSS_BYTES
    if rate_bps is not None:
        assert there.tx_packets >= segments
    else:
        assert 0 < there.tx_packets < segments


def test_a_packet_too_large_is_refused_and_not_lost() -> None:
    """One octet more than the pod's MTU with DF set: the sender is told its MTU."""

    async def scenario(world: LabWorld) -> str:
        peer = world.nodes[1].pod(Mode.IPIP).address
        return await asyncio.to_thread(
            _run, "n1-ipip", "sh", "-c", f"ping -c 1 -W 1 -M do -s 1453 {peer} 2>&1 || true"
        )

    assert "mtu=1480" in in_lab(scenario, str, modes=(Mode.IPIP,)).replace("mtu = ", "mtu=")


def _exists(program_id: int) -> bool:
    """Whether the kernel still holds an eBPF program."""
    attributes = ctypes.create_string_buffer(struct.pack("=III", program_id, 0, 0), 12)
    libc = ctypes.CDLL(None, use_errno=True)
    number = BPF_SYSCALL[platform.machine()]
    return int(libc.syscall(number, PROG_GET_FD_BY_ID, attributes, 12)) >= 0


@pytest.mark.skipif(
    dataplane.capability().implementation != dataplane.EBPF,
    reason="needs a kernel without ipip devices",
)
def test_programs_go_with_the_lab() -> None:
    """After the lab nothing holds them: no pin, no descriptor, no namespace."""

    async def scenario(world: LabWorld) -> list[int]:
        assert world.nodes
        ids = []
        for hook in ("ingress", "egress"):
            shown = _run("n1", "tc", "-j", "filter", "show", "dev", layout.UPLINK, hook)
            ids += [
                each["options"]["prog"]["id"]
                for each in json.loads(shown)
                if "prog" in each.get("options", {})
            ]
        assert all(_exists(each) for each in ids)
        return ids

    ids = in_lab(scenario, list[int], modes=(Mode.IPIP,))
    assert len(ids) == 2
    deadline = time.monotonic() + GONE_S
    while any(_exists(each) for each in ids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_exists(each) for each in ids)
