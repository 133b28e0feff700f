"""Lies a proof must survive: packets that take another way than asked, staged in one lab.

Each is staged in turn on the same three nodes; what the proof says stands beside the truth, which
comes from elsewhere: the tunnel device's own counter in /sys, and a capture of outer headers on the
node's underlay. None of these may be called `match`, but for the last, which is one and has a
warning.
"""

import asyncio
import contextlib
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest
from support.inlab import echo, in_lab, needs_namespaces

from podbench.cni import registry
from podbench.cni.base import Load, Probed
from podbench.cni.proof import verdict
from podbench.model.arms import Mode
from podbench.model.facts import ArmProof, PairProof, Verdict
from podbench.model.nodes import LabOptions, Pod
from podbench.target.lab import layout, namespaces
from podbench.target.lab.inside import inside
from podbench.target.lab.world import LabWorld
from podbench.transport import children

pytestmark = [pytest.mark.lab, needs_namespaces()]

CALICO = registry.driver("calico")
PAIR = ("n1", "n2")
FOREIGN_PORT = 9
"""Below 1024: the rules that are staged leave it in the tunnel."""
TCP_BYTES = 20_000_000
MANY = "1024-65534"


class Truth(msgspec.Struct):
    """Of one direction, n1 to n2, in the last window: read without the proof's code."""

    answered: int = 0
    tunnel: int = 0
    """What vxlan.calico on n1 sent."""
    left: dict[str, int] = {}
    """Our probes by outer header, as they left n1."""


class Told(msgspec.Struct):
    """What the proof said, and what was so."""

    proof: ArmProof
    truth: Truth
    load: PairProof | None = None
    load_truth: int = 0
    """Bytes that vxlan.calico on n1 sent during the transfer."""


def _run(node: str, program: str, *arguments: str) -> None:
    running = namespaces.spawn(node, [str(children.find(program, program)), *arguments])
    assert running.wait() == 0, (node, arguments)


def _ip(node: str, *arguments: str) -> None:
    _run(node, "ip", *arguments)


def _sent(node: str, what: str) -> int:
    """The tunnel device's counter, as the kernel shows it in /sys."""
    mount = f"/sys/class/net/vxlan.calico/statistics/tx_{what}"
    out = subprocess.run(
        ["ip", "netns", "exec", node, "cat", mount], capture_output=True, text=True, check=True
    )
    return int(out.stdout)


class Stage:
    """The lab in which lies are staged; `clear` takes each away again."""

    def __init__(self, world: LabWorld) -> None:
        self.world = world
        self._nodes = {node.name: node for node in world.nodes}
        self._rules: list[tuple[str, list[str]]] = []
        self._marked: set[str] = set()

    def pod(self, node: str, mode: Mode = Mode.VXLAN) -> Pod:
        """The pod of a mode on a node."""
        return self._nodes[node].pod(mode)

    def plain_table(self, node: str, peer: str) -> None:
        """Table 77: to the peer's VXLAN pods without the tunnel."""
        address = self.pod(peer).address
        _ip(node, "route", "replace", f"{address}/32", "via", self._nodes[peer].address,
            "dev", layout.UPLINK, "onlink", "table", "77")  # fmt: skip

    def rule(self, node: str, *selector: str) -> None:
        """Packets so selected go by table 77."""
        other = PAIR[1] if node == PAIR[0] else PAIR[0]
        self.plain_table(node, other)
        words = [*selector, "lookup", "77", "pref", "100"]
        _ip(node, "rule", "add", *words)
        self._rules.append((node, words))

    def mark(self, node: str, *match: str) -> None:
        """Marks packets that a node forwards, for a rule to select."""
        chain = "chain marks { type filter hook prerouting priority -150; policy accept;"
        rules = f"table ip lies {{\n{chain}\n{' '.join(match)}\n}}\n}}\n"
        _run(node, "nft", rules)
        self._marked.add(node)
        self.rule(node, "fwmark", "7")

    def clear(self) -> None:
        """As if nothing had been staged."""
        for node, words in self._rules:
            _ip(node, "rule", "del", *words)
        for node in self._marked:
            _run(node, "nft", "delete table ip lies")
        self._rules.clear()
        self._marked.clear()

    def foreign(self, packets: int) -> None:
        """Somebody else's packets from n1 to n2 through the tunnel."""
        src, dst = self.pod("n1"), self.pod("n2")

        def send() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((src.address, 0))
                for _ in range(packets):
                    sock.sendto(b"foreign", (dst.address, FOREIGN_PORT))

        inside(src.name, send)

    def watched(self, truth: Truth, foreign: int = 0) -> Callable[..., Awaitable[Probed]]:
        """A proof window that writes down what was so."""

        async def window(src: Pod, dst: Pod, probes: int) -> Probed:
            ours = (src.node, dst.node) == PAIR
            before = await asyncio.to_thread(_sent, "n1", "packets") if ours else 0
            capture = await self.world.capture(["n1"]) if ours else None
            if foreign and ours:
                await asyncio.to_thread(self.foreign, foreign)
            found = await echo(src, dst, probes)
            if capture is not None:
                left = {
                    one.encapsulation: one.packets
                    for one in await capture.seen()
                    if (one.node, one.src, one.dst) == ("n1", src.address, dst.address)
                }
                truth.left = left
                truth.tunnel = await asyncio.to_thread(_sent, "n1", "packets") - before
                truth.answered = found.answered
            return found

        return window


def _transfer(src: Pod, dst: Pod) -> int:
    """Octets that arrived of a TCP transfer from pod to pod."""

    def listening() -> socket.socket:
        made = socket.create_server((dst.address, 0))
        made.settimeout(10)
        return made

    got = 0
    server = inside(dst.name, listening)
    with server:

        def receive() -> None:
            nonlocal got
            peer, _ = server.accept()
            with peer:
                while data := peer.recv(1 << 20):
                    got += len(data)

        reader = threading.Thread(target=receive)
        reader.start()

        def send() -> None:
            with socket.create_connection(server.getsockname(), 10) as sock:
                sock.sendall(bytes(TCP_BYTES))

        inside(src.name, send)
        reader.join()
    return got


async def _loaded(stage: Stage, told: Told) -> None:
    """One TCP transfer from n1 to n2, proven by its own bytes."""
    meter = CALICO.meter(stage.world, Mode.VXLAN)
    before = await meter.read(PAIR)
    began = _sent("n1", "bytes")
    got = await asyncio.to_thread(_transfer, stage.pod("n1"), stage.pod("n2"))
    told.load_truth = _sent("n1", "bytes") - began
    after = await meter.read(PAIR)
    load = Load(
        kind="throughput", src="n1", dst="n2", protocol="tcp", sent_bytes=got, received_bytes=got
    )
    ((_, told.load),) = await meter.judge([load], before, after)


def _stages(stage: Stage) -> dict[str, Callable[[], None]]:
    udp = ("ipproto", "udp", "dport", MANY)
    nf = "ip saddr {} ip daddr {} ".format

    def both_ways() -> None:
        on_both(*udp)

    def on_both(*selector: str) -> None:
        for node in PAIR:
            stage.rule(node, *selector)

    def by_source() -> None:
        for node in PAIR:
            stage.rule(node, "from", stage.pod(node).address)

    def ours() -> str:
        return nf(stage.pod("n1").address, stage.pod("n2").address)

    return {
        # measurement table: by ports; with 25 foreign packets; a third by mark; only TCP
        "udp by ports": both_ways,
        "udp by ports, 25 foreign packets": both_ways,
        "a third by mark": lambda: stage.mark(
            "n1", ours(), "meta l4proto udp numgen inc mod 3 == 0 meta mark set 7"
        ),
        "only TCP": lambda: on_both("ipproto", "tcp"),
        # six more
        "as many foreign packets as probes": both_ways,
        "only the replies": lambda: stage.rule("n2", *udp),
        "by source": by_source,
        "only large packets": lambda: stage.mark("n1", ours(), "meta length > 500 meta mark set 7"),
        "only acknowledgements": lambda: stage.rule("n2", "ipproto", "tcp"),
        "one packet in twenty": lambda: stage.mark(
            "n1", ours(), "meta l4proto udp meta mark set numgen inc mod 20 map { 0: 7, 1-19: 0 }"
        ),
    }


FOREIGN = {"udp by ports, 25 foreign packets": 25, "as many foreign packets as probes": 200}
LOADED = {"only TCP", "only large packets", "only acknowledgements", "nothing"}


@contextlib.asynccontextmanager
async def _staged(stage: Stage, begin: Callable[[], None]) -> AsyncIterator[None]:
    await asyncio.to_thread(begin)
    try:
        yield
    finally:
        await asyncio.to_thread(stage.clear)


async def _detour(stage: Stage) -> Told:
    """n1 reaches n2's pods by n3's tunnel end: a third node in between."""
    world = stage.world
    far = {link.name: link for link in (await world.facts("n3")).links}["vxlan.calico"]
    gateway = next(a for a in far.addresses if a.endswith("/32")).partition("/")[0]
    block = f"{stage.pod('n2').address}/32"
    _ip("n1", "route", "add", block, "via", gateway, "dev", "vxlan.calico", "onlink", "proto", "80")
    truth = Truth()
    groups = [[PAIR]]
    proof = await CALICO.verify(world, Mode.VXLAN, stage.watched(truth), groups=groups)
    _ip("n1", "route", "del", block)
    return Told(proof, truth)


async def _everything(world: LabWorld) -> dict[str, Told]:
    stage = Stage(world)
    groups = [[PAIR]]
    found: dict[str, Told] = {}
    stages = {"nothing": lambda: None, **_stages(stage)}
    for name, begin in stages.items():
        truth = Truth()
        async with _staged(stage, begin):
            window = stage.watched(truth, FOREIGN.get(name, 0))
            proof = await CALICO.verify(world, Mode.VXLAN, window, groups=groups)
            found[name] = Told(proof, truth)
            if name in LOADED:
                await _loaded(stage, found[name])
    found["a third node"] = await _detour(stage)
    return found


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    """Every lie staged once, in one lab."""
    options = LabOptions(nodes=3, layout="calico")
    return in_lab(_everything, dict[str, Told], options=options, modes=(Mode.VXLAN,))


def _out(one: Told) -> PairProof:
    return next(pair for pair in one.proof.pairs if (pair.src, pair.dst) == PAIR)


def test_without_a_lie_it_matches(told: dict[str, Told]) -> None:
    """The stage itself is sound: counters, capture and proof agree."""
    one = told["nothing"]
    assert one.truth.left == {"vxlan": 200}
    assert one.truth.tunnel == one.truth.answered == 200
    assert one.proof.verdict is Verdict.MATCH
    assert one.load is not None
    assert one.load.verdict is Verdict.MATCH
    assert one.load_truth > TCP_BYTES


@pytest.mark.parametrize("name", ["udp by ports", "by source"])
def test_a_rule_that_sends_all_elsewhere_is_fell_back(told: dict[str, Told], name: str) -> None:
    """Not one probe in the tunnel, whatever the main table says."""
    one = told[name]
    assert one.truth.left == {"plain": 200}
    assert one.truth.tunnel == 0
    assert one.proof.verdict is Verdict.FELL_BACK
    assert (_out(one).observed, _out(one).method) == ("native", "counted")
    assert _out(one).evidence["route_device"] == layout.UPLINK  # asked with the probe's own ports


@pytest.mark.parametrize("name", list(FOREIGN))
def test_foreign_packets_do_not_stand_in_for_ours(told: dict[str, Told], name: str) -> None:
    """The tunnel moved, by somebody else's packets: that is no match."""
    one = told[name]
    assert one.truth.left["plain"] == 200
    assert one.truth.tunnel == FOREIGN[name]
    assert one.proof.verdict in {Verdict.FELL_BACK, Verdict.MIXED, Verdict.UNPROVEN}
    if FOREIGN[name] < one.truth.answered:
        assert one.proof.verdict is Verdict.FELL_BACK


@pytest.mark.parametrize(("name", "plain"), [("a third by mark", 67), ("one packet in twenty", 10)])
def test_some_by_mark_is_mixed(told: dict[str, Told], name: str, plain: int) -> None:
    """Marks are set behind the route lookup's back: the counters tell how many went where."""
    one = told[name]
    assert one.truth.left == {"vxlan": 200 - plain, "plain": plain}
    assert one.proof.verdict is Verdict.MIXED
    assert _out(one).observed == f"vxlan ({200 - plain}), native ({plain})"
    assert verdict.MORE_THAN_ONE in _out(one).warnings


def test_one_way_is_mixed(told: dict[str, Told]) -> None:
    """Requests in the tunnel, replies not."""
    one = told["only the replies"]
    assert one.truth.left == {"vxlan": 200}
    assert one.proof.verdict is Verdict.MIXED
    assert _out(one).observed == "vxlan out, native back"


@pytest.mark.parametrize("name", ["only TCP", "only large packets"])
def test_a_transfer_is_proven_by_its_own_bytes(told: dict[str, Told], name: str) -> None:
    """Latency probes take the tunnel, a transfer does not: each is told for itself."""
    one = told[name]
    assert one.truth.left == {"vxlan": 200}
    assert one.proof.verdict is Verdict.MATCH
    assert one.load_truth < TCP_BYTES / 50
    assert one.load is not None
    assert (one.load.verdict, one.load.observed) == (Verdict.FELL_BACK, "native")


def test_acknowledgements_by_another_way_are_mixed(told: dict[str, Told]) -> None:
    """The data crosses the tunnel and the way back does not."""
    one = told["only acknowledgements"]
    assert one.load_truth > TCP_BYTES
    assert one.load is not None
    assert (one.load.verdict, one.load.observed) == (Verdict.MIXED, "vxlan out, native back")


def test_a_third_node_is_a_match_with_a_warning(told: dict[str, Told]) -> None:
    """It is VXLAN, and it is not the direct way: both are said."""
    one = told["a third node"]
    assert one.truth.left == {"vxlan": 200}
    assert one.proof.verdict is Verdict.MATCH
    assert verdict.ODD_ROUTE in one.proof.warnings
    assert verdict.ODD_ROUTE in _out(one).warnings


def test_nothing_that_was_staged_is_a_match(told: dict[str, Told]) -> None:
    """Every lie, latency or transfer, is caught by one of its proofs."""
    honest = {"nothing", "a third node"}
    for name, one in told.items():
        verdicts = [one.proof.verdict, *([one.load.verdict] if one.load else [])]
        assert any(v is not Verdict.MATCH for v in verdicts) == (name not in honest), name
