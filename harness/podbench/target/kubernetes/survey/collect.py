"""Reads from the API what detection concludes from; nothing is changed, missing rights are told."""

from collections.abc import Mapping, Sequence

from podbench.cni.detect.facts import UNAVAILABLE, WANTED, ClusterFacts, Read
from podbench.model.facts import NodeFacts
from podbench.target.kubernetes.api.client import Api, ApiError, GroupDownError
from podbench.target.kubernetes.api.refs import Object, collection

REFUSED = {401: "not logged in", 403: "forbidden", 404: "not served"}


def why_unread(error: ApiError) -> str | None:
    """Why one kind could not be read; null where the server itself is away."""
    if isinstance(error, GroupDownError):
        return UNAVAILABLE
    return REFUSED.get(error.status)


async def collect(api: Api, nodes: Mapping[str, NodeFacts] | None = None) -> ClusterFacts:
    """Everything of `WANTED` that this user may read.

    Args:
        api: The cluster.
        nodes: What host-network agents read, where there are some.

    Raises:
        ApiError: The server stays away.
    """
    version = await api.get("/version")
    groups = await _groups(api)
    objects: dict[str, tuple[Object, ...]] = {}
    unread: dict[str, str] = {}
    for read in WANTED:
        if read.group and read.group not in groups:
            unread[read.resource] = "not served"
            continue
        try:
            objects[read.resource] = await _read(api, read)
        except ApiError as error:
            why = why_unread(error)
            if why is None:
                raise
            unread[read.resource] = why
    return ClusterFacts(
        version=str(version.get("gitVersion") or "") or None,
        groups=frozenset(groups),
        objects=objects,
        unread=unread,
        nodes=dict(nodes or {}),
    )


async def taken_networks(api: Api, nodes: Sequence[Object]) -> dict[str, list[str]]:
    """Networks and addresses that a temporary pool must keep off, by whose they are.

    What cannot be read for want of rights is not in it, and neither are routes of the nodes'
    kernels: their agents look at those once deployed (laid.py).

    Raises:
        ApiError: The server stays away.
    """
    taken: dict[str, list[str]] = {}
    for node in nodes:
        name = f"Node {node['metadata']['name']}"
        addresses = [each["address"] for each in node["status"].get("addresses") or []]
        taken[name] = addresses + list(node["spec"].get("podCIDRs") or [])
    for kind, read in _NETWORKS.items():
        try:
            found = await api.items(collection(kind))
        except ApiError as error:
            if why_unread(error) is None:
                raise
            continue
        for each in found:
            taken[f"{kind} {each['metadata']['name']}"] = read(each)
    return taken


def _pool_networks(pool: Object) -> list[str]:
    return [str(pool["spec"]["cidr"])]


def _service_networks(cidr: Object) -> list[str]:
    return list(cidr["spec"].get("cidrs") or [])


def _service_addresses(service: Object) -> list[str]:
    spec, status = service.get("spec") or {}, service.get("status") or {}
    outside = [each.get("ip") for each in (status.get("loadBalancer") or {}).get("ingress") or []]
    found = [*(spec.get("clusterIPs") or []), *(spec.get("externalIPs") or []), *outside]
    return [each for each in found if each and each != "None"]


_NETWORKS = {
    "IPPool": _pool_networks,
    "ServiceCIDR": _service_networks,
    "Service": _service_addresses,
}


async def _groups(api: Api) -> set[str]:
    answer = await api.get("/apis")
    return {str(each["name"]) for each in answer.get("groups") or []}


async def _read(api: Api, read: Read) -> tuple[Object, ...]:
    version = read.versions[0]
    root = f"/apis/{read.group}/{version}" if read.group else f"/api/{version}"
    plural = read.resource.partition(".")[0]
    if not read.names:
        listed = await api.get(f"{root}/{plural}")
        return tuple(listed.get("items") or [])
    found = []
    for namespace, name in read.names:
        inside = f"/namespaces/{namespace}" if namespace else ""
        each = await api.find(f"{root}{inside}/{plural}/{name}")
        if each is not None:
            found.append(each)
    return tuple(found)
