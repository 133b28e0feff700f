"""Which nodes take part, and the reason of each that does not."""

from typing import Any

import pytest

from podbench.model import taints
from podbench.model.errors import ConfigError
from podbench.target.kubernetes.survey.nodes import Choice, Wanted, choose

Object = dict[str, Any]


def node(name: str, **changes: Any) -> Object:
    """A worker that is ready; `labels`, `spec`, `ready`, `arch`, `os` and `address` change it."""
    address = changes.get("address", f"192.0.2.{ord(name[0])}")
    return {
        "metadata": {"name": name, "labels": changes.get("labels", {})},
        "spec": changes.get("spec", {}),
        "status": {
            "conditions": [{"type": "Ready", "status": changes.get("ready", "True")}],
            "addresses": [{"type": "InternalIP", "address": address}] if address else [],
            "nodeInfo": {
                "architecture": changes.get("arch", "amd64"),
                "operatingSystem": changes.get("os", "linux"),
            },
        },
    }


def reasons(choice: Choice) -> dict[str, str]:
    """By name."""
    return {each.name: each.reason for each in choice.left_out}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spec": {"unschedulable": True}}, "cordoned"),
        ({"ready": "False"}, "not ready"),
        ({"ready": "Unknown"}, "not ready"),
        ({"os": "windows"}, "windows"),
        ({"arch": "arm64"}, "arm64"),
        ({"labels": {"type": "virtual-kubelet"}}, "virtual"),
        ({"labels": {"eks.amazonaws.com/compute-type": "fargate"}}, "virtual"),
        ({"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}}, "tainted: gpu"),
        ({"address": None}, "InternalIP"),
    ],
)
def test_a_node_that_cannot_take_part_says_why(changes: Object, words: str) -> None:
    """One reason, the one that says most; the others measure."""
    choice = choose([node("a"), node("b"), node("odd", **changes)])
    assert [each.name for each in choice.places] == ["a", "b"]
    assert words in reasons(choice)["odd"]


@pytest.mark.parametrize("role", ["control-plane", "master"])
def test_a_control_plane_node_is_spared(role: str) -> None:
    """It takes no part where it keeps pods out, and where it lets them in it carries no load."""
    label = f"node-role.kubernetes.io/{role}"
    closed = {"taints": [{"key": label, "effect": "NoSchedule"}]}
    nodes = [
        node("a"),
        node("b", labels={label: ""}),
        node("c", labels={label: ""}, spec=closed),
    ]
    choice = choose(nodes)
    assert {each.name: each.light for each in choice.places} == {"a": False, "b": True}
    assert "control-plane" in reasons(choice)["c"]


def test_a_preference_keeps_nobody_out() -> None:
    """A taint that only asks for preference is none."""
    taints = [{"key": "spot", "effect": "PreferNoSchedule"}]
    choice = choose([node("a"), node("b", spec={"taints": taints})])
    assert [each.name for each in choice.places] == ["a", "b"]


def test_more_than_asked_for_are_not_needed() -> None:
    """`--nodes` takes the first by name; who cannot take part does not count."""
    nodes = [node("c"), node("b"), node("a", ready="False"), node("d")]
    choice = choose(nodes, Wanted(most=2))
    assert [each.name for each in choice.places] == ["b", "c"]
    assert reasons(choice) == {"a": "not ready", "d": "not needed: --nodes 2"}


def test_where_a_node_is_comes_from_its_labels() -> None:
    """Zone, region and provider; absent is null."""
    labels = {"topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/region": "r1"}
    spec = {"providerID": "aws:///z1/i-0"}
    known, unknown = choose([node("a", labels=labels, spec=spec), node("b")]).places
    assert (known.zone, known.region, known.provider) == ("z1", "r1", "aws")
    assert (unknown.zone, unknown.region, unknown.provider) == (None, None, None)


def test_names_with_markup_are_names() -> None:
    """What a cluster calls its nodes is shown, not interpreted."""
    choice = choose([node("<b>"), node("{{x}}", ready="False")])
    assert choice.places[0].name == "<b>"
    assert reasons(choice) == {"{{x}}": "not ready"}


def test_an_empty_cluster_has_no_places() -> None:
    """Nothing to choose from is no error here."""
    assert choose([]) == Choice(places=(), left_out=())


def test_labels_and_tolerations_say_who_takes_part() -> None:
    """A node without the label is left out, one whose taint is tolerated is not."""
    gpu = {"taints": [{"key": "gpu", "value": "a100", "effect": "NoSchedule"}]}
    labels = {"pool": "net"}
    nodes = [node("a", labels=labels, spec=gpu), node("b", labels=labels), node("c")]
    tolerated = (taints.read("gpu=a100:NoSchedule", "--toleration"),)
    found = choose(nodes, Wanted(labels=labels, tolerations=tolerated))
    assert [each.name for each in found.places] == ["a", "b"]
    assert found.left_out[0].reason == "it has no label pool=net (--node-selector)"
    others = (taints.read("gpu=b200", "--toleration"), taints.read("*:NoExecute", "--toleration"))
    assert [each.name for each in choose(nodes, Wanted(tolerations=others)).places] == ["b", "c"]


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("a=b:NoSchedule", {"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}),
        ("a:NoExecute", {"key": "a", "operator": "Exists", "effect": "NoExecute"}),
        ("a", {"key": "a", "operator": "Exists"}),
        ("*", {"operator": "Exists"}),
    ],
)
def test_a_toleration_is_what_a_pod_has(text: str, body: dict[str, str]) -> None:
    """As kubectl writes taints."""
    assert taints.read(text, "--toleration").body() == body


@pytest.mark.parametrize("text", ["", ":NoSchedule", "a:Never", "a b:NoSchedule", "=b"])
def test_what_is_no_taint_is_refused(text: str) -> None:
    """With the form that is right."""
    with pytest.raises(ConfigError, match="--toleration") as caught:
        taints.read(text, "--toleration")
    assert "NoSchedule" in str(caught.value.advice)
