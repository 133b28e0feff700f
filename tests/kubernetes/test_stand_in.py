"""The API server stand-in beside what a real API server (Kubernetes 1.36) answered.

Every recorded request is sent to the stand-in, in order; statuses are equal, refusals are equal
word for word, objects have the same fields and the same owners of fields.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.apiserver import admission, fields
from support.apiserver.server import ApiServer
from support.apiserver.store import Place
from support.cluster import node, put

Object = dict[str, Any]

EXCHANGES: dict[str, Object] = {
    each["name"]: each
    for each in json.loads(
        (Path(__file__).parents[1] / "fixtures" / "kubernetes" / "exchanges.json").read_text(
            "utf-8"
        )
    )
}
GONE: Object = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "kubernetes" / "gone.json").read_text("utf-8")
)
BY_ANOTHER_USER = {"forbidden": "nobody", "sar-denied": "nobody"}
SERVICE_ACCOUNT = "system:serviceaccount:rec:default"


async def _replay() -> dict[str, tuple[int, list[Object]]]:
    server = ApiServer(tokens={"admin": "admin", "nobody": SERVICE_ACCOUNT})
    server.denied = {
        (SERVICE_ACCOUNT, "list", "nodes"),
        (SERVICE_ACCOUNT, "create", "daemonsets"),
    }
    found = {}
    async with server, aiohttp.ClientSession() as session:
        for number in (1, 2, 3):
            put(server, node(number))
        for name, each in EXCHANGES.items():
            # A real namespace takes a while to go; here it would have gone at once.
            server.controllers.paused = name == "delete-namespace" or server.controllers.paused
            asked = each["request"]
            headers = {
                "Authorization": f"Bearer {BY_ANOTHER_USER.get(name, 'admin')}",
                "User-Agent": "python-urllib3/2",
            }
            if asked["content_type"]:
                headers["Content-Type"] = asked["content_type"]
            data = None if asked["body"] is None else json.dumps(asked["body"])
            path = asked["path"].replace("resourceVersion=1018", "resourceVersion=1000")
            path = path.replace("timeoutSeconds=3", "timeoutSeconds=1")
            answer = await session.request(
                asked["method"], server.url + path, data=data, headers=headers
            )
            lines = [line for line in (await answer.text()).splitlines() if line]
            found[name] = (answer.status, [json.loads(line) for line in lines])
    return found


@pytest.fixture(scope="module")
def replayed() -> dict[str, tuple[int, list[Object]]]:
    """What the stand-in answered to each recorded request."""
    return asyncio.run(asyncio.wait_for(_replay(), 60))


@pytest.mark.parametrize("name", EXCHANGES)
def test_statuses_are_those_of_a_real_server(
    replayed: dict[str, tuple[int, list[Object]]], name: str
) -> None:
    """Created, updated, refused: the same number."""
    assert replayed[name][0] == EXCHANGES[name]["response"]["status"]


@pytest.mark.parametrize(
    "name",
    [name for name, each in EXCHANGES.items() if each["response"]["status"] >= 400],
)
def test_refusals_are_word_for_word_those_of_a_real_server(
    replayed: dict[str, tuple[int, list[Object]]], name: str
) -> None:
    """Message, reason, details and causes."""
    assert replayed[name][1] == EXCHANGES[name]["response"]["body"]


@pytest.mark.parametrize(
    "name",
    [
        "create-namespace",
        "apply-daemonset-created",
        "apply-daemonset-forced",
        "lease-create",
        "lease-get",
        "sar",
        "delete-namespace",
        "namespace-terminating",
    ],
)
def test_owners_of_fields_are_those_of_a_real_server(
    replayed: dict[str, tuple[int, list[Object]]], name: str
) -> None:
    """Managed fields by manager and operation, path by path; the control plane's own left out."""
    assert _owners(replayed[name][1][0]) == _owners(EXCHANGES[name]["response"]["body"][0])


def _owners(body: Object) -> dict[str, list[str]]:
    return {
        f"{each['manager']} {each['operation']}": sorted(
            "/".join(path)
            for path in fields.flat(each["fieldsV1"])
            # A mark of a map itself, and nothing rests on it.
            if path[-1] != "."
        )
        for each in body["metadata"]["managedFields"]
        if "kube-controller" not in each["manager"]
    }


@pytest.mark.parametrize("name", ["create-namespace", "lease-get", "sar", "namespace-terminating"])
def test_objects_have_the_fields_of_a_real_server(
    replayed: dict[str, tuple[int, list[Object]]], name: str
) -> None:
    """The same names at every depth, but for managed fields, which have a test of their own."""
    assert _names(replayed[name][1][0]) == _names(EXCHANGES[name]["response"]["body"][0])


def _names(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _names(each) for key, each in value.items() if key != "managedFields"}
    return type(value).__name__


def test_what_was_applied_is_in_the_answer(
    replayed: dict[str, tuple[int, list[Object]]],
) -> None:
    """Generation, labels and command after a forced apply."""
    for name in ("apply-daemonset-created", "apply-daemonset-forced"):
        ours, theirs = replayed[name][1][0], EXCHANGES[name]["response"]["body"][0]
        assert ours["metadata"]["generation"] == theirs["metadata"]["generation"]
        assert ours["metadata"]["labels"] == theirs["metadata"]["labels"]
        (container,) = ours["spec"]["template"]["spec"]["containers"]
        (their_container,) = theirs["spec"]["template"]["spec"]["containers"]
        assert container["command"] == their_container["command"]


def test_a_page_says_what_is_left(replayed: dict[str, tuple[int, list[Object]]]) -> None:
    """A limited list has a token and the number of the rest; kinds are not repeated in items."""
    (ours,) = replayed["list-pods-limit"][1]
    (theirs,) = EXCHANGES["list-pods-limit"]["response"]["body"]
    assert set(ours) == set(theirs)
    assert set(ours["metadata"]) == set(theirs["metadata"])
    assert len(ours["items"]) == len(theirs["items"])


def test_watch_events_carry_typed_objects(
    replayed: dict[str, tuple[int, list[Object]]],
) -> None:
    """Each line is an event; objects name kind, API version and resourceVersion."""
    _, events = replayed["watch-with-bookmark"]
    assert events
    for each in events:
        assert each["type"] in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}
        assert (each["object"]["kind"], each["object"]["apiVersion"]) == ("Pod", "v1")
        assert int(each["object"]["metadata"]["resourceVersion"]) > 0


def test_a_compacted_version_is_gone() -> None:
    """A watch from before a compaction gets one ERROR event of code 410, as etcd's do."""

    async def ask() -> list[Object]:
        async with ApiServer() as server, aiohttp.ClientSession() as session:
            server.store.put(Place("v1", "configmaps", "x", "a"), {"metadata": {"name": "a"}})
            server.store.compact()
            answer = await session.get(
                f"{server.url}/api/v1/configmaps?watch=true&resourceVersion=1&timeoutSeconds=1",
                headers={"Authorization": "Bearer admin"},
            )
            return [json.loads(line) for line in (await answer.text()).splitlines()]

    (event,) = asyncio.run(asyncio.wait_for(ask(), 20))
    assert event["type"] == "ERROR"
    assert event["object"]["code"] == 410
    assert event["object"]["reason"] == "Expired"


def test_what_is_compacted_is_told_as_by_a_real_server() -> None:
    """410 for a watch's version and for a list's next page; numbers and tokens apart."""
    watch = admission.version_gone(580, 592)
    page = admission.page_gone().status
    assert watch == GONE["watch"]
    assert {**page, "metadata": None} == {**GONE["next_page"], "metadata": None}
    assert list(page["metadata"]) == list(GONE["next_page"]["metadata"])


def test_what_was_deleted_meanwhile_is_told_as_by_a_real_server() -> None:
    """A replacement that names the object's uid is a conflict, not a 404."""
    uid = "f474e6c6-f8f1-4821-8fbd-51e6dac4ad97"
    refused = admission.no_such_uid("leases", "podbench", "coordination.k8s.io", uid)
    assert refused.status == GONE["deleted_meanwhile"]
