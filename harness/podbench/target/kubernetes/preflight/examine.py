"""Looks at a cluster for `bench doctor`: reads, access reviews, dry runs. Nothing is changed.

What may not be read is unknown, with the server's word. `doctor.cluster` judges what is found.
"""

import msgspec

from podbench.cni.calico import pools
from podbench.cni.detect.cluster import ClusterDetected, detect_cluster
from podbench.cni.detect.facts import ClusterFacts, Fact, told, unknown
from podbench.cni.flannel.switch import DAEMON_SETS
from podbench.cni.recipes import recipe
from podbench.model.arms import Mode
from podbench.target.kubernetes.api.client import Api, ApiError, Context
from podbench.target.kubernetes.api.refs import Object, Ref, collection
from podbench.target.kubernetes.deploy import lease
from podbench.target.kubernetes.deploy.ledger import run_of
from podbench.target.kubernetes.deploy.settings import OtherBroker
from podbench.target.kubernetes.deploy.undo import NAMESPACES, POOLS
from podbench.target.kubernetes.preflight import dry_runs, rights
from podbench.target.kubernetes.preflight.dry_runs import Tried
from podbench.target.kubernetes.preflight.pods import SeenPod, seen
from podbench.target.kubernetes.preflight.rights import Right
from podbench.target.kubernetes.survey.collect import collect, taken_networks, why_unread
from podbench.target.kubernetes.survey.nodes import Choice, Wanted, choose

LISTED = (
    "Service",
    "ResourceQuota",
    "LimitRange",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
    "ClusterNetworkPolicy",
    "CiliumClusterwideNetworkPolicy",
    "GlobalNetworkPolicy",
    "HostEndpoint",
)
"""Kinds whose objects could stand in a run's way; one that a cluster does not know has none."""
V3 = Ref("APIService", "v3.projectcalico.org")

Listed = Fact[tuple[Object, ...]]


class Answered(msgspec.Struct, frozen=True):
    """What the server says to one right. `allowed` null: it did not answer the question."""

    right: Right
    allowed: bool | None


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found out."""

    context: Context
    facts: ClusterFacts
    detected: ClusterDetected
    nodes: tuple[Object, ...]
    choice: Choice
    other: OtherBroker | None
    """Another broker than the run's own, where one was named."""
    rights: tuple[Answered, ...]
    """Of all methods, each once."""
    tried: tuple[Tried, ...]
    objects: tuple[Object, ...]
    """What a run would make, with a pod of each workload."""
    pods: Fact[tuple[SeenPod, ...]]
    listed: dict[str, Listed]
    v3: Fact[Object]
    """The APIService of projectcalico.org/v3; unknown too where there is none."""
    overlaps: str | None
    """What of the cluster's own lies where temporary pools would."""
    holder: Fact[str]
    """Who measures here now; empty: nobody does."""
    leftovers: Fact[tuple[tuple[Ref, str | None], ...]]
    """What has the name of something a run makes, and the run; null: none of podbench's."""


async def examine(
    api: Api,
    image: str | None,
    other: OtherBroker | None = None,
    wanted: Wanted | None = None,
) -> Examined:
    """Looks at a cluster; takes a second or two, and a lease's length where a run left one.

    Args:
        api: The cluster.
        image: The agents' image; null where none was named.
        other: Another broker; null: the run brings its own.
        wanted: Which nodes are to take part; null: all that can.

    Raises:
        ApiError: The server stays away, takes no credentials of ours, or shows no nodes.
    """
    nodes = await api.items(collection("Node"))
    facts = await collect(api)
    detected = detect_cluster(facts)
    choice = choose(nodes, wanted)
    objects = dry_runs.objects_of(choice, detected, image, other)
    return Examined(
        context=api.context,
        facts=facts,
        detected=detected,
        nodes=tuple(nodes),
        choice=choice,
        other=other,
        rights=await _rights(api, facts, detected, own_broker=other is None),
        tried=await dry_runs.try_out(api, objects),
        objects=tuple(dry_runs.with_pods(objects)),
        pods=await _pods(api),
        listed={kind: await _listed(api, kind) for kind in LISTED},
        v3=await _v3(api),
        overlaps=pools.overlapping(pools.DEFAULT_CIDR, await taken_networks(api, nodes)),
        holder=await _holder(api),
        leftovers=await _leftovers(api),
    )


async def _rights(
    api: Api, facts: ClusterFacts, detected: ClusterDetected, *, own_broker: bool
) -> tuple[Answered, ...]:
    changed = (each for edits in recipe(facts, detected).edits.values() for each in edits)
    daemons = next((each.name for each in changed if each.restarts), DAEMON_SETS[0])
    wanted = dict.fromkeys(
        right
        for method in rights.BY_METHOD
        for right in rights.needed(
            method,
            tuple(Mode),
            broker=own_broker,
            groups=facts.groups,
            cni=detected.cni.value,
            daemons=daemons,
        )
    )
    return tuple(await dry_runs.together([_ask(api, right) for right in wanted]))


async def _ask(api: Api, right: Right) -> Answered:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    try:
        answer = await api.create(path, rights.review(right))
    except ApiError:
        return Answered(right, None)
    return Answered(right, bool(answer["status"].get("allowed")))


async def _pods(api: Api) -> Fact[tuple[SeenPod, ...]]:
    found: list[SeenPod] = []
    try:
        async for page in api.pages(collection("Pod")):
            found += [each for each in map(seen, page) if each is not None]
    except ApiError as error:
        return unknown(_refused(error))
    return told(tuple(found), "Pods")


async def _listed(api: Api, kind: str) -> Listed:
    try:
        return told(tuple(await api.items(collection(kind))), kind)
    except ApiError as error:
        return unknown(_refused(error))


async def _v3(api: Api) -> Fact[Object]:
    try:
        found = await api.find(V3.path)
    except ApiError as error:
        return unknown(_refused(error))
    return unknown(f"there is no {V3}") if found is None else told(found, str(V3))


async def _holder(api: Api) -> Fact[str]:
    try:
        found = await lease.living_holder(api)
    except ApiError as error:
        return unknown(_refused(error))
    return told(found or "", str(lease.REF))


async def _leftovers(api: Api) -> Fact[tuple[tuple[Ref, str | None], ...]]:
    names = [Ref("Namespace", name) for name in NAMESPACES]
    found = []
    for each in (*names, *(Ref("IPPool", name) for name in POOLS)):
        try:
            body = await api.find(each.path)
        except ApiError as error:
            return unknown(_refused(error))
        if body is not None:
            found.append((each, run_of(body)))
    return told(tuple(found), "their names")


def _refused(error: ApiError) -> str:
    """Why something is not known.

    Raises:
        ApiError: The server is out of reach: then nothing is.
    """
    if why_unread(error) is None:
        raise error
    return str(error)
