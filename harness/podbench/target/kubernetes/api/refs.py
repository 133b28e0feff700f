"""Names of objects and where the API server keeps them; pure.

The table holds the kinds podbench makes, changes or reads, so no discovery is needed: a cluster
without one of them answers 404, which is an answer.
"""

from typing import Any
from urllib.parse import quote

import msgspec

from podbench.cni.edits import CRD_POOL
from podbench.model.errors import ClusterError

Object = dict[str, Any]
"""An object as the API server gives it: JSON's maps."""


class Kind(msgspec.Struct, frozen=True):
    """Where objects of a kind are: `/apis/GROUP/VERSION[/namespaces/N]/PLURAL`."""

    api_version: str
    plural: str
    namespaced: bool = True


KINDS: dict[str, Kind] = {
    "Namespace": Kind("v1", "namespaces", namespaced=False),
    "Node": Kind("v1", "nodes", namespaced=False),
    "Pod": Kind("v1", "pods"),
    "ConfigMap": Kind("v1", "configmaps"),
    "Secret": Kind("v1", "secrets"),
    "Service": Kind("v1", "services"),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "DaemonSet": Kind("apps/v1", "daemonsets"),
    "Deployment": Kind("apps/v1", "deployments"),
    "Lease": Kind("coordination.k8s.io/v1", "leases"),
    "NetworkPolicy": Kind("networking.k8s.io/v1", "networkpolicies"),
    "IPPool": Kind("projectcalico.org/v3", "ippools", namespaced=False),
    CRD_POOL: Kind("crd.projectcalico.org/v1", "ippools", namespaced=False),
    "IPAMBlock": Kind("crd.projectcalico.org/v1", "ipamblocks", namespaced=False),
    "BGPConfiguration": Kind("projectcalico.org/v3", "bgpconfigurations", namespaced=False),
    "BGPPeer": Kind("projectcalico.org/v3", "bgppeers", namespaced=False),
    "ClusterInformation": Kind("projectcalico.org/v3", "clusterinformations", namespaced=False),
    "CalicoNodeStatus": Kind("projectcalico.org/v3", "caliconodestatuses", namespaced=False),
    "Installation": Kind("operator.tigera.io/v1", "installations", namespaced=False),
    "ServiceCIDR": Kind("networking.k8s.io/v1", "servicecidrs", namespaced=False),
    "ResourceQuota": Kind("v1", "resourcequotas"),
    "LimitRange": Kind("v1", "limitranges"),
    "APIService": Kind("apiregistration.k8s.io/v1", "apiservices", namespaced=False),
    "ValidatingWebhookConfiguration": Kind(
        "admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", namespaced=False
    ),
    "MutatingWebhookConfiguration": Kind(
        "admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", namespaced=False
    ),
    "AdminNetworkPolicy": Kind(
        "policy.networking.k8s.io/v1alpha1", "adminnetworkpolicies", namespaced=False
    ),
    "BaselineAdminNetworkPolicy": Kind(
        "policy.networking.k8s.io/v1alpha1", "baselineadminnetworkpolicies", namespaced=False
    ),
    "ClusterNetworkPolicy": Kind(
        "policy.networking.k8s.io/v1alpha2", "clusternetworkpolicies", namespaced=False
    ),
    "GlobalNetworkPolicy": Kind("projectcalico.org/v3", "globalnetworkpolicies", namespaced=False),
    "HostEndpoint": Kind("projectcalico.org/v3", "hostendpoints", namespaced=False),
    "CiliumClusterwideNetworkPolicy": Kind(
        "cilium.io/v2", "ciliumclusterwidenetworkpolicies", namespaced=False
    ),
}


class Ref(msgspec.Struct, frozen=True, order=True):
    """One object's name."""

    kind: str
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        """`DaemonSet podbench/podbench-agent-vxlan`."""
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"

    @property
    def path(self) -> str:
        """Where it is."""
        return f"{collection(self.kind, self.namespace)}/{quote(self.name, safe='')}"


def collection(kind: str, namespace: str | None = None) -> str:
    """Where objects of a kind are listed; without a namespace, those of all.

    Raises:
        ClusterError: The table does not have the kind.
    """
    if kind not in KINDS:
        raise ClusterError(f"podbench does not know where {kind} objects are kept")
    known = KINDS[kind]
    root = "/api" if "/" not in known.api_version else "/apis"
    inside = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{root}/{known.api_version}{inside}/{known.plural}"


def ref(body: dict[str, Any]) -> Ref:
    """The name of an object."""
    meta = body["metadata"]
    return Ref(body["kind"], meta["name"], meta.get("namespace"))
