"""The kinds the stand-in serves, and how a request's path is read. Pure."""

import msgspec
from support.apiserver.admission import not_found
from support.apiserver.store import Place

ADMISSION = "admissionregistration.k8s.io/v1"
KINDS: dict[tuple[str, str], str] = {
    ("v1", "namespaces"): "Namespace",
    ("v1", "nodes"): "Node",
    ("v1", "pods"): "Pod",
    ("v1", "configmaps"): "ConfigMap",
    ("v1", "secrets"): "Secret",
    ("v1", "services"): "Service",
    ("v1", "serviceaccounts"): "ServiceAccount",
    ("v1", "events"): "Event",
    ("apps/v1", "daemonsets"): "DaemonSet",
    ("apps/v1", "deployments"): "Deployment",
    ("coordination.k8s.io/v1", "leases"): "Lease",
    ("networking.k8s.io/v1", "networkpolicies"): "NetworkPolicy",
    ("networking.k8s.io/v1", "servicecidrs"): "ServiceCIDR",
    ("apiextensions.k8s.io/v1", "customresourcedefinitions"): "CustomResourceDefinition",
    ("projectcalico.org/v3", "ippools"): "IPPool",
    ("projectcalico.org/v3", "caliconodestatuses"): "CalicoNodeStatus",
    ("projectcalico.org/v3", "bgpconfigurations"): "BGPConfiguration",
    ("projectcalico.org/v3", "bgppeers"): "BGPPeer",
    ("projectcalico.org/v3", "felixconfigurations"): "FelixConfiguration",
    ("projectcalico.org/v3", "clusterinformations"): "ClusterInformation",
    ("crd.projectcalico.org/v1", "ippools"): "IPPool",
    ("crd.projectcalico.org/v1", "ipamblocks"): "IPAMBlock",
    ("operator.tigera.io/v1", "installations"): "Installation",
    ("crd.projectcalico.org/v1", "bgpconfigurations"): "BGPConfiguration",
    ("crd.projectcalico.org/v1", "bgppeers"): "BGPPeer",
    ("crd.projectcalico.org/v1", "felixconfigurations"): "FelixConfiguration",
    ("crd.projectcalico.org/v1", "clusterinformations"): "ClusterInformation",
    ("v1", "resourcequotas"): "ResourceQuota",
    ("v1", "limitranges"): "LimitRange",
    ("apiregistration.k8s.io/v1", "apiservices"): "APIService",
    (ADMISSION, "validatingwebhookconfigurations"): "ValidatingWebhookConfiguration",
    (ADMISSION, "mutatingwebhookconfigurations"): "MutatingWebhookConfiguration",
    ("policy.networking.k8s.io/v1alpha1", "adminnetworkpolicies"): "AdminNetworkPolicy",
    ("projectcalico.org/v3", "globalnetworkpolicies"): "GlobalNetworkPolicy",
    ("projectcalico.org/v3", "hostendpoints"): "HostEndpoint",
}


STORED = {"crd.projectcalico.org/v1": "projectcalico.org/v3"}
"""Calico's own API serves what the other group stores: one object, by two ways."""


class Asked(msgspec.Struct, frozen=True):
    """What a path names."""

    place: Place
    subresource: str

    @property
    def group(self) -> str:
        """The API group without version; empty for the core."""
        return self.place.group.partition("/")[0] if "/" in self.place.group else ""


def served(group: str, groups: set[str]) -> bool:
    """Whether a group is Kubernetes' own, or one of those that exist here."""
    return not group.endswith(("projectcalico.org", "tigera.io")) or group in groups


def kind(place: Place) -> str:
    """The kind of an object."""
    return KINDS[place.group, place.plural]


def plural_of(wanted: str) -> tuple[str, str]:
    """API version and plural of a kind."""
    return next(key for key, value in KINDS.items() if value == wanted)


def read(path: str, groups: set[str]) -> Asked:
    """Reads `/api/v1/...` and `/apis/GROUP/VERSION/...`.

    Args:
        path: The request's.
        groups: Groups with a dot that exist here beside Kubernetes' own (`projectcalico.org`).

    Raises:
        Refused: 404, for kinds that are not served.
    """
    parts = [part for part in path.split("/") if part]
    api, rest = ("/".join(parts[1:3]), parts[3:]) if parts[0] == "apis" else (parts[1], parts[2:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    group = api.partition("/")[0] if "/" in api else ""
    if (api, plural) not in KINDS or not served(group, groups):
        raise not_found(plural, name, group)
    if plural == "ippools":
        api = STORED.get(api, api)
    return Asked(Place(api, plural, namespace, name), subresource)
