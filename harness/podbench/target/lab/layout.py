"""Names and addresses of the lab: pure functions of the options and a node's number.

Nodes are numbered from 1 and sit on one underlay network, as the nodes of a kind cluster do. Every
node gets one block of each pool: Calico's IPAM hands out /26 blocks, Flannel a /24 per node. Making
any of it exist is `build`'s matter.
"""

import hashlib
import ipaddress
from collections.abc import Sequence

import msgspec

from podbench.cni.base import Pool
from podbench.model.errors import ConfigError, LabError
from podbench.model.nodes import AgentId

UNDERLAY = "underlay"
"""The namespace that holds the bridge between the nodes."""

BRIDGE = "br0"
UPLINK = "eth0"
"""The node's device on the underlay, and the pod's only device, as on Kubernetes."""

UNDERLAY_NETWORK = ipaddress.IPv4Network("172.18.0.0/24")
MAX_NODES = 250
"""What fits into the underlay's /24 beside its gateway."""

BLOCK_PREFIX = {"calico": 26, "flannel": 24}
"""Length of one node's share of a pool: Calico's default blockSize, Flannel's default SubnetLen."""

GATEWAY = "169.254.1.1"
"""Every Calico pod's gateway: a link-local address that the node answers for by proxy ARP."""

CALI_MAC = "ee:ee:ee:ee:ee:ee"
"""Calico gives all host ends of pod links this one address."""

FLANNEL_BRIDGE = "cni0"


class NodePlan(msgspec.Struct, frozen=True):
    """One node before it exists. `number` counts from 1; `name` is its namespace too."""

    number: int
    name: str
    address: str
    mac: str

    @property
    def agent(self) -> AgentId:
        """The name of the agent in the node's own namespace."""
        return AgentId(f"{self.name}-host")


class PodPlan(msgspec.Struct, frozen=True):
    """One pod before it exists. `name` is its namespace and agent; `block` its node's share."""

    name: str
    node: NodePlan
    block: str
    address: str
    tunnel_address: str
    """What the node's tunnel device gets, from the same block (Calico and Flannel both do so)."""
    host_device: str


def plan_nodes(count: int) -> tuple[NodePlan, ...]:
    """The nodes n1 to n<count>.

    Raises:
        ConfigError: Fewer than 2 nodes, or more than the underlay has addresses.
    """
    if not 2 <= count <= MAX_NODES:
        raise ConfigError(
            f"--nodes: a lab has 2 to {MAX_NODES} nodes, not {count}",
            advice="3 is the default and enough to tell a bad node from a bad pair",
        )
    return tuple(_plan_node(number) for number in range(1, count + 1))


def _plan_node(number: int) -> NodePlan:
    # .1 is the bridge itself, as with a container network.
    address = UNDERLAY_NETWORK[number + 1]
    return NodePlan(number, f"n{number}", str(address), mac(address, "02:42"))


def gateway() -> str:
    """The bridge's own address, with its prefix length."""
    return f"{UNDERLAY_NETWORK[1]}/{UNDERLAY_NETWORK.prefixlen}"


def mac(address: ipaddress.IPv4Address | str, prefix: str) -> str:
    """A locally administered Ethernet address made of two octets and an IPv4 address."""
    octets = ipaddress.IPv4Address(address).packed
    return ":".join([prefix, *(f"{octet:02x}" for octet in octets)])


def plan_pods(pool: Pool, nodes: Sequence[NodePlan], layout: str) -> tuple[PodPlan, ...]:
    """One pod of a pool on every node.

    Raises:
        LabError: The pool is too small for one block a node, or overlaps the underlay.
    """
    network = ipaddress.IPv4Network(pool.cidr)
    prefix = BLOCK_PREFIX[layout]
    blocks = 1 << max(0, prefix - network.prefixlen)
    if network.prefixlen > prefix or blocks < len(nodes):
        raise LabError(
            f"pool {pool.cidr} has no /{prefix} block for each of {len(nodes)} nodes",
            advice=f"use a pool of at least /{prefix - len(nodes).bit_length()}",
        )
    if network.overlaps(UNDERLAY_NETWORK):
        raise LabError(f"pool {pool.cidr} overlaps the lab's underlay {UNDERLAY_NETWORK}")
    return tuple(_plan_pod(pool, node, network, prefix) for node in nodes)


def _plan_pod(pool: Pool, node: NodePlan, network: ipaddress.IPv4Network, prefix: int) -> PodPlan:
    # n1 has block 1, which people can read off the address; block 0 is the last to be used.
    number = node.number % (1 << (prefix - network.prefixlen))
    first = network[number << (32 - prefix)]
    name = f"{node.name}-{pool.mode}"
    # Calico names a pod's host end by a digest, to fit IFNAMSIZ; so do the bridge plugins.
    stem = "cali" if prefix == BLOCK_PREFIX["calico"] else "veth"
    digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:11]
    return PodPlan(
        name=name,
        node=node,
        block=f"{first}/{prefix}",
        address=str(first + 2),
        # Calico takes any address of the block, Flannel its first.
        tunnel_address=str(first + 1 if stem == "cali" else first),
        host_device=stem + digest,
    )
