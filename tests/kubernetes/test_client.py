"""Our client and a server in trouble: away, slow, full, closing watches, of another opinion."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.apiserver.server import ApiServer
from support.apiserver.store import Place
from support.cluster import at, cluster, kubeconfig, play, put
from support.cluster import until as eventually

from podbench.model.errors import ConfigError, InterferenceError
from podbench.target.kubernetes.api.apply import apply, differences
from podbench.target.kubernetes.api.client import Api, ApiError
from podbench.target.kubernetes.api.refs import collection
from podbench.target.kubernetes.api.watch import changes, until

Object = dict[str, Any]


def config_map(name: str, **data: str) -> Object:
    """An object in a namespace that exists."""
    meta = {"name": name, "namespace": "team"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def team(server: ApiServer) -> None:
    """Puts the namespace in."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
    put(server, {**space, "spec": {}, "status": {"phase": "Active"}})


def test_a_server_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    """Connections are reset for a while; reads and applies then go on as if nothing had been."""

    async def scene(server: ApiServer, api: Api) -> None:
        team(server)
        server.faults.away = True
        asking = asyncio.create_task(api.get(collection("Node")))
        applying = asyncio.create_task(apply(api, config_map("a", k="v")))
        await asyncio.sleep(1.0)
        assert not asking.done()
        server.faults.away = False
        assert len((await asking)["items"]) == 3
        await applying
        found = at(server, "ConfigMap", "a", "team")
        assert found is not None
        assert found["data"] == {"k": "v"}

    play(tmp_path, scene)


def test_a_server_that_stays_away_is_told(tmp_path: Path) -> None:
    """After its patience the client says which server, and why."""

    async def scene(server: ApiServer, api: Api) -> None:
        server.faults.away = True
        with pytest.raises(ApiError, match="cannot be reached") as caught:
            await api.get("/version")
        assert server.url in str(caught.value)
        assert caught.value.status == 0

    play(tmp_path, scene, patience_s=0.5)


def test_a_create_is_never_sent_twice(tmp_path: Path) -> None:
    """Whether a lost create was made is unknown; a second one would hide that."""

    async def scene(server: ApiServer, api: Api) -> None:
        team(server)
        server.faults.away = True
        with pytest.raises(ApiError):
            await api.create(collection("ConfigMap", "team"), config_map("a"))
        server.faults.away = False
        assert at(server, "ConfigMap", "a", "team") is None

    play(tmp_path, scene)


def test_lists_come_page_by_page(tmp_path: Path) -> None:
    """More objects than a page holds are all there."""

    async def scene(server: ApiServer, api: Api) -> None:
        for number in range(7):
            put(server, config_map(f"c{number}"))
        found = await api.items(collection("ConfigMap", "team"), {"limit": "3"})
        assert [each["metadata"]["name"] for each in found] == [f"c{n}" for n in range(7)]

    play(tmp_path, scene)


def test_a_list_whose_pages_were_compacted_begins_anew(tmp_path: Path) -> None:
    """410 on the next page: nothing is missing, nothing is there twice."""

    async def scene(server: ApiServer, api: Api) -> None:
        for number in range(7):
            put(server, config_map(f"c{number}"))
        server.faults.pages_gone = 2
        found = await api.items(collection("ConfigMap", "team"), {"limit": "3"})
        assert [each["metadata"]["name"] for each in found] == [f"c{n}" for n in range(7)]
        assert server.faults.pages_gone == 0

    play(tmp_path, scene)


def test_kinds_that_are_not_served_are_no_error(tmp_path: Path) -> None:
    """A cluster without Calico has no pools, which is an answer."""

    async def run() -> None:
        async with cluster(tmp_path, ApiServer(groups=set())) as (_, api):
            assert await api.items(collection("IPPool")) == []
            assert await api.find("/apis/projectcalico.org/v3/ippools/x") is None

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_conflict_on_apply_is_not_forced(tmp_path: Path) -> None:
    """A field that somebody else set stays theirs; the error names both."""

    async def scene(server: ApiServer, api: Api) -> None:
        team(server)
        await apply(api, config_map("a", k="ours"))
        await api.apply(
            f"{collection('ConfigMap', 'team')}/a",
            config_map("a", k="theirs"),
            {"fieldManager": "controller", "force": "true"},
        )
        with pytest.raises(InterferenceError, match=r'"controller": \.data\.k'):
            await apply(api, config_map("a", k="ours"))
        found = at(server, "ConfigMap", "a", "team")
        assert found is not None
        assert found["data"]["k"] == "theirs"

    play(tmp_path, scene)


def test_what_the_server_adds_is_no_difference() -> None:
    """Defaults, status and fields of others are theirs; only what we set counts."""
    applied = {"spec": {"a": 1, "off": False, "list": [{"name": "x", "v": 1}]}}
    live = {"spec": {"a": 1, "b": 2, "list": [{"name": "y"}, {"name": "x", "v": 1, "w": 2}]}}
    assert differences(applied, {**live, "status": {}}) == []
    live["spec"]["list"] = [{"name": "x", "v": 3}]
    assert differences(applied, live) == [".spec.list[x].v"]
    assert differences(applied, {"spec": {"list": []}}) == [".spec.a", ".spec.list[x]"]


def test_watches_survive_what_ends_them(tmp_path: Path) -> None:
    """Closed by the server, compacted under our feet, reset: every change arrives all the same."""

    async def scene(server: ApiServer, api: Api) -> None:
        team(server)
        seen: set[str] = set()

        async def follow() -> None:
            async for held in changes(api, collection("ConfigMap", "team")):
                seen.clear()
                seen.update(key.partition("/")[2] for key in held)

        following = asyncio.create_task(follow())
        server.faults.watch_s = 0.1
        for number, trouble in enumerate(("closed", "compacted", "reset", "closed")):
            put(server, config_map(f"c{number}"))
            if trouble == "compacted":
                server.store.compact()
            if trouble == "reset":
                server.faults.away = True
                server.store.wake()
                await asyncio.sleep(0.2)
                server.faults.away = False
            await asyncio.sleep(0.3)
        put(server, config_map("last"))
        server.store.drop(Place("v1", "configmaps", "team", "c0"))
        wanted = {"c1", "c2", "c3", "last"}
        await eventually(lambda: seen == wanted)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    play(tmp_path, scene)


def test_a_slow_server_is_slow_only(tmp_path: Path) -> None:
    """Answers that take a while are waited for."""

    async def scene(server: ApiServer, api: Api) -> None:
        server.faults.delay_s = 0.3
        held = await until(api, collection("Node"), None, lambda held: len(held) == 3, 10)
        assert set(held) == {"/n1", "/n2", "/n3"}

    play(tmp_path, scene)


def test_forbidden_is_told_in_the_server_s_words(tmp_path: Path) -> None:
    """User, verb and resource are what an administrator needs."""

    async def scene(server: ApiServer, api: Api) -> None:
        server.denied = {("admin", "list", "nodes")}
        with pytest.raises(ApiError, match=r'User "admin" cannot list resource "nodes"'):
            await api.items(collection("Node"))

    play(tmp_path, scene)


def test_expired_credentials_are_fetched_anew(tmp_path: Path) -> None:
    """An exec plugin is asked again when the server no longer takes its token; nobody notices."""
    told = tmp_path / "token"
    told.write_text("first")
    script = (
        "import json,pathlib;print(json.dumps({'apiVersion':'client.authentication.k8s.io/v1',"
        f"'kind':'ExecCredential','status':{{'token':pathlib.Path({str(told)!r}).read_text()}}}}))"
    )
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", script],
        "interactiveMode": "Never",
    }

    async def run() -> None:
        server = ApiServer(tokens={"first": "admin", "second": "admin"})
        async with server:
            config = server.kubeconfig()
            config["users"][0]["user"] = {"exec": plugin}
            with kubeconfig(tmp_path / "kubeconfig", config):
                async with Api(patience_s=2.0) as api:
                    await api.get("/version")
                    server.faults.expired_tokens = {"first"}
                    told.write_text("second")
                    await api.get("/version")
                    assert (await api.get(collection("Node")))["items"] == []

    asyncio.run(asyncio.wait_for(run(), 20))


def test_credentials_that_ran_out_for_good_are_told(tmp_path: Path) -> None:
    """Without anybody to give new ones, the server's word is the error."""

    async def scene(server: ApiServer, api: Api) -> None:
        server.faults.expired_tokens = {"admin"}
        with pytest.raises(ApiError, match="Unauthorized") as caught:
            await api.get("/version")
        assert caught.value.status == 401

    play(tmp_path, scene)


@pytest.mark.parametrize("context", ["absent", "prod<script>"])
def test_an_unknown_context_is_the_user_s_error(tmp_path: Path, context: str) -> None:
    """The name is shown as it was typed, with how to list the right ones."""

    async def run() -> None:
        async with ApiServer() as server:
            with kubeconfig(tmp_path / "kubeconfig", server.kubeconfig()):
                async with Api(context):
                    pass

    with pytest.raises(ConfigError, match=context):
        asyncio.run(asyncio.wait_for(run(), 20))


def test_no_kubeconfig_is_the_user_s_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place that was looked at is named."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))

    async def run() -> None:
        async with Api():
            pass

    with pytest.raises(ConfigError, match="absent"):
        asyncio.run(run())


def test_a_context_is_chosen_by_name(tmp_path: Path) -> None:
    """Two clusters in one kubeconfig: the named one is asked."""

    async def run() -> tuple[str, str]:
        async with ApiServer() as one, ApiServer() as other:
            config = one.kubeconfig(name="one")
            more = other.kubeconfig(name="other")
            for part in ("clusters", "users", "contexts"):
                config[part] += more[part]
            assert yaml.safe_dump(config)
            with kubeconfig(tmp_path / "kubeconfig", config):
                async with Api("other") as api:
                    await api.get("/version")
                    return api.context.server, other.url

    asked, wanted = asyncio.run(asyncio.wait_for(run(), 20))
    assert asked == wanted
