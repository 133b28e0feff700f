"""Nodes and pods of a deployed run, as their agents read them."""

from collections.abc import Sequence
from functools import partial

import msgspec

from podbench.cni.detect.nodes import link_speed
from podbench.model.arms import OVERHEAD_BYTES
from podbench.model.errors import PodbenchError
from podbench.model.facts import NodeFacts
from podbench.model.nodes import Node, Pod
from podbench.target.kubernetes.api.refs import Object
from podbench.target.kubernetes.deploy.settings import (
    BROKER_COMPONENT,
    CANARY_COMPONENT,
    COMPONENT_LABEL,
    HOST_COMPONENT,
    agent_id,
)
from podbench.target.kubernetes.guard.canary import Perch
from podbench.target.kubernetes.survey import clocks
from podbench.target.kubernetes.survey.nodes import pod_address
from podbench.target.kubernetes.world import KubernetesWorld


async def nodes(
    world: KubernetesWorld, pods: dict[str, Object], *, switched: bool
) -> tuple[Node, ...]:
    """The nodes with their pods and MTUs, as the agents read them.

    Args:
        world: With its fleet.
        pods: The run's, running.
        switched: Whether pods outlive a change of mode.

    Raises:
        PodbenchError: An agent cannot read its namespace, or no device has its address.
    """
    made = []
    for node in world.nodes:
        facts, clock = await clocks.read(partial(world.facts, node.name))
        mtu = _mtu_of(facts, node.address)
        mine = [
            await _pod(world, pod, mtu, switched=switched)
            for pod in pods.values()
            if pod["spec"]["nodeName"] == node.name
            and pod["metadata"]["labels"][COMPONENT_LABEL]
            not in (HOST_COMPONENT, BROKER_COMPONENT, CANARY_COMPONENT)
        ]
        order = list(world.taken)
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


async def _pod(world: KubernetesWorld, pod: Object, underlay_mtu: int, *, switched: bool) -> Pod:
    node, address = pod["spec"]["nodeName"], _address(pod)
    component = pod["metadata"]["labels"][COMPONENT_LABEL]
    mode = next(each for each in world.taken if each.value == component)
    agent = agent_id(node, component)
    facts = await world.read(agent, node)
    mtu = _mtu_of(facts, address)
    if switched:
        # Made in the mode as found, whose MTU may leave no room for this one's headers.
        mtu = min(mtu, underlay_mtu - OVERHEAD_BYTES[mode])
    return Pod(pod["metadata"]["name"], node, mode, address, agent, mtu)


def perches(nodes: Sequence[Node], pods: dict[str, Object]) -> tuple[Perch, ...]:
    """Where the canary sits: each node's host agent, and its pod outside the arms."""
    by_node = {
        pod["spec"]["nodeName"]: _address(pod)
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


def _address(pod: Object) -> str:
    """Its IPv4 address.

    Raises:
        PodbenchError: It has none.
    """
    found = pod_address(pod)
    if found is None:
        raise PodbenchError(f"pod {pod['metadata']['name']} has no IPv4 address")
    return found


def _mtu_of(facts: NodeFacts, address: str) -> int:
    """The MTU of the device that has an address.

    Raises:
        PodbenchError: None has it.
    """
    for link in facts.links:
        if any(each.partition("/")[0] == address for each in link.addresses):
            return link.mtu
    raise PodbenchError(f"{facts.node}: no device has the address {address}")
