"""What the objects of a run promise, read from the carried rendering: no Helm needed."""

from collections.abc import Iterator
from typing import Any

import pytest
from support import chart
from support.chart_settings import CASES, settings

from podbench.cni.detect.facts import WANTED
from podbench.model.arms import Mode
from podbench.target.kubernetes.deploy import ledger
from podbench.target.kubernetes.deploy import objects as made
from podbench.target.kubernetes.deploy.settings import (
    HOST_NAMESPACE,
    LEASE,
    NAMESPACE,
    RUN_LABEL,
    ModeSet,
    OtherBroker,
    Settings,
    agents,
)

EVERY_CASE = pytest.mark.parametrize("name", CASES)


def _pods(case: Settings) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Workload and pod template of everything that makes pods."""
    for each in made.objects(case):
        if each["kind"] in {"DaemonSet", "Deployment"}:
            yield each, each["spec"]["template"]


def _named(case: Settings, kind: str, name: str) -> dict[str, Any]:
    (found,) = [
        each
        for each in made.objects(case)
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found


def _strings(tree: object) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from _strings(value)
    elif isinstance(tree, list):
        for each in tree:
            yield from _strings(each)
    elif isinstance(tree, str):
        yield tree


@EVERY_CASE
def test_every_object_carries_its_run(name: str) -> None:
    """Also every pod: what a run made is found by one label."""
    case = CASES[name]
    for each in made.objects(case):
        assert each["metadata"]["labels"][RUN_LABEL] == case.run_id, each["metadata"]["name"]
    for workload, template in _pods(case):
        assert template["metadata"]["labels"][RUN_LABEL] == case.run_id
        selector = workload["spec"]["selector"]["matchLabels"]
        assert selector.items() <= template["metadata"]["labels"].items()


def test_nothing_of_the_carried_rendering_shows_through() -> None:
    """Whatever the settings, no canonical value is left in an object."""
    texts = [text for each in made.objects(settings()) for text in _strings(each)]
    assert not [text for text in texts if "canonical" in text]
    numbers = (
        "10001",
        "10002",
        "10003m",
        "10004Mi",
        "10005Mi",
        "10006m",
        "10009m",
        "10007Mi",
        "192.0.2.",
    )
    assert not [text for text in texts if any(number in text for number in numbers)]


@EVERY_CASE
def test_pods_are_restricted(name: str) -> None:
    """Pod Security's `restricted`, but for the host network and, while capturing, NET_RAW."""
    case = CASES[name]
    for workload, template in _pods(case):
        pod = template["spec"]
        hosted = workload["metadata"]["namespace"] == HOST_NAMESPACE
        assert pod.get("hostNetwork", False) == hosted
        assert not pod.keys() & {"hostPID", "hostIPC", "initContainers"}
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert {kind for volume in pod["volumes"] for kind in volume} <= {
            "name",
            "configMap",
            "emptyDir",
            "secret",
        }
        (container,) = pod["containers"]
        context = container["securityContext"]
        captures = case.capture and workload["metadata"]["name"] == "podbench-agent-host"
        added = {"add": ["NET_RAW"]} if captures else {}
        assert context["capabilities"] == {"drop": ["ALL"], **added}
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["runAsNonRoot"] is not captures


@EVERY_CASE
def test_processors_are_asked_for_and_never_limited(name: str) -> None:
    """A limit throttles, and a throttled probe measures the throttling."""
    for _, template in _pods(CASES[name]):
        (container,) = template["spec"]["containers"]
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"memory"}


@EVERY_CASE
def test_sidecars_are_kept_out(name: str) -> None:
    """A mesh's proxy would be what is measured."""
    for _, template in _pods(CASES[name]):
        annotations, labels = template["metadata"]["annotations"], template["metadata"]["labels"]
        assert annotations["linkerd.io/inject"] == "disabled"
        assert annotations["sidecar.istio.io/inject"] == "false"
        assert labels["sidecar.istio.io/inject"] == "false"


@EVERY_CASE
def test_pods_run_on_the_chosen_nodes_only(name: str) -> None:
    """By name, for a DaemonSet's pods tolerate cordons by themselves."""
    case = CASES[name]
    for workload, template in _pods(case):
        required = template["spec"]["affinity"]["nodeAffinity"]
        terms = required["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        nodes = [term["matchFields"][0]["values"][0] for term in terms]
        if workload["kind"] == "Deployment":
            assert not isinstance(case.broker, OtherBroker)
            assert nodes == [case.broker.node]
        else:
            assert tuple(nodes) == case.nodes


def test_each_mode_asks_for_its_pool() -> None:
    """Side by side on the same nodes; without pools nothing is asked for."""
    for mode in ("vxlan", "ipip", "bgp"):
        found = _named(settings(), "DaemonSet", f"podbench-agent-{mode}")
        annotations = found["spec"]["template"]["metadata"]["annotations"]
        assert annotations["cni.projectcalico.org/ipv4pools"] == f'["podbench-{mode}"]'
    seen = _named(CASES["observed"], "DaemonSet", "podbench-agent-host-gw")
    assert not [
        each
        for each in seen["spec"]["template"]["metadata"]["annotations"]
        if "projectcalico" in each
    ]


def test_each_agent_sees_its_own_password_only() -> None:
    """The Secret has a key per node, and the container mounts the one of its own node."""
    case = settings()
    for workload, template in _pods(case):
        if workload["kind"] != "DaemonSet":
            continue
        mounts = {each["name"]: each for each in template["spec"]["containers"][0]["volumeMounts"]}
        assert mounts["passwords"]["subPathExpr"] == "$(NODE_NAME)"
        name = next(
            each["secret"]["secretName"]
            for each in template["spec"]["volumes"]
            if each["name"] == "passwords"
        )
        assert set(_named(case, "Secret", name)["data"]) == set(case.nodes)


def test_namespaces_say_what_they_admit() -> None:
    """Restricted, and a second one for the host network."""
    for name, level in ((NAMESPACE, "restricted"), (HOST_NAMESPACE, "privileged")):
        labels = _named(settings(), "Namespace", name)["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == level


def test_what_another_needs_comes_first() -> None:
    """Namespaces before all, pools before the pods that ask for them, the Lease before pods."""
    kinds = [each["kind"] for each in made.objects(settings())]
    assert kinds[:3] == ["Namespace", "Namespace", "Lease"]
    assert max(_places(kinds, "IPPool")) < min(_places(kinds, "DaemonSet"))
    assert max(_places(kinds, "Secret", until="DaemonSet")) < min(_places(kinds, "DaemonSet"))


def _places(kinds: list[str], kind: str, until: str | None = None) -> list[int]:
    end = kinds.index(until) if until else len(kinds)
    return [place for place, each in enumerate(kinds[:end]) if each == kind]


def test_accounts_have_no_rights_and_no_tokens() -> None:
    """Nothing of a run's objects grants anything to anybody."""
    every = made.objects(settings())
    assert not [each for each in every if "rbac" in each["apiVersion"]]
    accounts = [each for each in every if each["kind"] == "ServiceAccount"]
    assert len(accounts) == 2
    assert all(each["automountServiceAccountToken"] is False for each in accounts)


def test_secrets_do_not_show_in_logs() -> None:
    """A record that ends up in a log or a traceback names no password and no key."""
    case = settings()
    shown = repr(case)
    for secret in (*case.credentials.passwords.values(), case.credentials.hmac_key):
        assert secret not in shown
    assert case.credentials.key not in shown


def test_every_agent_has_a_name_of_its_own() -> None:
    """One per node and mode, and two per node for the host and the canary."""
    names = agents(settings())
    assert len(names) == len(set(names)) == 10
    assert "n1-canary" in names
    assert "n1-vxlan" in names
    assert "ip-10-0-0-2.ec2.internal-host" in names


def _allows(group: str, plural: str, verb: str, name: str | None) -> bool:
    (role,) = [each for each in made.rbac() if each["metadata"]["name"] == "podbench-orchestrator"]
    return any(
        group in rule["apiGroups"]
        and plural in rule["resources"]
        and verb in rule["verbs"]
        and (name is None or name in rule.get("resourceNames", [name]))
        and (name is not None or "resourceNames" not in rule)
        for rule in role["rules"]
    )


def test_the_role_allows_all_that_detection_reads() -> None:
    """Every list and every object by name; a read without its right would be an empty answer."""
    for read in WANTED:
        plural = read.resource.partition(".")[0]
        if read.names:
            for _, name in read.names:
                assert _allows(read.group, plural, "get", name), (read.resource, name)
        else:
            assert _allows(read.group, plural, "list", None), read.resource


def _plural(kind: str) -> str:
    return {"NetworkPolicy": "networkpolicies"}.get(kind, f"{kind.lower()}s")


def test_the_role_allows_every_object_of_a_run() -> None:
    """To look for it, make it, and take it away: by its name, whatever the modes."""
    modes = tuple(ModeSet(mode=mode) for mode in Mode)
    for each in made.objects(settings(modes=modes)):
        name, group = each["metadata"]["name"], each["apiVersion"].rpartition("/")[0]
        for verb in ("get", "create", "patch", "delete"):
            assert _allows(group, _plural(each["kind"]), verb, name), (each["kind"], name, verb)


def test_the_role_allows_the_ledger_and_the_lease() -> None:
    """Which the run makes by itself, before and beside the chart's objects."""
    for verb in ("get", "create", "patch", "delete"):
        assert _allows("", "configmaps", verb, ledger.REF.name)
    for verb in ("get", "update"):
        assert _allows("coordination.k8s.io", "leases", verb, LEASE)
    assert _allows("coordination.k8s.io", "leases", "create", None)


def _changes(rule: dict[str, Any]) -> bool:
    return bool({*rule["verbs"]} & {"create", "update", "patch", "delete", "deletecollection"})


def test_no_role_is_wide() -> None:
    """No wildcard, no way to more rights, nothing inside other people's pods."""
    for role in made.rbac():
        for rule in role["rules"]:
            words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert "*" not in words
            assert not words & {"roles", "clusterroles", "escalate", "bind", "impersonate"}
            assert not words & {"pods/exec", "pods/ephemeralcontainers", "nodes/proxy", "watchlist"}


def test_changes_are_to_our_own_names_only() -> None:
    """But for `switch`, and for what has no name yet, or none that could be known."""
    unnamed = {"namespaces", "leases", "ippools", "caliconodestatuses", "pods/portforward"}
    for role in made.rbac():
        if role["metadata"]["name"] == "podbench-switch":
            continue
        for rule in filter(_changes, role["rules"]):
            names = rule.get("resourceNames")
            if names is None:
                assert {*rule["resources"]} <= unnamed, rule
            else:
                assert all(name.startswith("podbench") for name in names), rule


def test_secrets_are_read_by_our_own_names_only() -> None:
    """Nobody else's secret can be seen, nor the list of them."""
    rules = [rule for role in made.rbac() for rule in role["rules"]]
    for rule in rules:
        if "secrets" in rule["resources"]:
            assert "list" not in rule["verbs"]
            assert all(name.startswith("podbench-") for name in rule["resourceNames"])


def test_the_security_page_shows_the_roles_as_they_are() -> None:
    """What an administrator copies is what the chart has and what `bench doctor` asks about."""
    page = chart.SECURITY.read_text("utf-8")
    assert page.count(chart.BEGINS) == page.count(chart.ENDS) == 1
    assert page == chart.with_roles(page, made.manifest(made.RBAC_PART)), "scripts/render-manifests"
