"""Which object makes Calico's mode change, and when none may be touched."""

import copy
from typing import Any

import msgspec
import pytest
from support.clusters import cluster

from podbench.cni.detect.cluster import detect_cluster
from podbench.cni.detect.facts import ClusterFacts
from podbench.cni.edits import CRD_POOL, Recipe
from podbench.cni.recipes import recipe
from podbench.model.arms import Mode

POOLS, CRD_POOLS = "ippools.projectcalico.org", "ippools.crd.projectcalico.org"
INSTALLATIONS = "installations.operator.tigera.io"
OWNED = {"app.kubernetes.io/managed-by": "tigera-operator"}


def _changed(name: str, change: Any) -> ClusterFacts:
    """A fixture whose objects, by kind, `change` may rewrite."""
    facts = cluster(name)
    objects = {kind: copy.deepcopy(list(each)) for kind, each in facts.objects.items()}
    change(objects)
    return msgspec.structs.replace(
        facts, objects={kind: tuple(each) for kind, each in objects.items()}
    )


def _quiet(objects: dict[str, list[Any]]) -> None:
    """The manifest fixture without what keeps its mode from being changed."""
    for each in objects["daemonsets.apps"][0]["spec"]["template"]["spec"]["containers"][0]["env"]:
        if each["name"] == "FELIX_WIREGUARDENABLED":
            each["value"] = "false"
    objects["bgpconfigurations.crd.projectcalico.org"][0]["spec"] = {}


def _owned(objects: dict[str, list[Any]]) -> None:
    objects[POOLS][0]["metadata"]["labels"] = OWNED
    for each in objects["felixconfigurations.projectcalico.org"][0:1]:
        each["spec"]["wireguardEnabled"] = False


def _recipe(facts: ClusterFacts) -> Recipe:
    return recipe(facts, detect_cluster(facts))


def _written(found: Recipe, mode: Mode) -> list[tuple[str, str, str, Any]]:
    return [(e.kind, e.name, ".".join(e.path), e.value) for e in found.edits[mode]]


def test_the_operator_s_pool_is_changed_by_the_installation() -> None:
    """The operator writes its pools back: the Installation is written, the pool waited for."""
    found = _recipe(_changed("calico-operator", _owned))
    path = "spec.calicoNetwork.ipPools.cidr=192.168.0.0/16.encapsulation"
    assert found.refused == {}
    assert [_written(found, mode) for mode in (Mode.VXLAN, Mode.IPIP, Mode.BGP)] == [
        [("Installation", "default", path, "VXLAN")],
        [("Installation", "default", path, "IPIP")],
        [("Installation", "default", path, "None")],
    ]
    assert [(e.name, e.path[-1], e.value) for e in found.followers[Mode.IPIP]] == [
        ("default-ipv4-ippool", "ipipMode", "Always"),
        ("default-ipv4-ippool", "vxlanMode", "Never"),
    ]
    assert "keep the MTU" in found.notes[0]


def test_a_pool_that_is_nobody_s_is_changed_itself_through_v3() -> None:
    """Without the operator's label the pool is the administrator's, also beside an operator."""
    found = _recipe(cluster("calico-operator"))
    assert found.followers == {}
    assert _written(found, Mode.VXLAN) == [
        ("IPPool", "default-ipv4-ippool", "spec.ipipMode", "Never"),
        ("IPPool", "default-ipv4-ippool", "spec.vxlanMode", "Always"),
    ]


def test_without_v3_the_storage_is_changed_as_calicoctl_does() -> None:
    """crd.projectcalico.org is all there is; a disabled pool beside it does not count."""
    found = _recipe(_changed("calico-manifest", _quiet))
    assert _written(found, Mode.BGP) == [
        (CRD_POOL, "default-ipv4-ippool", "spec.ipipMode", "Never"),
        (CRD_POOL, "default-ipv4-ippool", "spec.vxlanMode", "Never"),
    ]


def _wireguard(objects: dict[str, list[Any]]) -> None:
    objects["felixconfigurations.projectcalico.org"][0]["spec"]["wireguardEnabled"] = True


def _ebpf(objects: dict[str, list[Any]]) -> None:
    objects["felixconfigurations.projectcalico.org"][0]["spec"]["bpfEnabled"] = True


def _second_pool(objects: dict[str, list[Any]]) -> None:
    other = copy.deepcopy(objects[POOLS][0])
    other["metadata"]["name"], other["spec"]["cidr"] = "other", "10.9.0.0/16"
    objects[POOLS].append(other)


def _unlisted(objects: dict[str, list[Any]]) -> None:
    _owned(objects)
    objects[INSTALLATIONS][0]["spec"]["calicoNetwork"]["ipPools"] = []


def _argo(objects: dict[str, list[Any]]) -> None:
    _owned(objects)
    fields: dict[str, Any] = {"f:spec": {"f:calicoNetwork": {"f:ipPools": {}}}}
    entry = {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": fields}
    objects[INSTALLATIONS][0]["metadata"]["managedFields"] = [entry]


def _flux(objects: dict[str, list[Any]]) -> None:
    objects[POOLS][0]["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "net"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_wireguard, "WireGuard is on"),
        (_ebpf, "bpf dataplane does not go by the kernel's routes"),
        (_second_pool, "default-ipv4-ippool, other"),
        (_unlisted, "Installation default does not list 192.168.0.0/16"),
        (_argo, "Argo CD keeps default and would write the change back"),
        (_flux, "Flux keeps default-ipv4-ippool"),
    ],
)
def test_what_would_break_or_show_nothing_is_refused(change: Any, words: str) -> None:
    """Every mode, with the reason; nothing is offered to write."""
    found = _recipe(_changed("calico-operator", change))
    assert found.edits == {}
    assert set(found.refused) == {Mode.VXLAN, Mode.IPIP, Mode.BGP}
    assert all(words in reason for reason in found.refused.values())


def test_somebody_who_manages_other_fields_is_no_keeper() -> None:
    """Argo CD that set an annotation only does not write the pools back."""

    def annotated(objects: dict[str, list[Any]]) -> None:
        _owned(objects)
        entry = {"manager": "argocd-controller", "fieldsV1": {"f:metadata": {}}}
        objects[INSTALLATIONS][0]["metadata"]["managedFields"] = [entry]

    assert set(_recipe(_changed("calico-operator", annotated)).edits) == {
        Mode.VXLAN,
        Mode.IPIP,
        Mode.BGP,
    }


def test_bgp_cannot_be_had_by_switching_where_it_is_off() -> None:
    """VXLAN can; what BIRD would have to program cannot."""

    def off(objects: dict[str, list[Any]]) -> None:
        container = objects["daemonsets.apps"][0]["spec"]["template"]["spec"]["containers"][0]
        container["env"][0]["value"] = "vxlan"

    found = _recipe(_changed("calico-operator", off))
    assert set(found.edits) == {Mode.VXLAN}
    assert found.refused == {Mode.IPIP: "BGP is off here", Mode.BGP: "BGP is off here"}


def test_another_cni_s_mode_is_not_known_how_to_change() -> None:
    """Cilium: said so for every mode."""
    found = _recipe(cluster("cilium-tunnel"))
    assert found.edits == {}
    assert "podbench does not know how to change the mode of cilium" in found.refused[Mode.VXLAN]
