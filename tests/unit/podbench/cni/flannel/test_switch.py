"""Flannel's backend in its ConfigMap, and the roll-out that makes flanneld read it."""

import copy
import json
from typing import Any

import msgspec
import pytest
from support.clusters import cluster

from podbench.cni.detect.cluster import detect_cluster
from podbench.cni.detect.facts import ClusterFacts
from podbench.cni.edits import Recipe
from podbench.cni.flannel.switch import DAEMON_SETS
from podbench.cni.recipes import recipe
from podbench.model.arms import Mode
from podbench.target.kubernetes.deploy.objects import rbac


def _recipe(change: Any = None) -> Recipe:
    """The recorded cluster's recipe, after its ConfigMap and DaemonSet were changed."""
    facts = cluster("flannel-vxlan")
    objects = {kind: copy.deepcopy(list(each)) for kind, each in facts.objects.items()}
    if change is not None:
        change(objects)
    changed: ClusterFacts = msgspec.structs.replace(
        facts, objects={kind: tuple(each) for kind, each in objects.items()}
    )
    return recipe(changed, detect_cluster(changed))


def _net_conf(objects: dict[str, list[Any]], **backend: Any) -> None:
    text = json.dumps({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", **backend}})
    objects["configmaps"][0]["data"]["net-conf.json"] = text


def test_the_config_map_comes_before_the_roll_out() -> None:
    """Type alone changes; the DaemonSet's pods are made anew by a mark in their template."""
    found = _recipe()
    settings, daemons = found.edits[Mode.HOST_GW]
    assert (settings.kind, settings.namespace, settings.name) == (
        "ConfigMap",
        "kube-flannel",
        "kube-flannel-cfg",
    )
    assert json.loads(settings.value) == {
        "Network": "10.244.0.0/16",
        "EnableNFTables": False,
        "Backend": {"Type": "host-gw"},
    }
    assert (daemons.kind, daemons.name, daemons.restarts) == ("DaemonSet", "kube-flannel-ds", True)
    assert daemons.path[-1] == "podbench.io/backend"
    assert "upstream does not support this" in found.notes[0]


def _another_daemons(objects: dict[str, list[Any]], desired: int) -> None:
    (one,) = [x for x in objects["daemonsets.apps"] if "flannel" in x["metadata"]["name"]]
    other = copy.deepcopy(one)
    other["metadata"]["name"] += "-arm64"
    other["status"] = {"desiredNumberScheduled": desired}
    objects["daemonsets.apps"].append(other)


def test_pods_of_two_daemon_sets_would_not_all_follow() -> None:
    """As in old manifests, one per architecture; one that runs nowhere is in nobody's way."""
    found = _recipe(lambda objects: _another_daemons(objects, 1))
    assert not found.edits
    assert "kube-flannel-ds-arm64" in found.refused[Mode.HOST_GW]
    assert _recipe(lambda objects: _another_daemons(objects, 0)).edits


def test_the_settings_are_those_beside_the_daemon_set() -> None:
    """What an earlier installation left in another namespace is read by nobody."""

    def left(objects: dict[str, list[Any]]) -> None:
        mine = [x for x in objects["configmaps"] if x["metadata"]["name"] == "kube-flannel-cfg"]
        other = copy.deepcopy(mine[0])
        other["metadata"]["namespace"] = "kube-system"
        objects["configmaps"].insert(0, other)

    assert _recipe(left).edits[Mode.HOST_GW][0].namespace == "kube-flannel"


def test_the_mode_as_found_is_its_own_text() -> None:
    """Coming back to it restores every octet, blanks and order included."""
    text = next(
        each["data"]["net-conf.json"]
        for each in cluster("flannel-vxlan").of("configmaps")
        if each["metadata"]["name"] == "kube-flannel-cfg"
    )
    assert _recipe().edits[Mode.VXLAN][0].value == text


def test_direct_routing_is_taken_out_and_the_rest_kept() -> None:
    """It would leave pairs of one subnet unwrapped; port and VNI are somebody's choice."""
    found = _recipe(lambda objects: _net_conf(objects, DirectRouting=True, Port=4789, VNI=7))
    assert json.loads(found.edits[Mode.VXLAN][0].value)["Backend"] == {
        "Type": "vxlan",
        "Port": 4789,
        "VNI": 7,
    }


def _on_delete(objects: dict[str, list[Any]]) -> None:
    objects["daemonsets.apps"][0]["spec"]["updateStrategy"] = {"type": "OnDelete"}


def _no_map(objects: dict[str, list[Any]]) -> None:
    objects["configmaps"] = []


def _no_reader(objects: dict[str, list[Any]]) -> None:
    objects["daemonsets.apps"][0]["spec"]["template"]["spec"]["volumes"] = []


def _no_json(objects: dict[str, list[Any]]) -> None:
    objects["configmaps"][0]["data"]["net-conf.json"] = "{"


def _helm(objects: dict[str, list[Any]]) -> None:
    labels = objects["configmaps"][0]["metadata"].setdefault("labels", {})
    labels["helm.toolkit.fluxcd.io/name"] = "flannel"


def _named(objects: dict[str, list[Any]], name: str) -> None:
    (one,) = [x for x in objects["daemonsets.apps"] if "flannel" in x["metadata"]["name"]]
    one["metadata"]["name"] = name


@pytest.mark.parametrize("name", ["kube-flannel", "kube-flannel-ds-arm64"])
def test_other_installers_names_are_rolled_out(name: str) -> None:
    """Kubespray's, and those of manifests that had one for each architecture."""
    found = _recipe(lambda objects: _named(objects, name))
    assert [each.name for each in found.edits[Mode.VXLAN]] == ["kube-flannel-cfg", name]


def test_what_is_rolled_out_is_what_the_role_allows() -> None:
    """The chart's role and the recipe name the same DaemonSets."""
    (role,) = [each for each in rbac() if each["metadata"]["name"] == "podbench-switch"]
    (rule,) = [each for each in role["rules"] if each["resources"] == ["daemonsets"]]
    assert tuple(rule["resourceNames"]) == DAEMON_SETS


def _own_name(objects: dict[str, list[Any]]) -> None:
    _named(objects, "our-flannel")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_own_name, "DaemonSet our-flannel reads kube-flannel-cfg"),
        (_own_name, "the role podbench-switch allows no other"),
        (_on_delete, "OnDelete"),
        (_no_map, "flanneld runs inside another program"),
        (_no_reader, "no DaemonSet reads kube-flannel-cfg"),
        (_no_json, "net-conf.json is no JSON object"),
        (_helm, "Flux keeps kube-flannel/kube-flannel-cfg"),
    ],
)
def test_what_nothing_would_follow_is_refused(change: Any, words: str) -> None:
    """Both modes, with the reason."""
    found = _recipe(change)
    assert found.edits == {}
    assert all(words in found.refused[mode] for mode in (Mode.VXLAN, Mode.HOST_GW))
