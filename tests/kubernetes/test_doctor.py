"""`bench doctor` and a cluster: what it asks, what it never does, and servers in trouble."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support import calico
from support.apiserver.server import ApiServer
from support.bench import BENCH
from support.cluster import Object, cluster, kubeconfig, put

from podbench.doctor import checks
from podbench.doctor import cluster as doctor_cluster
from podbench.doctor.checks import Check
from podbench.target.kubernetes.deploy import lease, ledger

NAMED = doctor_cluster.Asked(context="stand-in", image="registry.example/podbench:1")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_cluster, "PATIENCE_S", 0.3)


def looked_at(
    folder: Path, arrange: Callable[[ApiServer], None], asked: doctor_cluster.Asked = NAMED
) -> tuple[dict[str, Check], list[str]]:
    """What doctor says of a cluster with Calico, by name, and what it sent beside reads."""

    async def run() -> tuple[dict[str, Check], list[str]]:
        async with cluster(folder) as (server, _):
            calico.install(server)
            arrange(server)
            before = set(server.store.places())
            found = await asyncio.to_thread(doctor_cluster.examined_checks, asked)
            assert set(server.store.places()) == before
            sent = [each for each in server.requests if not each.startswith("GET")]
            return {each.name: each for each in found}, sent

    return asyncio.run(asyncio.wait_for(run(), 60))


def nothing(_: ApiServer) -> None:
    """Leaves the cluster as it is."""


def test_a_good_cluster_is_good_and_stays_as_it_is(tmp_path: Path) -> None:
    """All modes, rights and objects; nothing but access reviews and dry runs are sent."""
    found, sent = looked_at(tmp_path, nothing)
    assert checks.exit_code(found.values()) == 0, {n: c for n, c in found.items() if not c.ok}
    assert found["API server"].found.startswith("Kubernetes 1.36.2, context stand-in at http://")
    assert "n1, n2, n3" in found["nodes"].found
    assert found["CNI"].found.startswith("calico 3.31.0")
    assert {"mode vxlan", "mode ipip", "mode bgp", "rights to switch"} <= set(found)
    assert "admitted by a dry run in namespace default" in found["admission"].found
    assert len(sent) > 100
    # `looked_at` has seen that the server kept none of these.
    assert any("podbench-agent-vxlan" in each for each in sent)


def refusing(*denied: tuple[str, str]) -> Callable[[ApiServer], None]:
    """An authorizer that says no to these verbs and resources."""

    def arrange(server: ApiServer) -> None:
        server.denied = {("admin", verb, plural) for verb, plural in denied}

    return arrange


def test_missing_rights_are_listed_with_the_role_that_holds_them(tmp_path: Path) -> None:
    """What a run cannot be without ends in exit 2; the remedy names role and page."""
    found, _ = looked_at(tmp_path, refusing(("create", "namespaces"), ("delete", "ippools")))
    observe, pools = found["rights to observe"], found["rights to pools"]
    assert (observe.ok, pools.ok) == (False, False)
    assert "create namespaces" in observe.found
    assert "delete ippools.projectcalico.org podbench-bgp" in pools.found
    assert "podbench-orchestrator" in str(observe.advice)
    assert "podbench-orchestrator and podbench-pools" in str(pools.advice)
    assert checks.exit_code(found.values()) == 2


def test_what_may_not_be_read_is_unknown_and_no_more(tmp_path: Path) -> None:
    """Without rights to read quotas, webhooks or policies one can measure all the same."""
    denied = (
        ("list", "resourcequotas"),
        ("list", "validatingwebhookconfigurations"),
        ("list", "globalnetworkpolicies"),
        ("list", "services"),
        ("get", "apiservices"),
    )
    found, _ = looked_at(tmp_path, refusing(*denied))
    assert checks.exit_code(found.values()) == 0
    for name in ("quotas", "webhooks", "cluster-wide denies"):
        assert found[name].ok is None, name
        assert "forbidden" in found[name].found, name
    assert "forbidden" in found["second route"].found
    assert "6 of" in found["rights to read"].found


@pytest.mark.parametrize("verb", ["list", "get"])
def test_a_user_who_sees_no_nodes_gets_one_answer(tmp_path: Path, verb: str) -> None:
    """Without nodes there is nothing to say; with `get` alone refused there is."""
    found, _ = looked_at(tmp_path, refusing((verb, "nodes")))
    if verb == "get":
        assert found["nodes"].ok
        return
    assert set(found) == {"API server"}
    assert "cannot list resource" in found["API server"].found
    assert "podbench-orchestrator" in str(found["API server"].advice)
    assert checks.exit_code(found.values()) == 2


def away(server: ApiServer) -> None:
    """Connections are reset."""
    server.faults.away = True


def expired(server: ApiServer) -> None:
    """The kubeconfig's token is not taken any more."""
    server.faults.expired_tokens = {"admin"}


@pytest.mark.parametrize(
    ("arrange", "told", "advice"),
    [(away, "cannot be reached", "kubectl get nodes"), (expired, "Unauthorized", "log in again")],
)
def test_a_server_that_does_not_talk_to_us_is_one_check(
    tmp_path: Path, arrange: Callable[[ApiServer], None], told: str, advice: str
) -> None:
    """Out of reach or credentials run out: exit 2, why, and what to do."""
    found, _ = looked_at(tmp_path, arrange)
    assert set(found) == {"API server"}
    assert told in found["API server"].found
    assert advice in str(found["API server"].advice)
    assert checks.exit_code(found.values()) == 2


def test_an_unknown_context_is_a_matter_of_the_kubeconfig(tmp_path: Path) -> None:
    """The name is shown as it was typed, with those that there are."""
    found, _ = looked_at(tmp_path, nothing, doctor_cluster.Asked(context="prod<b>"))
    assert set(found) == {"kubeconfig"}
    assert "prod<b>" in found["kubeconfig"].found
    assert "stand-in" in str(found["kubeconfig"].advice)


def leftover(server: ApiServer) -> None:
    """What a dead run leaves, and a pool that only has our name."""
    meta: Object = {"name": "podbench", "labels": ledger.labels("old")}
    put(server, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    own: Object = {**meta, "name": "podbench-agent", "namespace": "podbench"}
    put(server, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own})
    pool: Object = {"name": "podbench-bgp"}
    spec = {"cidr": "10.9.0.0/16"}
    v3 = "projectcalico.org/v3"
    put(server, {"apiVersion": v3, "kind": "IPPool", "metadata": pool, "spec": spec})


def test_leftovers_are_told_with_the_command_that_takes_them_away(tmp_path: Path) -> None:
    """Whose they are, and what is nobody's of ours."""
    found, _ = looked_at(tmp_path, leftover)
    assert found["leftovers"].ok is False
    assert "left from old: Namespace podbench" in found["leftovers"].found
    assert "not made by podbench: IPPool podbench-bgp" in found["leftovers"].found
    assert "bench clean --context stand-in" in str(found["leftovers"].advice)
    # What is there is not tried over: a refusal to change it would say nothing.
    assert found["admission"].found.startswith("1 exist already, ")
    assert found["admission"].ok


def test_a_run_that_measures_here_is_told(tmp_path: Path) -> None:
    """Its lease is renewed while doctor looks; whose it is stands there."""

    async def renew(server: ApiServer) -> None:
        while True:
            body: Object = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
            body["metadata"] = {"name": "podbench", "namespace": "podbench"}
            put(server, {**body, "spec": lease.spec("host-7/123", 30)})
            await asyncio.sleep(0.1)

    async def run() -> list[Check]:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            leftover(server)
            renewing = asyncio.create_task(renew(server))
            found = await asyncio.to_thread(doctor_cluster.examined_checks, NAMED)
            renewing.cancel()
            return found

    found = {each.name: each for each in asyncio.run(asyncio.wait_for(run(), 40))}
    assert found["other runs"].found == "host-7/123 measures here"
    assert checks.exit_code(found.values()) == 2


def test_a_cluster_without_nodes_for_pairs_is_told_why(tmp_path: Path) -> None:
    """One node is none: what keeps the others out stands there, and nothing is tried."""

    def arrange(server: ApiServer) -> None:
        from support.cluster import at

        for name in ("n2", "n3"):
            body = at(server, "Node", name)
            assert body is not None
            body["spec"]["unschedulable"] = True
            put(server, body)

    found, _ = looked_at(tmp_path, arrange)
    assert found["nodes"].ok is False
    assert "n2: cordoned" in found["nodes"].found


def bench_doctor(folder: Path, *arguments: str) -> tuple[int, str]:
    """`bench doctor` as users start it, beside the stand-in; status and output."""

    async def run() -> tuple[int, str]:
        async with ApiServer() as server:
            with kubeconfig(folder / "kubeconfig", server.kubeconfig(name="<i>&prod")):
                process = await asyncio.create_subprocess_exec(
                    *BENCH, "doctor", *arguments, stdout=asyncio.subprocess.PIPE, env=os.environ
                )
                out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_a_kubeconfig_makes_doctor_look_at_the_cluster(tmp_path: Path) -> None:
    """As `bench run` would go there; names with markup in them are shown as they are."""
    code, out = bench_doctor(tmp_path, "--json")
    told = json.loads(out)
    assert (told["target"], told["exit_code"], code) == ("kubernetes", 2, 2)
    found = {each["name"]: each for each in told["checks"]}
    assert "context <i>&prod at http://127.0.0.1:" in found["API server"]["found"]
    assert found["nodes"]["ok"] is False


def test_doctor_s_page_shows_each_fix(tmp_path: Path) -> None:
    """For people: a table, a line for each remedy, and what it means together."""
    code, out = bench_doctor(tmp_path, "--context", "<i>&prod")
    assert code == 2
    assert "nodes: fix what keeps the others out" in out
    assert out.rstrip().endswith("bench run cannot work on this cluster yet.")
