"""Which webhooks are asked about a run's objects."""

from typing import Any

import pytest

from podbench.target.kubernetes.api.refs import Object
from podbench.target.kubernetes.preflight.webhooks import fail_closed

OBJECTS: list[Object] = [
    {"kind": "Namespace", "metadata": {"name": "podbench", "labels": {"level": "restricted"}}},
    {"kind": "DaemonSet", "metadata": {"name": "d", "namespace": "podbench", "labels": {"x": "y"}}},
    {"kind": "IPPool", "metadata": {"name": "podbench-bgp"}},
]


def asked(**hook: Any) -> dict[str, bool]:
    """Kinds that a webhook with these settings is asked about, and whether on removal."""
    rule = {
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "resources": ["*"],
        "operations": ["CREATE", "DELETE"],
        **hook.pop("rule", {}),
    }
    webhook = {"name": "w", "rules": [rule], **hook}
    found = fail_closed([{"metadata": {"name": "c"}, "webhooks": [webhook]}], OBJECTS)
    return {kind: each.removal for each in found for kind in each.matches}


def test_stars_match_everything() -> None:
    """All groups, versions and resources; version v1's default is to fail closed."""
    assert set(asked()) == {"Namespace", "DaemonSet", "IPPool"}
    assert asked(failurePolicy="Ignore") == {}


@pytest.mark.parametrize(
    ("rule", "kinds"),
    [
        ({"resources": ["daemonsets"]}, {"DaemonSet"}),
        ({"resources": ["daemonsets/status"]}, set()),
        ({"resources": ["*/*"]}, {"Namespace", "DaemonSet", "IPPool"}),
        ({"apiGroups": ["apps"], "apiVersions": ["v1beta1"]}, set()),
        ({"apiGroups": [""]}, {"Namespace"}),
        ({"apiGroups": ["projectcalico.org"], "apiVersions": ["v3"]}, {"IPPool"}),
        ({"scope": "Namespaced"}, {"DaemonSet"}),
        ({"scope": "Cluster"}, {"Namespace", "IPPool"}),
    ],
)
def test_rules_match_as_the_api_says(rule: Object, kinds: set[str]) -> None:
    """Group, version, plural and scope all have to fit."""
    assert set(asked(rule=rule)) == kinds


def test_removal_is_told_apart() -> None:
    """A webhook that is asked on creation only cannot hinder undoing."""
    assert asked(rule={"operations": ["CREATE", "UPDATE"]})["DaemonSet"] is False
    assert asked(rule={"operations": ["CONNECT"]}) == {}


def test_a_namespace_is_selected_by_its_own_labels() -> None:
    """So is what is in it; what is in no namespace is always selected."""
    selector = {"matchLabels": {"level": "privileged"}}
    assert set(asked(namespaceSelector=selector)) == {"IPPool"}
    named = {"matchLabels": {"kubernetes.io/metadata.name": "podbench"}}
    assert set(asked(namespaceSelector=named)) == {"Namespace", "DaemonSet", "IPPool"}


def test_objects_are_selected_by_theirs() -> None:
    """An opt-in webhook leaves alone what has not opted in."""
    assert set(asked(objectSelector={"matchLabels": {"x": "y"}})) == {"DaemonSet"}
