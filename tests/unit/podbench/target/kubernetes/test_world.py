"""The pool that is tried is the one that is made, and its device is looked for on every node."""

import asyncio

import msgspec
import pytest

from podbench.cni.calico import pools
from podbench.model.arms import Mode
from podbench.model.facts import ArmProof, Link, NodeFacts
from podbench.target.kubernetes import world
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.deploy.canonical import CANONICAL
from podbench.target.kubernetes.deploy.objects import objects
from podbench.target.kubernetes.deploy.settings import mode_set
from podbench.target.kubernetes.survey.nodes import Place
from podbench.target.kubernetes.world import pool_object


def test_the_pool_that_is_tried_is_the_one_that_is_made() -> None:
    """Field by field, for every mode, labels included."""
    for planned in pools.plan(pools.DEFAULT_CIDR, pools.MODES):
        passwords = {
            **CANONICAL.credentials.passwords,
            f"canonical-node-{planned.mode}": "canonical-password-of-this",
        }
        settings = msgspec.structs.replace(
            CANONICAL,
            run_id="run-7",
            modes=(mode_set(planned.mode, planned),),
            credentials=msgspec.structs.replace(CANONICAL.credentials, passwords=passwords),
        )
        (made,) = (each for each in objects(settings) if each["kind"] == "IPPool")
        assert pool_object(planned, "run-7") == made


@pytest.mark.parametrize(
    ("mode", "kinds", "says"),
    [
        (Mode.IPIP, ("ipip", None), "no ipip device on n2 0.01 s after its pool"),
        (Mode.IPIP, ("ipip", "ipip"), None),
        (Mode.VXLAN, ("vxlan", "ipip"), "no vxlan device on n2"),
        (Mode.BGP, (None, None), None),
    ],
)
def test_a_mode_without_its_device_is_not_measured(
    mode: Mode, kinds: tuple[str | None, ...], says: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Felix retries for ever where a kernel has none, and pods would talk unwrapped."""
    monkeypatch.setattr(world, "DEVICE_S", 0.01)
    monkeypatch.setattr(world, "DEVICE_LOOK_S", 0.01)
    places = [Place(name=f"n{number}", address=f"192.0.2.{number}") for number in (1, 2)]
    laid = world.KubernetesWorld(Api(), "run", places, world.Method(name="pools"), None)

    async def facts(node: str) -> NodeFacts:
        kind = kinds[int(node[1:]) - 1]
        links = () if kind is None else (Link(name="tunnel", kind=kind, mtu=1480, up=True),)
        return NodeFacts(node=node, wall_ns=0, links=links)

    monkeypatch.setattr(laid, "facts", facts)

    async def prove() -> ArmProof:
        raise AssertionError("modes do not take turns here")

    found = asyncio.run(asyncio.wait_for(laid.turn(mode, prove), 10))
    assert (found is None) is (says is None)
    assert says is None or says in str(found)
