"""What follows from objects: pods of DaemonSets and Deployments, ends of namespaces, lab pools.

Level-triggered: whatever changed, everything is brought to what the objects say.
"""

import asyncio
import contextlib
import copy
import hashlib
import json
import secrets

from support.apiserver import admission
from support.apiserver.kubelet import Kubelet
from support.apiserver.store import Change, Object, Place, Store, now

REVISION = "controller-revision-hash"
ENCAPSULATIONS = {
    # The Installation's word -> the pool's ipipMode and vxlanMode.
    "VXLAN": ("Never", "Always"),
    "VXLANCrossSubnet": ("Never", "CrossSubnet"),
    "IPIP": ("Always", "Never"),
    "IPIPCrossSubnet": ("CrossSubnet", "Never"),
    "None": ("Never", "Never"),
}
WORKLOADS = {"daemonsets": "DaemonSet", "deployments": "Deployment"}


class Controllers:
    """The control plane's loops, and the defaults that creating brings."""

    def __init__(self, store: Store, kubelet: Kubelet) -> None:
        self._store = store
        self._kubelet = kubelet
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pods: dict[Place, Object] = {}
        self._pools: dict[str, Object] = {}
        self.paused = False
        """True: nothing follows from anything, as with a dead controller manager."""
        self.operator_paused = False
        """True: Calico's operator does nothing, as where it is too old to bring pools after."""

    def start(self) -> None:
        """Begins."""
        self._store.listeners.append(self._changed)
        self._task = asyncio.create_task(self._run())

    def _changed(self, change: Change) -> None:
        self._dirty.set()

    async def stop(self) -> None:
        """Ends, with what runs in pods."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for pod in list(self._pods.values()):
            await self._kubelet.stop(pod)

    async def _run(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if not self.paused:
                if not self.operator_paused:
                    self._operator()
                await self._pools_to_kubelet()
                for plural in WORKLOADS:
                    for place, workload in list(self._store.all("apps/v1", plural)):
                        await self._reconcile(place, workload)
                await self._node_statuses()
                await self._orphans()
                await self._terminating()

    def completed(self, body: Object) -> Object:
        """A new object with what the server adds before anybody owns it."""
        body = copy.deepcopy(body)
        if body["kind"] == "Namespace":
            labels = body["metadata"].setdefault("labels", {})
            labels["kubernetes.io/metadata.name"] = body["metadata"]["name"]
        return body

    def defaulted(self, live: Object | None, body: Object) -> Object:
        """Fields that the server fills in, owned by nobody."""
        body = copy.deepcopy(body)
        if body["kind"] == "Namespace":
            body.setdefault("spec", {"finalizers": ["kubernetes"]})
            body.setdefault("status", {"phase": "Active"})
        if body["kind"] in WORKLOADS.values():
            changed = live is None or live.get("spec") != body.get("spec")
            before = (live or {}).get("metadata", {}).get("generation", 0)
            body["metadata"]["generation"] = before + changed
            zeros = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled")
            body.setdefault("status", {**dict.fromkeys(zeros, 0), "numberReady": 0})
        return body

    def level(self, place: Place) -> str:
        """A namespace's enforced Pod Security."""
        space = self._store.get(Place("v1", "namespaces", "", place.namespace)) or {"metadata": {}}
        labels = space["metadata"].get("labels") or {}
        return str(labels.get("pod-security.kubernetes.io/enforce", "privileged"))

    def deleted(self, place: Place, live: Object, options: Object) -> Object:
        """A deletion: at once, or marked where something has to end first."""
        if place.plural in ("namespaces", "pods"):
            if "deletionTimestamp" not in live["metadata"]:
                live["metadata"]["deletionTimestamp"] = now()
                if place.plural == "namespaces":
                    live["status"] = {"phase": "Terminating"}
                    if options.get("propagationPolicy") == "Foreground":
                        live["metadata"]["finalizers"] = ["foregroundDeletion"]
                live = self._store.put(place, live)
            return live
        self._store.drop(place)
        group = place.group.partition("/")[0] if "/" in place.group else ""
        details = admission.named(place.plural, place.name, group)
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return {**success, "details": {**details, "uid": live["metadata"]["uid"]}}

    async def _pools_to_kubelet(self) -> None:
        there = {p.name: body for p, body in self._store.all("projectcalico.org/v3", "ippools")}
        for name in set(there) - set(self._pools):
            await self._kubelet.pool_made(there[name])
        for name in set(self._pools) - set(there):
            await self._kubelet.pool_gone(self._pools[name])
        for name in set(self._pools) & set(there):
            if self._pools[name]["spec"] != there[name]["spec"]:
                await self._kubelet.pool_changed(there[name])
        self._pools = there

    def _operator(self) -> None:
        """Calico's operator: brings the pools it owns to what its Installation says."""
        v3 = "projectcalico.org/v3"
        for _, installation in self._store.all("operator.tigera.io/v1", "installations"):
            listed = installation["spec"].get("calicoNetwork", {}).get("ipPools") or []
            wanted = {each["cidr"]: ENCAPSULATIONS[each["encapsulation"]] for each in listed}
            for place, pool in list(self._store.all(v3, "ippools")):
                labels = pool["metadata"].get("labels") or {}
                owned = labels.get("app.kubernetes.io/managed-by") == "tigera-operator"
                if owned and pool["spec"]["cidr"] in wanted:
                    ipip, vxlan = wanted[pool["spec"]["cidr"]]
                    pool["spec"] |= {"ipipMode": ipip, "vxlanMode": vxlan}
                    self._store.put(place, pool)

    async def _reconcile(self, place: Place, workload: Object) -> None:
        owner = workload["metadata"]["uid"]
        mine = {
            body["spec"]["nodeName"]: (at, body)
            for at, body in self._store.all("v1", "pods", place.namespace)
            if body["metadata"]["ownerReferences"][0]["uid"] == owner
        }
        wanted = [name for name in self._nodes() if _admits(workload, name)]
        for node in wanted:
            if node not in mine:
                await self._start_pod(place, workload, node)
        ready = sum(_ready(body) for _, body in mine.values())
        old = [each for each in mine.values() if _revision(each[1]) != _of_template(workload)]
        self._roll(workload, old, busy=ready < len(wanted))
        self._set_status(place, len(wanted), ready, len(wanted) - len(old))

    def _roll(self, workload: Object, old: list[tuple[Place, Object]], *, busy: bool) -> None:
        """Replaces one pod of an older template, as RollingUpdate does, when all are ready."""
        strategy = (workload["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate")
        if not old or busy or strategy == "OnDelete" or workload["kind"] != "DaemonSet":
            return
        place, body = old[0]
        body["metadata"]["deletionTimestamp"] = now()
        self._store.put(place, body)

    def _nodes(self) -> list[str]:
        return [place.name for place, _ in self._store.all("v1", "nodes")]

    async def _start_pod(self, owner: Place, workload: Object, node: str) -> None:
        template = copy.deepcopy(workload["spec"]["template"])
        name = f"{owner.name}-{secrets.token_hex(3)}"
        place = Place("v1", "pods", owner.namespace, name)
        try:
            admission.pod_security(self.level(place), name, template["spec"])
        except admission.Refused:
            return
        reference = {
            "apiVersion": "apps/v1",
            "kind": WORKLOADS[owner.plural],
            "name": owner.name,
            "uid": workload["metadata"]["uid"],
            "controller": True,
        }
        template["metadata"].setdefault("labels", {})[REVISION] = _of_template(workload)
        meta = {
            **template["metadata"],
            "name": name,
            "namespace": owner.namespace,
            "ownerReferences": [reference],
        }
        spec = {**template["spec"], "nodeName": node}
        body: Object = {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": spec}
        body["status"] = {"phase": "Pending"}
        body = self._store.put(place, body)
        self._pods[place] = body
        body["status"] = await self._kubelet.start(body)
        self._pods[place] = self._store.put(place, body)

    def _set_status(self, place: Place, wanted: int, ready: int, updated: int) -> None:
        live = self._store.get(place)
        if live is None:
            return
        live["status"] = {
            "currentNumberScheduled": wanted,
            "desiredNumberScheduled": wanted,
            "updatedNumberScheduled": updated,
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberAvailable": ready,
            "observedGeneration": live["metadata"].get("generation", 1),
        }
        self._store.put(place, live)

    async def _node_statuses(self) -> None:
        """calico-node's part: each status that is asked for is told once."""
        for place, body in list(self._store.all("projectcalico.org/v3", "caliconodestatuses")):
            if "status" not in body:
                told = await self._kubelet.node_status(body["spec"]["node"])
                self._store.put(place, {**body, "status": {**told, "lastUpdated": now()}})

    async def _orphans(self) -> None:
        """Pods whose owner went, and those that are to be deleted, end."""
        owners = {
            body["metadata"]["uid"]
            for plural in WORKLOADS
            for _, body in self._store.all("apps/v1", plural)
        }
        for place, pod in list(self._store.all("v1", "pods")):
            owner = (pod["metadata"].get("ownerReferences") or [{}])[0].get("uid")
            if "deletionTimestamp" in pod["metadata"] or (owner and owner not in owners):
                await self._kubelet.stop(pod)
                self._pods.pop(place, None)
                self._store.drop(place)

    async def _terminating(self) -> None:
        for place, space in list(self._store.all("v1", "namespaces")):
            if "deletionTimestamp" not in space["metadata"]:
                continue
            for other in self._store.places():
                if other.namespace != place.name:
                    continue
                body = self._store.get(other)
                if other.plural == "pods" and body is not None:
                    await self._kubelet.stop(body)
                    self._pods.pop(other, None)
                self._store.drop(other)
            self._store.drop(place)


def _admits(workload: Object, node: str) -> bool:
    """By node affinity on the object's name; terms are ORed."""
    spec = workload["spec"]["template"]["spec"]
    required = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    chosen = required.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = chosen.get("nodeSelectorTerms")
    if not terms:
        return True
    return any(node in field["values"] for term in terms for field in term["matchFields"])


def _of_template(workload: Object) -> str:
    text = json.dumps(workload["spec"]["template"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _revision(pod: Object) -> str:
    return str(pod["metadata"]["labels"][REVISION])


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
