"""Any cluster: what a run makes is admitted and kept as it is, and all of it goes again.

Skipped unless PODBENCH_TEST_CONTEXT names a context of the kubeconfig; whoever sets it consents to
podbench's two namespaces in that cluster. With PODBENCH_TEST_IMAGE (the agents' image, where its
nodes can get it) a short run is measured too. The roles of docs/security.md suffice.
"""

import asyncio
import json
import logging
import os
import uuid
from pathlib import Path

import msgspec
import pytest
from support.commands import run

from podbench.model.arms import Mode
from podbench.model.errors import ClusterError
from podbench.target.kubernetes.api.apply import apply, differences
from podbench.target.kubernetes.api.client import GONE, Api
from podbench.target.kubernetes.api.refs import Ref, collection, ref
from podbench.target.kubernetes.api.watch import changes
from podbench.target.kubernetes.deploy import credentials, lease
from podbench.target.kubernetes.deploy.creation import Deployment, pods_wanted
from podbench.target.kubernetes.deploy.objects import objects
from podbench.target.kubernetes.deploy.settings import (
    HOST_NAMESPACE,
    NAMESPACE,
    Broker,
    Credentials,
    ModeSet,
    Settings,
    agents,
)
from podbench.target.kubernetes.deploy.undo import Listing, Undo
from podbench.target.kubernetes.survey.nodes import choose

CONTEXT = os.environ.get("PODBENCH_TEST_CONTEXT")
IMAGE = os.environ.get("PODBENCH_TEST_IMAGE")
NO_IMAGE = "podbench.invalid/none:0"
LIMIT_S = 150.0
LEASE_S = 15

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(CONTEXT is None, reason="PODBENCH_TEST_CONTEXT names no cluster"),
    pytest.mark.timeout(400),
]


async def _settings(api: Api, run_id: str) -> Settings:
    """A run's, with pods of each kind on every node that takes part."""
    places = choose(await api.items(collection("Node")), None).places
    assert places, "no node of this cluster can take part"
    broker = Broker(node=places[0].name, address=places[0].address)
    asked = Settings(
        run_id=run_id,
        image=IMAGE or NO_IMAGE,
        nodes=tuple(place.name for place in places),
        modes=(ModeSet(mode=Mode.NATIVE),),
        broker=broker,
        credentials=Credentials(passwords={}, hmac_key="", salt=b""),
        lease_holder=run_id,
        lease_s=LEASE_S,
    )
    made = await credentials.make(agents(asked), broker.address)
    return msgspec.structs.replace(asked, credentials=made)


def _deployment(api: Api, run_id: str, folder: Path | None) -> Deployment:
    return Deployment(api, run_id, run_id, LEASE_S, folder)


async def _gone(api: Api) -> bool:
    spaces = [await api.find(Ref("Namespace", name).path) for name in (NAMESPACE, HOST_NAMESPACE)]
    return spaces == [None, None]


def test_what_a_run_makes_is_admitted_kept_and_gone_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No warning, no field changed by defaults or admission, a second run kept out; all undone."""
    run_id = f"test-{uuid.uuid4().hex[:8]}"

    async def scene() -> Listing:
        async with Api(CONTEXT) as api:
            settings = await _settings(api, run_id)
            deployment = _deployment(api, run_id, tmp_path)
            try:
                await deployment.make(objects(settings))
                async with deployment.lease.kept():
                    await _kept_out(api, settings)
                    assert await lease.living_holder(api) == run_id
                    assert await deployment.interference() == []
                    await _as_asked(api, settings)
                    await _watched(api, settings)
                assert not deployment.lease.lost.done()
            finally:
                listing = await Undo(api, print, own=run_id, run_id=run_id).run(deployment.entries)
            again = await Undo(api, print, own=run_id).run()
            assert again.runs == ()
            assert await _gone(api)
            return listing

    with caplog.at_level(logging.WARNING):
        listing = asyncio.run(asyncio.wait_for(scene(), LIMIT_S))
    assert listing.runs == (run_id,)
    assert listing.left == ()
    assert [each for each in caplog.records if each.message == "the API server warns"] == []


async def _kept_out(api: Api, settings: Settings) -> None:
    with pytest.raises(ClusterError, match="another run is measuring"):
        await _deployment(api, "another", None).make(objects(settings))


async def _as_asked(api: Api, settings: Settings) -> None:
    """What a real server fills in is no difference; applied again, nothing changes."""
    for body in objects(settings):
        if body["kind"] == "Lease":
            continue
        live = await api.get(ref(body).path)
        assert differences(body, live) == [], ref(body)
        if body["kind"] != "Namespace" or body["metadata"]["name"] != NAMESPACE:
            again = await apply(api, body)
            assert again["metadata"].get("generation") == live["metadata"].get("generation")


async def _watched(api: Api, settings: Settings) -> None:
    """Pods of both namespaces come to be; a version of long ago is answered, or told to be gone."""
    for space in (NAMESPACE, HOST_NAMESPACE):
        wanted = pods_wanted(objects(settings), space)
        async with asyncio.timeout(60):
            async for held in changes(api, collection("Pod", space)):
                if len(held) == wanted:
                    break
    asked = {"watch": "true", "resourceVersion": "1", "timeoutSeconds": "2"}
    events = [each async for each in api.stream(collection("Node"), asked)]
    told = [each["object"]["code"] for each in events if each["type"] == "ERROR"]
    assert set(told) <= {GONE}


@pytest.mark.skipif(IMAGE is None, reason="PODBENCH_TEST_IMAGE names no image")
def test_a_short_run_measures_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Agents start, are reached and prove the mode that the cluster has; then all of it is gone."""
    assert CONTEXT is not None
    assert IMAGE is not None
    asked = ("--target", "kubernetes", "--context", CONTEXT, "--yes", "--method", "observe")
    short = ("--blocks", "1", "--probes", "latency", "--nodes", "2")
    code, _, said = run(
        capsys, "run", *asked, *short, "--image", IMAGE, "--out", str(tmp_path / "r")
    )
    assert code in (0, 3), said
    summary = json.loads((tmp_path / "r" / "summary.json").read_text("utf-8"))
    assert {each["status"] for each in summary["arms"]} == {"measured"}
    proven = [each["proof"]["verdict"] for each in summary["arms"] if each["proof"]]
    assert proven
    assert set(proven) <= {"match", "unproven"}
    assert "removed and checked" in said

    async def gone() -> bool:
        async with Api(CONTEXT) as api:
            return await _gone(api)

    assert asyncio.run(gone())
