"""Where agents run: nodes, the pods on them, and what a lab is asked to be."""

from collections.abc import Sequence
from typing import NewType

import msgspec

from podbench.model.arms import Mode

AgentId = NewType("AgentId", str)
"""Name of one agent on the control channel: `n1-vxlan` (a pod) or `n1-host` (the node itself)."""


class Pod(msgspec.Struct, frozen=True):
    """One agent pod.

    Its `agent` answers on the control channel; `pid` is its process as the host sees it.
    """

    name: str
    node: str
    mode: Mode
    address: str
    agent: AgentId
    mtu: int
    pid: int | None = None


class Node(msgspec.Struct, frozen=True):
    """One node.

    `address` is on the underlay, `agent` the host-network agent, `pods` one per mode.
    """

    name: str
    address: str
    agent: AgentId
    mtu_underlay: int
    pods: tuple[Pod, ...] = ()
    pid: int | None = None
    zone: str | None = None
    region: str | None = None
    provider: str | None = None
    kernel: str | None = None
    cpu_model: str | None = None
    kube_proxy_mode: str | None = None
    nic_bps: int | None = None
    """Speed of the device on the underlay as its driver tells it; null where it does not."""
    clock_offset_ns: int = 0
    """What has to be added to its monotonic clock to have the orchestrator's."""
    clock_error_ns: int = 0
    """How far off that may be."""

    def pod(self, mode: Mode) -> Pod:
        """The pod of a mode.

        Raises:
            KeyError: No pod of that mode runs here.
        """
        for pod in self.pods:
            if pod.mode == mode:
                return pod
        raise KeyError(f"{self.name} has no pod of mode {mode}")


class Loss(msgspec.Struct, frozen=True):
    """Injected one-way loss.

    Packets from node `src` to node `dst` are dropped at random with `ratio`.
    """

    src: str
    dst: str
    ratio: float


class LabOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the lab is asked to be.

    The faults are off by default and named in the report when on.
    """

    nodes: int = 3
    layout: str = "calico"
    equal_mtu: bool = False
    rate_bps: int | None = None
    """Underlay link rate per node (HTB, Ethernet framing of 24 octets a packet accounted); null:
    unshaped."""
    losses: tuple[Loss, ...] = ()
    cpu_noise: int = 0
    """Number of bounded CPU burners beside the lab."""
    underlay_mtu: int = 1500

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names: n1, n2, ..."""
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))


class ClusterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a run on a cluster is asked to be, resolved. Rates in bits per second."""

    context: str
    server: str
    image: str | None
    """Null: not named yet, which is enough for a plan."""
    nodes: tuple[str, ...]
    """Those that take part, by name."""
    light: tuple[str, ...] = ()
    """Of these, control-plane nodes: they carry no transfers."""
    pool_cidr: str
    allow_bgp_export: bool = False
    most_bps: int | None = None
    saturate: bool = False
    broker: str | None = None
    """URL of somebody else's, without credentials; null: the run brings its own."""
    kubeconfig: str | None = None
    """The file that was read instead of KUBECONFIG's, absolute."""
    node_selector: dict[str, str] = {}
    """Labels that nodes must have to take part."""
    tolerations: tuple[str, ...] = ()
    """Taints that agents tolerate, `key[=value]:effect`."""
    pull_secrets: tuple[str, ...] = ()
    """`NAMESPACE/NAME` each; copied into the run's own namespaces."""
    canary: bool = True
    """Whether the cluster's own network is watched."""


def source_of(nodes: Sequence[Node], node: str, address: str) -> str | None:
    """The address of this node's pod of the mode whose pod, on another node, has `address`."""
    pods = [pod for each in nodes for pod in each.pods]
    mode = next((pod.mode for pod in pods if pod.address == address), None)
    return next((p.address for p in pods if (p.node, p.mode) == (node, mode)), None)
