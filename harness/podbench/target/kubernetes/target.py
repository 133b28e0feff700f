"""A cluster as a target: choose nodes, take modes on, deploy agents, watch over it, undo it all.

`up` reads only. The first change is made by `deploy`, and whatever was made goes when `up` ends,
however it ends: by itself, by a signal, or because the cluster got into trouble meanwhile.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import msgspec

from podbench.cni.detect_cluster import ClusterDetected, detect_cluster
from podbench.cni.detect_nodes import link_speed
from podbench.cni.switch import recipe
from podbench.model.arms import OVERHEAD_BYTES
from podbench.model.errors import ClusterError, PodbenchError, PrerequisiteError
from podbench.model.facts import NodeFacts
from podbench.model.nodes import Node, Pod
from podbench.target.base import Aftermath
from podbench.target.kubernetes import clocks, credentials, lease, node_status, portforward
from podbench.target.kubernetes.canary import Perch, Watchman
from podbench.target.kubernetes.client import PATIENCE_S, Api, Object
from podbench.target.kubernetes.collect import collect, taken_networks
from podbench.target.kubernetes.deployment import Deployment, ready
from podbench.target.kubernetes.fleet import (
    UNKNOWN_LINK_CAP_BPS,
    Addresses,
    CarefulFleet,
    cap_bps,
)
from podbench.target.kubernetes.guard import guarded
from podbench.target.kubernetes.ledger import Entry
from podbench.target.kubernetes.nodes import Choice, choose
from podbench.target.kubernetes.objects import objects
from podbench.target.kubernetes.other_broker import Access
from podbench.target.kubernetes.refs import Ref, collection
from podbench.target.kubernetes.settings import (
    BROKER_COMPONENT,
    CANARY_COMPONENT,
    COMPONENT_LABEL,
    HOST_COMPONENT,
    HOST_NAMESPACE,
    NAMESPACE,
    ORCHESTRATOR,
    RUN_LABEL,
    Broker,
    Credentials,
    OtherBroker,
    Settings,
    agent_id,
    agents,
    agents_on,
    asks_calico,
    mode_set,
)
from podbench.target.kubernetes.switch import Switch, interference
from podbench.target.kubernetes.turning import Turning
from podbench.target.kubernetes.undo import Listing, Undo
from podbench.target.kubernetes.watch import changes
from podbench.target.kubernetes.world import KubernetesWorld, Method
from podbench.transport import endpoint
from podbench.transport.base import Fleet
from podbench.transport.endpoint import Endpoint
from podbench.transport.mqtt import MqttFleet

logger = logging.getLogger(__name__)

AGENTS_S = 60.0
AWAY_S = 3.0
"""An agent whose connection broke is back within a second, if it lives."""
LEASE_S = 60


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """What a run on a cluster is asked to be."""

    run_id: str
    image: str
    method: Method = Method(name="observe")
    context: str | None = None
    nodes: tuple[str, ...] = ()
    """Those that take part, by name; empty: all that can."""
    folder: Path | None = None
    """The run directory: where changes are written down before they are made."""
    lease_s: int = LEASE_S
    patience_s: float = PATIENCE_S
    most_bps: int | None = None
    saturate: bool = False
    broker: Access | None = None
    """Somebody else's; null: the run brings its own."""
    capture: bool = False
    """Whether proofs take captures (`--proof capture`): then host agents hold NET_RAW."""


def holder() -> str:
    """Who we are, for a lease: host and process."""
    return f"{socket.gethostname()}/{os.getpid()}"


class KubernetesTarget:
    """Where `bench run` measures on a cluster (`target.base.Target`)."""

    name = "kubernetes"
    exclusive = False

    def __init__(self, asked: Cluster, say: Callable[[str], None]) -> None:
        self._asked = asked
        self._say = say
        self.listing: Listing | None = None
        """What was looked for afterwards; null before, and where nothing was made."""
        self.aftermath: Aftermath | None = None
        """The same for the record; with what could not be undone, and why."""

    def up(self) -> AbstractAsyncContextManager["LaidCluster"]:
        """Reads what the cluster is; leaving undoes whatever was made in it.

        Raises:
            PrerequisiteError: Fewer than two nodes can take part; says why of each other.
            ClusterError: The API server refuses or stays away, or the cluster got into trouble.
            InterferenceError: Somebody else changed what this run had made.
        """
        return self._up()

    @contextlib.asynccontextmanager
    async def _up(self) -> AsyncIterator["LaidCluster"]:
        async with Api(self._asked.context, patience_s=self._asked.patience_s) as api:
            nodes = await api.items(collection("Node"))
            choice = choose(nodes, only=self._asked.nodes)
            _require_pairs(choice, self._asked.nodes)
            facts = await collect(api)
            found = detect_cluster(facts)
            switching = self._asked.method.name == "switch"
            switch = Switch(api, recipe(facts, found)) if switching else None
            laid = LaidCluster(api, self._asked, choice, found, switch, self._say)
            if self._asked.method.name == "pools":
                laid.world.keep_off(await taken_networks(api, nodes))
            try:
                names = [each.name for each in choice.places]
                async with guarded(laid.deployment, api, names, laid.watchman.trouble):
                    yield laid
            finally:
                await self._undo(api, laid.deployment)

    async def _undo(self, api: Api, deployment: Deployment) -> None:
        """Undoes what was made; what cannot be undone is told in `aftermath`, not raised.

        The run's own end, good or bad, is what its caller has to learn of.
        """
        if not deployment.begun:
            return
        made = tuple(str(each.ref) for each in deployment.entries if each.earlier is None)
        if deployment.lease.taken:
            why = "another run has the cluster now: nothing is taken away here"
            self._say(why)
            self.aftermath = Aftermath(made=made, left=(why,))
            return
        self.aftermath = Aftermath(made=made, left=("this was not waited for to the end",))
        undo = Undo(api, self._say, own=holder(), run_id=self._asked.run_id)
        try:
            self.listing = await undo.run(deployment.entries)
        except PodbenchError as error:
            self.aftermath = Aftermath(made=made, left=(str(error),))
            await lease.release(api, holder())
            return
        self.aftermath = Aftermath(
            made=made,
            gone=tuple(map(str, self.listing.gone)),
            restored=tuple(map(str, self.listing.restored)),
            left=tuple(f"{each.ref}: {each.why}" for each in self.listing.left),
        )


def _require_pairs(choice: Choice, planned: Sequence[str]) -> None:
    why = {each.name: each.reason for each in choice.left_out}
    missing = [name for name in planned if name not in {each.name for each in choice.places}]
    if missing:
        reasons = "; ".join(f"{name}: {why.get(name, 'it is gone')}" for name in missing)
        raise PrerequisiteError(
            f"nodes that were to take part cannot now: {reasons}",
            advice="see to them and go on, or begin another run without them",
        )
    if len(choice.places) >= 2:
        return
    told = "; ".join(f"{name}: {reason}" for name, reason in why.items())
    raise PrerequisiteError(
        f"a pair takes two nodes, and {len(choice.places)} can take part; {told or 'no others'}",
        advice="see to what keeps the others out, or use --target lab",
    )


class LaidCluster:
    """A cluster that was looked at (`target.base.LaidTarget`)."""

    def __init__(
        self,
        api: Api,
        asked: Cluster,
        choice: Choice,
        found: ClusterDetected,
        switch: Switch | None,
        say: Callable[[str], None],
    ) -> None:
        self._api = api
        self._asked = asked
        self._say = say
        self.choice = choice
        self.detected = found
        self.switch = switch
        self._turning = None if switch is None else Turning(switch, say)
        self._world = KubernetesWorld(
            api, asked.run_id, choice.places, asked.method, found.calico, self._turning
        )
        self.deployment = Deployment(api, asked.run_id, holder(), asked.lease_s, asked.folder)
        self.watchman = Watchman(
            say, saturate=asked.saturate, pods=switch is None, folder=asked.folder
        )
        self.most_bps: int | None = UNKNOWN_LINK_CAP_BPS
        """The most one transfer sends; null: as much as it can. Known once deployed."""
        self._world.hush = self.watchman.held

    @property
    def world(self) -> KubernetesWorld:
        """What CNI drivers work on."""
        return self._world

    def deploy(self) -> AbstractAsyncContextManager[tuple[tuple[Node, ...], Fleet]]:
        """Makes pools, broker and agents, and connects to them.

        Raises:
            ClusterError: Something cannot be made, or does not start.
            TransportError: Broker or agents cannot be reached.
        """
        return self._deploy()

    @contextlib.asynccontextmanager
    async def _deploy(self) -> AsyncIterator[tuple[tuple[Node, ...], Fleet]]:
        settings = await self._settings()
        await self.deployment.make(objects(settings), await self.changes())
        wanted = len(agents(settings)) + isinstance(settings.broker, Broker)
        async with self.deployment.lease.kept():
            pods = await self.deployment.until_running((NAMESPACE, HOST_NAMESPACE), wanted)
            async with (
                self._way_to_broker(settings) as endpoint,
                MqttFleet(endpoint, run_id=settings.run_id, away_s=AWAY_S) as mqtt,
            ):
                await mqtt.wait_ready(agents(settings), AGENTS_S)
                addresses = Addresses()
                fleet = CarefulFleet(mqtt, UNKNOWN_LINK_CAP_BPS, addresses)
                self._world.settle(self._world.nodes, fleet)
                nodes = await self._nodes(pods)
                fleet.most_bps = self.most_bps = self._cap_bps(nodes)
                if settings.node_status:
                    await self._hear_calico(settings.nodes)
                await self._detect_again()
                self._world.settle(nodes, fleet)
                following = asyncio.create_task(self._follow(addresses))
                try:
                    watching = self.watchman.watching(fleet, mqtt.gone, _perches(nodes, pods))
                    async with watching:
                        yield nodes, fleet
                    if self._turning is not None:
                        await self._turning.back()
                finally:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
                    self._world.settle(nodes, None)

    @contextlib.asynccontextmanager
    async def _way_to_broker(self, settings: Settings) -> AsyncIterator[Endpoint]:
        """To the run's own through the API server; somebody else's is reached as the agents do."""
        if self._asked.broker is not None:
            yield self._asked.broker.endpoint
            return
        forwarded = portforward.forwarded(self._api, self._broker, settings.broker.port)
        async with forwarded as port:
            yield _endpoint(port, settings.credentials)

    def _cap_bps(self, nodes: Sequence[Node]) -> int | None:
        links = [each.nic_bps for each in nodes]
        return cap_bps(self._asked.most_bps, links, saturate=self._asked.saturate)

    async def _hear_calico(self, nodes: Sequence[str]) -> None:
        """Calico's own word on its BGP sessions; what it does not tell stays unknown."""
        self._world.told = told = await node_status.ask(self._api, nodes)
        if silent := node_status.check(told, nodes):
            self._say(silent)

    async def _detect_again(self) -> None:
        """Completes what the API told by what agents read on their nodes."""
        read = {node.name: await self._world.facts(node.name) for node in self._world.nodes}
        self.detected = detect_cluster(await collect(self._api, read))

    async def changes(self) -> tuple[Entry, ...]:
        """What is going to be changed of the cluster's own, for the ledger; then watched over.

        Raises:
            ClusterError: It cannot be read.
            InterferenceError: It changed since the cluster was looked at.
        """
        if self.switch is None:
            return ()
        self.switch.note = self.deployment.note
        self.switch.permit = self.deployment.lease.confirm
        entries = await self.switch.read()
        facts = await collect(self._api)
        if recipe(facts, detect_cluster(facts)) != self.switch.recipe:
            raise interference("it is no longer what was planned with")
        self.deployment.watched.append(self.switch.disturbances)
        return entries

    async def _follow(self, addresses: Addresses) -> None:
        """Keeps note of where the pods are, for as long as the run lasts."""
        query = {"labelSelector": f"{RUN_LABEL}={self._asked.run_id}"}
        async for held in changes(self._api, collection("Pod", NAMESPACE), query):
            for pod in held.values():
                address = pod.get("status", {}).get("podIP")
                if address and "deletionTimestamp" not in pod["metadata"]:
                    component = pod["metadata"]["labels"][COMPONENT_LABEL]
                    addresses.note(agent_id(pod["spec"]["nodeName"], component), address)

    async def _settings(self) -> Settings:
        places = self.choice.places
        names = tuple(each.name for each in places)
        modes = tuple(mode_set(mode, planned) for mode, planned in self._world.taken.items())
        broker, secret = await self._broker_for(agents_on(names, modes))
        return Settings(
            run_id=self._asked.run_id,
            image=self._asked.image,
            nodes=names,
            modes=modes,
            broker=broker,
            credentials=secret,
            capture=self._asked.capture,
            node_status=asks_calico(names, modes),
            lease_holder=holder(),
            lease_s=self._asked.lease_s,
        )

    async def _broker_for(self, who: Sequence[str]) -> tuple[Broker | OtherBroker, Credentials]:
        """The broker, and what these agents need to get in."""
        if self._asked.broker is not None:
            return self._asked.broker.broker, credentials.shared(who, self._asked.broker)
        host = min(self.choice.places, key=lambda each: each.light)
        broker = Broker(node=host.name, address=host.address)
        return broker, await credentials.make(who, broker.address)

    async def _broker(self) -> Ref:
        """The broker's pod as it is now: it may have been replaced."""
        component, run = (COMPONENT_LABEL, BROKER_COMPONENT), (RUN_LABEL, self._asked.run_id)
        selector = ",".join(f"{key}={value}" for key, value in (component, run))
        query = {"labelSelector": selector}
        found = await self._api.items(collection("Pod", HOST_NAMESPACE), query)
        living = [each for each in found if ready(each)]
        if not living:
            raise ClusterError("the broker's pod is not ready")
        return Ref("Pod", living[0]["metadata"]["name"], HOST_NAMESPACE)

    async def _nodes(self, pods: dict[str, Object]) -> tuple[Node, ...]:
        """The nodes with their pods and MTUs, as the agents read them."""
        made = []
        for node in self._world.nodes:
            facts, clock = await clocks.read(partial(self._world.facts, node.name))
            mtu = _mtu_of(facts, node.address)
            mine = [
                await self._pod(pod, mtu)
                for pod in pods.values()
                if pod["spec"]["nodeName"] == node.name
                and pod["metadata"]["labels"][COMPONENT_LABEL]
                not in (HOST_COMPONENT, BROKER_COMPONENT, CANARY_COMPONENT)
            ]
            order = list(self._world.taken)
            mine.sort(key=lambda pod: order.index(pod.mode))
            made.append(
                msgspec.structs.replace(
                    node,
                    mtu_underlay=mtu,
                    nic_bps=link_speed(facts, node.address).value,
                    pods=tuple(mine),
                    kernel=facts.kernel,
                    cpu_model=facts.cpu_model,
                    kube_proxy_mode=facts.proxy_mode,
                    clock_offset_ns=0 if clock is None else clock.offset_ns,
                    clock_error_ns=0 if clock is None else clock.error_ns,
                )
            )
        return tuple(made)

    async def _pod(self, pod: Object, underlay_mtu: int) -> Pod:
        node, address = pod["spec"]["nodeName"], pod["status"]["podIP"]
        component = pod["metadata"]["labels"][COMPONENT_LABEL]
        mode = next(each for each in self._world.taken if each.value == component)
        agent = agent_id(node, component)
        facts = await self._world.read(agent, node)
        mtu = _mtu_of(facts, address)
        if self.switch is not None:
            # Made in the mode as found, whose MTU may leave no room for this one's headers.
            mtu = min(mtu, underlay_mtu - OVERHEAD_BYTES[mode])
        return Pod(pod["metadata"]["name"], node, mode, address, agent, mtu)


def _perches(nodes: Sequence[Node], pods: dict[str, Object]) -> tuple[Perch, ...]:
    """Where the canary sits: each node's host agent, and its pod outside the arms."""
    by_node = {
        pod["spec"]["nodeName"]: pod["status"]["podIP"]
        for pod in pods.values()
        if pod["metadata"]["labels"][COMPONENT_LABEL] == CANARY_COMPONENT
    }
    return tuple(
        Perch(
            node=node.name,
            host=node.agent,
            host_address=node.address,
            pod=agent_id(node.name, CANARY_COMPONENT),
            pod_address=by_node[node.name],
        )
        for node in nodes
    )


def _mtu_of(facts: NodeFacts, address: str) -> int:
    """The MTU of the device that has an address.

    Raises:
        PodbenchError: None has it.
    """
    for link in facts.links:
        if any(each.partition("/")[0] == address for each in link.addresses):
            return link.mtu
    raise PodbenchError(f"{facts.node}: no device has the address {address}")


def _endpoint(port: int, secret: Credentials) -> Endpoint:
    known = endpoint.Credentials(secret.ca, ORCHESTRATOR, secret.passwords[ORCHESTRATOR])
    return endpoint.parse_broker(f"mqtts://127.0.0.1:{port}", known)


__all__: Sequence[str] = ("Cluster", "KubernetesTarget", "LaidCluster", "holder")
