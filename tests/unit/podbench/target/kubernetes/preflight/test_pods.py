"""What of a pod counts, and what a selector admits."""

import pytest

from podbench.target.kubernetes.api.refs import Object
from podbench.target.kubernetes.preflight.pods import quantity, room, seen, selects


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("250m", 0.25),
        ("2", 2.0),
        (2, 2.0),
        ("1Gi", 2.0**30),
        ("1G", 1e9),
        ("2e3", 2000.0),
        ("2E", 2e18),
        ("128974848", 128974848.0),
        ("100u", 1e-4),
        (None, None),
        ("much", None),
        ("1Qi", None),
    ],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: object, number: float | None) -> None:
    """Decimal, binary and exponent; what is none is null, not zero."""
    found = quantity(text)
    assert found == pytest.approx(number) if number is not None else found is None


def pod(**spec: object) -> Object:
    """A pod of two containers."""
    requests = {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
    ports = {"ports": [{"containerPort": 80}, {"containerPort": 90, "hostPort": 9000}]}
    containers = [{"name": "a", **requests, **ports}, {"name": "b", **requests}]
    return {
        "metadata": {"name": "p", "namespace": "s"},
        "spec": {"containers": containers, "nodeName": "n1", **spec},
        "status": {"phase": "Running"},
    }


def test_a_pod_takes_what_its_containers_ask_for() -> None:
    """Ports of the pod network are nobody else's business; on the host network all are."""
    found = seen(pod())
    assert found is not None
    assert found.cores == pytest.approx(0.2)
    assert found.memory_bytes == 128 * 2**20
    assert found.host_ports == {9000}
    hosted = seen(pod(hostNetwork=True))
    assert hosted is not None
    assert hosted.host_ports == {80, 9000}


def test_a_pod_that_has_ended_takes_nothing() -> None:
    """Jobs leave such behind by the hundred."""
    assert seen({**pod(), "status": {"phase": "Succeeded"}}) is None


def test_room_is_what_is_left_on_the_node_itself() -> None:
    """Other nodes' pods do not count; a node that does not say what it has is unknown."""
    node = {
        "metadata": {"name": "n1"},
        "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "110"}},
    }
    here, there = seen(pod()), seen(pod(nodeName="n2"))
    assert here is not None
    assert there is not None
    left = room(node, [here, here, there])
    assert left is not None
    assert left.cores == pytest.approx(1.6)
    assert left.pods == 108
    assert left.memory_bytes == 2**30 - 256 * 2**20
    assert room({"metadata": {"name": "n1"}, "status": {}}, []) is None


@pytest.mark.parametrize(
    ("selector", "admitted"),
    [
        (None, True),
        ({}, True),
        ({"matchLabels": {"a": "1"}}, True),
        ({"matchLabels": {"a": "2"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, False),
        ({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_selectors_admit_as_the_api_says(selector: Object | None, admitted: bool) -> None:
    """Labels and expressions are ANDed; nothing asked admits all."""
    assert selects(selector, {"a": "1"}) is admitted
