"""How a cluster's own mode is changed, whichever CNI it has. Pure."""

from podbench.cni.calico import switch
from podbench.cni.detect.cluster import ClusterDetected
from podbench.cni.detect.facts import ClusterFacts
from podbench.cni.edits import Recipe
from podbench.cni.flannel import switch as flannel_switch
from podbench.model.arms import Mode


def recipe(facts: ClusterFacts, detected: ClusterDetected) -> Recipe:
    """The recipe of the CNI that carries the packets; one without modes where there is none."""
    cni = detected.cni.value
    if cni == "calico" and detected.calico is not None:
        return switch.recipe(facts, detected.calico)
    if cni == "flannel" and detected.flannel is not None:
        return flannel_switch.recipe(facts, detected.flannel)
    name = cni or "a CNI that is not known"
    reason = f"podbench does not know how to change the mode of {name}"
    return Recipe(by=name, refused=dict.fromkeys(Mode, reason))
