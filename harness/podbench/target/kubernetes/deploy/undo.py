"""Takes away everything a run made and puts back what it changed; idempotent, from any machine.

In order: what was changed, in reverse; workloads and their pods; the addresses that the pods held;
temporary pools, through Calico's own API; the namespaces, and with the last of them the ledger.
Nothing is touched that does not bear our labels or that the ledger does not name, and nothing that
`allowed` does not know, whoever wrote the ledger: the run directory's entries go before the
cluster's, and those count for somebody else's objects only where the run's key signed them. It uses
the API only, over whatever way leads there: never the network under test.
"""

import asyncio
import datetime as dt
import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from podbench.model.errors import ClusterError, StoreError
from podbench.target.kubernetes.api.client import Api, ApiError
from podbench.target.kubernetes.api.refs import Object, Ref, collection, ref
from podbench.target.kubernetes.api.rollout import done, rolling
from podbench.target.kubernetes.deploy import allowed, lease
from podbench.target.kubernetes.deploy.ledger import (
    Entry,
    Ledger,
    is_signed,
    published,
    restored_on_disk,
    run_of,
)
from podbench.target.kubernetes.deploy.put_back import put_back
from podbench.target.kubernetes.deploy.settings import HOST_NAMESPACE, NAMESPACE, RUN_LABEL
from podbench.target.kubernetes.survey import node_status

NAMESPACES = (HOST_NAMESPACE, NAMESPACE)
"""In the order they go: the ledger and the lease are in the last."""
POOLS = allowed.POOLS
WORKLOADS = ("DaemonSet", "Deployment")
PODS_S = 120.0
BLOCKS_S = 60.0
NAMESPACES_S = 180.0
ROLLED_S = 180.0
"""From node to node, as a DaemonSet's default is; longer than that none is waited for."""
LOOK_S = 0.5

UNSIGNED = (
    "the ledger in the cluster is not signed by the run that it tells of, so it was not put back;"
    " `bench restore RUN` takes the run directory's"
)

Say = Callable[[str], None]


class Left(msgspec.Struct, frozen=True):
    """Something that is still there, and why."""

    ref: Ref
    why: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked for afterwards: the proof that the cluster is as it was."""

    runs: tuple[str, ...]
    """Whose traces were found; empty: there were none."""
    gone: tuple[Ref, ...] = ()
    restored: tuple[Ref, ...] = ()
    left: tuple[Left, ...] = ()


class Undo:
    """One restoration, by `own`. `run_id` null: whichever run left something.

    `folder` is the run directory, where it is here: what is put back is written down there, and
    what was already is let be.
    """

    def __init__(
        self,
        api: Api,
        say: Say,
        *,
        own: str,
        run_id: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self._api = api
        self._say = say
        self._run_id = run_id
        self._ledger = Ledger(api, run_id or "", folder)
        self._before = {} if folder is None else restored_on_disk(folder)
        """What an earlier restoration put back, and when."""
        self._own = own
        self._runs: set[str] = set()
        self._left: list[Left] = []
        self._restored: list[Ref] = []

    async def run(self, known: Sequence[Entry] = ()) -> Listing:
        """Undoes it all; returns once the namespaces are gone.

        Args:
            known: Entries of the run directory, for a cluster whose ConfigMap is gone.

        Raises:
            ClusterError: A run is still measuring, another run's traces are there than asked for,
                or something does not go away; calling it again goes on.
        """
        spaces = await self._namespaces()
        # Living runs are let be; a dead one's lease runs out while we look.
        if NAMESPACE in spaces:
            holder = await lease.living_holder(self._api, self._own)
            if holder is not None and holder != self._own:
                raise lease.in_use(holder)
            await lease.seize(self._api, self._own)
        entries = await self._entries(known, spaces)
        await self._put_back(list(reversed(entries.values())))
        await self._workloads(spaces)
        await self._questions(entries)
        pools = await self._pools(entries)
        for pool in pools:
            await self._released(pool)
        for pool in pools:
            self._say(f"removing {ref(pool)}")
            # By name, which only we use: preconditions are not relied on with an aggregated API.
            await self._api.delete(ref(pool).path)
        for name in NAMESPACES:
            await self._remove_namespace(spaces.get(name))
        for each in self._restored:
            if each.kind == "DaemonSet":
                await self._rolled_out(each)
        return await self._look_again(entries)

    async def _entries(self, known: Sequence[Entry], spaces: dict[str, Object]) -> dict[Ref, Entry]:
        """What is to be undone; what may not be is said to be left, with the reason."""
        found = {each.ref: each for each in known}
        if NAMESPACE in spaces:
            signed = await is_signed(self._api, run_of(spaces[NAMESPACE]) or "")
            for entry in await published(self._api):
                if entry.ref in found:
                    continue
                if signed or entry.earlier is None:
                    found[entry.ref] = entry
                else:
                    self._left.append(Left(entry.ref, UNSIGNED))
        return {name: entry for name, entry in found.items() if self._may_be_undone(entry)}

    def _may_be_undone(self, entry: Entry) -> bool:
        if entry.earlier is None:
            why = allowed.refused_object(entry.ref)
        else:
            given = {field.path: field.values for field in entry.fields}
            why = allowed.refused_change(entry.ref, entry.earlier, given)
        if why is not None:
            self._left.append(Left(entry.ref, why))
        return why is None

    async def _namespaces(self) -> dict[str, Object]:
        found = {}
        for name in NAMESPACES:
            space = await self._api.find(Ref("Namespace", name).path)
            if space is None:
                continue
            if self._mine(space):
                found[name] = space
        return found

    def _mine(self, body: Object) -> bool:
        """Whether an object is to go; one that is not is said to be left."""
        name, run = ref(body), run_of(body)
        if run is None:
            self._left.append(Left(name, "it does not bear podbench's labels: not made by it"))
            return False
        if self._run_id is not None and run != self._run_id:
            raise ClusterError(
                f"this cluster holds run {run}, not {self._run_id} ({name})",
                advice="`bench clean` takes away whatever run's traces are there",
            )
        self._runs.add(run)
        return True

    async def _workloads(self, spaces: dict[str, Object]) -> None:
        query = {"labelSelector": RUN_LABEL}
        for space in spaces:
            for kind in WORKLOADS:
                for body in await self._api.items(collection(kind, space), query):
                    self._say(f"removing {kind} {body['metadata']['name']}")
                    await self._api.delete(
                        f"{collection(kind, space)}/{body['metadata']['name']}",
                        body["metadata"]["uid"],
                    )
        for space in spaces:
            await self._until_empty(collection("Pod", space), query, PODS_S, "pods")

    async def _until_empty(
        self, path: str, query: dict[str, str], timeout_s: float, what: str
    ) -> None:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while found := await self._api.items(path, query):
            if asyncio.get_running_loop().time() > deadline:
                names = ", ".join(_where(each) for each in found)
                raise ClusterError(
                    f"{what} are still there after {timeout_s:g} s: {names}",
                    advice="look why they do not end (kubectl describe), then call this again",
                )
            await asyncio.sleep(LOOK_S)

    async def _questions(self, entries: dict[Ref, Entry]) -> None:
        """What Calico was asked and was not taken away at once, as it should have been."""
        for name in [each for each in entries if each.kind == node_status.KIND]:
            body = await self._api.find(name.path)
            if body is not None and self._mine(body):
                self._say(f"removing {name}")
                await self._api.delete(name.path)

    async def _pools(self, entries: dict[Ref, Entry]) -> list[Object]:
        """Temporary pools: those of the ledger and, for a run that died early, by name."""
        planned = {each.ref for each in entries.values() if each.earlier is None}
        names = {Ref("IPPool", name) for name in POOLS}
        names |= {each for each in planned if each.kind == "IPPool"}
        found = [await self._api.find(each.path) for each in sorted(names)]
        return [each for each in found if each is not None and self._mine(each)]

    async def _released(self, pool: Object) -> None:
        """Waits until no pod's address of the pool is held any more."""
        cidr = ipaddress.ip_network(pool["spec"]["cidr"])
        deadline = asyncio.get_running_loop().time() + BLOCKS_S
        while held := await self._held(cidr):
            if asyncio.get_running_loop().time() > deadline:
                self._say(f"{len(held)} addresses of {cidr} are still held: {', '.join(held[:5])}")
                return
            await asyncio.sleep(LOOK_S)

    async def _held(self, cidr: ipaddress.IPv4Network | ipaddress.IPv6Network) -> list[str]:
        held = []
        for block in await self._api.items(collection("IPAMBlock")):
            if ipaddress.ip_network(block["spec"]["cidr"]).overlaps(cidr):
                for attribute in block["spec"].get("attributes") or []:
                    owner = attribute.get("secondary") or {}
                    if owner.get("namespace") in NAMESPACES:
                        held.append(f"{owner['namespace']}/{owner.get('pod', '?')}")
        return held

    async def _put_back(self, entries: Sequence[Entry]) -> None:
        """Before anything else: how pods reach each other here is not ours."""
        for name, wall_ns in self._before.items():
            self._say(f"{name} was put back already, at {_utc(wall_ns)}: it is not touched again")
        for entry in entries:
            if entry.earlier is None or entry.ref in self._before:
                continue
            why = await put_back(self._api, entry, self._say)
            if why is None:
                self._restored.append(entry.ref)
                self._write_down(entry.ref)
            else:
                self._left.append(Left(entry.ref, why))

    def _write_down(self, name: Ref) -> None:
        try:
            self._ledger.note("restored", ref=name)
        except StoreError as error:
            # A full disk here must not keep the cluster as the run left it.
            self._say(f"that {name} was put back could not be written down: {error}")

    async def _rolled_out(self, name: Ref) -> None:
        """Waits until every node runs what was put back: until then the network still changes."""
        clock = asyncio.get_running_loop().time
        deadline, reached = clock() + ROLLED_S, 0
        while (found := await self._api.find(name.path)) is not None:
            if (behind := rolling(found)) is None:
                return
            if (now := done(found)) > reached:
                reached, deadline = now, clock() + ROLLED_S
            if clock() > deadline:
                self._say(f"{name} was not rolled out further in {ROLLED_S:g} s: {behind}")
                return
            await asyncio.sleep(LOOK_S)

    async def _remove_namespace(self, space: Object | None) -> None:
        if space is None:
            return
        name = space["metadata"]["name"]
        self._say(f"removing Namespace {name}")
        path = Ref("Namespace", name).path
        try:
            await self._api.delete(path, space["metadata"]["uid"])
        except ApiError as error:
            if error.status != 409:
                raise
        deadline = asyncio.get_running_loop().time() + NAMESPACES_S
        while (found := await self._api.find(path)) is not None:
            if found["metadata"]["uid"] != space["metadata"]["uid"]:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise ClusterError(
                    f"Namespace {name} is still there after {NAMESPACES_S:g} s: {_hindered(found)}",
                    advice="remove what hinders it, then call this again",
                )
            await asyncio.sleep(LOOK_S)

    async def _look_again(self, entries: dict[Ref, Entry]) -> Listing:
        looked = {Ref("Namespace", name) for name in NAMESPACES}
        looked |= {Ref("IPPool", name) for name in POOLS}
        looked |= {each.ref for each in entries.values() if each.earlier is None}
        gone = []
        for each in sorted(looked, key=str):
            body = await self._api.find(each.path)
            if body is None:
                gone.append(each)
            elif run_of(body) is not None:
                self._left.append(Left(each, "it is still there"))
        return Listing(
            runs=tuple(sorted(self._runs)),
            gone=tuple(gone),
            restored=tuple(self._restored),
            left=tuple(dict.fromkeys(self._left)),
        )


def _utc(wall_ns: int) -> str:
    return dt.datetime.fromtimestamp(wall_ns / 1e9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _where(pod: Object) -> str:
    """A pod that does not end, with its node: that is where the reason mostly is."""
    return f"{pod['metadata']['name']} on {pod.get('spec', {}).get('nodeName', 'no node')}"


def _hindered(space: Object) -> str:
    conditions = space.get("status", {}).get("conditions") or []
    told = [each["message"] for each in conditions if each.get("status") == "True"]
    return "; ".join(told) or "no reason given"
