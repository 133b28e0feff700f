"""What a ledger may ask to be undone, whoever wrote it: an allow-list. Pure.

`bench restore` and `bench clean` act with an administrator's rights on what a ledger says. Whoever
can write a ConfigMap, or hand over a run directory, must not be able to borrow those rights: only
the fields that the drivers change, in the objects that they change, with values that they can have,
are ever written; only objects of our own names are ever looked for. All else is refused by name.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from podbench.cni.calico.switch import ENCAPSULATION
from podbench.cni.edits import CRD_POOL
from podbench.cni.flannel.switch import BACKENDS, CONFIG_MAP, DAEMON_SETS, KEY, MARK
from podbench.model import plain
from podbench.target.kubernetes.api import fields
from podbench.target.kubernetes.api.refs import KINDS, Object, Ref
from podbench.target.kubernetes.deploy.settings import HOST_NAMESPACE, NAMESPACE

POOLS = ("podbench-vxlan", "podbench-ipip", "podbench-bgp")
OURS = "podbench-"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_STATES = frozenset({"Always", "CrossSubnet", "Never", "", None})
_ENCAPSULATIONS = frozenset({*ENCAPSULATION.values(), "IPIPCrossSubnet", "VXLANCrossSubnet", None})
_FLANNEL = frozenset({*BACKENDS.values(), "udp", "wireguard", "ipip"})
"""Never `extension`: that backend runs commands that its settings name, on every node."""
_MOVED = ("Type", "DirectRouting")
"""What of Flannel's backend another mode changes."""


class _Rule(msgspec.Struct, frozen=True):
    """One kind of object that a driver changes: which, and in which fields."""

    names: Callable[[Ref], bool]
    value: Callable[[fields.Path, Any], bool]
    """Whether a field of this path may have this value."""


def _pool_value(path: fields.Path, value: Any) -> bool:
    known = path in {("spec", "ipipMode"), ("spec", "vxlanMode")}
    return known and _hashable(value) and value in _STATES


def _installation_value(path: fields.Path, value: Any) -> bool:
    if len(path) != 5 or path[:3] != ("spec", "calicoNetwork", "ipPools"):
        return False
    key, _, cidr = path[3].partition("=")
    known = key == "cidr" and _is_network(cidr) and path[4] == "encapsulation"
    return known and _hashable(value) and value in _ENCAPSULATIONS


def _flannel_value(path: fields.Path, value: Any) -> bool:
    return path == ("data", KEY) and _backend(value) is not None


def _mark_value(path: fields.Path, value: Any) -> bool:
    marked = path == ("spec", "template", "metadata", "annotations", MARK)
    return marked and (value is None or value in BACKENDS.values())


def _cluster_wide(*names: str) -> Callable[[Ref], bool]:
    return lambda ref: ref.namespace is None and (not names or ref.name in names)


_RULES: Mapping[str, _Rule] = {
    "IPPool": _Rule(_cluster_wide(), _pool_value),
    CRD_POOL: _Rule(_cluster_wide(), _pool_value),
    "Installation": _Rule(_cluster_wide("default"), _installation_value),
    "ConfigMap": _Rule(lambda ref: ref.name == CONFIG_MAP and _is_space(ref), _flannel_value),
    "DaemonSet": _Rule(lambda ref: ref.name in DAEMON_SETS and _is_space(ref), _mark_value),
}


def refused_object(ref: Ref) -> str | None:
    """Why an object that a ledger calls ours is not even looked for; null where it can be ours."""
    if ref.kind not in KINDS or not _NAME.fullmatch(ref.name):
        return "the ledger names an object that podbench never makes; it was not touched"
    ours = {
        "Namespace": ref.name in (NAMESPACE, HOST_NAMESPACE),
        "IPPool": ref.name in POOLS,
        "CalicoNodeStatus": ref.name.startswith(OURS),
    }
    inside = ref.namespace in (NAMESPACE, HOST_NAMESPACE)
    if inside or (ref.namespace is None and ours.get(ref.kind, False)):
        return None
    return "the ledger names an object that podbench never makes; it was not touched"


def refused_change(
    ref: Ref, earlier: Object, set_there: Mapping[fields.Path, tuple[Any, ...]]
) -> str | None:
    """Why a change that a ledger tells of is not undone; null where it is one of a driver's."""
    rule = _RULES.get(ref.kind)
    if rule is None or not _NAME.fullmatch(ref.name) or not rule.names(ref):
        return "podbench never changes this object, whatever the ledger says; it was not touched"
    meta = earlier.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    if meta.get("name") != ref.name or meta.get("namespace") != ref.namespace:
        return "the ledger's state is another object's; it was not touched"
    for path, given in set_there.items():
        for value in (fields.read(earlier, path), *given):
            if not rule.value(path, value):
                shown = plain.line(f"{fields.dotted(path)}: {value!r}", 120)
                return f"podbench never writes {shown}; nothing of it was touched"
    return None


def refused_write(ref: Ref, live: Object, values: Mapping[fields.Path, Any]) -> str | None:
    """Why values are not written into an object as it is now; null where they may be."""
    for path, value in values.items():
        if ref.kind == "ConfigMap" and not _differs_in_backend(fields.read(live, path), value):
            return (
                f"the ledger would change more of {KEY} than the backend's type; it was not"
                " written over"
            )
    return None


def _differs_in_backend(now: Any, was: Any) -> bool:
    """Whether two of Flannel's settings are the same but for what another mode changes."""
    one, other = _backend(now), _backend(was)
    return one is not None and one == other


def _backend(text: Any) -> dict[str, Any] | None:
    """Flannel's settings without what a mode changes; null where they are none, or not allowed."""
    try:
        conf = json.loads(text)
        backend = dict(conf["Backend"])
        kind = str(backend.get("Type")).lower()
        direct = backend.get("DirectRouting", False)
    except (TypeError, ValueError, KeyError, RecursionError):
        return None
    if kind not in _FLANNEL or not isinstance(direct, bool):
        return None
    rest = {key: value for key, value in backend.items() if key not in _MOVED}
    return {**conf, "Backend": rest}


def _is_space(ref: Ref) -> bool:
    return ref.namespace is not None and _NAME.fullmatch(ref.namespace) is not None


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _hashable(value: Any) -> bool:
    return value is None or isinstance(value, str)
