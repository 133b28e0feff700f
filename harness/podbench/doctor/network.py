"""What a cluster's network means for a run: ports, denies, ways to its APIs, clocks.

Judges what `target.kubernetes.preflight.examine` found; pure.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from podbench.cni.detect.facts import CALICO, CALICO_CRD, name_of
from podbench.doctor.checks import Check, Need, listed
from podbench.target.kubernetes.api.identity import IN_CLUSTER
from podbench.target.kubernetes.api.refs import Object
from podbench.target.kubernetes.deploy.settings import (
    AGENT_PORT,
    BROKER_PORT,
    HOST_NAMESPACE,
    NAMESPACE,
)
from podbench.target.kubernetes.preflight.examine import Examined
from podbench.target.kubernetes.preflight.pods import selects
from podbench.target.kubernetes.preflight.webhooks import NAME_LABEL, where

OURS = (NAMESPACE, HOST_NAMESPACE)
CLOCK_CONDITION = "NTPProblem"
"""Of the node-problem-detector, where it runs with its clock monitor."""


def checks(found: Examined) -> list[Check]:
    """All of them."""
    return [*ports(found), way_in(found), *second_route(found), denies(found), clocks(found)]


def ports(found: Examined) -> Iterator[Check]:
    """Ports that the broker and the host agents take of their nodes."""
    places = [each.name for each in found.choice.places]
    asked = {"host agents": (AGENT_PORT, places)}
    if found.other is None:
        asked = {"broker": (BROKER_PORT, places[:1]), **asked}
    for who, (port, nodes) in asked.items():
        taken = [
            f"{pod.namespace}/{pod.name} on {pod.node}"
            for pod in found.pods.value or ()
            if port in pod.host_ports and pod.node in nodes and pod.namespace not in OURS
        ]
        free = "no pod takes it; what runs beside Kubernetes is not seen"
        yield Check(
            name=f"port {port}",
            ok=None if found.pods.value is None else not taken,
            found=found.pods.reason or (f"taken by {listed(taken)}" if taken else free),
            needed_for=f"the {who}, reached on the nodes' own addresses",
            need=Need.RUN,
            advice="free it"
            + (", or bring a broker with --broker" if port == BROKER_PORT else " on these nodes")
            + "; nodes' firewalls have to let it through between nodes",
        )


def way_in(found: Examined) -> Check:
    """Whether our own way to the API server leads over the network that is measured."""
    host = urlsplit(found.context.server).hostname or ""
    over = _pod_or_service(found, host)
    if found.context.name == IN_CLUSTER:
        over = "the API server's Service, as every pod does"
    return Check(
        name="way to the API",
        ok=over is None,
        found=f"by {over}" if over else f"{host}, which is neither a pod's nor a Service's",
        needed_for="undoing a run whatever becomes of the pod network",
        need=Need.ADVICE,
        advice="start bench outside the cluster, or in a pod on the host network",
    )


def _pod_or_service(found: Examined, host: str) -> str | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    for service in found.listed["Service"].value or ():
        if host in ((service.get("spec") or {}).get("clusterIPs") or []):
            return f"Service {service['metadata']['name']} ({host})"
    networks = [
        (name_of(node), text)
        for node in found.nodes
        for text in (node.get("spec") or {}).get("podCIDRs") or []
    ]
    calico = found.detected.calico
    pools = (calico.pools.value or ()) if calico is not None else ()
    networks += [(f"IPPool {pool.name}", pool.cidr) for pool in pools]
    for whose, text in networks:
        if address in ipaddress.ip_network(text, strict=False):
            return f"an address of {whose}'s pods ({host})"
    return None


def second_route(found: Examined) -> Iterator[Check]:
    """Calico's API may be served by pods of its own; its storage is served beside it.

    `switch` puts a mode back by the second way where the first is down (`putback`); the removal of
    temporary pools waits for the first, since only that releases their addresses.
    """
    if found.detected.calico is None or found.detected.calico.api.value in (None, "none"):
        return
    served, over_pods = _server_of_v3(found)
    why_not = _same_pools(found)
    told = f"{CALICO} is served by {served}"
    told += f"; {CALICO_CRD}, which the API server serves itself, "
    told += why_not.said if why_not else "shows the same pools"
    ok: bool | None = True
    if over_pods is not False and why_not is not None:
        ok = False if why_not.differs else None
    yield Check(
        name="second route",
        ok=ok,
        found=told,
        needed_for="putting a mode back while the pod network, and Calico's API with it, is down",
        need=Need.ADVICE,
        advice=f"let bench read and update ippools.{CALICO_CRD} (role podbench-switch): without"
        " a second way a mode is put back only once the pod network is",
    )


class _Difference(NamedTuple):
    said: str
    differs: bool
    """False: it could not be compared."""


def _server_of_v3(found: Examined) -> tuple[str, bool | None]:
    """Who serves Calico's API, and whether that takes the pod network."""
    if found.v3.value is None:
        crd = found.detected.calico is not None and found.detected.calico.api.value == "crd"
        if crd:
            return "the API server itself (CustomResourceDefinitions)", False
        return f"somebody who is not known ({found.v3.reason})", None
    service = (found.v3.value.get("spec") or {}).get("service")
    if not service:
        return "the API server itself (no Service behind it)", False
    name = f"{service['namespace']}/{service['name']}"
    inside = where(name, found.listed["Service"].value or (), found.pods.value or ())
    if inside is None:
        return f"Service {name}, whose pods are not known", None
    return f"Service {name}, with pods on the {'pod' if inside else 'host'} network", inside


def _same_pools(found: Examined) -> _Difference | None:
    """Null if both ways show the same pools."""
    ways = [f"ippools.{group}" for group in (CALICO, CALICO_CRD)]
    for each in ways:
        if (why := found.facts.why_unread(each)) is not None:
            return _Difference(f"was not compared: {why}", differs=False)
    one, other = ({name_of(each) for each in found.facts.of(way)} for way in ways)
    if one == other:
        return None
    return _Difference(f"shows other pools: {listed(sorted(one ^ other))}", differs=True)


def denies(found: Examined) -> Check:
    """Policies above NetworkPolicies: a run's own cannot open what these close."""
    told = [
        f"{kind} {name_of(each)}{said}"
        for kind, reads in POLICIES.items()
        for each in found.listed[kind].value or ()
        if (said := reads(each)) is not None
    ]
    nodes = {each.name for each in found.choice.places}
    told += [
        f"HostEndpoint {name_of(each)} (on {each['spec']['node']}: what no policy allows is denied)"
        for each in found.listed["HostEndpoint"].value or ()
        if each["spec"].get("node") in nodes
    ]
    kinds = (*POLICIES, "HostEndpoint")
    unread = [str(found.listed[kind].reason) for kind in kinds if found.listed[kind].value is None]
    return Check(
        name="cluster-wide denies",
        ok=False if told else None if unread else True,
        found=listed(told) or listed(unread) or "none",
        needed_for="agents that hear each other and the broker",
        need=Need.ADVICE,
        advice=f"see that they allow traffic within {NAMESPACE}, and from it and between nodes to"
        f" ports {AGENT_PORT} and {BROKER_PORT}; a pair that is cut off is told as unreachable",
    )


def _denying(policy: Object) -> str | None:
    """A policy of the Network Policy API: what of ours it denies something; null: nothing."""
    spec = policy.get("spec") or {}
    rules = [*(spec.get("ingress") or []), *(spec.get("egress") or [])]
    subject = spec.get("subject") or {}
    chosen = subject.get("namespaces", (subject.get("pods") or {}).get("namespaceSelector"))
    covered = [name for name in OURS if selects(chosen, {NAME_LABEL: name})]
    if not covered or not any(rule.get("action") == "Deny" for rule in rules):
        return None
    return f" (denies something to {' and '.join(covered)})"


def _selecting(policy: Object) -> str:
    """Calico's or Cilium's: what it selects and does not allow is denied; selectors are theirs."""
    spec = policy.get("spec") or {}
    chosen = [f"{key} {spec[key]}" for key in SELECTORS if spec.get(key)]
    return f" ({listed(chosen) or 'selects everything'})"


SELECTORS = ("selector", "namespaceSelector", "endpointSelector", "nodeSelector")
POLICIES: Mapping[str, Callable[[Object], str | None]] = {
    "AdminNetworkPolicy": _denying,
    "BaselineAdminNetworkPolicy": _denying,
    "ClusterNetworkPolicy": _denying,
    "GlobalNetworkPolicy": _selecting,
    "CiliumClusterwideNetworkPolicy": _selecting,
}


def clocks(found: Examined) -> Check:
    """What nodes tell of their clocks; agents, who could ask, do not run yet."""
    told: list[bool] = []
    bad: list[str] = []
    for node in found.nodes:
        for each in (node.get("status") or {}).get("conditions") or []:
            if each.get("type") == CLOCK_CONDITION:
                told.append(each.get("status") == "True")
                bad += [name_of(node)] if each.get("status") == "True" else []
    silent = "no node tells of its clock, and agents, who could ask, do not run yet"
    return Check(
        name="nodes' clocks",
        ok=False if bad else True if len(told) == len(found.nodes) else None,
        found=f"not synchronised by their own word: {listed(bad)}"
        if bad
        else f"{len(told)} of {len(found.nodes)} say that they are synchronised"
        if told
        else silent,
        needed_for="times that match between nodes; round trips and their parts do not need it",
        need=Need.ADVICE,
        advice="run an NTP client (chrony) on the nodes",
    )
