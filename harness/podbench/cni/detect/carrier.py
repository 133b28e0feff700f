"""Who carries the pods' packets, among the CNIs that a cluster's objects and nodes show. Pure.

Told by what runs: agents that run nowhere, notes that an earlier CNI left, plugins that are chained
behind another, and agents that only enforce policy carry nothing. Where several are left, or none,
the nodes' own devices decide; what they leave open stays unknown, with what would settle it.
"""

import msgspec

from podbench.cni.detect import devices, workloads
from podbench.cni.detect.calico import CalicoDetected
from podbench.cni.detect.cilium import CiliumDetected
from podbench.cni.detect.facts import ClusterFacts, Fact, told, unknown
from podbench.cni.detect.flannel import FlannelDetected
from podbench.cni.detect.workloads import Found

CHAINED = {
    # Cilium's word for the CNI that carries the packets -> that CNI.
    "aws-cni": "aws-vpc-cni",
    "flannel": "flannel",
    "azure": "azure-cni",
    "calico": "calico",
    "weave": "weave",
    "terway-chainer": "terway",
}
BESIDE = frozenset({"none", "portmap"})
"""Chaining modes in which Cilium is the CNI itself; portmap, behind it, opens host ports."""


class Carrier(msgspec.Struct, frozen=True):
    """Who carries the packets: agents that only enforce policy, and left-overs, are not asked."""

    facts: ClusterFacts
    agents: dict[str, Found]
    calico: CalicoDetected | None
    flannel: FlannelDetected | None
    cilium: CiliumDetected | None

    def decided(self) -> Fact[str]:
        """The one that does, or why that is open."""
        carriers = self._candidates()
        if len(carriers) > 1:
            carriers = self._seen_on_nodes(carriers)
        if len(carriers) == 1:
            (name,) = carriers
            where = (
                self.agents[name].where if name in self.agents else "the nodes' notes by flanneld"
            )
            return told(name, where)
        if carriers:
            names = ", ".join(sorted(carriers))
            return unknown(f"several could: {names}; the nodes' devices tell, once agents run")
        if (chained := self._chained()) is not None:
            return chained
        return self._by_devices()

    def _candidates(self) -> set[str]:
        carriers = set(self.agents) - {"calico", "cilium", "flannel"}
        if self.calico is not None and self.calico.carries:
            carriers.add("calico")
        if self.cilium is not None and self.cilium.chained.value in {*BESIDE, None}:
            carriers.add("cilium")
        if self.flannel is not None and ("flannel" in self.agents or not carriers):
            carriers.add("flannel")
        if len(carriers) > 1:
            carriers -= workloads.HELPERS
        return carriers

    def _seen_on_nodes(self, carriers: set[str]) -> set[str]:
        """Those whose devices the nodes have, where that leaves one."""
        seen = {name for name in carriers if devices.shows(self.facts.nodes.values(), name)}
        return seen if len(seen) == 1 else carriers

    def _chained(self) -> Fact[str] | None:
        """The CNI that Cilium is chained behind, where its mode names one."""
        if self.cilium is None:
            return None
        mode = self.cilium.chained
        if mode.value in CHAINED:
            return told(CHAINED[mode.value], mode.source or "")
        return None

    def _by_devices(self) -> Fact[str]:
        """No agent carries: what do the nodes' own devices say?"""
        silent = {
            name: who.where
            for name, who in self.agents.items()
            if name in ("calico", "cilium", "flannel")
        }
        seen = devices.detect(self.facts.nodes.values(), without=silent)
        if seen is not None:
            return told(seen.name, "; ".join(seen.detected_from))
        if silent:
            who = " and ".join(f"{name.capitalize()} ({at})" for name, at in silent.items())
            return unknown(
                f"{who} does not route; who carries the packets is not seen: the cloud's own"
                " routes, or a plugin without a DaemonSet (/etc/cni/net.d on a node names it)"
            )
        why = self.facts.why_unread("daemonsets.apps")
        return unknown(why or _nobody(self.facts))


def _nobody(facts: ClusterFacts) -> str:
    idle = "; ".join(f"{each.where}: {each.why}" for each in workloads.left_over(facts))
    none = "no DaemonSet runs an image of a CNI that podbench knows"
    settles = "/etc/cni/net.d on a node names the plugin"
    return f"{none} ({idle}); {settles}" if idle else f"{none}; {settles}"
