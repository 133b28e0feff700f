"""Flannel as a cluster's objects show it: the backend of its ConfigMap, or of the nodes' notes.

Each flanneld writes its backend onto its Node, so that Flannel is seen where it runs inside another
program (k3s) and what a node really does is seen beside what was asked for. Source:
flannel-io/flannel, Documentation/backends.md and pkg/subnet/kube/annotations.go.
"""

import json
from typing import Any

import msgspec

from podbench.cni.detect import go_json
from podbench.cni.detect.facts import ClusterFacts, Fact, dig, name_of, told, unknown
from podbench.cni.detect.go_json import pick
from podbench.model.arms import Mode

CONFIG_MAPS = ("kube-flannel-cfg", "canal-config", "rke2-canal-config")
BACKEND_NOTE, DATA_NOTE = (
    "flannel.alpha.coreos.com/backend-type",
    "flannel.alpha.coreos.com/backend-data",
)
DEFAULT_VNI, DEFAULT_PORT = 1, 8472
"""On Linux; on Windows nodes 4096 and 4789."""
MODES = {
    "vxlan": Mode.VXLAN,
    "host-gw": Mode.HOST_GW,
    "ipip": Mode.IPIP,
}


class FlannelDetected(msgspec.Struct, frozen=True, kw_only=True):
    """What could be told of Flannel."""

    version: Fact[str]
    backend: Fact[str]
    """In Flannel's words: `vxlan`, `host-gw`, `wireguard`, `ipip`, `udp`, ..."""
    mode: Mode | None
    """The backend in podbench's words; null where there is none for it."""
    vni: Fact[int]
    udp_port: Fact[int]
    direct_routing: Fact[bool]
    """VXLAN between subnets only, routed within one."""
    network: Fact[str]
    nftables: Fact[bool]
    node_backends: dict[str, str]
    """What each node's flanneld says it uses."""


def detect_flannel(facts: ClusterFacts, version: Fact[str]) -> FlannelDetected:
    """Everything about Flannel.

    Args:
        facts: The cluster.
        version: By its image, or why not.
    """
    conf, where = _configuration(facts)
    nodes = node_backends(facts)
    backend = _backend(conf, where, nodes)
    vxlan = backend.value == "vxlan"
    return FlannelDetected(
        version=version,
        backend=backend,
        mode=MODES.get(backend.value or ""),
        vni=_number(facts, conf, where, "VNI", DEFAULT_VNI) if vxlan else _not_vxlan(backend),
        udp_port=_number(facts, conf, where, "Port", DEFAULT_PORT)
        if vxlan
        else _not_vxlan(backend),
        direct_routing=_direct(conf, where),
        network=_text(pick(conf, "Network"), where),
        nftables=_switch(pick(conf, "EnableNFTables"), conf, where),
        node_backends=nodes,
    )


def node_backends(facts: ClusterFacts) -> dict[str, str]:
    """Node -> backend, of every node that flanneld wrote a note on."""
    notes = {
        name_of(node): dig(node, "metadata", "annotations", BACKEND_NOTE)
        for node in facts.of("nodes")
    }
    return {node: str(note) for node, note in notes.items() if note}


def _configuration(facts: ClusterFacts) -> tuple[dict[str, Any] | None, str]:
    """The first net-conf.json, and where it stands or why there is none."""
    for name in CONFIG_MAPS:
        text = dig(facts.named("configmaps", name), "data", "net-conf.json")
        if text is None:
            continue
        try:
            conf = go_json.loads(text)
        except ValueError as error:
            return None, f"ConfigMap {name}, net-conf.json: {error}"
        if not isinstance(conf, dict):
            return None, f"ConfigMap {name}, net-conf.json is no JSON object"
        return conf, f"ConfigMap {name}, net-conf.json"
    return None, facts.why_unread("configmaps") or "no ConfigMap holds a net-conf.json"


def _backend(conf: dict[str, Any] | None, where: str, nodes: dict[str, str]) -> Fact[str]:
    asked = pick(conf, "Backend", "Type")
    seen = sorted(set(nodes.values()))
    if len(seen) > 1:
        return unknown(f"nodes differ: {', '.join(seen)}")
    if seen and asked is not None and seen != [str(asked).lower()]:
        return unknown(f"{where} asks for {asked}, the nodes use {seen[0]}: not rolled out")
    if seen:
        return told(seen[0], f"{BACKEND_NOTE} on {len(nodes)} nodes")
    if asked is not None:
        return told(str(asked).lower(), where)
    return unknown(where)


def _number(
    facts: ClusterFacts, conf: dict[str, Any] | None, where: str, key: str, default: int
) -> Fact[int]:
    if key == "VNI":
        noted = {_noted_vni(dig(node, "metadata", "annotations")) for node in facts.of("nodes")}
        noted.discard(None)
        if len(noted) == 1:
            (number,) = noted
            return Fact(number, f"{DATA_NOTE} on the nodes")
    value = pick(conf, "Backend", key)
    if isinstance(value, int) and not isinstance(value, bool) and value:
        return told(value, where)
    if conf is None:
        return unknown(where)
    return told(default, f"Flannel's default on Linux, {key} is not set")


def _noted_vni(notes: object) -> int | None:
    """`{"VNI":1,"VtepMAC":"..."}` as flanneld writes it; null where it is something else."""
    try:
        number = dig(json.loads(dig(notes, DATA_NOTE) or "null"), "VNI")
    except ValueError:
        return None
    return number if isinstance(number, int) else None


def _not_vxlan(backend: Fact[str]) -> Fact[int]:
    return unknown(
        f"the backend is {backend.value}" if backend.value else "the backend is not known"
    )


def _switch(value: object, conf: dict[str, Any] | None, where: str) -> Fact[bool]:
    if conf is None:
        return unknown(where)
    return told(bool(value), where if value is not None else "Flannel's default")


def _direct(conf: dict[str, Any] | None, where: str) -> Fact[bool]:
    """Under the key as it is spelled there."""
    spelled = go_json.keys(pick(conf, "Backend"), "DirectRouting")
    said = f"{where}, {spelled[-1]}" if spelled else where
    return _switch(pick(conf, "Backend", "DirectRouting"), conf, said)


def _text(value: object, where: str) -> Fact[str]:
    return unknown(where) if value is None else told(str(value), where)
