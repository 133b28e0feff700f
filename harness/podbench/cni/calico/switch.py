"""Calico's own mode changed in place: one pool's encapsulation, for disposable clusters. Pure.

Where the operator owns the pool (it labels it) only the Installation may be written: the operator
writes a pool that was changed by hand back. Else the pool itself, through projectcalico.org/v3
where that is served, as Calico's tools do, and in its storage where it is not, as calicoctl does.
Source: tigera/operator, pkg/controller/ippool (ownership, validation); Calico's IPPool reference.
"""

from podbench.cni.calico import pools
from podbench.cni.detect.calico import CalicoDetected
from podbench.cni.detect.calico_settings import calico_objects
from podbench.cni.detect.facts import TIGERA, ClusterFacts, Object, dig, name_of
from podbench.cni.detect.pools import Pool
from podbench.cni.edits import CRD_POOL, Edit, Recipe, kept, refusing
from podbench.model.arms import Mode

MODES = pools.MODES
ENCAPSULATION = {Mode.VXLAN: "VXLAN", Mode.IPIP: "IPIP", Mode.BGP: "None"}
"""The Installation's words; those of a pool are `ipipMode` and `vxlanMode`."""
OPERATOR = "tigera-operator"
OWNER_LABEL = "app.kubernetes.io/managed-by"
INSTALLATION = "default"
NOTE = (
    "Felix restarts on every node for each encapsulation that comes or goes; running connections "
    "may break, and pods keep the MTU that they were made with"
)


def recipe(facts: ClusterFacts, calico: CalicoDetected) -> Recipe:
    """How this Calico is brought to each of its modes, or why it cannot be."""
    reason = _bypassed(calico)
    pool = None if reason else _pool_in_use(calico)
    if isinstance(pool, str) or pool is None:
        return refusing("Calico's pool", MODES, reason or str(pool))
    body = next(each for each in calico_objects(facts, "ippools") if name_of(each) == pool.name)
    installation = facts.named(f"installations.{TIGERA}", INSTALLATION)
    if dig(body, "metadata", "labels", OWNER_LABEL) == OPERATOR:
        return _by_installation(calico, body, installation)
    return _by_pool(calico, body)


def _bypassed(calico: CalicoDetected) -> str | None:
    """Why changing a pool would change nothing, or nothing that can be seen."""
    if not calico.carries:
        return "Calico enforces policy only here, another CNI carries the packets"
    if calico.dataplane.value in ("bpf", "vpp"):
        return (
            f"the {calico.dataplane.value} dataplane does not go by the kernel's routes, so "
            "whether a change took effect cannot be seen"
        )
    if calico.wireguard.value:
        return "WireGuard is on: packets between nodes take it, whatever a pool says"
    return None


def _pool_in_use(calico: CalicoDetected) -> Pool | str:
    """The one pool that pods get addresses from, or why it is not clear which."""
    if calico.pools.value is None:
        return f"which pools there are is not known: {calico.pools.reason}"
    used = [each for each in calico.pools.value if each.usual]
    if len(used) == 1:
        return used[0]
    names = ", ".join(each.name for each in used) or "none"
    return f"one pool is changed, and pods get addresses from several, or from none: {names}"


def _by_installation(calico: CalicoDetected, body: Object, installation: Object | None) -> Recipe:
    by = f"Installation {INSTALLATION}"
    cidr = str(dig(body, "spec", "cidr"))
    listed = dig(installation, "spec", "calicoNetwork", "ipPools") or ()
    if installation is None or not any(each.get("cidr") == cidr for each in listed):
        reason = f"the operator owns IPPool {name_of(body)}, but {by} does not list {cidr}"
        return refusing(by, MODES, reason)
    path = ("spec", "calicoNetwork", "ipPools", f"cidr={cidr}", "encapsulation")
    if (keeper := kept(installation, path)) is not None:
        return refusing(by, MODES, keeper)
    refused = _refused(calico)
    able = [mode for mode in MODES if mode not in refused]
    edit = {
        mode: Edit(kind="Installation", name=INSTALLATION, path=path, value=ENCAPSULATION[mode])
        for mode in able
    }
    return Recipe(
        by=f"{by}, encapsulation of {cidr}",
        edits={mode: (edit[mode],) for mode in able},
        followers={mode: _pool_edits(calico, body, mode) for mode in able},
        refused=refused,
        notes=(NOTE,),
    )


def _by_pool(calico: CalicoDetected, body: Object) -> Recipe:
    by = f"IPPool {name_of(body)}"
    if (reason := kept(body, ("spec",))) is not None:
        return refusing(by, MODES, reason)
    refused = _refused(calico)
    edits = {mode: _pool_edits(calico, body, mode) for mode in MODES if mode not in refused}
    return Recipe(by=by, edits=edits, refused=refused, notes=(NOTE,))


def _pool_edits(calico: CalicoDetected, body: Object, mode: Mode) -> tuple[Edit, ...]:
    kind = "IPPool" if calico.api.value in ("aggregated", "crd") else CRD_POOL
    wanted = {
        "ipipMode": "Always" if mode == Mode.IPIP else "Never",
        "vxlanMode": "Always" if mode == Mode.VXLAN else "Never",
    }
    return tuple(
        Edit(kind=kind, name=name_of(body), path=("spec", field), value=value)
        for field, value in wanted.items()
    )


def _refused(calico: CalicoDetected) -> dict[Mode, str]:
    reasons = {mode: pools.unroutable(mode, calico) for mode in MODES}
    return {mode: reason for mode, reason in reasons.items() if reason is not None}
