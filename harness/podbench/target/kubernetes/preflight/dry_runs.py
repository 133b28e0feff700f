"""What the server makes of a run's objects before any is made: server-side dry runs.

A dry run goes through admission and validation and ends there. A namespace that does not exist can
be tried; what belongs in one cannot, so that is tried in `default`, which may have other rules.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from podbench.cni.calico.pools import DEFAULT_CIDR, MODES, plan, refusals
from podbench.cni.detect.cluster import ClusterDetected, mode_found
from podbench.model.arms import Mode
from podbench.target.kubernetes.api.apply import FIELD_MANAGER
from podbench.target.kubernetes.api.client import Api, ApiError
from podbench.target.kubernetes.api.refs import Object, Ref, collection, ref
from podbench.target.kubernetes.deploy.creation import CREATED, SPACE
from podbench.target.kubernetes.deploy.preview import preview_objects
from podbench.target.kubernetes.deploy.settings import OtherBroker, mode_set
from podbench.target.kubernetes.survey.nodes import Choice

T = TypeVar("T")

ELSEWHERE = "default"
"""A namespace that every cluster has."""
EXISTS = 409
AT_ONCE = 8
WORKLOADS = ("DaemonSet", "Deployment")


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One dry run. `status` null: admitted, and `answer` is the object as it would be."""

    ref: Ref
    elsewhere: bool
    """Tried in another namespace than the one it is meant for."""
    status: int | None = None
    message: str | None = None
    answer: Object | None = None


def objects_of(
    choice: Choice, detected: ClusterDetected, image: str | None, other: OtherBroker | None = None
) -> list[Object]:
    """What a run here would make; empty without nodes."""
    if not choice.places:
        return []
    able: list[Mode] = []
    if detected.cni.value == "calico" and detected.calico is not None:
        refused = refusals(detected.calico, allow_bgp_export=True)
        able = [mode for mode in MODES if mode not in refused]
    modes = [mode_set(each.mode, each) for each in plan(DEFAULT_CIDR, able, detected.calico)]
    modes = modes or [mode_set(mode_found(detected).value or Mode.AS_FOUND, None)]
    return preview_objects(choice.places, modes, image, other)


def with_pods(made: Iterable[Object]) -> Iterator[Object]:
    """The objects, and after each workload a pod as its controller will make it."""
    for each in made:
        yield each
        if each["kind"] in WORKLOADS:
            template, meta = each["spec"]["template"], each["metadata"]
            where = {"name": f"{meta['name']}-doctor", "namespace": meta["namespace"]}
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {**template["metadata"], **where},
                "spec": template["spec"],
            }


async def try_out(api: Api, made: Sequence[Object]) -> tuple[Tried, ...]:
    """Dry runs of everything; nothing is kept by the server.

    Raises:
        ApiError: The server stays away.
    """
    spaces: dict[str, bool] = {}
    for each in made:
        space = each["metadata"].get("namespace")
        if space is not None and space not in spaces:
            spaces[space] = await _exists(api, space)
    return tuple(await together([_try(api, each, spaces) for each in made]))


async def together(asked: Sequence[Coroutine[None, None, T]]) -> list[T]:
    """What all give, a few of them under way at a time: the server is others' too."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(each: Coroutine[None, None, T]) -> T:
        async with turns:
            return await each

    return await asyncio.gather(*map(one, asked))


async def _exists(api: Api, space: str) -> bool:
    try:
        return await api.find(Ref("Namespace", space).path) is not None
    except ApiError as error:
        if error.status == 0:
            raise
        return False


async def _try(api: Api, body: Object, spaces: dict[str, bool]) -> Tried:
    name = ref(body)
    elsewhere = name.namespace is not None and not spaces[name.namespace]
    if elsewhere:
        body = {**body, "metadata": {**body["metadata"], "namespace": ELSEWHERE}}
    try:
        if name.namespace is not None and not elsewhere and await api.find(name.path) is not None:
            # Another run's, or left by one: what would become of a change to it says nothing.
            return Tried(ref=name, elsewhere=False, status=EXISTS, message="it exists already")
        answer = await _dry_run(api, body)
    except ApiError as error:
        if error.status == 0:
            raise
        _, _, why = str(error).partition(": ")
        return Tried(ref=name, elsewhere=elsewhere, status=error.status, message=f"{name}: {why}")
    return Tried(ref=name, elsewhere=elsewhere, answer=answer)


async def _dry_run(api: Api, body: Object) -> Object:
    """As `deployment` would make it."""
    if body["kind"] in CREATED or ref(body) == SPACE:
        return await api.create(collection(body["kind"]), body, dry_run=True)
    query = {"fieldManager": FIELD_MANAGER, "force": "false", "dryRun": "All"}
    # A webhook that is out of reach answers 500: what waits for a server gains nothing there.
    return await api.apply(ref(body).path, body, query, patient=False)
