"""A load's proof by its own bytes or packets: what the counters may say, and what follows."""

import pytest

from podbench.cni.base import Load, Pool
from podbench.cni.calico.driver import Calico
from podbench.cni.proof import evidence, loads
from podbench.cni.proof.routes import Counter
from podbench.cni.proof.walk import Reading
from podbench.model.arms import Mode
from podbench.model.facts import Link, NodeFacts, PairProof
from podbench.model.nodes import AgentId, Node, Pod

MB = 1_000_000


def _pool(mode: Mode) -> Pool:
    return Calico().pool(mode, underlay_mtu=1500, equal_mtu=False)


def _node(name: str, mode: Mode) -> Node:
    pod = Pod(f"{name}-{mode}", name, mode, f"10.0.{name[1:]}.2", AgentId(name), 1450)
    return Node(name, f"172.18.0.{name[1:]}", AgentId(f"{name}-host"), 1500, pods=(pod,))


def _reading(mode: Mode) -> Reading:
    facts = {
        node.name: NodeFacts(
            node=node.name,
            wall_ns=1,
            links=(
                Link(name="eth0", kind=None, mtu=1500, up=True, addresses=(f"{node.address}/24",)),
            ),
        )
        for node in (_node("n1", mode), _node("n2", mode))
    }
    return Reading(facts, (), 0.0)


def _counter(node: str, device: str, **rose: int) -> Counter:
    kind = "vxlan" if device == "vxlan.calico" else "plain"
    counted = {"tx_packets": 0, "rx_packets": 0, **rose}
    return Counter(node=node, device=device, encapsulation=kind, peer=None, **counted)


def _moved(wrapped: int, plain: int, *, back: int = 1_000, foreign: int = 0) -> list[Counter]:
    """Bytes of data from n1 to n2 in the tunnel and beside it; packets of acknowledgements."""
    tunnel = wrapped + foreign
    return [
        _counter("n1", "vxlan.calico", tx_bytes=tunnel, tx_packets=tunnel // 9000),
        _counter("n2", "vxlan.calico", rx_bytes=tunnel, tx_packets=back),
        _counter("n1", "eth0", tx_bytes=tunnel + plain, tx_packets=(tunnel + plain) // 9000),
        _counter("n2", "eth0", tx_packets=1_000),
    ]


def _judged(
    rose: list[Counter], mode: Mode = Mode.VXLAN, silence: list[Counter] | None = None
) -> PairProof:
    load = Load(
        kind="throughput", src="n1", dst="n2", protocol="tcp",
        sent_bytes=100 * MB, received_bytes=100 * MB,
    )  # fmt: skip
    pair = (_node("n1", mode), _node("n2", mode))
    return loads.judge(_pool(mode), pair, load, rose, _reading(mode), silence)


@pytest.mark.parametrize(
    ("rose", "verdict", "observed"),
    [
        (_moved(104 * MB, 0), "match", "vxlan"),
        (_moved(0, 104 * MB, back=0), "fell back", "native"),
        (_moved(60 * MB, 44 * MB), "mixed", "vxlan (60000000), native (44000000)"),
        (_moved(104 * MB, 0, back=2), "mixed", "vxlan out, native back"),
        (_moved(104 * MB, 0, foreign=40 * MB), "unproven", None),
        (_moved(2 * MB, 104 * MB, back=0), "fell back", "native"),
    ],
    ids=["tunnel", "plain", "both", "acks elsewhere", "too much", "plain beside foreign"],
)
def test_bytes_tell_what_a_transfer_took(
    rose: list[Counter], verdict: str, observed: str | None
) -> None:
    """By the sender's and the receiver's counters against what iperf3 moved."""
    found = _judged(rose)
    assert (found.verdict, found.observed) == (verdict, observed)


def test_a_busy_underlay_needs_a_silent_stretch() -> None:
    """Plain traffic beside a full tunnel: ours could be the plain one, unless the tunnel rests."""
    rose = _moved(104 * MB, 300 * MB)
    assert evidence.UNBOUNDED in _judged(rose).warnings
    assert _judged(rose).verdict == "unproven"
    assert _judged(rose, silence=_moved(0, 300 * MB)).verdict == "match"
    busy = _judged(rose, silence=_moved(50 * MB, 300 * MB))
    assert (busy.verdict, busy.warnings) == ("unproven", (evidence.FOREIGN,))


def test_a_plain_mode_is_matched_by_tunnels_that_rest() -> None:
    """BGP: everything left by the underlay, and no tunnel moved."""
    assert _judged(_moved(0, 104 * MB, back=0), Mode.BGP).verdict == "match"
    assert _judged(_moved(104 * MB, 0), Mode.BGP).verdict == "fell back"


def test_datagrams_are_counted_not_weighed() -> None:
    """UDP: packets that arrived at least, those sent and the probes beside them at most."""
    load = Load(
        kind="throughput-small", src="n1", dst="n2", protocol="udp", sent_bytes=0,
        received_bytes=0, sent_packets=10_000, received_packets=9_000, beside_packets=100,
    )  # fmt: skip
    pair = (_node("n1", Mode.VXLAN), _node("n2", Mode.VXLAN))

    def judged(packets: int) -> str:
        rose = [
            _counter("n1", "vxlan.calico", tx_packets=packets),
            _counter("n2", "vxlan.calico", rx_packets=packets),
            _counter("n1", "eth0", tx_packets=packets),
        ]
        return loads.judge(_pool(Mode.VXLAN), pair, load, rose, _reading(Mode.VXLAN)).verdict

    assert [judged(n) for n in (8_000, 9_000, 10_100, 12_000)] == [
        "unproven", "match", "match", "unproven",
    ]  # fmt: skip
