"""Who carries packets where names mislead: mirrors, left-overs, chains, policy-only agents."""

from typing import Any

import pytest

from podbench.cni.detect.cluster import detect_cluster
from podbench.cni.detect.facts import ClusterFacts
from podbench.model.facts import Link, NodeFacts

NODE = {
    "metadata": {"name": "w1", "labels": {"kubernetes.io/os": "linux"}},
    "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]},
}


def daemons(
    image: str, container: str = "agent", *, scheduled: int | None = 1, **more: Any
) -> dict[str, Any]:
    """A DaemonSet with one container."""
    body: dict[str, Any] = {
        "metadata": {"name": f"{container}-set", "namespace": "kube-system"},
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": container,
                            "image": image,
                            "env": more.pop("env", []),
                            "args": more.pop("args", []),
                        }
                    ],
                    **more,
                }
            }
        },
    }
    if scheduled is not None:
        body["status"] = {"desiredNumberScheduled": scheduled}
    return body


def carrier(
    *sets: dict[str, Any], nodes: tuple[NodeFacts, ...] = (), **maps: dict[str, str]
) -> Any:
    """What is said to carry the packets."""
    configured = [
        {"metadata": {"name": name.replace("_", "-")}, "data": d} for name, d in maps.items()
    ]
    facts = ClusterFacts(
        objects={
            "nodes": (NODE,),
            "daemonsets.apps": sets,
            "configmaps": tuple(configured),
        },
        nodes={each.node: each for each in nodes},
    )
    return detect_cluster(facts)


@pytest.mark.parametrize(
    ("image", "container", "name"),
    [
        ("docker.io/mirantis/ucp-calico-node:3.7.5", "calico-node", "calico"),
        ("registry.mirantis.com/ucp-calico-node:3.8", "ucp", "calico"),
        ("quay.io/tigera/cnx-node:v3.20.1", "node", "calico"),
        ("rocks.canonical.com/cdk/calico/node:v3.21.4", "x", "calico"),
        ("mirror.example/a-b@sha256:00", "calico-node", "calico"),
        ("quay.io/isovalent/cilium:v1.16.8-cee.1", "x", "cilium"),
        ("ghcr.io/canonical/cilium:1.17.1-ck0", "x", "cilium"),
        ("mirror.example/network/c@sha256:00", "cilium-agent", "cilium"),
        ("gke.gcr.io/cilium/cilium:v1.14.9-gke.3", "x", "cilium"),
        ("mirror.example/flannel-io/flannel:v0.27.0", "x", "flannel"),
        ("mirror.example/x@sha256:00", "kube-flannel", "flannel"),
        ("quay.io/cilium/cilium-envoy:v1.34.7", "cilium-envoy", None),
        ("quay.io/calico/csi:v3.31.2", "calico-csi", None),
        ("flannel/flannel-cni-plugin:v1.7.1", "install", None),
    ],
)
def test_an_agent_is_known_by_what_it_cannot_do_without(
    image: str, container: str, name: str | None
) -> None:
    """Vendors rename images; the container's name, or the image's last word, stays."""
    assert carrier(daemons(image, container)).cni.value == name


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("portmap", "cilium"),
        ("none", "cilium"),
        ("aws-cni", "aws-vpc-cni"),
        ("flannel", "flannel"),
        ("generic-veth", None),
    ],
)
def test_a_chaining_mode_is_never_the_cni(mode: str, name: str | None) -> None:
    """Where it names none, who carries stays open."""
    found = carrier(
        daemons("quay.io/cilium/cilium:v1.17.4"), cilium_config={"cni-chaining-mode": mode}
    )
    assert found.cni.value == name
    assert name is not None or "does not route" in str(found.cni.reason)


@pytest.mark.parametrize(
    "left",
    [
        daemons("amazon-k8s-cni:v1.19", "aws-node", scheduled=0),
        daemons("amazon-k8s-cni:v1.19", "aws-node", nodeSelector={"no": "node"}),
        daemons("amazon-k8s-cni:v1.19", "aws-node", nodeSelector={"kubernetes.io/os": "windows"}),
    ],
)
def test_what_runs_on_no_linux_node_carries_nothing(left: dict[str, Any]) -> None:
    """By its count, by its selector, by the system it is for."""
    assert carrier(left, daemons("quay.io/cilium/cilium:v1.17.4")).cni.value == "cilium"


def test_counts_of_a_controller_that_does_not_run_say_nothing() -> None:
    """Nothing at all is scheduled: somebody carries these packets all the same."""
    uncounted = daemons("quay.io/cilium/cilium:v1.17.4", scheduled=0)
    assert carrier(uncounted).cni.value == "cilium"
    # A run's own are counted by now.
    own = daemons("registry.example/podbench:1", "agent")
    own["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "podbench"}
    assert carrier(uncounted, own).cni.value == "cilium"


def test_canal_is_flannel_with_calico_s_policies_whatever_its_variables_say() -> None:
    """Both agents in one pod: that is Canal, also where no backend is set."""
    canal = daemons("quay.io/calico/node:v3.30.2", "calico-node")
    canal["spec"]["template"]["spec"]["containers"].append(
        {"name": "kube-flannel", "image": "mirror.example/x:v0.24.4"}
    )
    found = carrier(canal)
    assert (found.cni.value, found.policy.value) == ("flannel", "calico")
    assert found.title == "flannel (Canal: Calico enforces policies)"


def test_a_kube_router_that_does_not_route_carries_nothing() -> None:
    """It serves as a firewall beside another CNI."""
    router = daemons("cloudnativelabs/kube-router:v2", "kube-router", args=["--run-router=false"])
    assert carrier(router, daemons("kindest/kindnetd:v1")).cni.value == "kindnet"


def test_devices_settle_what_names_leave_open() -> None:
    """Two could carry; the nodes' pods are plugged in with one of them."""
    sets = (daemons("quay.io/calico/node:v3.30.2"), daemons("quay.io/cilium/cilium:v1.17.4"))
    ends = (Link(name="lxc12ab", kind="veth", mtu=1500, up=True),)
    seen = NodeFacts(node="w1", wall_ns=0, links=ends)
    assert carrier(*sets).cni.value is None
    assert carrier(*sets, nodes=(seen,)).cni.value == "cilium"


def test_calico_s_devices_are_no_carrier_where_it_enforces_policies_only() -> None:
    """Its pods' devices are there, and the cloud routes."""
    backend = [{"name": "CALICO_NETWORKING_BACKEND", "value": "none"}]
    agent = daemons("quay.io/calico/node:v3.31.6", "calico-node", env=backend)
    ends = (Link(name="cali12ab", kind="veth", mtu=1500, up=True),)
    found = carrier(agent, nodes=(NodeFacts(node="w1", wall_ns=0, links=ends),))
    assert found.cni.value is None
    assert "does not route" in str(found.cni.reason)
