"""Taking away and putting back: what is ours and nothing else, again and again."""

import asyncio
import copy
import json
from pathlib import Path

import msgspec
import pytest
from support.apiserver.server import ApiServer
from support.cluster import Object, at, play, put

from podbench.model.errors import ClusterError
from podbench.target.kubernetes.api import fields
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.api.refs import ref
from podbench.target.kubernetes.api.rollout import rolling
from podbench.target.kubernetes.deploy import ledger, put_back, undo
from podbench.target.kubernetes.deploy.ledger import Entry, Field, Ledger
from podbench.target.kubernetes.deploy.undo import Listing, Undo

POOL: Object = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "IPPool",
    "metadata": {"name": "podbench-bgp", "labels": ledger.labels("r")},
    "spec": {"cidr": "198.18.192.0/18"},
}
THEIRS: Object = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "IPPool",
    "metadata": {"name": "default", "labels": {"team": "net"}},
    "spec": {"cidr": "10.244.0.0/16", "vxlanMode": "Always"},
}


def space(name: str, labels: dict[str, str]) -> Object:
    """A namespace."""
    meta = {"name": name, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": meta,
        "status": {"phase": "Active"},
    }


async def cleaned(api: Api, run_id: str | None = None) -> Listing:
    """One `bench clean` or `bench restore RUN`."""
    return await Undo(api, lambda _: None, own="test", run_id=run_id).run()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo, "LOOK_S", 0.02)
    monkeypatch.setattr(undo, "BLOCKS_S", 1.0)


def test_a_clean_cluster_is_left_alone(tmp_path: Path) -> None:
    """Nothing is found, nothing is written; the listing names what was looked for."""

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, THEIRS)
        listing = await cleaned(api)
        assert listing.runs == ()
        assert listing.left == ()
        assert {"Namespace podbench", "IPPool podbench-vxlan"} <= {str(e) for e in listing.gone}
        assert {each.partition(" ")[0] for each in server.requests} == {"GET"}

    play(tmp_path, scene)


def test_again_and_again_is_as_good_as_once(tmp_path: Path) -> None:
    """Two restorations, one after the other: the second finds nothing."""

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, space("podbench", ledger.labels("r")))
        put(server, copy.deepcopy(POOL))
        assert (await cleaned(api)).runs == ("r",)
        assert at(server, "IPPool", "podbench-bgp") is None
        assert at(server, "Namespace", "podbench") is None
        assert (await cleaned(api)).runs == ()

    play(tmp_path, scene)


def test_objects_of_our_names_that_others_made_stay(tmp_path: Path) -> None:
    """A namespace called podbench without our labels is somebody's; it is said to be left."""

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, space("podbench", {"app.kubernetes.io/managed-by": "podbench"}))
        put(server, {**copy.deepcopy(POOL), "metadata": {"name": "podbench-bgp"}})
        listing = await cleaned(api)
        assert {str(each.ref) for each in listing.left} == {
            "Namespace podbench",
            "IPPool podbench-bgp",
        }
        assert at(server, "Namespace", "podbench") is not None
        assert at(server, "IPPool", "podbench-bgp") is not None

    play(tmp_path, scene)


def test_another_run_s_traces_are_not_this_run_s(tmp_path: Path) -> None:
    """`bench restore RUN` names the run that is there, and touches nothing."""

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, space("podbench", ledger.labels("other")))
        with pytest.raises(ClusterError, match="holds run other, not mine"):
            await cleaned(api, "mine")
        assert at(server, "Namespace", "podbench") is not None

    play(tmp_path, scene)


def test_a_pool_waits_for_its_addresses(tmp_path: Path) -> None:
    """While a pod of ours holds an address the pool stays; it goes once the block lets go."""

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, space("podbench", ledger.labels("r")))
        put(server, copy.deepcopy(POOL))
        block: Object = {
            "apiVersion": "crd.projectcalico.org/v1",
            "kind": "IPAMBlock",
            "metadata": {"name": "198-18-192-64-26"},
            "spec": {
                "cidr": "198.18.192.64/26",
                "attributes": [{"secondary": {"namespace": "podbench", "pod": "agent-x"}}],
            },
        }
        put(server, block)
        cleaning = asyncio.create_task(cleaned(api))
        await asyncio.sleep(0.3)
        assert at(server, "IPPool", "podbench-bgp") is not None
        put(server, {**block, "spec": {**block["spec"], "attributes": []}})
        await cleaning
        assert at(server, "IPPool", "podbench-bgp") is None

    play(tmp_path, scene)


async def _changed(server: ApiServer, api: Api, folder: Path) -> None:
    """A run that changed somebody's pool, as `switch` does, with its ledger."""
    put(server, space("podbench", ledger.labels("r")))
    put(server, copy.deepcopy(THEIRS))
    before = at(server, "IPPool", "default")
    assert before is not None
    given: dict[tuple[str, ...], tuple[str, str]] = {
        ("spec", "vxlanMode"): ("Always", "Never"),
        ("spec", "ipipMode"): ("Never", "Always"),
    }
    set_there = tuple(Field(path, values) for path, values in given.items())
    written = Ledger(api, "r", folder)
    written.plan([Entry(ref=ref(before), earlier=before, fields=set_there)])
    await written.publish()
    change = {path: values[-1] for path, values in given.items()}
    await api.replace(ref(before).path, fields.written(before, change))


def test_what_was_changed_is_put_back_whole(tmp_path: Path) -> None:
    """Fields set, fields added, labels: as before, from the cluster's ledger alone."""

    async def scene(server: ApiServer, api: Api) -> None:
        await _changed(server, api, tmp_path)
        listing = await cleaned(api)
        assert [str(each) for each in listing.restored] == ["IPPool default"]
        found = at(server, "IPPool", "default")
        assert found is not None
        assert found["spec"] == THEIRS["spec"]
        assert found["metadata"]["labels"] == THEIRS["metadata"]["labels"]
        assert (await cleaned(api)).restored == ()

    play(tmp_path, scene)


def test_a_change_by_somebody_else_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    """Their change stays, and is told with the field and what it was before."""

    async def scene(server: ApiServer, api: Api) -> None:
        await _changed(server, api, tmp_path)
        live = at(server, "IPPool", "default")
        assert live is not None
        live["spec"]["ipipMode"] = "CrossSubnet"
        put(server, live)
        listing = await cleaned(api)
        assert [(str(each.ref), each.why) for each in listing.left] == [
            (
                "IPPool default",
                "somebody else changed it since (.spec.ipipMode was null); it was not written over",
            )
        ]
        found = at(server, "IPPool", "default")
        assert found is not None
        assert found["spec"]["ipipMode"] == "CrossSubnet"

    play(tmp_path, scene)


def test_another_object_of_that_name_is_not_written(tmp_path: Path) -> None:
    """Made anew since, or of another cluster that a context of that name leads to now."""

    async def scene(server: ApiServer, api: Api) -> None:
        await _changed(server, api, tmp_path)
        live = at(server, "IPPool", "default")
        assert live is not None
        live["metadata"]["uid"] = "of another one"
        put(server, live)
        listing = await cleaned(api)
        assert [("another object" in each.why) for each in listing.left] == [True]
        found = at(server, "IPPool", "default")
        assert found is not None
        assert found["spec"] == live["spec"] != THEIRS["spec"]

    play(tmp_path, scene)


def test_what_somebody_else_set_beside_ours_stays(tmp_path: Path) -> None:
    """Only our fields go back; a label and a setting that came meanwhile are theirs."""

    async def scene(server: ApiServer, api: Api) -> None:
        await _changed(server, api, tmp_path)
        live = at(server, "IPPool", "default")
        assert live is not None
        live["spec"]["natOutgoing"] = True
        live["metadata"]["labels"]["team"] = "other"
        put(server, live)
        listing = await cleaned(api)
        assert (len(listing.restored), listing.left) == (1, ())
        found = at(server, "IPPool", "default")
        assert found is not None
        assert found["spec"] == {**THEIRS["spec"], "natOutgoing": True}
        assert found["metadata"]["labels"] == {"team": "other"}

    play(tmp_path, scene)


def test_a_crash_before_the_change_leaves_nothing_to_put_back(tmp_path: Path) -> None:
    """Written down and not yet done: the object is as it was, and is not written."""

    async def scene(server: ApiServer, api: Api) -> None:
        await _changed(server, api, tmp_path)
        put(server, copy.deepcopy(THEIRS))
        server.requests.clear()
        assert [str(each) for each in (await cleaned(api)).restored] == ["IPPool default"]
        assert not [each for each in server.requests if each.startswith("PUT") and "ippool" in each]

    play(tmp_path, scene)


def test_calico_s_api_out_of_reach_is_gone_round(tmp_path: Path) -> None:
    """It runs on the network that is to be repaired: the pool is written where it is stored."""

    async def scene(server: ApiServer, api: Api) -> None:
        await _changed(server, api, tmp_path)
        server.faults.calico_api_away = True
        with pytest.raises(ClusterError):
            # The temporary pools' removal does take Calico's API: it alone waits for it.
            await cleaned(api)
        found = at(server, "IPPool", "default")
        assert found is not None
        assert found["spec"] == THEIRS["spec"]
        server.faults.calico_api_away = False
        assert (await cleaned(api)).left == ()

    play(tmp_path, scene, patience_s=0.5)


def test_a_pool_that_its_operator_does_not_bring_back_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator needs Calico's API, which runs on the network that is to be repaired."""
    monkeypatch.setattr(put_back, "FOLLOW_S", 0.1)

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, space("podbench", ledger.labels("r")))
        put(server, copy.deepcopy(THEIRS))
        before = at(server, "IPPool", "default")
        assert before is not None
        path = ("spec", "vxlanMode")
        follower = Entry(
            ref=ref(before), earlier=before, fields=(Field(path, ("Never",)),), follows=True
        )
        written = Ledger(api, "r", tmp_path)
        written.plan([follower])
        await written.publish()
        put(server, fields.written(before, {path: "Never"}))
        listing = await cleaned(api)
        assert [str(each) for each in listing.restored] == ["IPPool default"]
        found = at(server, "IPPool", "default")
        assert found is not None
        assert found["spec"] == THEIRS["spec"]

    play(tmp_path, scene)


def test_what_cannot_be_put_back_keeps_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused by the server: nothing is taken away, and calling again goes on."""

    async def scene(server: ApiServer, api: Api) -> None:
        await _changed(server, api, tmp_path)
        server.denied.add(("admin", "update", "ippools"))
        with pytest.raises(ClusterError, match="forbidden"):
            await cleaned(api)
        assert at(server, "ConfigMap", "podbench-ledger", "podbench") is not None
        server.denied.clear()
        assert [str(each) for each in (await cleaned(api)).restored] == ["IPPool default"]
        assert at(server, "Namespace", "podbench") is None

    play(tmp_path, scene)


def test_the_ledger_on_disk_and_in_the_cluster_are_the_same(tmp_path: Path) -> None:
    """Either alone is enough to undo a run."""

    async def scene(server: ApiServer, api: Api) -> None:
        await _changed(server, api, tmp_path)
        assert ledger.on_disk(tmp_path) == await ledger.published(api)

    play(tmp_path, scene)


def test_a_line_cut_short_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    """What it would have said had not been done yet."""
    path = tmp_path / ledger.FILE
    entry = Entry(ref=ref(POOL), earlier=None)
    line = ledger.Line(event="planned", wall_ns=1, run_id="r", entry=entry)
    path.write_bytes(msgspec.json.encode(line) + b"\n" + b'{"event":"planned","wal')
    assert ledger.on_disk(tmp_path) == (entry,)


def test_a_line_after_one_cut_short_is_whole(tmp_path: Path) -> None:
    """A run that is gone on with after a crash writes below, not behind, what was cut short."""
    path = tmp_path / ledger.FILE
    path.write_bytes(b'{"event":"planned","wal')
    entry = Entry(ref=ref(POOL), earlier=None)
    written = Ledger(Api(), "r", tmp_path)
    written.plan([entry])
    written.note("made", ref=entry.ref, uid="u")
    assert ledger.on_disk(tmp_path) == (entry,)
    assert path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("ledger_left", [False, True])
def test_what_was_put_back_once_is_the_user_s_from_then_on(
    tmp_path: Path, ledger_left: bool
) -> None:
    """Restored again weeks later: a value that the run had used may be somebody's choice now."""
    said: list[str] = []

    async def scene(server: ApiServer, api: Api) -> None:
        async def restored() -> Listing:
            undoing = Undo(api, said.append, own="test", run_id="r", folder=tmp_path)
            return await undoing.run(ledger.on_disk(tmp_path))

        await _changed(server, api, tmp_path)
        if ledger_left:
            # The first comes as far as the namespaces, so the cluster's ledger is there again.
            server.denied.add(("admin", "delete", "namespaces"))
            with pytest.raises(ClusterError, match="forbidden"):
                await restored()
            server.denied.clear()
        else:
            assert [str(each) for each in (await restored()).restored] == ["IPPool default"]
        chosen = at(server, "IPPool", "default")
        assert chosen is not None
        assert chosen["spec"] == THEIRS["spec"]
        chosen["spec"]["vxlanMode"] = "Never"
        put(server, chosen)
        said.clear()
        listing = await restored()
        assert (listing.restored, listing.left) == ((), ())
        assert any("IPPool default was put back already, at 20" in each for each in said)
        found = at(server, "IPPool", "default")
        assert found is not None
        assert found["spec"]["vxlanMode"] == "Never"
        # Gone on with, the run changes it once more: that is to be put back.
        await _changed(server, api, tmp_path)
        assert [str(each) for each in (await restored()).restored] == ["IPPool default"]
        events = (tmp_path / ledger.FILE).read_text("utf-8").splitlines()
        assert [json.loads(each)["event"] for each in events] == ["planned", "restored"] * 2

    play(tmp_path, scene)


def test_names_with_markup_are_names(tmp_path: Path) -> None:
    """A label full of markup and quotes is kept, matched and shown as it is."""
    run = 'r"><script>alert(1)</script>{{ . }}'

    async def scene(server: ApiServer, api: Api) -> None:
        put(server, space("podbench", ledger.labels(run)))
        listing = await cleaned(api, run)
        assert listing.runs == (run,)
        assert at(server, "Namespace", "podbench") is None

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("status", "behind"),
    [
        # As a real controller counts (Kubernetes 1.36), while Flannel goes back on three nodes.
        ({"observedGeneration": 3}, "not seen"),
        ({"observedGeneration": 4, "updatedNumberScheduled": 1, "numberAvailable": 2}, "1 of 3"),
        (
            {"observedGeneration": 4, "updatedNumberScheduled": 3, "numberAvailable": 2},
            "2 an avail",
        ),
        ({"observedGeneration": 4, "updatedNumberScheduled": 3, "numberAvailable": 3}, None),
    ],
)
def test_a_roll_out_takes_until_every_node_has_the_new_pod(
    status: dict[str, int], behind: str | None
) -> None:
    """Put back is not yet restored: its pods have to be replaced once more."""
    daemons = {
        "metadata": {"generation": 4},
        "status": {"desiredNumberScheduled": 3, **status},
    }
    told = rolling(daemons)
    assert told is None if behind is None else behind in (told or "")


@pytest.mark.parametrize("stuck", [False, True])
def test_what_was_put_back_is_rolled_out_before_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: bool
) -> None:
    """A DaemonSet's restoration ends with its last node; one that takes for ever is said."""
    monkeypatch.setattr(undo, "ROLLED_S", 0.5 if stuck else 20.0)
    said: list[str] = []
    daemons: Object = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "kube-flannel-ds", "namespace": "kube-flannel"},
        "spec": {"selector": {"matchLabels": {}}, "template": {"metadata": {}, "spec": {}}},
    }
    mark = ("spec", "template", "metadata", "annotations", "podbench.io/backend")

    async def scene(server: ApiServer, api: Api) -> None:
        if stuck:
            server.kubelet.refused["n2"] = "never ready"
        put(server, space("podbench", ledger.labels("r")))
        put(server, {**copy.deepcopy(daemons), "status": {}})
        before = at(server, "DaemonSet", "kube-flannel-ds", "kube-flannel")
        assert before is not None
        written = Ledger(api, "r", tmp_path)
        written.plan([Entry(ref=ref(before), earlier=before, fields=(Field(mark, ("vxlan",)),))])
        await written.publish()
        live = await api.get(ref(before).path)
        await api.replace(ref(before).path, fields.written(live, {mark: "vxlan"}))
        listing = await Undo(api, said.append, own="test").run()
        assert [str(each) for each in listing.restored] == [
            "DaemonSet kube-flannel/kube-flannel-ds"
        ]
        after = at(server, "DaemonSet", "kube-flannel-ds", "kube-flannel")
        assert after is not None
        assert (rolling(after) is None) != stuck

    play(tmp_path, scene)
    told = [each for each in said if "was not rolled out further" in each]
    assert bool(told) == stuck
