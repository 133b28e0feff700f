"""Makes a run's objects in the cluster, in an order that can be undone at every instant.

First the ledger says what is planned, on disk; then the one object that the ledger in the cluster
needs to be in, the namespace, created once and never adopted; then the lease; then what of the
cluster's own is going to be changed is read, since from here on no other run changes it; then the
ledger in the cluster; then everything else.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from podbench.model.errors import ClusterError
from podbench.target.kubernetes.api.apply import apply, differences
from podbench.target.kubernetes.api.client import Api, ApiError
from podbench.target.kubernetes.api.refs import Object, Ref, collection, ref
from podbench.target.kubernetes.api.watch import Held, until
from podbench.target.kubernetes.deploy import ledger
from podbench.target.kubernetes.deploy.lease import Lease, in_use, living_holder
from podbench.target.kubernetes.deploy.ledger import Entry, Ledger, run_of
from podbench.target.kubernetes.deploy.settings import NAMESPACE, RUN_LABEL

PODS_S = 180.0
"""Pulling an image takes its time."""
SPACE = Ref("Namespace", NAMESPACE)
STUCK = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError")
WATCHED = ("IPPool", "DaemonSet", "Namespace")
"""What is looked at again during the run, field by field."""


CREATED = ("IPPool", "CalicoNodeStatus")
"""Made by a plain create: Calico's own API server need not know server-side apply."""


Changes = Callable[[], Awaitable[Sequence[Entry]]]
"""Reads what of the cluster's own is going to be changed."""


class _Made(msgspec.Struct, frozen=True):
    """What was asked for, and which fields of it admission rewrote."""

    asked: Object
    rewritten: frozenset[str]


class Deployment:
    """One run's objects in one cluster."""

    def __init__(self, api: Api, run_id: str, holder: str, lease_s: int, folder: Path | None):
        self._api = api
        self._run_id = run_id
        self._ledger = Ledger(api, run_id, folder)
        self.lease = Lease(api, holder, lease_s)
        self.entries: tuple[Entry, ...] = ()
        self.begun = False
        """True from the first change on: then there may be something to undo."""
        self.complete = False
        """True once everything is made: from then on nobody else is to change it."""
        self._made: list[_Made] = []
        self.watched: list[Callable[[], Awaitable[list[str]]]] = []
        """What else says when somebody interferes."""

    async def make(self, objects: Sequence[Object], changes: Changes | None = None) -> None:
        """Makes all objects; may be called once. What `changes` reads goes into the ledger, too.

        Raises:
            ClusterError: One exists already, another run has the cluster, or the server refuses.
            InterferenceError: Somebody else manages one of them.
        """
        space = next(each for each in objects if ref(each) == SPACE)
        await self._free(objects)
        self.entries = tuple(Entry(ref=ref(each), earlier=None) for each in objects)
        own = [Entry(ref=each, earlier=None) for each in (ledger.KEY_REF, ledger.REF)]
        self._ledger.plan([*self.entries, *own])
        await self._create_space(space)
        await self.lease.take(ledger.labels(self._run_id))
        if changes is not None:
            # Not before: another run that was just ending might not have put it back yet.
            found = await changes()
            self._ledger.plan(found)
            self.entries = (*self.entries, *found)
        await self._ledger.publish()
        for each in objects:
            if ref(each) != SPACE and each["kind"] != "Lease":
                await self._apply(each)
        self.complete = True

    async def _free(self, objects: Sequence[Object]) -> None:
        """Refuses names that are taken, before anything is written down or made."""
        for each in objects:
            found = await self._api.find(ref(each).path)
            if found is not None:
                raise await self._taken(ref(each), found)

    async def _taken(self, name: Ref, found: Object) -> ClusterError:
        run = run_of(found)
        if run is None:
            return ClusterError(
                f"{name} exists already and was not made by podbench",
                advice="podbench takes over nothing; rename or remove it if it may go",
            )
        holder = await living_holder(self._api)
        if holder is not None:
            return in_use(holder)
        return ClusterError(
            f"{name} is left from run {run}, which ended without taking it away",
            advice="`bench clean` removes what is left and shows that it is gone",
        )

    async def _create_space(self, space: Object) -> None:
        # Interrupted here, or with the answer lost, it may be there: then it is to be undone.
        self.begun = True
        try:
            made = await self._api.create(collection("Namespace"), space)
        except ApiError as error:
            self.begun = error.status == 0
            if error.status != 409:
                raise
            found = await self._api.get(SPACE.path)
            raise await self._taken(SPACE, found) from error
        self._note_made(space, made)

    async def _apply(self, body: Object) -> None:
        if body["kind"] in CREATED:
            made = await self._api.create(collection(body["kind"]), body)
        else:
            made = await apply(self._api, body)
        self._note_made(body, made)

    def _note_made(self, asked: Object, made: Object) -> None:
        # Admission may have rewritten a field at once (an image by its mirror): the cluster's way,
        # and no interference.
        self._made.append(_Made(asked, frozenset(differences(asked, made))))
        self._ledger.note("made", ref=ref(made), uid=made["metadata"]["uid"])

    async def until_running(self, namespaces: Sequence[str], pods: int) -> Held:
        """Waits until that many pods of this run are ready; returns them.

        Raises:
            ClusterError: They are not, in time, or one cannot start; says which and why.
        """
        ready: Held = {}
        query = {"labelSelector": f"{RUN_LABEL}={self._run_id}"}
        for space in namespaces:
            wanted = pods_wanted([each.asked for each in self._made], space)
            ready |= await until(
                self._api,
                collection("Pod", space),
                query,
                lambda held, wanted=wanted: _enough(held, wanted),  # type: ignore[misc] # bound now
                PODS_S,
            )
        assert len(ready) >= pods
        return ready

    async def interference(self) -> list[str]:
        """What of ours somebody else changed or removed: `IPPool podbench-bgp: .spec.cidr`."""
        found = []
        for each in self._made:
            if each.asked["kind"] not in WATCHED:
                continue
            name = ref(each.asked)
            live = await self._api.find(name.path)
            if live is None or "deletionTimestamp" in live["metadata"]:
                found.append(f"{name}: removed")
                continue
            fields = differences(each.asked, live)
            found += [f"{name}: {field}" for field in fields if field not in each.rewritten]
        for look in self.watched:
            found += await look()
        return found

    def note(self, event: str, name: Ref) -> None:
        """Writes a line into the ledger on disk.

        Raises:
            StoreError: It cannot be written.
        """
        self._ledger.note(event, ref=name)


def pods_wanted(objects: Sequence[Object], namespace: str) -> int:
    """How many pods the workloads in a namespace have, each on the nodes it names."""
    count = 0
    for each in objects:
        if each["metadata"].get("namespace") != namespace:
            continue
        if each["kind"] == "Deployment":
            count += int(each["spec"]["replicas"])
        if each["kind"] == "DaemonSet":
            affinity = each["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
            terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
            count += len(terms)
    return count


def ready(pod: Object) -> bool:
    """Whether a pod says so."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _enough(held: Held, wanted: int) -> bool:
    for pod in held.values():
        for each in pod.get("status", {}).get("containerStatuses") or []:
            waiting = (each.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in STUCK:
                raise ClusterError(
                    f"pod {pod['metadata']['name']} on {pod['spec'].get('nodeName')} cannot start: "
                    f"{waiting['reason']}: {waiting.get('message') or 'no more is told'}",
                    advice="check --image and what may pull it from every node",
                )
    return sum(ready(pod) for pod in held.values()) >= wanted
