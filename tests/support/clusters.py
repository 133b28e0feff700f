"""Reads tests/fixtures/kubernetes as the facts a cluster would give."""

from collections.abc import Mapping

import msgspec
import yaml
from support.recorded import FIXTURES

from podbench.cni.detect.facts import ClusterFacts
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
        rules=data.get("rules", {}),
        nodes=_answering(nodes or {}, data.get("proxy_modes", {})),
    )


def _answering(
    nodes: Mapping[str, NodeFacts], proxy_modes: Mapping[str, str]
) -> dict[str, NodeFacts]:
    """The nodes, with what the fixture's kube-proxies answer."""
    answered = {
        name: msgspec.structs.replace(
            nodes.get(name, NodeFacts(node=name, wall_ns=0)), proxy_mode=mode
        )
        for name, mode in proxy_modes.items()
    }
    return {**nodes, **answered}
