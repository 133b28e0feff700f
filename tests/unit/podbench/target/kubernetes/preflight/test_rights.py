"""Which rights a run needs: those of the chart's roles, no more than its method and modes take."""

import pytest

from podbench.model.arms import Mode
from podbench.target.kubernetes.preflight.rights import Right, needed, review, roles_for

POOLS = (Mode.VXLAN, Mode.IPIP, Mode.BGP)


def _names(rights: tuple[Right, ...]) -> set[str]:
    return {str(right) for right in rights}


def test_each_right_is_asked_for_once() -> None:
    """Rules overlap; questions need not."""
    rights = needed("pools", POOLS)
    assert len(rights) == len(set(rights))


def test_changes_are_named_to_the_object() -> None:
    """As an administrator would grant them."""
    names = _names(needed("pools", POOLS))
    assert "create namespaces" in names
    assert "patch daemonsets.apps podbench-agent-vxlan" in names
    assert "create secrets podbench-passwords-host" in names
    assert "delete ippools.projectcalico.org podbench-bgp" in names
    assert "create pods/portforward" in names


def test_a_run_asks_for_its_own_modes_only() -> None:
    """Nothing about agents, passwords or pools of others; those of the host stay."""
    names = _names(needed("pools", (Mode.VXLAN,)))
    assert "patch daemonsets.apps podbench-agent-vxlan" in names
    assert "patch daemonsets.apps podbench-agent-host" in names
    assert not [name for name in names if "ipip" in name or "host-gw" in name or "-bgp" in name]


@pytest.mark.parametrize(
    ("method", "roles"),
    [
        ("observe", ("podbench-orchestrator",)),
        ("pools", ("podbench-orchestrator", "podbench-pools")),
        ("switch", ("podbench-orchestrator", "podbench-switch")),
    ],
)
def test_a_method_takes_its_roles(method: str, roles: tuple[str, ...]) -> None:
    """Watching takes no right to change anything of the network's."""
    assert roles_for(method) == roles
    rights = needed(method, POOLS)
    assert {right.role for right in rights} == set(roles)
    changes = {right.resource for right in rights if right.verb not in {"get", "list", "watch"}} & {
        "ippools",
        "installations",
    }
    assert bool(changes) == (method != "observe")


def test_without_an_own_broker_nothing_is_forwarded() -> None:
    """`--broker` takes fewer rights."""
    names = _names(needed("observe", POOLS, broker=False))
    assert not [name for name in names if "portforward" in name or "podbench-broker" in name]


def test_groups_that_are_not_served_are_not_asked_about() -> None:
    """A cluster without Calico's operator refuses nothing there."""
    names = _names(needed("observe", POOLS, groups=("apps", "projectcalico.org")))
    assert "list ippools.projectcalico.org" in names
    assert not [name for name in names if "tigera" in name or "crd.projectcalico" in name]
    assert "list nodes" in names


def test_only_what_stops_a_run_is_required() -> None:
    """Facts that may not be read are unknown; objects that may not be made are the end."""
    required = {str(right): right.required for right in needed("pools", POOLS)}
    assert not required["list installations.operator.tigera.io"]
    assert not required["get configmaps cilium-config"]
    assert required["watch nodes"]
    assert required["get leases.coordination.k8s.io podbench"]
    assert required["create pods/portforward"]
    assert required["create ippools.projectcalico.org"]


def test_the_question_is_put_as_the_server_takes_it() -> None:
    """As recorded of a real one: no empty attributes, the subresource apart."""
    right = Right(role="r", group="apps", resource="daemonsets", verb="create")
    assert review(right) == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {"verb": "create", "group": "apps", "resource": "daemonsets"}
        },
    }
    forward = Right(
        role="r", group="", resource="pods", subresource="portforward", verb="create", name="x"
    )
    assert review(forward)["spec"]["resourceAttributes"] == {
        "verb": "create",
        "resource": "pods",
        "subresource": "portforward",
        "name": "x",
    }


def test_another_cni_s_settings_are_not_asked_about() -> None:
    """Switching Calico takes no right to Flannel's ConfigMap."""
    asked = "update configmaps kube-flannel-cfg"
    assert asked not in _names(needed("switch", POOLS, cni="calico"))
    assert asked in _names(needed("switch", (Mode.VXLAN, Mode.HOST_GW), cni="flannel"))
    assert asked in _names(needed("switch", POOLS))


def test_only_the_daemon_set_that_is_here_is_asked_about() -> None:
    """Flannel has one of several names; who may change that one needs no right to the others."""
    for wanted in ("kube-flannel-ds", "kube-flannel"):
        names = _names(needed("switch", (Mode.VXLAN,), cni="flannel", daemons=wanted))
        asked = [each for each in names if each.startswith("update daemonsets.apps kube-")]
        assert asked == [f"update daemonsets.apps {wanted}"]
