"""Verdicts: what a driver says of a world whose packets do what the test wants."""

import asyncio

import msgspec
import pytest
from support.fakeworld import NAMES, VXLAN_DEVICE, FakeWorld, address, established, with_protocol

from podbench.cni.base import Pool, Probed
from podbench.cni.calico.driver import Calico
from podbench.cni.flannel.driver import Flannel
from podbench.cni.proof import evidence
from podbench.cni.proof import verdict as proof
from podbench.model.arms import Mode
from podbench.model.errors import ProbeError, TransportError
from podbench.model.facts import ArmProof, BgpSession, Method, NodeFacts, PairProof, Verdict
from podbench.model.nodes import Pod

MODES = (Mode.VXLAN, Mode.IPIP, Mode.BGP)


def _world() -> FakeWorld:
    world = FakeWorld()
    asyncio.run(Calico().lay(world, MODES))
    return world


def _verify(
    world: FakeWorld, mode: Mode, *, packets: bool = True, capture: bool = False
) -> ArmProof:
    return asyncio.run(
        Calico().verify(
            world,
            mode,
            world.probe if packets else None,
            capture=world.capture if capture else None,
        )
    )


def _pair(found: ArmProof, src: str, dst: str) -> PairProof:
    return next(pair for pair in found.pairs if (pair.src, pair.dst) == (src, dst))


@pytest.mark.parametrize(
    ("mode", "origin"), [(Mode.VXLAN, "Felix"), (Mode.IPIP, "BIRD"), (Mode.BGP, "BIRD")]
)
def test_packets_that_go_as_asked_match_by_count(mode: Mode, origin: str) -> None:
    """Every directed pair matches, counted, with the route's origin."""
    found = _verify(_world(), mode)
    assert (found.verdict, found.method) == (Verdict.MATCH, Method.COUNTED)
    assert (found.observed, found.route_origin) == (mode, origin)
    assert (found.pairs_matched, found.pairs_total, found.warnings) == (6, 6, ())
    assert {(p.src, p.dst) for p in found.pairs} == {(a, b) for a in NAMES for b in NAMES if a != b}


def test_the_evidence_holds_the_figures() -> None:
    """A pair's evidence can be read as it stands: route, probes, counters of each tunnel."""
    evidence = _pair(_verify(_world(), Mode.VXLAN), "n1", "n2").evidence
    assert evidence["route_device"] == VXLAN_DEVICE
    assert (evidence["probes_sent"], evidence["probes_answered"]) == (200, 200)
    assert (evidence["vxlan_tx_packets"], evidence["vxlan_rx_packets"]) == (200, 200)
    assert (evidence["ipip_tx_packets"], evidence["underlay_tx_packets"]) == (0, 200)


@pytest.mark.parametrize("mode", MODES)
def test_a_capture_is_the_strongest_proof(mode: Mode) -> None:
    """Outer headers of our own probes, in agreement with the counters."""
    found = _verify(_world(), mode, capture=True)
    assert (found.verdict, found.method, found.warnings) == (Verdict.MATCH, Method.CAPTURED, ())
    word = "plain" if mode == Mode.BGP else mode
    assert _pair(found, "n2", "n3").evidence[f"captured_{word}_packets"] == 200


@pytest.mark.parametrize("mode", [Mode.VXLAN, Mode.BGP])
def test_without_packets_the_route_proves(mode: Mode) -> None:
    """The cheap look after a visit: by route, with neighbour and forwarding entry."""
    found = _verify(_world(), mode, packets=False)
    assert (found.verdict, found.method, found.observed) == (Verdict.MATCH, Method.ROUTED, mode)


def test_a_stand_in_for_ipip_is_proven_only_by_its_counters() -> None:
    """Its route shows the underlay: unproven before anything was counted, ipip after."""
    world = _world()
    before = _verify(world, Mode.IPIP, packets=False)
    assert (before.verdict, before.observed) == (Verdict.UNPROVEN, None)
    _verify(world, Mode.IPIP)
    after = _verify(world, Mode.IPIP, packets=False)
    assert (after.verdict, after.method, after.observed) == (Verdict.MATCH, Method.ROUTED, "ipip")


@pytest.mark.parametrize(
    ("asked", "taken", "observed"),
    [
        (Mode.BGP, Mode.VXLAN, "vxlan"),
        (Mode.BGP, Mode.IPIP, "ipip"),
        (Mode.IPIP, Mode.BGP, "bgp"),
        (Mode.VXLAN, Mode.BGP, "native"),
    ],
)
def test_another_encapsulation_than_asked_is_fell_back(
    asked: Mode, taken: Mode, observed: str
) -> None:
    """Both ways alike but not as asked: named by what was seen; plain Felix routes are no BGP."""
    world = _world()
    for src in NAMES:
        for dst in NAMES:
            if src != dst:
                world.route(src, asked, dst, taken)
    found = _verify(world, asked)
    assert (found.verdict, found.method) == (Verdict.FELL_BACK, Method.COUNTED)
    assert (found.observed, found.pairs_matched) == (observed, 0)


@pytest.mark.parametrize("packets", [True, False])
def test_one_way_through_a_tunnel_is_mixed(packets: bool) -> None:
    """Both directed pairs say so, each from its own side; the arm is mixed too."""
    world = _world()
    world.route("n1", Mode.BGP, "n2", Mode.VXLAN)
    found = _verify(world, Mode.BGP, packets=packets)
    assert _pair(found, "n1", "n2").observed == "vxlan out, bgp back"
    assert _pair(found, "n2", "n1").observed == "bgp out, vxlan back"
    mixed = {(p.src, p.dst) for p in found.pairs if p.verdict == Verdict.MIXED}
    assert mixed == {("n1", "n2"), ("n2", "n1")}
    assert (found.verdict, found.pairs_matched) == (Verdict.MIXED, 4)
    assert found.observed == "bgp (4), vxlan out, bgp back (1), bgp out, vxlan back (1)"


def test_one_pair_through_a_tunnel_both_ways_makes_the_arm_mixed() -> None:
    """That pair fell back; pairs that differ make the arm mixed."""
    world = _world()
    world.route("n1", Mode.BGP, "n2", Mode.VXLAN)
    world.route("n2", Mode.BGP, "n1", Mode.VXLAN)
    found = _verify(world, Mode.BGP)
    assert _pair(found, "n1", "n2").verdict == Verdict.FELL_BACK
    assert (found.verdict, found.observed) == (Verdict.MIXED, "bgp (4), vxlan (2)")


def test_no_route_is_unreachable() -> None:
    """By the kernel's word alone in that direction; with packets in both, for no reply can come."""
    world = _world()
    world.route("n1", Mode.BGP, "n2", None)
    routed = _verify(world, Mode.BGP, packets=False)
    assert _pair(routed, "n1", "n2").verdict == Verdict.UNREACHABLE
    assert _pair(routed, "n2", "n1").verdict == Verdict.MATCH
    probed = _verify(world, Mode.BGP)
    assert _pair(probed, "n1", "n2").verdict == Verdict.UNREACHABLE
    assert _pair(probed, "n2", "n1").verdict == Verdict.UNREACHABLE
    assert _pair(probed, "n2", "n1").observed is None


def test_packets_that_vanish_are_unreachable() -> None:
    """Routes are there and tunnels count, but nothing is answered: the arm is unreachable."""
    world = _world()
    world.drops = {(src, dst) for src in NAMES for dst in NAMES}
    found = _verify(world, Mode.VXLAN)
    assert (found.verdict, found.pairs_matched) == (Verdict.UNREACHABLE, 0)
    assert _pair(found, "n1", "n2").evidence["vxlan_tx_packets"] == 200


def test_packets_that_bypass_the_route_are_told_by_their_counters() -> None:
    """A dataplane that ignores the routes: the counters win, and the disagreement is a warning."""
    world = _world()
    for key in [key for key in world.carried if key[1] == Mode.BGP]:
        world.carried[key] = Mode.VXLAN
    found = _verify(world, Mode.BGP)
    assert (found.verdict, found.method, found.observed) == (
        Verdict.FELL_BACK,
        Method.COUNTED,
        "vxlan",
    )
    assert found.warnings == (proof.DISAGREE,)


def test_a_stray_burst_costs_a_second_window() -> None:
    """Background in one window: asked again, and decided by count."""
    world = _world()
    world.noise["n1", VXLAN_DEVICE] = 5
    found = _verify(world, Mode.VXLAN)
    assert (found.verdict, found.method, found.warnings) == (Verdict.MATCH, Method.COUNTED, ())
    assert world.windows == 4


def test_lasting_background_proves_nothing() -> None:
    """Foreign packets in a tunnel twice: unproven, whatever the route says, and it says why."""
    world = _world()

    async def probe(src: Pod, dst: Pod, probes: int) -> Probed:
        world.noise["n1", VXLAN_DEVICE] = 5
        return await world.probe(src, dst, probes)

    found = asyncio.run(Calico().verify(world, Mode.BGP, probe))
    assert (found.verdict, found.observed) == (Verdict.UNPROVEN, "bgp")
    assert _pair(found, "n1", "n2").warnings == (evidence.FOREIGN,)
    assert _pair(found, "n2", "n3").method == Method.COUNTED


def test_background_below_one_percent_is_borne() -> None:
    """One stray packet in 200 does not keep the counters from deciding."""
    world = _world()
    world.noise["n1", VXLAN_DEVICE] = 1
    found = _verify(world, Mode.BGP)
    assert (found.method, world.windows) == (Method.COUNTED, 3)


def test_a_dead_daemon_whose_routes_remain_is_a_warning() -> None:
    """Graceful restart: packets still go as asked, over routes nobody maintains any more."""
    world = _world()
    world.sessions = {
        "n1": (),
        "n2": (BgpSession(peer=address("n1"), state="Active"), *established("n3")),
        "n3": (BgpSession(peer=address("n1"), state="Active"), *established("n2")),
    }
    found = _verify(world, Mode.BGP)
    assert (found.verdict, found.warnings) == (Verdict.MATCH, (proof.STALE,))
    stale = {frozenset((p.src, p.dst)) for p in found.pairs if proof.STALE in p.warnings}
    assert stale == {frozenset(("n1", "n2")), frozenset(("n1", "n3"))}
    assert _pair(found, "n1", "n2").evidence["bgp_session"] == "down"
    assert _pair(found, "n2", "n3").evidence["bgp_session"] == "up"


def test_a_dead_daemon_does_not_touch_felix_routes() -> None:
    """VXLAN routes are not BGP's: no warning there."""
    world = _world()
    world.sessions = dict.fromkeys(NAMES, ())
    assert _verify(world, Mode.VXLAN).warnings == ()


def test_cross_subnet_routes_look_like_bgp_and_are_not() -> None:
    """No encapsulation, as asked, but by Felix: match, the origin and a warning say the rest."""
    world = _world()
    for key, route in world.routes.items():
        if key[1] == Mode.BGP:
            world.routes[key] = with_protocol(route, 80)
    found = _verify(world, Mode.BGP)
    assert (found.verdict, found.route_origin) == (Verdict.MATCH, "Felix")
    assert found.warnings == (proof.NOT_FROM_BGP,)


def test_a_detour_is_a_warning() -> None:
    """Plain packets over a gateway that is not the peer: still the mode asked, but said."""
    world = _world()
    key = ("n1", Mode.BGP, "n2")
    world.routes[key] = msgspec.structs.replace(world.routes[key], gateway="172.18.0.77")
    pair = _pair(_verify(world, Mode.BGP), "n1", "n2")
    assert (pair.verdict, pair.warnings) == (Verdict.MATCH, (proof.ODD_ROUTE,))


def test_a_lossy_path_is_still_counted() -> None:
    """Half the replies lost: the counters still decide, for loss is not the mode's matter."""
    world = _world()

    async def probe(src: Pod, dst: Pod, probes: int) -> Probed:
        return Probed(answered=(await world.probe(src, dst, probes)).answered // 2)

    found = asyncio.run(Calico().verify(world, Mode.VXLAN, probe))
    assert (found.verdict, found.method) == (Verdict.MATCH, Method.COUNTED)


def test_flannels_host_gateway_is_proven_the_same_way() -> None:
    """Another CNI, the same walk; its anonymous protocol number is its own pool's."""
    world = FakeWorld()
    asyncio.run(Flannel().lay(world, (Mode.HOST_GW,)))
    found = asyncio.run(Flannel().verify(world, Mode.HOST_GW, world.probe))
    assert (found.verdict, found.observed, found.route_origin) == (
        Verdict.MATCH,
        "host-gw",
        "Flannel",
    )


def _judged(verdict: Verdict, method: Method = Method.COUNTED) -> PairProof:
    return PairProof(
        src="n1", dst="n2", mode=Mode.BGP, verdict=verdict, method=method, observed=None
    )


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((Verdict.MATCH, Verdict.MATCH), Verdict.MATCH),
        ((Verdict.FELL_BACK, Verdict.FELL_BACK), Verdict.FELL_BACK),
        ((Verdict.UNREACHABLE, Verdict.UNREACHABLE), Verdict.UNREACHABLE),
        ((Verdict.MATCH, Verdict.UNREACHABLE), Verdict.MIXED),
        ((Verdict.MATCH, Verdict.FELL_BACK, Verdict.UNPROVEN), Verdict.MIXED),
        ((Verdict.MATCH, Verdict.UNPROVEN), Verdict.UNPROVEN),
        ((Verdict.UNPROVEN,), Verdict.UNPROVEN),
        ((), Verdict.UNPROVEN),
    ],
)
def test_an_arm_is_what_its_pairs_agree_on(
    verdicts: tuple[Verdict, ...], expected: Verdict
) -> None:
    """Agreement, difference, and pairs nobody can vouch for."""
    assert proof.prove_arm(Mode.BGP, [_judged(each) for each in verdicts]).verdict == expected


def test_an_arms_method_is_its_weakest_pairs() -> None:
    """One pair by route only: the arm is proven by route."""
    pairs = [_judged(Verdict.MATCH), _judged(Verdict.MATCH, Method.ROUTED)]
    assert proof.prove_arm(Mode.BGP, pairs).method == Method.ROUTED


@pytest.mark.parametrize(
    ("protocol", "name"),
    [(12, "BIRD"), (80, "Felix"), (186, "BGP daemon"), (77, "protocol 77"), (None, None)],
)
def test_origins_go_by_number(protocol: int | None, name: str | None) -> None:
    """Names of /etc/iproute2 are not consulted."""
    pool = Calico().pool(Mode.BGP, underlay_mtu=1500, equal_mtu=False)
    assert proof.origin(pool, protocol) == name


@pytest.mark.parametrize(
    ("device", "name"),
    [("vxlan.calico", "Felix"), ("flannel.1", "Flannel"), ("eth0", "boot"), (None, "boot")],
)
def test_the_anonymous_number_is_named_by_the_tunnel(device: str | None, name: str) -> None:
    """Felix leaves its VXLAN routes without a protocol of their own, flanneld all of its own."""
    for mode in (Mode.VXLAN, Mode.BGP):
        pool = Calico().pool(mode, underlay_mtu=1500, equal_mtu=False)
        assert proof.origin(pool, 3, device) == name


def test_a_configured_protocol_number_is_felix() -> None:
    """DeviceRouteProtocol may be any number: the pool says which."""
    pool: Pool = Calico().pool(Mode.VXLAN, underlay_mtu=1500, equal_mtu=False)
    assert proof.origin(msgspec.structs.replace(pool, route_protocol=99), 99) == "Felix"


def test_a_node_that_does_not_answer_costs_its_own_pairs_only() -> None:
    """They are unproven with the reason; the others are proven as ever."""
    world = _world()
    read = world.facts

    async def facts(node: str) -> NodeFacts:
        if node == "n3":
            raise TransportError("n3-host is gone")
        return await read(node)

    world.facts = facts  # type: ignore[method-assign] # the fault is the test
    for packets in (True, False):
        found = _verify(world, Mode.VXLAN, packets=packets)
        matched = {(p.src, p.dst) for p in found.pairs if p.verdict == Verdict.MATCH}
        assert matched == {("n1", "n2"), ("n2", "n1")}
        assert found.verdict == Verdict.UNPROVEN
        assert _pair(found, "n1", "n3").evidence == {"unread": "n3 could not be read"}


def test_a_window_that_fails_proves_nothing() -> None:
    """Where packets were to decide and none could be sent, the route is no proof of their way."""
    world = _world()

    async def probe(src: Pod, dst: Pod, probes: int) -> Probed:
        if "n3" in (src.node, dst.node):
            raise ProbeError("no prober")
        return await world.probe(src, dst, probes)

    found = asyncio.run(Calico().verify(world, Mode.VXLAN, probe))
    assert _pair(found, "n1", "n2").method == Method.COUNTED
    fallen = _pair(found, "n1", "n3")
    assert (fallen.verdict, fallen.method) == (Verdict.UNPROVEN, Method.ROUTED)
    assert "proof_window_failed: no prober" in fallen.warnings


def test_only_the_pairs_asked_for_are_proven() -> None:
    """A sampled mesh proves what it measures."""
    world = _world()
    groups = [[("n1", "n3")]]
    found = asyncio.run(Calico().verify(world, Mode.VXLAN, world.probe, groups=groups))
    assert {(p.src, p.dst) for p in found.pairs} == {("n1", "n3"), ("n3", "n1")}
    assert found.verdict == Verdict.MATCH
