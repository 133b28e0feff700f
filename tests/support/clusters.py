"""Reads tests/fixtures/kubernetes as the facts a cluster would give."""

from collections.abc import Mapping

import yaml
from support.recorded import FIXTURES

from podbench.cni.detect_facts import ClusterFacts
from podbench.model.facts import NodeFacts


def cluster(name: str, nodes: Mapping[str, NodeFacts] | None = None) -> ClusterFacts:
    """One of the fixtures, such as `calico-operator`, and what agents read on its nodes."""
    (path,) = (FIXTURES / "kubernetes").glob(f"{name}.*")
    data = yaml.safe_load(path.read_text("utf-8"))
    return ClusterFacts(
        version=data["version"],
        groups=frozenset(data["groups"]),
        objects={kind: tuple(objects) for kind, objects in data["objects"].items()},
        unread=data.get("unread", {}),
        proxy_modes=data.get("proxy_modes", {}),
        rules=data.get("rules", {}),
        nodes=nodes or {},
    )
