"""Which rights a run needs, from the chart's own roles: what `bench doctor` asks the server about.

Pure: `needed` says what to ask, `review` how, `roles_for` what to grant. The roles are those that
docs/security.md shows, so that nothing is asked for that is not explained there.
"""

from collections.abc import Collection, Iterator

import msgspec

from podbench.cni.flannel.switch import DAEMON_SETS
from podbench.model.arms import Mode
from podbench.target.kubernetes.api.refs import Object
from podbench.target.kubernetes.deploy.objects import rbac

ALWAYS = "podbench-orchestrator"
BY_METHOD = {"observe": (), "pools": ("podbench-pools",), "switch": ("podbench-switch",)}
"""The roles that a method takes on top."""
READING = ("get", "list", "watch")
INDISPENSABLE = ("namespaces", "nodes", "pods")
"""What has to be readable; where other reads are refused, facts are unknown and the run goes on."""
PER_MODE = ("podbench-agent-", "podbench-passwords-", "podbench-")
"""Beginnings of names that end in a mode: agents, their passwords, pools."""


class Right(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One thing to be allowed to do, in all namespaces."""

    role: str
    """The role that grants it."""
    group: str
    resource: str
    verb: str
    subresource: str | None = None
    name: str | None = None
    required: bool = True
    """False: without it something stays unknown, and the run goes on."""

    def __str__(self) -> str:
        """`patch daemonsets.apps/podbench-agent-vxlan`, `create pods/portforward`."""
        what = self.resource + (f".{self.group}" if self.group else "")
        below = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {what}{below}" + (f" {self.name}" if self.name else "")


def roles_for(method: str) -> tuple[str, ...]:
    """The roles to grant for a method: `observe`, `pools` or `switch`."""
    return (ALWAYS, *BY_METHOD[method])


def needed(
    method: str,
    modes: Collection[Mode],
    *,
    broker: bool = True,
    groups: Collection[str] = (),
    cni: str | None = None,
    daemons: str = DAEMON_SETS[0],
) -> tuple[Right, ...]:
    """Every right that a run takes, each once.

    Args:
        method: How arms come to exist.
        modes: The run's; rights to objects of others are left out.
        broker: Whether the run brings its own, which is reached by port-forward.
        groups: API groups that are served; rules about others are left out. Empty: not known.
        cni: Whose; rights to change another's settings are left out. Null: not known.
        daemons: The DaemonSet that Flannel has here; rights to those of its other names are left
            out.
    """
    wanted = roles_for(method)
    others = {mode.value for mode in Mode} - {mode.value for mode in modes}
    every = (
        right
        for role in rbac()
        if role["metadata"]["name"] in wanted
        for rule in role["rules"]
        for right in _of_rule(role["metadata"]["name"], rule)
    )
    return tuple(
        dict.fromkeys(
            right
            for right in every
            if not _of_mode(right.name, others)
            and (broker or not _of_broker(right))
            and (not groups or not right.group or right.group in groups)
            and (cni in (None, "flannel") or not _of_flannel(right))
            and (right.name not in DAEMON_SETS or right.name == daemons)
        )
    )


def _of_rule(role: str, rule: Object) -> Iterator[Right]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            plural, _, below = resource.partition("/")
            for name in rule.get("resourceNames", [None]):
                ours = name is not None and name.startswith("podbench")
                for verb in rule["verbs"]:
                    yield Right(
                        role=role,
                        group=group,
                        resource=plural,
                        subresource=below or None,
                        verb=verb,
                        name=name,
                        required=verb not in READING or ours or resource in INDISPENSABLE,
                    )


def _of_mode(name: str | None, modes: Collection[str]) -> bool:
    return any(name == f"{begin}{mode}" for begin in PER_MODE for mode in modes)


def _of_flannel(right: Right) -> bool:
    """Its objects lie in groups that every cluster has."""
    return right.role in BY_METHOD["switch"] and (right.name or "").startswith("kube-flannel")


def _of_broker(right: Right) -> bool:
    return right.subresource == "portforward" or (right.name or "").startswith("podbench-broker")


def review(right: Right) -> Object:
    """The SelfSubjectAccessReview to POST; `status.allowed` of the answer says whether."""
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "subresource": right.subresource,
        "name": right.name,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
