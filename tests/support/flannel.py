"""A cluster with Flannel in the API server stand-in: its ConfigMap, and pods that read it."""

from typing import Any

from support.apiserver.server import ApiServer
from support.cluster import at, put

Object = dict[str, Any]

CONF = '{"Network":"10.244.0.0/16","EnableNFTables":false,"Backend":{"Type":"vxlan"}}\n'
SPACE = "kube-flannel"


def install(server: ApiServer) -> None:
    """Puts in ConfigMap and DaemonSet as Flannel's own manifest has them, trimmed."""
    meta = {"name": "kube-flannel-cfg", "namespace": SPACE}
    data = {"net-conf.json": CONF}
    put(server, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    labels = {"app": "flannel"}
    volume = {"name": "flannel-cfg", "configMap": {"name": "kube-flannel-cfg"}}
    container = {"name": "kube-flannel", "image": "ghcr.io/flannel-io/flannel:v0.27.3"}
    pods = {"containers": [container], "volumes": [volume], "hostNetwork": True}
    put(
        server,
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "kube-flannel-ds", "namespace": SPACE},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pods},
            },
        },
    )


def conf(server: ApiServer) -> str:
    """The settings as they are now."""
    body = at(server, "ConfigMap", "kube-flannel-cfg", SPACE)
    assert body is not None
    return str(body["data"]["net-conf.json"])


def pods(server: ApiServer) -> list[str]:
    """The pods of its DaemonSet that are there, by name."""
    return [
        each.name
        for each in server.store.places()
        if each.plural == "pods" and each.namespace == SPACE
    ]
