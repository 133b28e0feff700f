"""What `bench doctor` makes of quotas, webhooks, policies, ports and the rest: from one look."""

import asyncio
from typing import Any

import msgspec
import pytest
from support import calico
from support.cluster import Object, cluster, put

from podbench.cni.detect.facts import Fact, told, unknown
from podbench.doctor import admission, network
from podbench.doctor import cluster as doctor_cluster
from podbench.doctor.checks import Check
from podbench.target.kubernetes.api.client import Context
from podbench.target.kubernetes.api.refs import Ref
from podbench.target.kubernetes.deploy.settings import OtherBroker
from podbench.target.kubernetes.preflight.dry_runs import Tried
from podbench.target.kubernetes.preflight.examine import Examined, examine
from podbench.target.kubernetes.preflight.pods import SeenPod, seen


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Examined:
    """A look at a good cluster with Calico, from which each test departs."""

    async def look() -> Examined:
        folder = tmp_path_factory.mktemp("cluster")
        async with cluster(folder) as (server, api):
            calico.install(server)
            pool: Object = {"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool"}
            pool |= {"metadata": {"name": "default-ipv4-ippool"}, "spec": {}}
            from support.apiserver.store import Place

            server.store.put(Place("crd.projectcalico.org/v1", "ippools", "", "p"), pool)
            put(server, API_SERVICE)
            return await examine(api, "registry.example/podbench:1")

    return asyncio.run(asyncio.wait_for(look(), 60))


API_SERVICE: Object = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {"name": "v3.projectcalico.org"},
    "spec": {"service": {"namespace": "calico-apiserver", "name": "calico-api"}},
}


def but(usual: Examined, **changes: Any) -> Examined:
    """The same cluster, otherwise in these."""
    return msgspec.structs.replace(usual, **changes)


def with_listed(usual: Examined, **kinds: list[Object]) -> Examined:
    """The same cluster, with these objects of these kinds."""
    return but(usual, listed={**usual.listed, **{k: told(tuple(v), k) for k, v in kinds.items()}})


def pod(name: str, node: str = "n1", space: str = "team", **spec: Any) -> SeenPod:
    """A pod as `examine` keeps it."""
    meta = {"name": name, "namespace": space, "labels": {"app": name}}
    whole = {"containers": [{"name": "c", **spec.pop("container", {})}], "nodeName": node, **spec}
    found = seen({"metadata": meta, "spec": whole, "status": {"phase": "Running"}})
    assert found is not None
    return found


def with_pods(usual: Examined, *pods: SeenPod) -> Examined:
    """The same cluster, with these pods in it."""
    return but(usual, pods=told(pods, "Pods"))


def named(checks: list[Check], name: str) -> Check:
    """One of several."""
    return next(each for each in checks if each.name == name)


def test_the_usual_cluster_has_nothing_against_a_run(usual: Examined) -> None:
    """Every judge is content, but for what only agents could tell."""
    found = doctor_cluster.cluster_checks(usual, doctor_cluster.Asked(image="i:1"))
    assert {each.name for each in found if not each.ok} == {
        "image",
        "nodes' clocks",
    }


def space(name: str, level: str | None) -> Tried:
    """A namespace as admission would make it."""
    labels = {} if level is None else {"pod-security.kubernetes.io/enforce": level}
    answer = {"metadata": {"name": name, "labels": labels}}
    return Tried(ref=Ref("Namespace", name), elsewhere=False, answer=answer)


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (space("podbench-host", "baseline"), "podbench-host would get baseline, not privileged"),
        (space("podbench-host", None), "podbench-host would get no level, not privileged"),
        (
            Tried(
                ref=Ref("Namespace", "podbench-host"),
                elsewhere=False,
                status=403,
                message='admission webhook "rancher.cattle.io" denied the request: no updatepsa',
            ),
            "podbench-host is refused: admission webhook",
        ),
    ],
)
def test_levels_that_a_cluster_does_not_give_end_it(
    usual: Examined, tried: Tried, words: str
) -> None:
    """A webhook that rewrites or refuses the label would keep host agents from starting."""
    others = tuple(each for each in usual.tried if each.ref != tried.ref)
    found = admission.pod_security(but(usual, tried=(*others, tried)))
    assert found.ok is False
    assert words in found.found


@pytest.mark.parametrize(("elsewhere", "ok"), [(True, None), (False, False)])
def test_a_refusal_in_another_namespace_is_a_sign_only(
    usual: Examined, elsewhere: bool, ok: bool | None
) -> None:
    """Policies differ between namespaces; what is said is shown either way."""
    refused = Tried(
        ref=Ref("DaemonSet", "podbench-agent-host", "podbench-host"),
        elsewhere=elsewhere,
        status=403,
        message="policy require-cpu-limits: CPU limits are required",
    )
    others = tuple(each for each in usual.tried if each.ref != refused.ref)
    found = admission.admission(but(usual, tried=(*others, refused)))
    assert found.ok is ok
    assert "CPU limits are required" in found.found


def webhook(**more: Any) -> list[Object]:
    """A configuration whose webhook is asked about pods."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["*"]}
    service = {"namespace": "kyverno", "name": "kyverno-svc"}
    hook = {"name": "validate.kyverno", "clientConfig": {"service": service}, "rules": [rule]}
    return [{"metadata": {"name": "kyverno"}, "webhooks": [{**hook, **more}]}]


SERVICE: Object = {
    "metadata": {"name": "kyverno-svc", "namespace": "kyverno"},
    "spec": {"selector": {"app": "kyverno"}},
}


def hooks(usual: Examined, configurations: list[Object], *pods: SeenPod) -> Check:
    """The judgement on webhooks, with Kyverno's pods where they are."""
    lists = {"ValidatingWebhookConfiguration": configurations, "Service": [SERVICE]}
    return admission.webhooks(with_pods(with_listed(usual, **lists), *pods))


def test_a_webhook_on_the_pod_network_that_fails_closed_is_told(usual: Examined) -> None:
    """Where it runs, what it is asked about, and that removal asks it too."""
    found = hooks(usual, webhook(), pod("kyverno", space="kyverno"))
    assert found.ok is False
    assert "kyverno/validate.kyverno (kyverno/kyverno-svc, on the pod network): Pod" in found.found
    assert "asked also on removal" in found.found
    assert "namespaceSelector" in str(found.advice)


def test_a_webhook_on_the_host_network_does_not_depend_on_us(usual: Examined) -> None:
    """It is named, and that is all."""
    found = hooks(usual, webhook(), pod("kyverno", space="kyverno", hostNetwork=True))
    assert found.ok is True
    assert "on the host network" in found.found


def test_a_webhook_that_is_not_asked_is_not_told(usual: Examined) -> None:
    """It fails open, or leaves our namespaces alone."""
    names = {"key": "kubernetes.io/metadata.name", "operator": "NotIn"}
    ours = {"matchExpressions": [{**names, "values": ["podbench", "podbench-host"]}]}
    assert hooks(usual, webhook(failurePolicy="Ignore")).ok
    assert hooks(usual, webhook(namespaceSelector=ours)).ok


def quota(name: str, space: str, **hard: str) -> Object:
    """A ResourceQuota."""
    spec = {"hard": {key.replace("_", "."): value for key, value in hard.items()}}
    return {"metadata": {"name": name, "namespace": space}, "spec": spec}


def test_quotas_that_come_with_every_namespace_are_reckoned_with(usual: Examined) -> None:
    """One that stands in two namespaces will stand in ours; agents have no CPU limits."""
    many = [quota("standard", each, pods="3", limits_cpu="4") for each in ("a", "b")]
    found = admission.quotas(with_listed(usual, ResourceQuota=many))
    assert found.ok is False
    assert "standard asks for CPU limits, and agents have none" in found.found
    assert "standard leaves pods 3, less than podbench takes" in found.found
    assert admission.quotas(with_listed(usual, ResourceQuota=many[:1])).ok


def test_a_limit_range_would_throttle_probes(usual: Examined) -> None:
    """Its default becomes a limit of containers that have none."""
    limits = [{"type": "Container", "default": {"cpu": "500m"}}]
    many = [
        {"metadata": {"name": "l", "namespace": each}, "spec": {"limits": limits}}
        for each in ("a", "b")
    ]
    found = admission.limits(with_listed(usual, LimitRange=many))
    assert found.ok is False
    assert "l gives containers a CPU limit of 500m" in found.found


def test_a_full_node_is_told_with_what_lacks(usual: Examined) -> None:
    """Agents would stay pending; on which node and for want of what stands there."""
    big = {"resources": {"requests": {"cpu": "3800m", "memory": "1Gi"}}}
    found = admission.room_on_nodes(with_pods(usual, pod("big", "n2", container=big)))
    assert found.ok is False
    assert found.found.startswith("n2: 0.2 CPU left, ")


def test_an_image_that_all_nodes_hold_is_there(usual: Examined) -> None:
    """A kubelet reports what it has; a tag that moves is doubted."""
    held = {"names": ["registry.example/podbench:1"]}
    nodes = tuple({**each, "status": {**each["status"], "images": [held]}} for each in usual.nodes)
    there = but(usual, nodes=nodes)
    assert admission.image_there(there, "registry.example/podbench:1").ok is True
    found = admission.image_there(there, "registry.example/podbench")
    assert found.ok is None
    assert "on 0 of 3 nodes already" in found.found
    assert "different ones" in found.found
    assert "--image" in admission.image_there(usual, None).found


def test_ports_that_are_taken_are_told_with_who_takes_them(usual: Examined) -> None:
    """The broker's on its node, the host agents' on all of theirs."""
    taken = {"ports": [{"containerPort": 18883}, {"containerPort": 8620, "hostPort": 8620}]}
    here, there = (pod("x", node, hostNetwork=True, container=taken) for node in ("n1", "n3"))
    found = list(network.ports(with_pods(usual, here, there)))
    assert named(found, "port 18883").found == "taken by team/x on n1"
    assert named(found, "port 8620").found == "taken by team/x on n1, team/x on n3"
    assert "--broker" in str(named(found, "port 18883").advice)
    other = OtherBroker(url="mqtts://broker.example:8883", port=8883)
    assert [each.name for each in network.ports(but(usual, other=other))] == ["port 8620"]
    elsewhere = with_pods(usual, pod("x", "n9", hostNetwork=True, container=taken))
    assert all(each.ok for each in network.ports(elsewhere))


@pytest.mark.parametrize(
    ("server", "name", "words"),
    [
        ("https://10.96.0.1:443", "in-cluster", "the API server's Service"),
        ("https://10.96.0.1:443", "prod", "Service kubernetes (10.96.0.1)"),
        ("https://10.244.1.9:6443", "prod", "an address of IPPool default-ipv4-ippool's pods"),
    ],
)
def test_a_way_over_the_measured_network_is_told(
    usual: Examined, server: str, name: str, words: str
) -> None:
    """Undoing would depend on what may have been broken."""
    spec = {"clusterIPs": ["10.96.0.1"]}
    services = [{"metadata": {"name": "kubernetes", "namespace": "default"}, "spec": spec}]
    there = with_listed(but(usual, context=Context(name, server)), Service=services)
    found = network.way_in(there)
    assert found.ok is False
    assert words in found.found


def calico_api(*, hosted: bool) -> tuple[Object, SeenPod]:
    """Calico's API server: its Service and a pod of it."""
    meta = {"name": "calico-api", "namespace": "calico-apiserver"}
    service = {"metadata": meta, "spec": {"selector": {"app": "calico-apiserver"}}}
    return service, pod("calico-apiserver", space="calico-apiserver", hostNetwork=hosted)


@pytest.mark.parametrize("hosted", [True, False])
def test_where_calico_s_api_is_served_is_proven(usual: Examined, hosted: bool) -> None:
    """Wherever it is, the second way shows the same objects, so that a mode can be put back."""
    service, server = calico_api(hosted=hosted)
    there = with_pods(with_listed(usual, Service=[service]), server)
    (found,) = network.second_route(there)
    assert f"with pods on the {'host' if hosted else 'pod'} network" in found.found
    assert "serves itself, shows the same pools" in found.found
    assert found.ok is True


def test_calico_s_api_as_custom_resources_needs_no_pods(usual: Examined) -> None:
    """Then the API server serves it itself."""
    (found,) = network.second_route(
        but(usual, v3=told({"metadata": {}, "spec": {"service": None}}, "APIService"))
    )
    assert found.ok is True
    assert "the API server itself" in found.found


def test_two_ways_that_show_different_pools_are_told(usual: Examined) -> None:
    """A storage that is not the one behind the API would be no second way."""
    objects = {**usual.facts.objects, "ippools.crd.projectcalico.org": ()}
    facts = msgspec.structs.replace(usual.facts, objects=objects)
    service, server = calico_api(hosted=False)
    there = with_pods(with_listed(but(usual, facts=facts), Service=[service]), server)
    (found,) = network.second_route(there)
    assert "shows other pools: default-ipv4-ippool" in found.found
    assert found.ok is False
    assert "role podbench-switch" in str(found.advice)


def policy(name: str, subject: Object, action: str) -> Object:
    """An AdminNetworkPolicy."""
    spec = {"subject": subject, "egress": [{"action": action}]}
    return {"metadata": {"name": name}, "spec": spec}


def test_denies_above_network_policies_are_told(usual: Examined) -> None:
    """Who denies what of ours; policies about others and such as only allow are not told."""
    everywhere: Object = {"namespaces": {}}
    elsewhere: Object = {"namespaces": {"matchLabels": {"team": "a"}}}
    policies = [
        policy("deny-all<b>", everywhere, "Deny"),
        policy("pass", everywhere, "Allow"),
        policy("theirs", elsewhere, "Deny"),
    ]
    found = network.denies(with_listed(usual, AdminNetworkPolicy=policies))
    assert found.ok is False
    words = "AdminNetworkPolicy deny-all<b> (denies something to podbench and podbench-host)"
    assert found.found == words
    assert "8620 and 18883" in str(found.advice)


def test_calico_s_own_policies_and_host_endpoints_are_told(usual: Examined) -> None:
    """Their selectors are Calico's own language: shown, not judged."""
    lists = {
        "GlobalNetworkPolicy": [
            {"metadata": {"name": "default-deny"}, "spec": {"selector": "all()"}}
        ],
        "HostEndpoint": [{"metadata": {"name": "n1-eth0"}, "spec": {"node": "n1"}}],
    }
    found = network.denies(with_listed(usual, **lists))
    assert "GlobalNetworkPolicy default-deny (selector all())" in found.found
    assert "HostEndpoint n1-eth0 (on n1: what no policy allows is denied)" in found.found


def test_a_node_that_says_its_clock_is_off_is_told(usual: Examined) -> None:
    """By the node-problem-detector's word, where it runs."""

    def saying(each: Object, status: str) -> Object:
        conditions = [*each["status"]["conditions"], {"type": "NTPProblem", "status": status}]
        return {**each, "status": {**each["status"], "conditions": conditions}}

    first, *others = usual.nodes
    off = but(usual, nodes=(saying(first, "True"), *(saying(each, "False") for each in others)))
    assert network.clocks(off).found == "not synchronised by their own word: n1"
    good = but(usual, nodes=tuple(saying(each, "False") for each in usual.nodes))
    assert network.clocks(good).ok is True


def test_a_mode_whose_pool_is_refused_says_so(usual: Examined) -> None:
    """Calico's own admission has the last word on a pool."""
    refused = Tried(
        ref=Ref("IPPool", "podbench-ipip"),
        elsewhere=False,
        status=422,
        message="ipipMode is not supported here",
    )
    others = tuple(each for each in usual.tried if each.ref != refused.ref)
    found = doctor_cluster.modes(but(usual, tried=(*others, refused)))
    assert named(found, "mode ipip").found == "ipipMode is not supported here"
    assert named(found, "mode vxlan").ok is True
    said = "--pool-cidr 198.18.0.0/16 overlaps Service x 198.18.0.9; name another"
    overlapped = doctor_cluster.modes(but(usual, overlaps=said))
    assert named(overlapped, "mode bgp").found == said


def test_what_could_be_switched_is_told_with_what_is_changed(usual: Examined) -> None:
    """The object by name; a network that nobody knows how to change says that."""
    check = doctor_cluster.switching(usual)
    assert check.ok
    assert check.found == "vxlan, ipip, bgp by IPPool default-ipv4-ippool"
    detected = msgspec.structs.replace(usual.detected, cni=told("cilium", "a DaemonSet"))
    other = doctor_cluster.switching(but(usual, detected=detected))
    assert not other.ok
    assert other.found == "podbench does not know how to change the mode of cilium"


def test_lists_that_may_not_be_read_leave_it_open(usual: Examined) -> None:
    """Unknown is neither good nor bad, and says why."""
    nobody: Fact[Any] = unknown("quotas is forbidden")
    lists = dict.fromkeys(usual.listed, nobody)
    blind = but(usual, pods=nobody, listed=lists, v3=nobody, holder=nobody, leftovers=nobody)
    for each in (
        doctor_cluster.other_runs(blind),
        doctor_cluster.leftovers(blind),
        admission.webhooks(blind),
        admission.quotas(blind),
        admission.limits(blind),
        admission.room_on_nodes(blind),
        network.denies(blind),
        *network.ports(blind),
    ):
        assert each.ok is None, each.name
        assert "forbidden" in each.found, each.name
