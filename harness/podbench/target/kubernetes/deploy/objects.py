"""The Kubernetes objects of one run: the chart's rendering, carried in `manifests/`, filled in.

`scripts/render-manifests` renders `charts/podbench` by Helm with `CANONICAL`'s values into the
package, so that no Helm is needed to run. Here every place that shows one of those values gets this
run's instead (`fill`). A test holds `objects(settings)` equal to what Helm makes of
`values(settings)`.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import Any

import yaml

from podbench.target.kubernetes.api.refs import Object
from podbench.target.kubernetes.deploy.canonical import CANONICAL
from podbench.target.kubernetes.deploy.fill import OMIT, Pair, Several, fill
from podbench.target.kubernetes.deploy.settings import (
    CANARY_COMPONENT,
    HOST_COMPONENT,
    Broker,
    Credentials,
    Settings,
    component_passwords,
    password_file,
)

PARTS = (
    # The chart's templates in the order they are applied; they are removed in the reverse order.
    "namespaces",
    "lease",
    "accounts",
    "shared",
    "network-policies",
    "pools",
    "broker",
    "node-status",
    "host",
    "canary",
    "modes",
)
RBAC_PART = "rbac"

_RESTRICTED: Object = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}
_CAPTURING: Object = {
    # Capabilities reach root only, where privileges may not grow.
    **_RESTRICTED,
    "runAsNonRoot": False,
    "runAsUser": 0,
    "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]},
}
_CA_OPTION = "--ca-file=/etc/podbench/shared/ca.crt"


def objects(settings: Settings) -> list[Object]:
    """Every object of a run, in the order to apply them; pure.

    Raises:
        KeyError: An agent or the orchestrator has no password in the credentials.
    """
    return [each for part in PARTS for each in _part(part, settings)]


def rbac() -> list[Object]:
    """The ClusterRoles an administrator grants: what the orchestrator needs, and when.

    The chart's own, without bindings, all cluster-wide: `podbench-orchestrator` always,
    `podbench-pools` for `--method pools`, `podbench-switch` for `--method switch`.
    """
    return [each for each in carried(RBAC_PART) if each["kind"] == "ClusterRole"]


def manifest(part: str) -> str:
    """The carried text of one of the chart's templates."""
    place = resources.files("podbench.target.kubernetes") / "manifests" / f"{part}.yaml"
    return place.read_text("utf-8")


def carried(part: str) -> list[Object]:
    """The objects of one of the chart's templates, as `CANONICAL` has them."""
    return [each for each in yaml.safe_load_all(manifest(part)) if each is not None]


def _part(part: str, settings: Settings) -> Iterable[Object]:
    match part:
        case "broker" if not isinstance(settings.broker, Broker):
            return ()
        case "network-policies" if not settings.network_policy:
            return ()
        case "node-status":
            return _node_statuses(settings) if settings.node_status else ()
        case "pools":
            return _pools(settings)
        case "modes":
            return _modes(settings)
    pairs = _pairs(settings)
    if part == "host":
        pairs.append(_passwords(settings, HOST_COMPONENT, HOST_COMPONENT))
        pairs += [(_RESTRICTED, _CAPTURING)] if settings.capture else []
    if part == "canary":
        pairs.append(_passwords(settings, CANARY_COMPONENT, CANARY_COMPONENT))
    return [fill(each, pairs, _texts(settings)) for each in carried(part)]


def _modes(settings: Settings) -> Iterator[Object]:
    (shown,) = CANONICAL.modes
    for mode in settings.modes:
        pairs = [
            (json.dumps([shown.pool]), OMIT if mode.pool is None else json.dumps([mode.pool])),
            _passwords(settings, shown.mode, mode.mode),
            *_pairs(settings),
        ]
        texts = {**_texts(settings), shown.mode.value: mode.mode.value}
        yield from (fill(each, pairs, texts) for each in carried("modes"))


def _node_statuses(settings: Settings) -> Iterator[Object]:
    (shown,) = carried("node-status")
    (node,) = CANONICAL.nodes
    for name in settings.nodes:
        yield fill(shown, (), {**_texts(settings), node: name})


def _pools(settings: Settings) -> Iterator[Object]:
    (pool,) = carried("pools")
    for mode in settings.modes:
        if mode.create is None:
            continue
        made: Object = fill(pool, [(pool["metadata"]["name"], mode.pool)], _texts(settings))
        made["spec"] |= {
            "cidr": mode.create.cidr,
            "blockSize": mode.create.block_size,
            "ipipMode": mode.create.ipip_mode,
            "vxlanMode": mode.create.vxlan_mode,
            "allowedUses": list(mode.create.allowed_uses),
        }
        yield made


def _texts(settings: Settings) -> dict[str, str]:
    """What is replaced wherever a text contains it."""
    return dict(zip(_words(CANONICAL), _words(settings), strict=True))


def _words(settings: Settings) -> tuple[str, ...]:
    broker = settings.broker
    return (
        settings.run_id,
        settings.image,
        settings.lease_holder,
        broker.url,
        broker.address if isinstance(broker, Broker) else "",
        f" {broker.port} ",
        f"--port={settings.agent_port}",
        settings.agent_cpu,
        settings.agent_memory,
        settings.agent_memory_limit,
        settings.canary_cpu,
        settings.broker_cpu,
        settings.broker_memory,
        settings.broker_memory_limit,
    )


def _pairs(settings: Settings) -> list[Pair]:
    """What is replaced as a whole."""
    pairs = list(zip(_wholes(CANONICAL), _wholes(settings), strict=True))
    return [*pairs, (_CA_OPTION, Several(tuple(_trust_options(settings))))]


def _wholes(settings: Settings) -> tuple[Any, ...]:
    """Subtrees of the objects; `OMIT` where the chart leaves an empty one out."""
    broker = settings.broker
    return (
        settings.pull_policy,
        [{"name": each} for each in settings.pull_secrets] or OMIT,
        dict(settings.node_selector) or OMIT,
        [dict(each) for each in settings.tolerations] or OMIT,
        _node_terms(settings.nodes),
        _node_terms((broker.node,)) if isinstance(broker, Broker) else OMIT,
        broker.port,
        settings.agent_port,
        settings.lease_s,
        _shared(settings.credentials),
        {"passwords": _base64(password_file(settings))},
        {
            "tls.crt": _base64(settings.credentials.certificate),
            "tls.key": _base64(settings.credentials.key),
        },
    )


def _node_terms(nodes: Iterable[str]) -> list[Object]:
    return [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        for node in nodes
    ]


def _shared(credentials: Credentials) -> Mapping[str, str]:
    trusted = {} if credentials.ca is None else {"ca.crt": _base64(credentials.ca)}
    return {"hmac.key": _base64(credentials.hmac_key), **trusted}


def _trust_options(settings: Settings) -> Iterator[str]:
    if settings.credentials.ca is not None:
        yield _CA_OPTION
    if not isinstance(settings.broker, Broker) and settings.broker.username is not None:
        yield f"--username={settings.broker.username}"


def _passwords(settings: Settings, shown: str, component: str) -> Pair:
    """A Secret's data: the canonical ones of a component, and this run's."""
    return _secret_data(CANONICAL, shown), _secret_data(settings, component)


def _secret_data(settings: Settings, component: str) -> dict[str, str]:
    passwords = component_passwords(settings, component)
    return {node: _base64(password) for node, password in passwords.items()}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
