"""A cluster that was looked at: take modes on, deploy agents and connect to them.

Above: target.py, which chose the nodes and undoes what is made here. Beside: roster.py reads what
was deployed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from podbench.cni.calico import pools
from podbench.cni.detect.cluster import ClusterDetected, detect_cluster
from podbench.cni.recipes import recipe
from podbench.model.errors import ClusterError, PrerequisiteError
from podbench.model.facts import NodeFacts
from podbench.model.nodes import Node
from podbench.target.kubernetes import roster
from podbench.target.kubernetes.api import port_forward
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.api.refs import Object, Ref, collection
from podbench.target.kubernetes.api.watch import changes
from podbench.target.kubernetes.deploy import credentials, pull_secrets
from podbench.target.kubernetes.deploy.creation import Deployment, ready
from podbench.target.kubernetes.deploy.ledger import Entry
from podbench.target.kubernetes.deploy.objects import objects
from podbench.target.kubernetes.deploy.settings import (
    BROKER_COMPONENT,
    COMPONENT_LABEL,
    HOST_NAMESPACE,
    LINUX,
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
from podbench.target.kubernetes.fleet import (
    UNKNOWN_LINK_CAP_BPS,
    Addresses,
    CarefulFleet,
    cap_bps,
)
from podbench.target.kubernetes.guard.canary import Watchman
from podbench.target.kubernetes.request import Cluster, holder
from podbench.target.kubernetes.survey import node_status
from podbench.target.kubernetes.survey.collect import collect
from podbench.target.kubernetes.survey.nodes import Choice, pod_address
from podbench.target.kubernetes.switch.change import Switch, interference
from podbench.target.kubernetes.switch.convergence import Turning
from podbench.target.kubernetes.world import KubernetesWorld
from podbench.transport import endpoint
from podbench.transport.base import Fleet
from podbench.transport.endpoint import Endpoint
from podbench.transport.mqtt import MqttFleet

AGENTS_S = 60.0
AWAY_S = 3.0
"""An agent whose connection broke is back within a second, if it lives."""


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

    def shaped(self, rate_bps: int) -> AbstractAsyncContextManager[None]:
        """No network of somebody else's is shaped.

        Raises:
            ClusterError: Always; no plan for a cluster asks for it.
        """
        raise ClusterError(f"a cluster's links cannot be shaped to {rate_bps} bit/s")

    async def losses(self) -> int:
        """None: Kubernetes restarts its pods; what an agent loses is a failure with its reason."""
        return 0

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
        await self.deployment.make(await self._objects(settings), self.changes)
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
                nodes = await roster.nodes(self._world, pods, switched=self.switch is not None)
                fleet.most_bps = self.most_bps = self._cap_bps(nodes)
                if settings.node_status:
                    await self._hear_calico(settings.nodes)
                await self._detect_again()
                self._world.settle(nodes, fleet)
                following = asyncio.create_task(self._follow(addresses))
                try:
                    async with self._watching(fleet, mqtt, nodes, pods):
                        yield nodes, fleet
                    if self._turning is not None:
                        await self._turning.back()
                finally:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
                    self._world.settle(nodes, None)

    def _watching(
        self, fleet: Fleet, mqtt: MqttFleet, nodes: Sequence[Node], pods: dict[str, Object]
    ) -> AbstractAsyncContextManager[None]:
        """The canary's watch, unless nobody wants one (`--no-canary`)."""
        if not self._asked.canary:
            return contextlib.nullcontext()
        return self.watchman.watching(fleet, mqtt.gone, roster.perches(nodes, pods))

    @contextlib.asynccontextmanager
    async def _way_to_broker(self, settings: Settings) -> AsyncIterator[Endpoint]:
        """To the run's own through the API server; somebody else's is reached as the agents do."""
        if self._asked.broker is not None:
            yield self._asked.broker.endpoint
            return
        forwarded = port_forward.forwarded(self._api, self._broker, settings.broker.port)
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
        if self._asked.method.name == "pools":
            _require_unrouted(self._asked.method.pool_cidr, read)
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
                address = pod_address(pod)
                if address and "deletionTimestamp" not in pod["metadata"]:
                    component = pod["metadata"]["labels"][COMPONENT_LABEL]
                    addresses.note(agent_id(pod["spec"]["nodeName"], component), address)

    async def _objects(self, settings: Settings) -> list[Object]:
        """What the run makes: the namespaces, Secrets that pull the image, and the rest."""
        made = objects(settings)
        copied = await pull_secrets.copies(
            self._api, self._asked.pull_secrets, (NAMESPACE, HOST_NAMESPACE), settings.run_id
        )
        spaces = [each for each in made if each["kind"] == "Namespace"]
        return [*spaces, *copied, *(each for each in made if each["kind"] != "Namespace")]

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
            pull_secrets=pull_secrets.names(self._asked.pull_secrets),
            node_selector={**LINUX, **self._asked.node_selector},
            tolerations=tuple(each.body() for each in self._asked.tolerations),
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


def _require_unrouted(cidr: str, read: Mapping[str, NodeFacts]) -> None:
    """Refuses a CIDR that nodes have routes to already: only their agents can tell.

    Raises:
        PrerequisiteError: One has.
    """
    by_node = {name: [each.dst for each in facts.routes] for name, facts in read.items()}
    if found := pools.routed(cidr, by_node):
        raise PrerequisiteError(
            f"--pool-cidr {cidr} is somebody else's: {', '.join(found[:3])}",
            advice="name another CIDR with --pool-cidr; what the run made is being taken away",
        )


def _endpoint(port: int, secret: Credentials) -> Endpoint:
    known = endpoint.Credentials(secret.ca, ORCHESTRATOR, secret.passwords[ORCHESTRATOR])
    return endpoint.parse_broker(f"mqtts://127.0.0.1:{port}", known)
