"""How a cluster's own mode is changed, as data: which fields of which objects a mode takes. Pure.

`calico_switch` and `flannel_switch` fill a `Recipe` in, `switch` chooses between them, and
`target.kubernetes.switch.change` does what it says. Nothing here talks to a cluster.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from podbench.cni.detect.facts import Object, dig, place_of
from podbench.model.arms import Mode

CRD_POOL = "IPPool.crd.projectcalico.org"
"""Calico's pools as they are stored, where no projectcalico.org/v3 is served."""


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """One field of one object, and what a mode wants in it."""

    kind: str
    """As `target.kubernetes.api.refs` names kinds."""
    name: str
    namespace: str | None = None
    path: tuple[str, ...]
    """Keys from the top; an element of a list by one of its own fields: `cidr=10.244.0.0/16`."""
    value: Any
    """Null: the field is taken away."""
    words: str | None = None
    """The change for people, where the value is a text of several lines."""
    restarts: bool = False
    """A mark that makes pods start anew; by itself it changes no mode."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a cluster comes from one mode to another."""

    by: str
    """What is changed, for people: `IPPool default-ipv4-ippool`."""
    edits: dict[Mode, tuple[Edit, ...]] = {}
    """What each mode takes, in the order to write it; modes that cannot be had are not in it."""
    followers: dict[Mode, tuple[Edit, ...]] = {}
    """What a controller then makes of it in other objects: waited for, not written."""
    refused: dict[Mode, str] = {}
    """Why a mode cannot be had."""
    notes: tuple[str, ...] = ()
    """What has to be known before this is done."""


def refusing(by: str, modes: tuple[Mode, ...], reason: str) -> Recipe:
    """A recipe that has no mode to offer."""
    return Recipe(by=by, refused=dict.fromkeys(modes, reason))


KEEPERS = {
    # Names of field managers, by their beginning: what brings an object back to what a repository
    # says. Flux's and k3s' helm-controller have one name.
    "argocd": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "a helm-controller (Flux, k3s)",
    "fleetagent": "Fleet",
    "config-sync": "Config Sync",
}
KEPT_MARKS = {
    # Labels and annotations by which such controllers find their own.
    "argocd.argoproj.io/instance": "Argo CD",
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "configmanagement.gke.io/managed": "Config Sync",
}


def keeper(each: Object, path: tuple[str, ...]) -> str | None:
    """Who would write a field back to what a repository says; null where nobody is seen to."""
    for kind in ("labels", "annotations"):
        for mark in dig(each, "metadata", kind) or {}:
            if mark in KEPT_MARKS:
                return KEPT_MARKS[mark]
    for entry in dig(each, "metadata", "managedFields") or ():
        manager = str(entry.get("manager") or "")
        name = next((known for begin, known in KEEPERS.items() if manager.startswith(begin)), None)
        if name is not None and owns(entry.get("fieldsV1"), path):
            return name
    return None


def kept(each: Object, path: tuple[str, ...]) -> str | None:
    """Why a field is not to be changed, where somebody would write it back."""
    who = keeper(each, path)
    if who is None:
        return None
    return f"{who} keeps {place_of(each)} and would write the change back; suspend that first"


def owns(tree: object, path: tuple[str, ...]) -> bool:
    """Whether FieldsV1 name a field; a list that is owned as a whole has no more below it."""
    for step in path:
        if "=" in step:
            # Elements' keys are as the list's schema has them: the list itself is enough.
            return True
        if not isinstance(tree, Mapping) or f"f:{step}" not in tree:
            return False
        tree = tree[f"f:{step}"]
    return True
