"""A cluster as CNI drivers see it (`cni.base.World`): modes are taken on, facts come from agents.

Nothing is made here: `apply` says whether a mode can be had and remembers it; the target deploys
all at once. Facts are read by each node's host-network agent, so there are none before it runs.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec

from podbench.cni.base import CLUSTER_PROOF_PROBES, Capture, Laid, Pool
from podbench.cni.calico import pools
from podbench.cni.detect.calico import CalicoDetected
from podbench.cni.edits import Recipe
from podbench.cni.proof.routes import TUNNEL_KINDS
from podbench.model.arms import Mode
from podbench.model.errors import ClusterError, PodbenchError, ProbeError, TransportError
from podbench.model.facts import ArmProof, BgpSession, Flow, NodeFacts, Route, TunnelCount
from podbench.model.nodes import AgentId, Node, source_of
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.api.refs import Object, collection
from podbench.target.kubernetes.captures import ClusterCapture
from podbench.target.kubernetes.deploy import ledger
from podbench.target.kubernetes.deploy.objects import carried
from podbench.target.kubernetes.deploy.settings import HOST_COMPONENT, agent_id
from podbench.target.kubernetes.survey import node_status
from podbench.target.kubernetes.survey.nodes import Place
from podbench.target.kubernetes.switch.convergence import Turning
from podbench.transport.base import Fleet
from podbench.wire import messages

ANSWER_S = 20.0
DEVICES = {
    # What to do where nodes have no such device.
    Mode.IPIP: "their kernel lacks it, so that packets would go unwrapped; `modprobe ipip` on the"
    " node says whether it can be had",
    Mode.VXLAN: "calico-node's log there says why Felix made none",
}
DEVICE_S, DEVICE_LOOK_S = 20.0, 1.0
"""Felix restarts within 5 s of a pool's coming, and needs some more to make its device."""
ASSUMED_MTU = 1500
"""Of the underlay, until an agent has read it."""


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """How modes come to exist here."""

    name: str
    """`pools`, `observe` or `switch`."""
    pool_cidr: str = pools.DEFAULT_CIDR
    allow_bgp_export: bool = False


def _loud(nodes: Sequence[str]) -> AbstractAsyncContextManager[None]:
    """Nothing is to be kept quiet."""
    del nodes
    return contextlib.nullcontext()


class KubernetesWorld:
    """Modes taken on, and after deployment the nodes and their agents."""

    def __init__(
        self,
        api: Api,
        run_id: str,
        places: Sequence[Place],
        method: Method,
        calico: CalicoDetected | None,
        turning: Turning | None = None,
    ) -> None:
        self._api = api
        self._run_id = run_id
        self._method = method
        self._calico = calico
        self._turning = turning
        self.places = tuple(places)
        self.taken: dict[Mode, pools.Planned | None] = {}
        """Modes taken on; with the temporary pool, where one is to be made."""
        self.fleet: Fleet | None = None
        self.told: dict[str, tuple[BgpSession, ...]] = {}
        """BGP sessions as Calico told them, by node; empty where it was not asked."""
        self._overlaps: str | None = None
        self._with_device: set[Mode] = set()
        """Modes whose tunnel device every node was seen to have."""
        self.hush: Callable[[Sequence[str]], AbstractAsyncContextManager[None]] = _loud
        """Keeps the run's own traffic off nodes' tunnels (`quiet`); the target's, once it runs."""
        self._nodes = tuple(
            Node(
                name=each.name,
                address=each.address,
                agent=agent_id(each.name, HOST_COMPONENT),
                mtu_underlay=ASSUMED_MTU,
                zone=each.zone,
                region=each.region,
                provider=each.provider,
            )
            for each in places
        )

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes that take part; with their pods once these run."""
        return self._nodes

    @property
    def equal_mtu(self) -> bool:
        """Pools beside each other have the smallest MTU; pods beneath a switch keep theirs."""
        return self._method.name in ("pools", "switch")

    @property
    def turns(self) -> bool:
        """With `switch` all pods are there from the start, and the modes take turns."""
        return self._turning is not None

    @property
    def proof_probes(self) -> int:
        """Agents' connections, and others' traffic, cross the same tunnels."""
        return CLUSTER_PROOF_PROBES

    def quiet(self, nodes: Sequence[str]) -> AbstractAsyncContextManager[None]:
        """The canary's pod path may share a tunnel with a mode: it pauses."""
        return self.hush(nodes)

    def keep_off(self, taken: Mapping[str, Sequence[str]]) -> None:
        """Takes note of networks that temporary pools must not overlap."""
        self._overlaps = pools.overlapping(self._method.pool_cidr, taken)

    def settle(self, nodes: Sequence[Node], fleet: Fleet | None) -> None:
        """Takes note of what was deployed, or that it is gone (`fleet` null)."""
        self._nodes, self.fleet = tuple(nodes), fleet

    async def apply(self, pool: Pool) -> Laid:
        """Takes a mode on, or says why it cannot be had; nothing is made yet.

        Raises:
            ApiError: The server stays away.
        """
        if self._method.name == "observe":
            self.taken[pool.mode] = None
            return Laid(pool=pool, implementation="as found")
        if self._turning is not None:
            return self._offered(self._turning.recipe, pool)
        if self._calico is None:
            return Laid(pool=pool, implementation=None, reason="temporary pools need Calico")
        (planned,) = pools.plan(self._method.pool_cidr, [pool.mode], self._calico)
        reason = self._refusal(pool.mode, self._calico) or await self._tried(planned)
        if reason is not None:
            return Laid(pool=pool, implementation=None, reason=reason)
        self.taken[pool.mode] = planned
        mtu = self._calico.pod_mtu.value or pool.pod_mtu
        asked = msgspec.structs.replace(pool, cidr=planned.cidr, pod_mtu=mtu)
        return Laid(pool=asked, implementation=f"temporary IPPool {planned.name}")

    def _offered(self, recipe: Recipe, pool: Pool) -> Laid:
        if pool.mode not in recipe.edits:
            reason = recipe.refused.get(pool.mode, f"{recipe.by} has no such mode")
            return Laid(pool=pool, implementation=None, reason=reason)
        self.taken[pool.mode] = None
        return Laid(pool=pool, implementation=f"in turn, by {recipe.by}")

    async def turn(self, mode: Mode, prove: Callable[[], Awaitable[ArmProof]]) -> str | None:
        """Changes the cluster's own mode and waits for its nodes (`turning`).

        Raises:
            InterferenceError: Somebody else changes it.
            ClusterError: Neither the mode nor rolling it back converged.
        """
        if self._turning is not None:
            return await self._turning.turn(mode, prove)
        return await self._without_device(mode)

    async def _without_device(self, mode: Mode) -> str | None:
        """Why a temporary pool's packets would leave unwrapped; null where its device is there.

        Felix makes the device within seconds of a pool's coming, while it restarts. Where a kernel
        lacks it Felix retries for ever, BIRD lays plain routes, and pods talk unwrapped.
        """
        if self._method.name != "pools" or mode not in DEVICES or mode in self._with_device:
            return None
        deadline = asyncio.get_running_loop().time() + DEVICE_S
        while missing := await self._lacking(mode):
            if asyncio.get_running_loop().time() > deadline:
                names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
                return f"no {mode} device on {names} {DEVICE_S:g} s after its pool: {DEVICES[mode]}"
            await asyncio.sleep(DEVICE_LOOK_S)
        self._with_device.add(mode)
        return None

    async def _lacking(self, mode: Mode) -> list[str]:
        """The nodes that answer and have no such device up."""
        lacking = []
        for node in self._nodes:
            with contextlib.suppress(ProbeError, TransportError):
                links = (await self.facts(node.name)).links
                if not any(link.up and TUNNEL_KINDS.get(link.kind or "") == mode for link in links):
                    lacking.append(node.name)
        return lacking

    def _refusal(self, mode: Mode, calico: CalicoDetected) -> str | None:
        if self._overlaps is not None:
            return self._overlaps
        allowed = self._method.allow_bgp_export
        return pools.refusal(mode, calico, allow_bgp_export=allowed)

    async def _tried(self, planned: pools.Planned) -> str | None:
        """Whether the server would take the pool: admission may refuse it."""
        try:
            await self._api.create(
                collection("IPPool"), pool_object(planned, self._run_id), dry_run=True
            )
        except ClusterError as error:
            return str(error)
        return None

    async def remove(self, pool: Pool) -> None:
        """Lets a mode go; what was made for it goes with everything else at the end."""
        self.taken.pop(pool.mode, None)

    async def facts(self, node: str) -> NodeFacts:
        """Reads one node.

        Raises:
            ProbeError: Its host agent could not; TransportError: it is gone.
        """
        read = await self.read(agent_id(node, HOST_COMPONENT), node)
        return msgspec.structs.replace(read, bgp=self._sessions(read))

    def _sessions(self, read: NodeFacts) -> tuple[BgpSession, ...] | None:
        """BGP as far as it says something of pairs of nodes: where these peer with each other."""
        if self._calico is None or self._calico.node_mesh.value is not True or read.bgp is None:
            return None
        return node_status.merged(self.told.get(read.node, ()), read.bgp)

    async def read(self, agent: AgentId, node: str) -> NodeFacts:
        """Reads the network namespace an agent lives in: its node's, or its pod's own.

        Raises:
            ProbeError: It could not; TransportError: it is gone.
        """
        answer = await self._ask(agent, messages.ReadFacts(node=node))
        assert isinstance(answer, messages.Facts)
        return answer.read

    async def lookup(self, node: str, address: str, flow: Flow | None = None) -> Route:
        """Asks the node's kernel which way its pod's packets to this address go.

        Raises:
            ProbeError: Its host agent could not; TransportError: it is gone.
        """
        source = source_of(self._nodes, node, address)
        question = messages.LookUp(address=address, source=source, flow=flow)
        answer = await self._ask(agent_id(node, HOST_COMPONENT), question)
        assert isinstance(answer, messages.Found)
        return answer.route

    async def tunnel_counts(
        self,
        node: str,  # noqa: ARG002 - the Protocol's
        pool: Pool,  # noqa: ARG002
    ) -> tuple[TunnelCount, ...]:
        """Nothing: tunnels are devices here, and a node's facts hold their counters."""
        return ()

    async def capture(self, nodes: Sequence[str]) -> Capture:
        """Starts counting our pods' packets by outer header on these nodes' underlay devices.

        Raises:
            ProbeError: A host agent was not given the right to; TransportError: it is gone.
        """
        devices = {node: await self._underlay(node) for node in nodes}
        pods = tuple(pod.address for each in self._nodes for pod in each.pods)

        async def ask(node: str, command: messages.Command) -> messages.Answer:
            return await self._ask(agent_id(node, HOST_COMPONENT), command)

        running = ClusterCapture(ask, devices)
        await running.start(pods)
        return running

    async def _underlay(self, node: str) -> str:
        """The device that has a node's address."""
        address = next(each.address for each in self._nodes if each.name == node)
        for link in (await self.facts(node)).links:
            if any(each.partition("/")[0] == address for each in link.addresses):
                return link.name
        raise ProbeError(f"{node}: no device has the address {address}")

    async def _ask(self, agent: AgentId, command: messages.Command) -> messages.Answer:
        if self.fleet is None:
            raise PodbenchError(f"{agent} does not run: nodes are read by their agents only")
        reply = await self.fleet.ask(agent, command, ANSWER_S)
        if isinstance(reply.answer, messages.Failed):
            raise ProbeError(f"{agent}: {reply.answer.reason}")
        return reply.answer


def pool_object(planned: pools.Planned, run_id: str) -> Object:
    """The IPPool of a temporary pool: the chart's, as the run will make it."""
    (body,) = carried("pools")
    body["metadata"] = {"name": planned.name, "labels": ledger.labels(run_id)}
    body["spec"] |= {
        "cidr": planned.cidr,
        "blockSize": pools.BLOCK_SIZE,
        "ipipMode": planned.ipip_mode,
        "vxlanMode": planned.vxlan_mode,
        "allowedUses": list(planned.uses),
    }
    return body
