"""What a run on a cluster resolves to, from what the cluster is."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import calico
from support.apiserver.server import ApiServer
from support.cluster import Object, at, cluster, control_plane, kubeconfig, node, put

from podbench.campaign import plan
from podbench.campaign.cluster import changes
from podbench.campaign.cluster.survey import (
    Survey,
    consented,
    consented_again,
    named_image,
    resolve,
    survey,
    survey_now,
)
from podbench.campaign.options.table import Options
from podbench.campaign.spec import RunSpec, filled_in
from podbench.model.arms import Mode
from podbench.model.errors import ClusterError, ConfigError


def surveyed(folder: Path, *, version: str = "v3.31.0", bgp: bool = True) -> Survey:
    """A survey of three workers and a control plane with Calico; nothing but reads is asked."""

    async def run() -> Survey:
        async with cluster(folder) as (server, _):
            calico.install(server, version, bgp=bgp)
            put(server, control_plane(9))
            found = await survey_now(Options())
            assert {each.partition(" ")[0] for each in server.requests} == {"GET"}
            return found

    return asyncio.run(asyncio.wait_for(run(), 30))


def resolved(found: Survey, **asked: Any) -> RunSpec:
    """What these options make of it."""
    return resolve(Options(image="registry.example/podbench:1", **asked), found)


def test_calico_is_measured_by_pools_beside_each_other(tmp_path: Path) -> None:
    """All modes, on the workers, in the context that the kubeconfig names."""
    found = surveyed(tmp_path)
    run = resolved(found)
    assert (run.cni, run.method) == ("calico", "pools")
    assert run.modes == (Mode.VXLAN, Mode.IPIP, Mode.BGP)
    assert run.refused == {}
    assert run.cluster is not None
    assert run.cluster.context == "stand-in"
    assert run.cluster.nodes == ("n1", "n2", "n3")
    assert [each.name for each in found.left_out] == ["n9"]


def test_modes_that_cannot_be_had_say_why(tmp_path: Path) -> None:
    """They stay in the plan as not measured, with the reason."""
    run = resolved(surveyed(tmp_path, bgp=False), modes=["vxlan", "bgp"])
    assert run.modes == (Mode.VXLAN, Mode.BGP)
    assert run.refused == {Mode.BGP: "BGP is off here"}


def test_where_pools_would_harm_the_mode_is_observed(tmp_path: Path) -> None:
    """Nobody asked for pools, so the run does what it can without, and says why."""
    found = surveyed(tmp_path, version="v3.28.0")
    run = resolved(found)
    assert (run.method, run.modes, run.refused) == ("observe", (Mode.VXLAN,), {})
    assert "has no assignmentMode" in run.notes[0]
    with pytest.raises(ConfigError, match="has no assignmentMode") as caught:
        resolved(found, method="pools")
    assert "--method observe" in str(caught.value.advice)


def test_observing_takes_the_mode_as_found(tmp_path: Path) -> None:
    """Whatever modes were asked for."""
    run = resolved(surveyed(tmp_path), method="observe", modes=["bgp"])
    assert (run.method, run.modes) == ("observe", (Mode.VXLAN,))
    assert "observing vxlan" in run.notes[0]
    assert "--modes is ignored" in run.notes[1]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"cni": "cilium"}, "--cni: requested cilium, but this cluster has calico"),
        ({"disrupt": "stand-in"}, "--disrupt applies to --method switch"),
        ({"nodes": 1}, "--nodes: 1 is fewer than 2"),
        ({"method": "pool"}, "did you mean 'pools'"),
        ({"modes": ["vxlam"]}, "did you mean 'vxlan'"),
        ({"pool_cidr": "198.18.0.0/30"}, "--pool-cidr"),
        ({"max_bandwidth": "much"}, "--max-bandwidth"),
        ({"broker": "mqtt://broker.example"}, "--broker"),
        ({"proof": "captures"}, "did you mean 'capture'"),
    ],
)
def test_what_cannot_be_is_the_user_s_error(
    tmp_path: Path, asked: dict[str, Any], words: str
) -> None:
    """Named, with the option and the way out."""
    with pytest.raises(ConfigError) as caught:
        resolved(surveyed(tmp_path), **asked)
    assert words in str(caught.value)
    assert caught.value.advice


def test_another_broker_takes_the_place_of_ours(tmp_path: Path) -> None:
    """By its URL alone; the plan then shows no broker of ours, nor its secrets."""
    found = surveyed(tmp_path)
    run = resolved(found, broker="mqtts://broker.example", proof="capture")
    assert run.proof_capture
    assert run.cluster is not None
    assert run.cluster.broker == "mqtts://broker.example:8883"
    assert any("podbench-broker" in line for line in changes.created(resolved(found), found))
    assert not any("podbench-broker" in line for line in changes.created(run, found))


def test_many_nodes_are_told_to_bring_a_broker(tmp_path: Path) -> None:
    """All results of 51 nodes through the API server are more than others should bear."""
    found = surveyed(tmp_path)
    places = tuple(
        msgspec.structs.replace(found.places[0], name=f"n{number}") for number in range(51)
    )
    many = msgspec.structs.replace(found, places=places)
    assert any("--broker" in note for note in resolved(many).notes)
    assert not any("--broker" in note for note in resolved(found).notes)
    other = resolved(many, broker="mqtts://broker.example")
    assert not any("--broker" in note for note in other.notes)


def test_control_plane_nodes_carry_no_transfers(tmp_path: Path) -> None:
    """They are in the mesh where they let pods in; too few others: then no throughput at all."""

    async def run(closed: int) -> Survey:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            for number in range(1, closed + 1):
                put(server, node(number, **{"node-role.kubernetes.io/control-plane": ""}))
            return await survey_now(Options())

    one = resolved(asyncio.run(asyncio.wait_for(run(1), 30)))
    assert one.probes == ("latency", "ladder")
    drawn = plan.draw(one, ["n1", "n2", "n3"], exclusive=False)
    rounds = [planned for visit in drawn.visits for planned in visit.rounds]
    assert {name for r in rounds for pair in r.pairs for name in pair} == {"n1", "n2", "n3"}
    carried = {name for r in rounds for each in r.steps for name in (each.src, each.dst)}
    assert carried == {"n2", "n3"}
    most = asyncio.run(asyncio.wait_for(run(2), 30))
    run_there = resolved(most)
    assert run_there.probes == ("latency",)
    assert "no load: control-plane nodes carry no load" in run_there.notes[-1]
    with pytest.raises(ConfigError, match="--probes: control-plane"):
        resolved(most, probes=["throughput"])
    with pytest.raises(ConfigError, match="ceiling needs a link of a known rate"):
        resolved(most, probes=["ceiling"])


def test_an_image_has_to_be_named(tmp_path: Path) -> None:
    """There is none that every cluster could pull."""
    asked = resolve(Options(), surveyed(tmp_path))
    assert asked.cluster is not None
    with pytest.raises(ConfigError, match="--image"):
        named_image(asked.cluster)


def surveyed_as(folder: Path, *bodies: Object) -> Survey:
    """A survey of a cluster without Calico, with these objects."""

    async def run() -> Survey:
        async with cluster(folder, ApiServer(groups=set())) as (server, _):
            for body in bodies:
                put(server, body)
            return await survey_now(Options())

    return asyncio.run(asyncio.wait_for(run(), 30))


def test_a_network_nobody_knows_is_observed_as_it_is_found(tmp_path: Path) -> None:
    """Neither name nor mode is guessed; a name that was asked for is not taken for granted."""
    found = surveyed_as(tmp_path)
    run = resolved(found)
    assert (run.cni, run.method, run.modes) == ("unknown", "observe", (Mode.AS_FOUND,))
    assert "each pair shows the mode it takes" in run.notes[0]
    with pytest.raises(ConfigError, match="unknown") as caught:
        resolved(found, cni="flannel")
    assert "omit --cni" in str(caught.value.advice)


def agent_of(image: str) -> Object:
    """A CNI's DaemonSet, on no node."""
    labels = {"app": "agent"}
    containers = [{"name": "agent", "image": image}]
    template: Object = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    template["spec"] |= {"affinity": calico._nowhere()}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "kube-system"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


@pytest.mark.parametrize(
    ("image", "cni", "mode"),
    [
        ("quay.io/cilium/cilium:v1.18.1", "cilium", Mode.VXLAN),
        ("antrea/antrea-agent-ubuntu:v2.4.0", "antrea", Mode.AS_FOUND),
        ("docker.io/kindest/kindnetd:v20250512", "kindnet", Mode.AS_FOUND),
    ],
)
def test_every_network_can_be_observed(tmp_path: Path, image: str, cni: str, mode: Mode) -> None:
    """By its name; its mode where its settings tell it."""
    settings: Object = {"metadata": {"name": "cilium-config", "namespace": "kube-system"}}
    settings |= {"apiVersion": "v1", "kind": "ConfigMap", "data": {"routing-mode": "tunnel"}}
    run = resolved(surveyed_as(tmp_path, agent_of(image), settings))
    assert (run.cni, run.method, run.modes) == (cni, "observe", (mode,))
    with pytest.raises(ConfigError, match="cannot have pools"):
        resolved(surveyed_as(tmp_path, agent_of(image)), method="pools")


def test_encapsulation_between_subnets_only_is_observed_as_found(tmp_path: Path) -> None:
    """Pairs differ, so that no one mode could be asked for."""

    async def run() -> Survey:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            pool = at(server, "IPPool", "default-ipv4-ippool")
            assert pool is not None
            pool["spec"]["vxlanMode"] = "CrossSubnet"
            put(server, pool)
            return await survey_now(Options())

    found = asyncio.run(asyncio.wait_for(run(), 30))
    asked = resolved(found, method="observe")
    assert asked.modes == (Mode.AS_FOUND,)
    assert "CrossSubnet" in asked.notes[0]


def test_consent_is_to_the_context_that_was_surveyed(tmp_path: Path) -> None:
    """The kubeconfig's current context is not enough; naming it and --yes is."""
    found = surveyed(tmp_path)
    run = resolved(found)
    with pytest.raises(ConfigError, match="stand-in") as caught:
        consented(Options(yes=True), run, None)
    assert "--context stand-in --yes" in str(caught.value.advice)
    assert "--target lab" in str(caught.value.advice)
    assert consented(Options(context="stand-in", yes=True), run, None)
    assert consented(Options(), run, lambda _: "stand-in")


def test_switching_takes_the_modes_that_the_pool_can_have(tmp_path: Path) -> None:
    """All of Calico's, less what cannot be had; what has to be known beforehand is a note."""
    run = resolved(surveyed(tmp_path, bgp=False), method="switch")
    assert (run.method, run.modes) == ("switch", (Mode.VXLAN, Mode.IPIP, Mode.BGP))
    assert run.possible == (Mode.VXLAN,)
    assert run.refused[Mode.BGP] == "BGP is off here"
    assert "keep the MTU" in run.notes[0]


def test_the_plan_of_a_switch_says_what_is_changed(tmp_path: Path) -> None:
    """The object, the fields for each mode, and what happens to a mode that does not come."""
    found = surveyed(tmp_path)
    told = "\n".join(changes.moved(resolved(found, method="switch"), found))
    assert "through IPPool default-ipv4-ippool" in told
    assert "bgp: ipipMode Never, vxlanMode Never" in told
    assert "90 s is rolled back" in told


@pytest.mark.parametrize("named", [None, "other"])
def test_disruption_is_never_implied(tmp_path: Path, named: str | None) -> None:
    """Neither --yes nor a typed name nor another context's: --disrupt has to name this one."""
    run = resolved(surveyed(tmp_path), method="switch", disrupt=named)
    options = Options(context="stand-in", yes=True, method="switch", disrupt=named)
    for ask in (None, lambda _: "stand-in"):
        with pytest.raises(ConfigError, match="--disrupt") as caught:
            consented(options, run, ask)
        assert "--disrupt stand-in; --yes does not imply it" in str(caught.value.advice)
    agreed = msgspec.structs.replace(options, disrupt="stand-in")
    assert consented(agreed, run, None)


def test_a_cluster_out_of_reach_is_told_with_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `auto` a kubeconfig decides; whoever meant the lab learns how to say so."""
    monkeypatch.setattr("podbench.campaign.cluster.survey.SURVEY_PATIENCE_S", 0.1)
    with (
        kubeconfig(tmp_path / "kubeconfig", _leading_to("http://127.0.0.1:9")),
        pytest.raises(ClusterError, match="cannot be reached") as caught,
    ):
        survey(Options())
    assert "--target lab" in str(caught.value.advice)


def test_going_on_takes_consent_to_the_same_cluster(tmp_path: Path) -> None:
    """A resumed run asks again, and not where the context leads elsewhere by now."""
    asked = resolved(surveyed(tmp_path))
    assert asked.cluster is not None
    with kubeconfig(tmp_path / "kubeconfig", _leading_to(asked.cluster.server)):
        with pytest.raises(ConfigError) as caught:
            consented_again(asked, None, context=None, yes=True)
        assert "--context stand-in --yes" in str(caught.value.advice)
        with pytest.raises(ConfigError, match="is not stand-in, where this run began"):
            consented_again(asked, None, context="other", yes=True)
        consented_again(asked, None, context="stand-in", yes=True)
    with (
        kubeconfig(tmp_path / "kubeconfig", _leading_to("https://192.0.2.1:6443")),
        pytest.raises(ConfigError, match="this run began at"),
    ):
        consented_again(asked, None, context="stand-in", yes=True)


def test_going_on_with_switching_takes_the_disruption_named_again(tmp_path: Path) -> None:
    """As explicit as the beginning: neither `--yes` nor the context's name stands for it."""
    asked = resolved(surveyed(tmp_path), method="switch", disrupt="stand-in")
    assert asked.cluster is not None
    with kubeconfig(tmp_path / "kubeconfig", _leading_to(asked.cluster.server)):
        for named in (None, "other"):
            with pytest.raises(ConfigError, match="--disrupt") as caught:
                consented_again(asked, None, context="stand-in", yes=True, disrupt=named)
            assert "--disrupt stand-in" in str(caught.value.advice)
        with pytest.raises(ConfigError, match="--disrupt"):
            consented_again(asked, lambda _: "stand-in", context=None, yes=False)
        consented_again(asked, None, context="stand-in", yes=True, disrupt="stand-in")
        others = resolved(surveyed(tmp_path))
        with pytest.raises(ConfigError, match="applies to --method switch"):
            consented_again(others, None, context="stand-in", yes=True, disrupt="stand-in")


def _leading_to(server: str) -> dict[str, Any]:
    name = "stand-in"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": {"token": "t"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }


def test_consent_may_be_to_observing_only(tmp_path: Path) -> None:
    """Whoever wants no pools says so where the question is asked; it is offered for pools only."""
    found = surveyed(tmp_path)
    assert not consented(Options(), resolved(found), lambda _: "observe stand-in")
    with pytest.raises(ConfigError, match="nothing was changed"):
        consented(Options(), resolved(found, method="observe"), lambda _: "observe stand-in")


def test_what_print_config_shows_repeats_the_run(tmp_path: Path) -> None:
    """The options filled in resolve to the same run."""
    found = surveyed(tmp_path)
    first = resolved(found, max_bandwidth="80Mbit/s", nodes=2, modes=["bgp", "vxlan"])
    again = resolve(filled_in(Options(image="i", max_bandwidth="80Mbit/s"), first), found)
    assert (again.modes, again.method, again.seed) == (first.modes, first.method, first.seed)
    assert again.cluster is not None
    assert again.cluster.most_bps == 80_000_000
    assert again.cluster.context == "stand-in"
