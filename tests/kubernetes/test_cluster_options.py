"""Options of a cluster: another kubeconfig, chosen nodes, an image that has to be pulled."""

import asyncio
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import calico
from support.apiserver.server import ApiServer
from support.cluster import Object, node, put

from podbench.campaign.cluster import changes
from podbench.campaign.cluster import survey as surveys
from podbench.campaign.options.table import Options
from podbench.doctor import cluster as doctor
from podbench.doctor.checks import Check
from podbench.model import published
from podbench.model.errors import ConfigError
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.deploy import pull_secrets


def secret(name: str, kind: str = "kubernetes.io/dockerconfigjson") -> Object:
    """Somebody's Secret."""
    meta = {"name": name, "namespace": "default"}
    data = {".dockerconfigjson": "e30="}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": kind, "data": data}


def found(folder: Path, **options: Any) -> surveys.Survey:
    """What a cluster of four nodes, one tainted, is by these options; asked by its own file."""

    async def run() -> surveys.Survey:
        async with ApiServer() as server:
            for number in (1, 2, 3):
                put(server, node(number, pool="net" if number < 3 else "other"))
            tainted = node(4, pool="net")
            tainted["spec"] = {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}
            put(server, tainted)
            for body in (secret("regcred"), secret("other", "Opaque")):
                put(server, body)
            calico.install(server)
            config = folder / "elsewhere"
            config.write_text(yaml.safe_dump(server.kubeconfig(name="elsewhere")), "utf-8")
            return await surveys.survey_now(Options(kubeconfig=str(config), **options))

    return asyncio.run(asyncio.wait_for(run(), 30))


def test_options_reach_the_run_and_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KUBECONFIG is not read; nodes are chosen by label; a tolerated taint keeps nobody out."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    asked: dict[str, Any] = {
        "node_selector": {"pool": "net"},
        "toleration": ["gpu:NoSchedule"],
        "image_pull_secret": ["regcred"],
        "no_canary": True,
    }
    survey = found(tmp_path, **asked)
    assert survey.context == "elsewhere"
    assert survey.nodes == ("n1", "n2", "n4")
    assert "--node-selector" in survey.left_out[0].reason
    options = Options(kubeconfig=str(tmp_path / "elsewhere"), image="registry.example/p:1", **asked)
    run = surveys.resolve(options, survey)
    cluster = run.cluster
    assert cluster is not None
    assert (cluster.kubeconfig, cluster.canary) == (str(tmp_path / "elsewhere"), False)
    assert cluster.tolerations == ("gpu:NoSchedule",)
    assert cluster.pull_secrets == ("default/regcred",)
    assert surveys.note(survey).kubeconfig == cluster.kubeconfig
    assert any(
        "DaemonSet" in line for line in changes.created(surveys.resolve(options, survey), survey)
    )


def test_doctor_asks_the_same_cluster_for_the_same_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file and its choice are the run's."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    async def run() -> dict[str, Check]:
        async with ApiServer() as server:
            for number in (1, 2, 3):
                put(server, node(number, pool="net" if number < 3 else "other"))
            config = tmp_path / "elsewhere"
            config.write_text(yaml.safe_dump(server.kubeconfig(name="elsewhere")), "utf-8")
            options = Options(kubeconfig=str(config), node_selector={"pool": "net"})
            asked = doctor.Asked(kubeconfig=options.kubeconfig, wanted=surveys.wanted(options))
            return {each.name: each for each in await doctor.checks_now(asked)}

    rows = asyncio.run(asyncio.wait_for(run(), 60))
    assert "context elsewhere" in rows["API server"].found
    assert "2 take part (n1, n2)" in rows["nodes"].found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "there is no Secret default/missing"),
        ("kube-system/regcred", "there is no Secret kube-system/regcred"),
        ("other", "is of type Opaque"),
        ("a/b/c", "is no name"),
    ],
)
def test_a_secret_that_pulls_nothing_is_refused_before_anything_is_made(
    tmp_path: Path, name: str, words: str
) -> None:
    """With the command that shows what there is."""
    with pytest.raises(ConfigError, match="--image-pull-secret") as caught:
        found(tmp_path, image_pull_secret=[name])
    assert words in str(caught.value)
    assert caught.value.advice


def test_pull_secrets_are_copied_with_the_run_s_label(tmp_path: Path) -> None:
    """Into both namespaces: a pod may name Secrets of its own only."""

    async def run() -> list[Object]:
        async with ApiServer() as server:
            put(server, secret("regcred"))
            config = tmp_path / "config"
            config.write_text(yaml.safe_dump(server.kubeconfig()), "utf-8")
            async with Api(kubeconfig=str(config)) as api:
                return await pull_secrets.copies(api, ("default/regcred",), ("a", "b"), "run-1")

    made = asyncio.run(asyncio.wait_for(run(), 30))
    assert [each["metadata"]["namespace"] for each in made] == ["a", "b"]
    assert {each["type"] for each in made} == {"kubernetes.io/dockerconfigjson"}
    assert all("run-1" in each["metadata"]["labels"].values() for each in made)


def test_an_unreleased_build_asks_for_its_image(tmp_path: Path) -> None:
    """And says how to build one; a release knows its own."""
    survey = found(tmp_path)
    cluster = surveys.resolve(Options(), survey).cluster
    assert cluster is not None
    assert published.image() is None
    with pytest.raises(ConfigError, match="--image") as caught:
        surveys.named_image(cluster)
    assert "docker build" in str(caught.value.advice)


def test_a_release_takes_the_image_it_was_published_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that the release workflow writes into the package."""
    (tmp_path / published.FILE).write_text('{"image": "registry.example/podbench:1@sha256:00"}')
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    cluster = surveys.resolve(Options(), found(tmp_path)).cluster
    assert cluster is not None
    assert surveys.named_image(cluster) == "registry.example/podbench:1@sha256:00"
