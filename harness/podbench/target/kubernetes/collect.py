"""Reads from the API what detection concludes from; nothing is changed, missing rights are told."""

from collections.abc import Mapping

from podbench.cni.detect_facts import WANTED, ClusterFacts, Read
from podbench.model.facts import NodeFacts
from podbench.target.kubernetes.client import Api, ApiError, Object

REFUSED = {401: "not logged in", 403: "forbidden", 404: "not served"}


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
            if error.status not in REFUSED:
                raise
            unread[read.resource] = REFUSED[error.status]
    return ClusterFacts(
        version=str(version.get("gitVersion") or "") or None,
        groups=frozenset(groups),
        objects=objects,
        unread=unread,
        nodes=dict(nodes or {}),
    )


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
