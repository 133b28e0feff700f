"""What a deployment on a cluster is made from: the per-run values of `charts/podbench`.

`values` are the same for a real Helm; `objects` fills the carried rendering with them. Pure data:
whoever deploys makes the credentials and chooses nodes, pools and the broker's place.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from podbench.cni.calico.pools import Planned
from podbench.model.arms import Mode
from podbench.model.nodes import AgentId

NAMESPACE, HOST_NAMESPACE = "podbench", "podbench-host"
RUN_LABEL, COMPONENT_LABEL = "podbench.io/run", "podbench.io/component"
HOST_COMPONENT, BROKER_COMPONENT = "host", "broker"
CANARY_COMPONENT = "canary"
"""The pods that take the cluster's own network, outside the arms."""
LEASE = "podbench"
ORCHESTRATOR = "orchestrator"
"""The orchestrator's name at the broker."""
BROKER_PORT = 18883
"""Not 8883, where another broker may listen on the node."""
AGENT_PORT = 8620
MOST_ASKED = 10
"""Calico: `CalicoNodeStatus` is meant for fewer than ten nodes at a time."""
PASSWORD_ITERATIONS = 101
"""As mosquitto_passwd has it; these passwords are random and long: guessing is hopeless anyway."""


class NewPool(msgspec.Struct, frozen=True, kw_only=True):
    """A temporary Calico IPPool that this run brings."""

    cidr: str
    ipip_mode: str
    """`Always` or `Never`, as `vxlan_mode`."""
    vxlan_mode: str
    allowed_uses: tuple[str, ...] = ("Workload", "Tunnel")
    block_size: int = 26


class ModeSet(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's pods: the pool they ask for, if any, and that pool where this run makes it."""

    mode: Mode
    pool: str | None = None
    create: NewPool | None = None


def mode_set(mode: Mode, planned: Planned | None) -> ModeSet:
    """An arm's pods; in a temporary pool where one is planned, else wherever pods come to be."""
    if planned is None:
        return ModeSet(mode=mode)
    pool = NewPool(
        cidr=planned.cidr,
        ipip_mode=planned.ipip_mode,
        vxlan_mode=planned.vxlan_mode,
        allowed_uses=planned.uses,
    )
    return ModeSet(mode=mode, pool=planned.name, create=pool)


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """The broker that is deployed: where. `address` is the node's InternalIP."""

    node: str
    address: str
    port: int = BROKER_PORT

    @property
    def url(self) -> str:
        """What agents connect to."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"mqtts://{host}:{self.port}"


class OtherBroker(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else's broker (`--broker`). `username` null: each agent's own name."""

    url: str
    port: int
    username: str | None = None


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """This run's secrets. Passwords consist of letters, digits, `-` and `_`, 16 at least."""

    passwords: Mapping[str, str]
    """By name at the broker: every agent's (`agent_id`), and `ORCHESTRATOR`'s."""
    hmac_key: str
    """Hexadecimal, 16 octets at least: authenticates STAMP between this run's agents."""
    salt: bytes
    """12 random octets, for the broker's password file."""
    ca: str | None = None
    """PEM; null: what the image trusts (another broker only)."""
    certificate: str = ""
    """PEM, of the broker: for its address and for 127.0.0.1, where a port-forward ends."""
    key: str = ""

    def __repr__(self) -> str:
        """Nothing secret: records end up in logs and tracebacks."""
        return f"Credentials(of {len(self.passwords)} names)"


LINUX = {"kubernetes.io/os": "linux"}
"""What every node of a run has to be."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One run's deployment."""

    run_id: str
    """A label's value: letters, digits, `-`, `_`, `.`; 63 at most."""
    image: str
    nodes: tuple[str, ...]
    modes: tuple[ModeSet, ...]
    broker: Broker | OtherBroker
    credentials: Credentials
    lease_holder: str
    lease_s: int = 60
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    node_selector: Mapping[str, str] = msgspec.field(default_factory=lambda: dict(LINUX))
    tolerations: tuple[Mapping[str, str], ...] = ()
    agent_port: int = AGENT_PORT
    agent_cpu: str = "250m"
    agent_memory: str = "128Mi"
    agent_memory_limit: str = "512Mi"
    canary_cpu: str = "20m"
    broker_cpu: str = "100m"
    broker_memory: str = "64Mi"
    broker_memory_limit: str = "512Mi"
    network_policy: bool = True
    capture: bool = False
    """The host agents hold NET_RAW, as root: for `--proof capture`, while it captures."""
    node_status: bool = False
    """Calico is asked for its BGP sessions, node by node."""


def agent_id(node: str, component: str) -> AgentId:
    """An agent's name on the control channel and at the broker: `n1-vxlan`, `n1-host`."""
    return AgentId(f"{node}-{component}")


def agents(settings: Settings) -> tuple[AgentId, ...]:
    """Every agent of a deployment: each node's host agent, its canary, then one per mode."""
    return agents_on(settings.nodes, settings.modes)


def asks_calico(nodes: Sequence[str], modes: Sequence[ModeSet]) -> bool:
    """Whether calico-node is asked for its BGP sessions.

    It is where BGP is one of the pools and the nodes are few: Calico says it is made for those.
    """
    bgp = any(each.mode is Mode.BGP and each.create is not None for each in modes)
    return bgp and len(nodes) <= MOST_ASKED


def agents_on(nodes: Iterable[str], modes: Sequence[ModeSet]) -> tuple[AgentId, ...]:
    """Every agent of a deployment of these modes on these nodes."""
    components = (HOST_COMPONENT, CANARY_COMPONENT, *(each.mode.value for each in modes))
    return tuple(agent_id(node, name) for node in nodes for name in components)


def component_passwords(settings: Settings, component: str) -> dict[str, str]:
    """Node -> password of one set of agents.

    Raises:
        KeyError: An agent has no password.
    """
    known = settings.credentials.passwords
    return {node: known[agent_id(node, component)] for node in sorted(settings.nodes)}


def password_file(settings: Settings) -> str:
    """The broker's password file, for these agents and the orchestrator; empty without a broker.

    One line a name, `name:$7$iterations$salt$hash`: PBKDF2 with SHA-512 (mosquitto_passwd(1)).
    """
    if isinstance(settings.broker, OtherBroker):
        return ""
    names = sorted((*agents(settings), ORCHESTRATOR))
    return "".join(f"{name}:{_hashed(settings.credentials, name)}\n" for name in names)


def _hashed(credentials: Credentials, name: str) -> str:
    salt = hashlib.sha256(credentials.salt + name.encode()).digest()[:12]
    secret = credentials.passwords[name].encode()
    digest = hashlib.pbkdf2_hmac("sha512", secret, salt, PASSWORD_ITERATIONS)
    written = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"$7${PASSWORD_ITERATIONS}${'$'.join(written)}"


def values(settings: Settings) -> dict[str, Any]:
    """The chart's values for this deployment; what Helm makes of them equals `objects`."""
    return {
        "run": settings.run_id,
        "image": {
            "reference": settings.image,
            "pullPolicy": settings.pull_policy,
            "pullSecrets": list(settings.pull_secrets),
        },
        "nodes": list(settings.nodes),
        # Helm merges maps with the chart's own: null takes a default away.
        "nodeSelector": {"kubernetes.io/os": None, **settings.node_selector},
        "tolerations": [dict(each) for each in settings.tolerations],
        "modes": [_mode_values(settings, each) for each in settings.modes],
        "host": {
            "passwords": component_passwords(settings, HOST_COMPONENT),
            "capture": settings.capture,
        },
        "canary": {
            "cpu": settings.canary_cpu,
            "passwords": component_passwords(settings, CANARY_COMPONENT),
        },
        "nodeStatus": {"enabled": settings.node_status},
        "agents": {
            "port": settings.agent_port,
            "cpu": settings.agent_cpu,
            "memory": settings.agent_memory,
            "memoryLimit": settings.agent_memory_limit,
            "hmacKey": settings.credentials.hmac_key,
        },
        "broker": _broker_values(settings),
        "networkPolicy": {"enabled": settings.network_policy},
        "lease": {"holder": settings.lease_holder, "durationSeconds": settings.lease_s},
    }


def _mode_values(settings: Settings, each: ModeSet) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": each.mode.value,
        "pool": each.pool or "",
        "passwords": component_passwords(settings, each.mode.value),
    }
    if each.create is None:
        return made
    create = {
        "cidr": each.create.cidr,
        "blockSize": each.create.block_size,
        "ipipMode": each.create.ipip_mode,
        "vxlanMode": each.create.vxlan_mode,
        "allowedUses": list(each.create.allowed_uses),
    }
    return {**made, "create": create}


def _broker_values(settings: Settings) -> dict[str, Any]:
    broker, credentials = settings.broker, settings.credentials
    where: dict[str, Any] = {"deploy": False, "url": broker.url, "port": broker.port}
    tls = {"ca": credentials.ca or ""}
    if isinstance(broker, OtherBroker):
        return {**where, "username": broker.username or "", "tls": tls}
    return {
        **where,
        "deploy": True,
        "node": broker.node,
        "address": broker.address,
        "cpu": settings.broker_cpu,
        "memory": settings.broker_memory,
        "memoryLimit": settings.broker_memory_limit,
        "passwordFile": password_file(settings),
        "tls": {**tls, "certificate": credentials.certificate, "key": credentials.key},
    }
