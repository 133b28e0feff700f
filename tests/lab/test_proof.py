"""The proof's verdicts in a real lab in which something has gone wrong."""

import asyncio
import signal
import time
from typing import Any

import msgspec
import pytest
from support.inlab import echo, in_lab, needs_namespaces

from podbench.cni import registry
from podbench.cni.proof import verdict as proof
from podbench.model.arms import Mode
from podbench.model.facts import ArmProof, Method, PairProof, Verdict
from podbench.target.lab import bird
from podbench.target.lab.inside import with_netlink
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, needs_namespaces()]

CALICO = registry.driver("calico")
MODES = (Mode.VXLAN, Mode.BGP)
RESTART_S = 6
"""Long enough for a proof on a loaded machine, short enough to wait for its end."""
PATIENCE_S = 40.0


def _rewrite(world: LabWorld, src: str, dst: str, **route: Any) -> None:
    """Gives a node a route of its own for the other node's BGP pod, in front of BIRD's."""
    target = next(node for node in world.nodes if node.name == dst).pod(Mode.BGP).address

    def work(netlink: Any) -> None:
        netlink.route("add", dst=f"{target}/32", **route)

    with_netlink(src, work)


async def _through_vxlan(world: LabWorld, src: str, dst: str) -> None:
    """Sends plain pods' packets through vxlan.calico."""
    found = await world.facts(dst)
    link = next(each for each in found.links if each.name == "vxlan.calico")
    vtep = next(each for each in link.addresses if each.endswith("/32")).partition("/")[0]

    def index(netlink: Any) -> int:
        return int(netlink.link_lookup(ifname="vxlan.calico")[0])

    device = with_netlink(src, index)
    _rewrite(world, src, dst, gateway=vtep, oif=device, flags=["onlink"])


def _pair(found: ArmProof, src: str, dst: str) -> PairProof:
    return next(pair for pair in found.pairs if (pair.src, pair.dst) == (src, dst))


def test_a_route_rewritten_to_a_tunnel_is_fell_back() -> None:
    """Both nodes send BGP pods' packets through VXLAN: every pair fell back, by count."""

    async def scenario(world: LabWorld) -> ArmProof:
        await _through_vxlan(world, "n1", "n2")
        await _through_vxlan(world, "n2", "n1")
        return await CALICO.verify(world, Mode.BGP, echo)

    found = in_lab(scenario, ArmProof, modes=MODES)
    assert (found.verdict, found.method, found.observed) == (
        Verdict.FELL_BACK,
        Method.COUNTED,
        "vxlan",
    )
    assert found.pairs_matched == 0
    assert _pair(found, "n1", "n2").evidence["vxlan_tx_packets"] == 200


@pytest.mark.parametrize("capture", [False, True])
def test_one_way_through_a_tunnel_is_mixed(capture: bool) -> None:
    """n1 uses VXLAN, n2 does not: both directed pairs are mixed, and say which way is which."""

    async def scenario(world: LabWorld) -> ArmProof:
        await _through_vxlan(world, "n1", "n2")
        seen = world.capture if capture else None
        return await CALICO.verify(world, Mode.BGP, echo, capture=seen)

    found = in_lab(scenario, ArmProof, modes=MODES)
    assert found.verdict == Verdict.MIXED
    assert found.method == (Method.CAPTURED if capture else Method.COUNTED)
    assert _pair(found, "n1", "n2").observed == "vxlan out, bgp back"
    assert _pair(found, "n2", "n1").observed == "bgp out, vxlan back"


def test_a_missing_route_is_unreachable() -> None:
    """The kernel refuses on one node: no probe can be answered, either way."""

    async def scenario(world: LabWorld) -> list[ArmProof]:
        _rewrite(world, "n1", "n2", type="unreachable")
        return [
            await CALICO.verify(world, Mode.BGP, None),
            await CALICO.verify(world, Mode.BGP, echo),
        ]

    routed, probed = in_lab(scenario, list[ArmProof], modes=MODES)
    assert _pair(routed, "n1", "n2").verdict == Verdict.UNREACHABLE
    assert _pair(routed, "n2", "n1").verdict == Verdict.MATCH
    assert probed.verdict == Verdict.UNREACHABLE
    assert _pair(probed, "n1", "n2").evidence["route_type"] == "unreachable"


class Death(msgspec.Struct):
    """Proofs from the death of a BIRD on, in order, with the seconds since."""

    before: ArmProof
    after: list[tuple[float, ArmProof]]


def test_a_killed_bird_is_a_warning_until_graceful_restart_ends() -> None:
    """SIGKILL: the peers keep its routes (match, stale), then drop them (unreachable)."""

    async def scenario(world: LabWorld) -> Death:
        bird.RESTART_S = RESTART_S
        await CALICO.lay(world, MODES)
        before = await CALICO.verify(world, Mode.BGP, echo)
        world.mesh.daemons["n1"].send_signal(signal.SIGKILL)
        died = time.monotonic()
        after: list[tuple[float, ArmProof]] = []
        while time.monotonic() - died < PATIENCE_S:
            found = await CALICO.verify(world, Mode.BGP, echo)
            after.append((time.monotonic() - died, found))
            if found.verdict == Verdict.UNREACHABLE:
                break
            await asyncio.sleep(0.5)
        return Death(before, after)

    found = in_lab(scenario, Death)
    assert (found.before.verdict, found.before.warnings) == (Verdict.MATCH, ())
    kept = [each for _, each in found.after[:-1]]
    assert kept
    assert {each.verdict for each in kept} == {Verdict.MATCH}
    # In the instant in which the peers drop it, probes may still have gone by a route that the
    # look-up after them no longer finds: that is a second warning.
    assert all(proof.STALE in each.warnings for each in kept)
    assert kept[0].warnings == (proof.STALE,)
    seconds, last = found.after[-1]
    assert last.verdict == Verdict.UNREACHABLE
    assert seconds > RESTART_S - 1
