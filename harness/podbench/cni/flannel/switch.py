"""Flannel's backend changed in place, for disposable clusters. Pure.

flanneld reads its ConfigMap once, so its DaemonSet is rolled out after each change: a mark in the
pods' template makes its controller do that. The new backend's routes replace the old one's; the old
one's device stays behind. Upstream does not support it.
Source: flannel-io/flannel, Documentation/backends.md ("Once set, the backend should not be changed
at runtime"), pkg/backend/route_network.go.
"""

import json
from typing import Any

from podbench.cni.detect import go_json
from podbench.cni.detect.facts import ClusterFacts, Object, dig, name_of
from podbench.cni.detect.flannel import FlannelDetected
from podbench.cni.detect.go_json import pick
from podbench.cni.detect.workloads import idle
from podbench.cni.edits import Edit, Recipe, kept, refusing
from podbench.model.arms import Mode

CONFIG_MAP, KEY = "kube-flannel-cfg", "net-conf.json"
DAEMON_SETS = ("kube-flannel-ds", "kube-flannel", "kube-flannel-ds-amd64", "kube-flannel-ds-arm64")
"""Names that installers give it: the chart's role `podbench-switch` allows to change these only.

Flannel's manifest and Helm chart; Kubespray; manifests of old, one per architecture. k3s has none.
"""
BACKENDS = {Mode.VXLAN: "vxlan", Mode.HOST_GW: "host-gw"}
MODES = tuple(BACKENDS)
MARK = "podbench.io/backend"
"""In the pods' template: the DaemonSet's controller replaces pods made without it."""
NOTE = (
    "Flannel's documentation says that a backend should not be changed at runtime: upstream does "
    "not support this; connections break while flanneld restarts on each node, its old device "
    "stays behind, and pods keep the MTU that they were made with"
)


def recipe(facts: ClusterFacts, flannel: FlannelDetected) -> Recipe:
    """How this Flannel is brought to each of its modes, or why it cannot be."""
    by = f"ConfigMap {CONFIG_MAP}"
    if not _all_settings(facts):
        why = facts.why_unread("configmaps") or (
            "there is none: flanneld runs inside another program, or was installed in another way"
        )
        return refusing(by, MODES, f"{CONFIG_MAP} cannot be changed: {why}")
    readers = _readers(facts)
    if len(readers) > 1:
        names = ", ".join(name_of(each) for each in readers)
        why = f"several DaemonSets read {CONFIG_MAP} and only one would be rolled out: {names}"
        return refusing(by, MODES, why)
    if not readers:
        return refusing(by, MODES, f"no DaemonSet reads {CONFIG_MAP}, so nothing would follow it")
    (daemons,) = readers
    space = dig(daemons, "metadata", "namespace")
    settings = next((each for each in _all_settings(facts) if _space(each) == space), None)
    if settings is None:
        return refusing(by, MODES, f"{CONFIG_MAP} is not in {space}, where {name_of(daemons)} is")
    reason = (
        _not_allowed(daemons)
        or _unfollowed(daemons)
        or kept(settings, ("data",))
        or kept(daemons, ("spec",))
    )
    conf = _parsed(dig(settings, "data", KEY))
    if reason is None and conf is None:
        reason = f"{CONFIG_MAP}: {KEY} is no JSON object with a Backend"
    if reason is None and flannel.backend.value is None:
        reason = f"which backend is in use is not known: {flannel.backend.reason}"
    if reason is not None or conf is None:
        return refusing(by, MODES, str(reason))
    text = str(dig(settings, "data", KEY))
    return Recipe(
        by=f"{by}, Backend.Type",
        edits={mode: _edits(settings, daemons, conf, text, mode) for mode in MODES},
        notes=(NOTE,),
    )


def _all_settings(facts: ClusterFacts) -> list[Object]:
    """Of every namespace: an earlier installation may have left one."""
    return [each for each in facts.of("configmaps") if name_of(each) == CONFIG_MAP]


def _space(each: Object) -> str | None:
    found: str | None = dig(each, "metadata", "namespace")
    return found


def _readers(facts: ClusterFacts) -> list[Object]:
    """The DaemonSets whose pods read the ConfigMap; one per architecture in old manifests."""
    found = []
    for each in facts.of("daemonsets.apps"):
        volumes = dig(each, "spec", "template", "spec", "volumes") or ()
        reads = any(dig(volume, "configMap", "name") == CONFIG_MAP for volume in volumes)
        # Those of architectures that no node here has run nowhere.
        if reads and idle(each, facts) is None:
            found.append(each)
    return found


def _not_allowed(daemons: Object) -> str | None:
    if name_of(daemons) in DAEMON_SETS:
        return None
    return (
        f"DaemonSet {name_of(daemons)} reads {CONFIG_MAP}, and only those of usual names are "
        f"rolled out ({', '.join(DAEMON_SETS)}): the role podbench-switch allows no other"
    )


def _unfollowed(daemons: Object) -> str | None:
    if dig(daemons, "spec", "updateStrategy", "type") == "OnDelete":
        return f"DaemonSet {name_of(daemons)} replaces its pods on deletion only (OnDelete)"
    return None


def _parsed(text: object) -> dict[str, Any] | None:
    try:
        conf = go_json.loads(str(text))
    except ValueError:
        return None
    return conf if isinstance(conf, dict) and isinstance(pick(conf, "Backend"), dict) else None


def _edits(
    settings: Object, daemons: Object, conf: dict[str, Any], text: str, mode: Mode
) -> tuple[Edit, ...]:
    """The settings first: pods that start anew have to find them."""
    return (
        Edit(
            kind="ConfigMap",
            name=CONFIG_MAP,
            namespace=dig(settings, "metadata", "namespace"),
            path=("data", KEY),
            value=_text(conf, text, mode),
            words=f"Backend.Type {BACKENDS[mode]}",
        ),
        Edit(
            kind="DaemonSet",
            name=name_of(daemons),
            namespace=dig(daemons, "metadata", "namespace"),
            path=("spec", "template", "metadata", "annotations", MARK),
            value=BACKENDS[mode],
            restarts=True,
        ),
    )


def _text(conf: dict[str, Any], text: str, mode: Mode) -> str:
    """The settings with another backend; every other field stays, and the text where it fits."""
    backend = pick(conf, "Backend")
    # VXLAN between subnets only would leave pairs of one subnet unwrapped.
    direct = bool(pick(backend, "DirectRouting"))
    as_is = str(pick(backend, "Type")).lower() == BACKENDS[mode]
    if as_is and not (mode == Mode.VXLAN and direct):
        return text
    gone = [*go_json.keys(backend, "Type")]
    if mode == Mode.VXLAN:
        gone += go_json.keys(backend, "DirectRouting")
    kept_fields = {key: value for key, value in backend.items() if key not in gone}
    place = go_json.keys(conf, "Backend")[-1]
    changed = {"Type": BACKENDS[mode], **kept_fields}
    return json.dumps({**conf, place: changed}, indent=2) + "\n"
