"""A cluster with Calico in the API server stand-in: what detection finds there."""

from typing import Any

from support.apiserver.server import ApiServer
from support.cluster import at, put

Object = dict[str, Any]


OWNED = {"app.kubernetes.io/managed-by": "tigera-operator"}


def install(
    server: ApiServer,
    version: str = "v3.31.0",
    *,
    bgp: bool = True,
    vxlan: str = "Always",
    operator: bool = False,
) -> None:
    """Puts in what an installation has: calico-node, settings, one pool; with its operator or not.

    An operator, with its default of VXLANCrossSubnet, is seen where the server has the group
    operator.tigera.io.
    """
    put(server, _calico_node(version))
    v3 = "projectcalico.org/v3"
    for kind, name, spec in (
        ("IPPool", "default-ipv4-ippool", {"cidr": "10.244.0.0/16", "vxlanMode": vxlan}),
        ("FelixConfiguration", "default", {}),
        ("BGPConfiguration", "default", {"nodeToNodeMeshEnabled": True}),
        ("ClusterInformation", "default", {"calicoVersion": version}),
    ):
        put(server, {"apiVersion": v3, "kind": kind, "metadata": {"name": name}, "spec": spec})
    if operator:
        listed = {"cidr": "10.244.0.0/16", "encapsulation": "VXLANCrossSubnet"}
        pools = {"ipPools": [{"name": "default-ipv4-ippool", **listed}]}
        body: Object = {"apiVersion": "operator.tigera.io/v1", "kind": "Installation"}
        put(server, {**body, "metadata": {"name": "default"}, "spec": {"calicoNetwork": pools}})
        pool = at(server, "IPPool", "default-ipv4-ippool")
        assert pool is not None
        pool["metadata"]["labels"] = OWNED
        pool["spec"] |= {"ipipMode": "Never", "vxlanMode": "CrossSubnet"}
        put(server, pool)
    if not bgp:
        put(server, _calico_node(version, backend="vxlan"))


def _calico_node(version: str, backend: str = "bird") -> Object:
    env = [{"name": "CALICO_NETWORKING_BACKEND", "value": backend}]
    container = {"name": "calico-node", "image": f"quay.io/calico/node:{version}", "env": env}
    labels = {"k8s-app": "calico-node"}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "calico-node", "namespace": "kube-system", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            # On no node: nothing of it runs here.
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "affinity": _nowhere()},
            },
        },
    }


def _nowhere() -> Object:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": []}]}
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}
        }
    }
